"""A newer Docker than this machine's: a small root of the next Debian with its docker.io and its compose, kept in the

cache.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from support import machine
from support.bases import key_of

SUITE = "trixie"
PACKAGES = "docker.io,docker-compose,iptables,ca-certificates"

# In a mount namespace of its own: the root becomes /, and /tmp and /run are the machine's, where tests look for both.
_ENTER = """\
set -e
root=$1 tmp=$2
shift 2
mount --bind "$root" "$root"
for folder in /proc /sys /dev; do mount --rbind "$folder" "$root$folder"; done
for folder in /run "$tmp"; do mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"; done
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/old"
cd "$root"
pivot_root . old
umount -l /old
exec "$@"
"""


def newer_docker() -> Path:
    """The root folder. Made once, in a minute or two."""
    mirror = machine.debian_mirror()
    with machine.locked("newer-docker") as cache:
        root = cache / f"docker-{key_of(mirror, SUITE, PACKAGES)}"
        if root.exists():
            return root
        machine.require_root()
        debootstrap = machine.require("debootstrap")
        made = Path(tempfile.mkdtemp(prefix="partial-", dir=cache))
        try:
            machine.run(
                *(debootstrap, "--variant=minbase", f"--include={PACKAGES}"),
                *("--keyring=/usr/share/keyrings/debian-archive-keyring.gpg", SUITE, made, mirror),
                timeout=1200,
            )
            for package in (made / "var/cache/apt/archives").glob("*.deb"):
                package.unlink()
            (made / "etc/resolv.conf").touch()
            made.chmod(0o755)
            made.rename(root)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return root


def within(root: Path, command: list[str]) -> list[str]:
    """The command line that runs a command in the root. The process that it starts becomes the command."""
    unshare, shell = machine.require("unshare", "util-linux"), "/bin/sh"
    flags = ("--mount", "--propagation", "private")
    return [unshare, *flags, shell, "-c", _ENTER, "enter", str(root), tempfile.gettempdir(), *command]
