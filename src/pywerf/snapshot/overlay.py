"""Snapshots on kernel OverlayFS: each is a directory of its own files over the directories of its parents.

ROOT/ID/fs      the snapshot's own files, in overlay's form of whiteouts
ROOT/ID/work    there until it is committed: overlay's work directories
ROOT/ID/link    its short name in ROOT/l
ROOT/l/NAME     a symlink to ../ID/fs, so that many layers fit into one mount(2)
ROOT/empty      an empty directory: overlay wants at least one lower, two when nothing is written
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Literal

from pywerf.errors import SnapshotError
from pywerf.linux.mount import Mount
from pywerf.linux.removal import remove_tree
from pywerf.snapshot.base import Snapshot
from pywerf.util.filetree import FileTree

if TYPE_CHECKING:
    from pywerf.snapshot.merged import TopNames

__all__ = ["MAX_LAYERS", "OverlaySnapshotter", "copy_root", "overlay_options"]

# What `linux.rootfs` can stack: some hundred lowers, of which many may be overlays of some hundred lowers.
MAX_LAYERS = 20_000

# With these an upper directory holds files, whiteouts and opaque directories, and nothing else: no renamed
# directory that points elsewhere, no file that is metadata alone, no index of hard links.
_PLAIN_OPTIONS = ("redirect_dir=nofollow", "metacopy=off", "index=off", "xino=off")

_VOLATILE_SINCE = (5, 10)

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def overlay_options(userxattr: bool) -> tuple[str, ...]:
    """The mount options of a writable root, without its directories.

    `volatile` leaves out overlay's syncing, where the kernel has it (Linux 5.10): fsync(2) in a container
    costs nothing, and a loss of power may take what was written, as it may take all else that is not synced.
    """
    major, minor = os.uname().release.split(".")[:2]
    release = (int(major), int("".join(char for char in minor if char.isdigit()) or 0))
    return (
        *_PLAIN_OPTIONS,
        *(("userxattr",) if userxattr else ()),
        *(("volatile",) if release >= _VOLATILE_SINCE else ()),
    )


class OverlaySnapshotter:
    """The overlay driver. See `Snapshotter` for what its methods promise.

    `root` is ROOT/snapshots/overlay of the store. `userxattr` is for mounts in a user namespace, where overlay
    keeps its marks in user.* (Linux 5.11).
    """

    name = "overlay"
    layer_form: Literal["overlay", "plain"] = "overlay"
    independent_layers = True

    def __init__(self, root: str, *, userxattr: bool = False) -> None:
        if "\\" in root:
            raise SnapshotError(
                f"{root}: overlay cannot be used below a directory with '\\' in its name",
                hint="choose another --root, or --storage-driver vfs",
            )
        self.root = root
        self.userxattr = userxattr
        self._options = overlay_options(userxattr)
        self._links: dict[str, str] = {}
        self._top_names: TopNames | None = None

    @property
    def xattr_prefix(self) -> str:
        """What overlay's own xattrs begin with: `trusted.overlay.`, or `user.overlay.` with userxattr."""
        return "user.overlay." if self.userxattr else "trusted.overlay."

    @property
    def xattr_namespace(self) -> Literal["trusted", "user"]:
        """See SnapshotReader."""
        return "user" if self.userxattr else "trusted"

    def exists(self, id: str) -> bool:
        """See SnapshotReader."""
        return os.path.isdir(f"{self._path(id)}/fs")

    def prepare(self, id: str, parent: Snapshot | None) -> Snapshot:
        """See Snapshotter. `parent` may be incomplete; the root directory takes its present owner and mode."""
        parents = () if parent is None else (parent.id, *parent.parents)
        if len(parents) >= MAX_LAYERS:
            raise SnapshotError(f"too many layers: overlay stacks at most {MAX_LAYERS}", hint="build with --squash")
        path = self._path(id)
        try:
            if not os.path.isdir(path):
                self._create(id, path, parent)
            committed = not os.path.isdir(f"{path}/work")
        except OSError as error:
            raise SnapshotError(f"cannot make snapshot {id}: {error}") from error
        return Snapshot(id, self.name, parents, committed)

    def commit(self, snapshot: Snapshot) -> Snapshot:
        """See Snapshotter. The work directory goes: its absence is what makes a snapshot committed."""
        path = self._path(snapshot.id)
        try:
            if not os.path.isdir(f"{path}/fs"):
                raise SnapshotError(f"snapshot {snapshot.id} does not exist")
            remove_tree(f"{path}/work")
        except OSError as error:
            raise SnapshotError(f"cannot commit snapshot {snapshot.id}: {error}") from error
        return Snapshot(snapshot.id, self.name, snapshot.parents, True)

    def rootfs(self, snapshot: Snapshot, *, stubs: str | None = None, writable: bool = True) -> Mount:
        """See Snapshotter. Every writable root has a work directory of its own, as `volatile` asks for."""
        try:
            lowers = [self._lower(id) for id in snapshot.parents]
            lowers.append(f"{self.root}/empty" if stubs is None else stubs)
            if not writable:
                lowers.insert(0, self._lower(snapshot.id))
                return Mount("overlay", "overlay", "", (_lowerdir(lowers), "ro", *self._options_ro()))
            work = self._make_work(snapshot)
        except OSError as error:
            raise SnapshotError(f"snapshot {snapshot.id} cannot be mounted: {error}") from error
        upper = f"{self._path(snapshot.id)}/fs"
        options = (_lowerdir(lowers), f"upperdir={upper}", f"workdir={work}", *self._options)
        return Mount("overlay", "overlay", "", options)

    def layer_dir(self, snapshot: Snapshot) -> str:
        """See Snapshotter: ROOT/ID/fs."""
        return f"{self._path(snapshot.id)}/fs"

    def view(self, snapshot: Snapshot) -> FileTree:
        """See Snapshotter."""
        from pywerf.snapshot.live import LiveTree
        from pywerf.snapshot.merged import MergedTree, TopNames

        if self._top_names is None:
            self._top_names = TopNames()
        layers = [f"{self._path(id)}/fs" for id in (snapshot.id, *snapshot.parents)]
        if snapshot.committed:
            return MergedTree(layers, self.xattr_prefix, self._top_names)
        below = MergedTree(layers[1:] or (f"{self.root}/empty",), self.xattr_prefix)
        return LiveTree(layers[0], below, self.xattr_prefix)

    def release(self, mount: Mount) -> None:
        """See Snapshotter: nothing is held for a mount."""

    def remove(self, id: str) -> None:
        """See Snapshotter."""
        path = self._path(id)
        gone = f"{self.root}/.gone-{id}"
        try:
            link = self._read_link(id)
            if link is not None:
                _unlink(f"{self.root}/l/{link}")
            remove_tree(gone)
            try:
                os.rename(path, gone)
            except FileNotFoundError:
                return
            self._links.pop(id, None)
            remove_tree(gone)
        except OSError as error:
            raise SnapshotError(f"cannot remove snapshot {id}: {error}") from error

    def _path(self, id: str) -> str:
        if not id or "/" in id or id.startswith(".") or id in ("l", "empty"):
            raise SnapshotError(f"invalid snapshot id {id!r}")
        return f"{self.root}/{id}"

    def _options_ro(self) -> tuple[str, ...]:
        return tuple(option for option in self._options if option != "volatile")

    def _create(self, id: str, path: str, parent: Snapshot | None) -> None:
        new = f"{self.root}/.new-{id}"
        remove_tree(new)
        for folder in (f"{self.root}/l", f"{self.root}/empty"):
            os.makedirs(folder, exist_ok=True)
        os.mkdir(new, 0o700)
        os.mkdir(f"{new}/work", 0o700)
        fs = f"{new}/fs"
        os.mkdir(fs)
        os.chmod(fs, 0o755)
        if parent is not None:
            copy_root(self.layer_dir(parent), fs)
        link = self._make_link(id)
        with open(f"{new}/link", "w", encoding="ascii") as file:
            file.write(link)
        try:
            os.rename(new, path)
        except OSError:
            _unlink(f"{self.root}/l/{link}")
            raise
        self._links[id] = link

    def _make_link(self, id: str) -> str:
        """A free short name. After a crash a name may be left that no `link` file tells of; it does no harm."""
        while True:
            number = int.from_bytes(os.urandom(4), "little")
            name = "".join(_ALPHABET[number >> shift & 31] for shift in (0, 5, 10, 15, 20))
            try:
                os.symlink(f"../{id}/fs", f"{self.root}/l/{name}")
            except FileExistsError:
                continue
            return name

    def _read_link(self, id: str) -> str | None:
        known = self._links.get(id)
        if known is None:
            try:
                with open(f"{self._path(id)}/link", encoding="ascii") as file:
                    known = file.read()
            except FileNotFoundError:
                return None
            self._links[id] = known
        return known

    def _lower(self, id: str) -> str:
        link = self._read_link(id)
        if link is None:
            raise SnapshotError(f"snapshot {id} does not exist", hint="build again with --no-cache")
        return f"{self.root}/l/{link}"

    def _make_work(self, snapshot: Snapshot) -> str:
        if snapshot.committed:
            raise SnapshotError(f"snapshot {snapshot.id} is committed: it cannot be mounted writable")
        parent = f"{self._path(snapshot.id)}/work"
        for number in range(1, 1 << 20):
            try:
                os.mkdir(f"{parent}/{number}", 0o700)
            except FileExistsError:
                continue
            except FileNotFoundError:
                break
            return f"{parent}/{number}"
        raise SnapshotError(f"snapshot {snapshot.id} does not exist, or is committed")


def _lowerdir(lowers: list[str]) -> str:
    """The option; a colon in a name is written `\\:`, as the kernel has it."""
    return "lowerdir=" + ":".join([path.replace(":", "\\:") for path in lowers])


def copy_root(source: str, target: str) -> None:
    """Give a new upper directory what overlay shows of the top layer alone: the attributes of the root."""
    st = os.lstat(source)
    target_st = os.lstat(target)
    if (st.st_uid, st.st_gid) != (target_st.st_uid, target_st.st_gid):
        os.chown(target, st.st_uid, st.st_gid)
    os.chmod(target, st.st_mode & 0o7777)
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENODATA):
            raise
        names = []
    for name in names:
        if name.startswith("user.") and not name.startswith("user.overlay."):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(st.st_mtime_ns, st.st_mtime_ns))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
