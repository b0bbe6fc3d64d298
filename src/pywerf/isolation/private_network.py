"""How a private network is made: the command lines of pasta and slirp4netns. Pure.

Both give the container the same interface and the same addresses, whatever the host's are, so that a RUN sees the same
network everywhere. Neither lets it reach the host's loopback, or forwards the host's ports to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pywerf.errors import IsolationError
from pywerf.isolation.network import FORWARDER
from pywerf.linux.own_network import NAMESPACE, READY_FD

__all__ = ["CONNECTORS", "make_connector_plan"]

CONNECTORS = ("pasta", "slirp4netns")  # in this order: the first one is faster, and knows IPv6

INTERFACE = "tap0"
# slirp4netns(1) has these, and FORWARDER, for its 10.0.2.0/24; pasta is told to have the same.
ADDRESS, PREFIX, GATEWAY = "10.0.2.100", "24", "10.0.2.2"

_PASTA = (
    *("--quiet", "--config-net", "--ns-ifname", INTERFACE, "--no-map-gw"),
    *("--address", ADDRESS, "--netmask", PREFIX, "--gateway", GATEWAY, "--dns-forward", FORWARDER),
    *("--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"),
    # As the nobody that root would become it could not join a namespace of root's.
    *("--runas", "0:0", "--netns", NAMESPACE),
)
_SLIRP4NETNS = (
    *("--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"),
    *(f"--ready-fd={READY_FD}", "--netns-type=path", NAMESPACE, INTERFACE),
)


def make_connector_plan(found: Sequence[str], wanted: str = "") -> dict[str, Any]:
    """What `pywerf.linux.own_network` starts: argv, env, and whether it goes to the background when it is ready.

    `found` are the paths of those of CONNECTORS that are installed, `wanted` the name of one, or empty.
    Raises IsolationError where it, or any, is missing.
    """
    by_name = {path.rpartition("/")[2]: path for path in reversed(found)}
    path = by_name.get(wanted, "") if wanted else next(iter(found), "")
    if not path:
        what = f"needs {wanted}, which is not" if wanted else "needs pasta or slirp4netns, and neither is"
        package = {"pasta": "passt", "slirp4netns": "slirp4netns"}.get(wanted, "passt (or slirp4netns)")
        raise IsolationError(
            f"a private network {what} installed",
            hint=f"apt-get install {package}, or use --network host or --network none",
        )
    pasta = path == by_name.get("pasta")
    return {
        "argv": [path, *(_PASTA if pasta else _SLIRP4NETNS)],
        "env": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        "detaches": pasta,
    }
