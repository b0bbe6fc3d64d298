"""The command lines of what connects private networks."""

from __future__ import annotations

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.private_network import make_connector_plan
from pywerf.linux.own_network import NAMESPACE

PASTA, SLIRP4NETNS = "/usr/bin/pasta", "/usr/local/bin/slirp4netns"


@pytest.mark.parametrize(
    ("found", "wanted", "path"),
    [
        ((PASTA, SLIRP4NETNS), "", PASTA),
        ((SLIRP4NETNS,), "", SLIRP4NETNS),
        ((PASTA, SLIRP4NETNS), "slirp4netns", SLIRP4NETNS),
        ((PASTA, SLIRP4NETNS), "pasta", PASTA),
    ],
)
def test_which_is_taken(found: tuple[str, ...], wanted: str, path: str) -> None:
    plan = make_connector_plan(found, wanted)
    assert plan["argv"][0] == path
    assert plan["detaches"] is (path == PASTA)
    assert NAMESPACE in plan["argv"]


def test_the_loopback_of_the_host_is_out_of_reach() -> None:
    pasta = " ".join(make_connector_plan((PASTA,))["argv"])
    assert "--no-map-gw" in pasta
    for ports in ("tcp-ports", "udp-ports", "tcp-ns", "udp-ns"):
        assert f"--{ports} none" in pasta
    assert "--disable-host-loopback" in make_connector_plan((SLIRP4NETNS,))["argv"]


@pytest.mark.parametrize(
    ("found", "wanted", "message", "hint"),
    [
        ((), "", "pasta or slirp4netns, and neither is installed", "apt-get install passt (or slirp4netns)"),
        ((SLIRP4NETNS,), "pasta", "needs pasta, which is not installed", "apt-get install passt,"),
        ((PASTA,), "slirp4netns", "needs slirp4netns, which is not installed", "apt-get install slirp4netns,"),
    ],
)
def test_what_is_missing_is_said(found: tuple[str, ...], wanted: str, message: str, hint: str) -> None:
    with pytest.raises(IsolationError, match=message) as caught:
        make_connector_plan(found, wanted)
    assert hint in str(caught.value.hint)
