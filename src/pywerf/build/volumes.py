"""`--volume HOST:CONTAINER[:OPTIONS]`, of `run` and of `buildah build`."""

from __future__ import annotations

import os

from pywerf.backend.buildah.volumes import Volume
from pywerf.errors import UsageError

__all__ = ["parse_volume"]

# Of each group a volume has one at most, as buildah has it.
_GROUPS = (
    ("ro", "rw"),
    ("z", "Z", "O"),
    ("U",),
    ("exec", "noexec"),
    ("dev", "nodev"),
    ("suid", "nosuid"),
    ("bind", "rbind"),
    ("private", "rprivate", "shared", "rshared", "slave", "rslave"),
)
_SHARING = ("shared", "rshared", "slave", "rslave")
_MOUNT_WORDS = ("exec", "noexec", "dev", "nodev", "suid", "nosuid")


def parse_volume(text: str) -> Volume:
    """Read the flag's value. Raises UsageError, also when there is nothing at the host's path.

    z and Z change nothing: a container has our own SELinux label, unless --security-opt label says otherwise.
    """
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0]:
        raise UsageError(f"--volume {text}: not a volume", hint="write HOST-DIR:CONTAINER-DIR[:OPTIONS]")
    if not parts[1].startswith("/"):
        raise UsageError(f"--volume {text}: {parts[1]!r} is not an absolute path")
    words = parts[2].split(",") if len(parts) == 3 else []
    _check_words(text, words)
    source = os.path.abspath(os.path.expanduser(parts[0]))
    if not os.path.exists(source):
        raise UsageError(f"--volume {text}: {source} does not exist")
    overlay = "O" in words
    if overlay and not os.path.isdir(source):
        raise UsageError(f"--volume {text}: an overlay (O) is on a folder")
    return Volume(
        source,
        parts[1],
        "ro" in words,
        ("bind" if "bind" in words else "rbind", *(word for word in words if word in _MOUNT_WORDS)),
        overlay,
        "U" in words,
    )


def _check_words(text: str, words: list[str]) -> None:
    for word in words:
        group = next((group for group in _GROUPS if word in group), None)
        if group is None:
            known = ", ".join(word for group in _GROUPS for word in group)
            raise UsageError(f"--volume {text}: unknown option {word!r}", hint=f"the options are {known}")
        given = [other for other in words if other in group]
        if len(given) > 1:
            raise UsageError(f"--volume {text}: {', '.join(given)}: only one of {', '.join(group)} can be given")
        if word in _SHARING:
            raise UsageError(
                f"--volume {text}: mounts of containers are private here, not {word}", hint="leave the option out"
            )
