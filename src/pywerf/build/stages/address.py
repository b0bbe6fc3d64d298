"""Where stages are copied from and to: `REPO`, `docker://REPO` or `archive:PATH`."""

from __future__ import annotations

import os

import msgspec

from pywerf.errors import UsageError

__all__ = ["Address", "check_addresses", "parse_address"]

_ARCHIVE = "archive:"
_REGISTRY = "docker://"


class Address(msgspec.Struct, frozen=True):
    """A repository, or an archive: the other one is empty."""

    repo: str = ""
    archive: str = ""

    def __str__(self) -> str:
        return self.repo or f"{_ARCHIVE}{self.archive}"


def parse_address(text: str, flag: str) -> Address:
    """Read an address. Raises UsageError, which names the flag; what is wrong with a repository is told later."""
    if not text:
        raise UsageError(f"{flag} is needed", hint=f"{flag} REPO or {flag} archive:PATH")
    if text == ":local":
        raise UsageError(
            f"{flag} {text}: images of this machine are in no repository",
            hint="werf build --repo REPO publishes what was built here without building it again",
        )
    if text.startswith(_ARCHIVE):
        path = text.removeprefix(_ARCHIVE)
        if not path:
            raise UsageError(f"{flag} {text}: no file is named", hint=f"{flag} archive:PATH")
        return Address(archive=path)
    return Address(repo=text.removeprefix(_REGISTRY).rstrip("/"))


def check_addresses(origin: Address, target: Address) -> None:
    """Raise UsageError for a copy that goes nowhere."""
    if origin.archive and target.archive:
        raise UsageError(
            "--from and --to: one of them has to be a repository", hint="an archive is a file: cp copies it"
        )
    if origin == target or (origin.archive and os.path.realpath(origin.archive) == os.path.realpath(target.archive)):
        raise UsageError(f"--from and --to are the same: {origin}")
