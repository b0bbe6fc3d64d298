"""Image references: `[host[:port]/]path[:tag][@digest]` (grammar of distribution/reference)."""

from __future__ import annotations

import functools
import re

import msgspec

from pywerf.errors import InvalidReference
from pywerf.oci.digest import Digest

__all__ = ["DEFAULT_REGISTRY", "Reference", "is_registry_host"]

DEFAULT_REGISTRY = "docker.io"


@functools.cache
def _grammar() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    label = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
    host = rf"(?:{label}(?:\.{label})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
    component = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
    return (
        re.compile(host),
        re.compile(rf"{component}(?:/{component})*"),
        re.compile(r"[\w][\w.-]{0,127}", re.A),
    )


class Reference(msgspec.Struct, frozen=True, order=True):
    """An image in a registry. `host` is empty in a short name that has not been resolved yet.

    `repository` is the path in the registry; `tag` and `digest` may both be missing.
    """

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference as written, short names included. Raises InvalidReference, which says why."""
        host_re, path_re, tag_re = _grammar()
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        tag = ""
        slash = rest.rfind("/")
        colon = rest.rfind(":")
        if colon > slash:
            rest, tag = rest[:colon], rest[colon + 1 :]
            if not tag_re.fullmatch(tag):
                raise _invalid(text, f"tag {tag!r} is not allowed")
        host = ""
        head, separator, tail = rest.partition("/")
        if separator and is_registry_host(head):
            host, rest = head, tail
            if not host_re.fullmatch(host):
                raise _invalid(text, f"registry {host!r} is not a host name")
        if not rest:
            raise _invalid(text, "the name is empty")
        if not path_re.fullmatch(rest):
            if rest != rest.lower():
                raise _invalid(text, "repository names are in lower case")
            raise _invalid(text, f"repository {rest!r} is not allowed")
        if len(rest) > 255:
            raise _invalid(text, "the repository name is longer than 255 characters")
        if host in ("index.docker.io", "registry-1.docker.io"):
            host = DEFAULT_REGISTRY
        if host == DEFAULT_REGISTRY and "/" not in rest:
            rest = f"library/{rest}"
        return cls(host, rest, tag, digest)

    def with_host(self, host: str) -> Reference:
        """The same name in the given registry (docker.io: single names are `library/…`)."""
        repository = self.repository
        if host == DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        return Reference(host, repository, self.tag, self.digest)

    def tagged(self) -> Reference:
        """The same reference, with tag `latest` when it has neither tag nor digest."""
        if self.tag or self.digest is not None:
            return self
        return Reference(self.host, self.repository, "latest", None)

    @property
    def name(self) -> str:
        """Host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}" if self.host else self.repository

    @property
    def selector(self) -> str:
        """What a registry is asked for: the digest when there is one, else the tag, else `latest`."""
        return str(self.digest) if self.digest is not None else self.tag or "latest"

    @property
    def familiar(self) -> str:
        """As docker shows it: without `docker.io/` and `library/`."""
        text = str(self)
        if self.host == DEFAULT_REGISTRY:
            text = text.removeprefix("docker.io/").removeprefix("library/")
        return text

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def is_registry_host(first: str) -> bool:
    """Whether the first component of a name is a registry: it has a dot or a port, or is localhost."""
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _invalid(text: str, why: str) -> InvalidReference:
    return InvalidReference(f"invalid image reference {text!r}: {why}", hint="write [REGISTRY/]NAME[:TAG][@sha256:…]")
