"""The ports of EXPOSE: `PORT[-PORT][/PROTOCOL]`, and the host parts that BuildKit still lets pass."""

from __future__ import annotations

import msgspec

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.gotext import parse_uint, quote

__all__ = ["PortSpec", "parse_port"]

_PROTOCOLS = ("tcp", "udp", "sctp")


class PortSpec(msgspec.Struct, frozen=True):
    """One word of EXPOSE. `ports` are `80/tcp` …; `ip` and `host_port` have no meaning there."""

    raw: str
    ports: tuple[str, ...]
    protocol: str
    ip: str = ""
    host_port: str = ""


def parse_port(raw: str) -> PortSpec:
    """Read one expanded word. Raises DockerfileError."""
    *ip_parts, last = raw.split(":")
    host_port = ip_parts.pop() if ip_parts else ""
    ip = ":".join(ip_parts)
    container, _, protocol = last.partition("/")
    if not container:
        raise DockerfileError(f"invalid port: {quote(raw)}: no port specified: {last}<empty>")
    if protocol and protocol.lower() not in _PROTOCOLS:
        raise DockerfileError(
            f"invalid port: {quote(raw)}: invalid proto: {protocol.lower()}",
            hint="the protocols are " + ", ".join(_PROTOCOLS),
        )
    if ip:
        _check_ip(ip)
    bounds = _range(container)
    if bounds is None:
        raise DockerfileError(
            f"invalid containerPort: {container}", hint="a port is a number from 0 to 65535, or FIRST-LAST"
        )
    first, last_port = bounds
    if host_port:
        host = _range(host_port)
        if host is None:
            raise DockerfileError(f"invalid hostPort: {host_port}")
        if last_port != first and last_port - first != host[1] - host[0]:
            raise DockerfileError(f"invalid ranges specified for container and host Ports: {container} and {host_port}")
    name = protocol.lower() or "tcp"
    ports = tuple([f"{port}/{name}" for port in range(first, last_port + 1)])
    return PortSpec(raw, ports, protocol, ip, host_port)


def _range(text: str) -> tuple[int, int] | None:
    first_text, dash, last_text = text.partition("-")
    first = parse_uint(first_text, 10, 16)
    last = parse_uint(last_text, 10, 16) if dash else first
    if first is None or last is None or last < first:
        return None
    return first, last


def _check_ip(ip: str) -> None:
    import ipaddress

    bare = ip[1:-1] if ip.startswith("[") and ip.endswith("]") else ip
    try:
        ipaddress.ip_address(bare)
    except ValueError as error:
        raise DockerfileError(f"invalid IP address: {ip}") from error
