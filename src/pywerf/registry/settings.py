"""How registries are talked to, as one value: certificates, credentials, retries, times."""

from __future__ import annotations

import msgspec

__all__ = ["DEFAULT_SETTINGS", "RegistrySettings", "has_port", "is_loopback"]


class RegistrySettings(msgspec.Struct, frozen=True):
    """What the flags say about registries.

    `tls_verify` None: certificates are verified, and a registry on loopback may answer in plain HTTP;
    True: verified HTTPS everywhere; False: neither is needed. `creds` is `USER[:PASSWORD]`. `retries`
    is how often a request is made again after its first failure; the n-th wait is about
    `backoff * 2**n` seconds, or `delay` each time where that is given. Times are in seconds,
    `chunk_size` (one PATCH of a stream whose length is not known) in bytes. `mirrors` of docker.io
    (`HOST[/PATH]`) are tried before those of registries.conf.
    """

    tls_verify: bool | None = None
    authfile: str = ""
    creds: str = ""
    cert_dir: str = ""
    retries: int = 3
    backoff: float = 0.5
    delay: float | None = None
    connect_timeout: float = 30.0
    read_timeout: float = 120.0
    chunk_size: int = 8 << 20
    user_agent: str = "pywerf"
    mirrors: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"RegistrySettings(tls_verify={self.tls_verify!r}, authfile={self.authfile!r}, "
            f"creds={'***' if self.creds else ''!r}, cert_dir={self.cert_dir!r}, retries={self.retries!r})"
        )

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec has one that would show every field
        return [("tls_verify", self.tls_verify), ("authfile", self.authfile), ("cert_dir", self.cert_dir)]


DEFAULT_SETTINGS = RegistrySettings()


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine by its spelling alone: localhost, 127.0.0.0/8, [::1]."""
    if host.startswith("["):
        return host[1:].partition("]")[0] in ("::1", "0:0:0:0:0:0:0:1")
    name = host.partition(":")[0] if host.count(":") == 1 else host
    if name in ("localhost", "::1"):
        return True
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() and int(part) < 256 for part in parts[1:])


def has_port(host: str) -> bool:
    """Whether `host[:port]` names a port."""
    name, colon, port = host.rpartition(":")
    return bool(colon) and port.isdecimal() and (":" not in name or name.endswith("]"))
