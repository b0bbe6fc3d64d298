"""`--volume HOST:CONTAINER[:OPTIONS]`, of `run` and of `buildah build`."""

from __future__ import annotations

import os

import msgspec

from pywerf.errors import UsageError
from pywerf.linux.mount import Mount

__all__ = ["Volume", "parse_volume"]

_KNOWN = ("ro", "rw", "z", "Z")


class Volume(msgspec.Struct, frozen=True):
    """A file or folder of the host, seen in a container at `target` (absolute)."""

    source: str
    target: str
    read_only: bool = False

    @property
    def mount(self) -> Mount:
        """The bind mount, with what is mounted below the folder."""
        return Mount("bind", self.source, self.target, ("rbind", "ro" if self.read_only else "rw"))


def parse_volume(text: str) -> Volume:
    """Read the flag's value. Raises UsageError, also when there is nothing at the host's path."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[1].startswith("/"):
        raise UsageError(f"--volume {text}: not a volume", hint="write HOST-DIR:CONTAINER-DIR[:ro]")
    words = parts[2].split(",") if len(parts) == 3 else []
    unknown = [word for word in words if word not in _KNOWN]
    if unknown:
        raise UsageError(f"--volume {text}: unknown option {unknown[0]!r}", hint="ro and rw are known")
    source = os.path.abspath(os.path.expanduser(parts[0]))
    if not os.path.exists(source):
        raise UsageError(f"--volume {text}: {source} does not exist")
    return Volume(source, parts[1], "ro" in words)
