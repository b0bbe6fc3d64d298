"""`--volume`: files and folders of the host in every container of a build, as they are, or under an overlay."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from pywerf.errors import BuildError
from pywerf.linux.mount import Mount

__all__ = ["DANGEROUS", "Volume", "mount_volume"]

# Whose owner nobody wants to change by a slip (podman's list has the same idea).
DANGEROUS = frozenset(
    """
    / /bin /boot /dev /etc /etc/passwd /etc/pki /etc/shadow /home /lib /lib64 /media /opt /proc /root /run /sbin /srv
    /sys /tmp /usr /var /var/lib /var/log
    """.split()  # noqa: SIM905
)


class Volume(msgspec.Struct, frozen=True):
    """A file or folder of the host, seen in a container at `target` (absolute). `options` are mount(8) words.

    `overlay`: what is written there is thrown away. `chown`: it is given to the container's user.
    """

    source: str
    target: str
    read_only: bool = False
    options: tuple[str, ...] = ("rbind",)
    overlay: bool = False
    chown: bool = False

    @property
    def mount(self) -> Mount:
        """The bind mount, with what is mounted below the folder."""
        return Mount("bind", self.source, self.target, (*self.options, "ro" if self.read_only else "rw"))


def mount_volume(volume: Volume, driver: str, folder: str, owner: Callable[[], tuple[int, int]]) -> Mount:
    """The mount for one container. `driver` is that of the snapshots, `folder` a new one's name beside them.

    `owner` gives the user's and the group's id of the container's process. Raises BuildError.
    """
    if volume.chown:
        _chown(volume.source, *owner())
    if not volume.overlay:
        return volume.mount
    try:
        os.mkdir(folder, 0o700)
        if driver == "overlay":
            return _overlay(volume, folder)
        from pywerf.linux.copytree import copy_tree

        # Where there is no overlay of the kernel: a copy is as good, and slower.
        copy = f"{folder}/copy"
        os.mkdir(copy)
        copy_tree(volume.source, copy)
    except OSError as error:
        raise BuildError(f"--volume {volume.source}: {error.filename or folder}: {error.strerror}") from error
    return Mount("bind", copy, volume.target, (*volume.options, "rw"))


def _overlay(volume: Volume, folder: str) -> Mount:
    from pywerf.linux.facts import in_initial_namespace
    from pywerf.snapshot.overlay import overlay_options

    status = os.stat(volume.source)
    upper, work = f"{folder}/upper", f"{folder}/work"
    os.mkdir(upper)
    os.chown(upper, status.st_uid, status.st_gid)
    os.chmod(upper, status.st_mode & 0o7777)
    os.mkdir(work)
    lower = volume.source.replace(":", "\\:")
    words = [word for word in volume.options if word not in ("bind", "rbind")]
    options = (
        f"lowerdir={lower}",
        f"upperdir={upper}",
        f"workdir={work}",
        *overlay_options(not in_initial_namespace()),
    )
    return Mount("overlay", "overlay", volume.target, (*options, *words))


def _chown(source: str, uid: int, gid: int) -> None:
    """Give a folder with all that is in it, links themselves and not what they name, to an owner.

    With one id the files stay the caller's: containers see the other owner, as they do of all else.
    """
    if os.path.realpath(source) in DANGEROUS:
        raise BuildError(f"--volume {source}:…:U would change the owner of {source}", hint="name a folder in it")
    from pywerf.linux.owners import set_owner

    try:
        set_owner(source, uid, gid)
        for _, folders, files, fd in os.fwalk(source, onerror=_raise):
            for name in (*folders, *files):
                set_owner(name, uid, gid, dir_fd=fd)
    except OSError as error:
        raise BuildError(f"--volume {source}:…:U: {error.filename or source}: {error.strerror}") from error


def _raise(error: OSError) -> None:
    raise error
