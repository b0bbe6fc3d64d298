"""The generated files that tell a container about the network: /etc/resolv.conf, /etc/hosts, /etc/hostname.

The functions that take bytes are pure; `container_files` reads the host's files for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from pywerf.errors import InvalidValue, IsolationError

__all__ = ["FORWARDER", "Resolver", "container_files", "host_address", "hosts", "resolv_conf"]

Network = Literal["host", "none", "private"]
GeneratedFile = tuple[str, bytes, int]

RESOLV_CONF = "/etc/resolv.conf"
# Where systemd-resolved keeps the real servers, when /etc/resolv.conf names only its own stub.
UPSTREAM_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
STUB = b"127.0.0.53"
# Who asks the host's servers in a private network (see `pywerf.isolation.private_network`).
FORWARDER = "10.0.2.3"
FALLBACK_SERVERS = (b"8.8.8.8", b"8.8.4.4")

DEFAULT_HOSTS = b"""127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


class Resolver(msgspec.Struct, frozen=True):
    """How names are found in containers: what replaces the host's settings (`--dns`, `--dns-search`, `--dns-option`).

    `own_resolv_conf`, `own_hosts` and `own_hostname` false: the image's file is left alone (`--dns none`, `--no-hosts`,
    `--no-hostname`).
    """

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    own_resolv_conf: bool = True
    own_hosts: bool = True
    own_hostname: bool = True


def resolv_conf(
    host: bytes,
    upstream: bytes = b"",
    *,
    network: Network = "host",
    servers: Sequence[str] = (),
    searches: Sequence[str] = (),
    options: Sequence[str] = (),
    forwarder: str = "",
) -> bytes:
    """A container's /etc/resolv.conf from the host's, as docker and buildah make it.

    On the host's network the file is the host's, byte by byte: servers on the loopback answer there. Else
    `upstream` (systemd-resolved's list) takes the place of a file that names only the stub, servers on
    the loopback are left out, and without any server Google's are used. `servers`, `searches` (a `.`
    means none) and `options` each replace what the file says. A `forwarder` asks the host's servers itself: it stands
    in their place.
    """
    if network != "host" and upstream and _servers(host) == [STUB]:
        host = upstream
    if network == "host" and not (servers or searches or options):
        return host
    found = [value for value in _servers(host) if network == "host" or not _is_loopback(value)]
    if forwarder:
        found = [forwarder.encode()]
    chosen = [server.encode() for server in servers] or found or list(FALLBACK_SERVERS)
    domains = [domain.encode() for domain in searches] or _values(host, b"search")
    switches = [option.encode() for option in options] or _values(host, b"options")
    lines = []
    if domains and domains != [b"."]:
        lines.append(b"search " + b" ".join(domains))
    lines += [b"nameserver " + server for server in chosen]
    if switches:
        lines.append(b"options " + b" ".join(switches))
    return b"\n".join(lines) + b"\n"


def _values(conf: bytes, keyword: bytes) -> list[bytes]:
    """The values of the last line with a keyword, which is the one that counts (resolv.conf(5))."""
    values: list[bytes] = []
    for line in conf.splitlines():
        words = line.split()
        if words and words[0] == keyword:
            values = words[1:]
    return values


def _servers(conf: bytes) -> list[bytes]:
    lines = (line.split() for line in conf.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == b"nameserver"]


def _is_loopback(server: bytes) -> bool:
    return server.startswith(b"127.") or server == b"::1"


def hosts(host: bytes, *, network: Network = "host", hostname: str = "", add_hosts: Iterable[str] = ()) -> bytes:
    """A container's /etc/hosts: the `--add-host` entries, then the host's file on its network, else the usual names.

    `hostname` gets an address when the file has none for it. Raises InvalidValue and IsolationError as
    `host_address`.
    """
    lines = []
    for entry in add_hosts:
        names, address = host_address(entry, network)
        lines.append(f"{address}\t{' '.join(names)}\n".encode())
    base = host if network == "host" else DEFAULT_HOSTS
    if base and not base.endswith(b"\n"):
        base += b"\n"
    if hostname and hostname.encode() not in b" ".join([*lines, base]).split():
        base += f"127.0.0.1\t{hostname}\n".encode()
    return b"".join(lines) + base


def host_address(entry: str, network: Network = "host") -> tuple[tuple[str, ...], str]:
    """The names and the address of an `--add-host` value: `name:address`, `name=address`, `a;b:address`.

    The address may stand in brackets. `host-gateway` is the host itself, which is 127.0.0.1 on its own
    network. Raises InvalidValue; IsolationError for host-gateway elsewhere.
    """
    separator = min((at for at in (entry.find(":"), entry.find("=")) if at >= 0), default=-1)
    names = tuple(name for name in entry[: max(separator, 0)].split(";") if name)
    address = entry[separator + 1 :].strip()
    if separator < 0 or not names or not address or any(character.isspace() for character in "".join(names)):
        raise InvalidValue(f'bad format for add-host: "{entry}"', hint="write name:address")
    if address == "host-gateway":
        if network != "host":
            raise IsolationError(
                "add-host: host-gateway has no address here", hint="it is known with --network host; else give one"
            )
        return names, "127.0.0.1"
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not _is_address(address):
        raise InvalidValue(f'invalid IP address in add-host: "{address}"', hint="write name:address")
    return names, address


def _is_address(text: str) -> bool:
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def container_files(
    *,
    network: Network = "host",
    hostname: str = "",
    add_hosts: Iterable[str] = (),
    resolver: Resolver | None = None,
    forwarder: str = "",
) -> tuple[GeneratedFile, ...]:
    """The three files for ContainerSpec.files, made from the host's: (target, content, mode).

    An empty `hostname` means the host's own, which the container has then too. What the host lacks
    counts as empty. `forwarder` as for `resolv_conf`.
    """
    import os

    resolver = resolver or Resolver()
    name = hostname or os.uname().nodename
    files: list[GeneratedFile] = []
    if resolver.own_resolv_conf:
        content = resolv_conf(
            _read(RESOLV_CONF),
            b"" if network == "host" else _read(UPSTREAM_RESOLV_CONF),
            network=network,
            servers=resolver.servers,
            searches=resolver.searches,
            options=resolver.options,
            forwarder=forwarder,
        )
        files.append((RESOLV_CONF, content, 0o644))
    if resolver.own_hosts:
        content = hosts(_read("/etc/hosts"), network=network, hostname=name, add_hosts=add_hosts)
        files.append(("/etc/hosts", content, 0o644))
    if resolver.own_hostname:
        files.append(("/etc/hostname", f"{name}\n".encode(), 0o644))
    return tuple(files)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
