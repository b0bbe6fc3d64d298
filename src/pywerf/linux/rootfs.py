"""Mounts a container's root file system and what goes into it, and makes it `/`.

Runs in the launcher's children: standard library, `syscalls` and `stage` only. Nothing here trusts the
image: every path in it is walked by descriptors that cannot leave the root file system.
"""

from __future__ import annotations

import errno
import os
import stat

from pywerf.linux import syscalls as sys
from pywerf.linux.owners import set_owner
from pywerf.linux.stage import Steps

TYPE_CHECKING = False  # the typing module would double the launcher's start-up time
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Root", "enter_root", "mount_all", "mount_overlay", "mount_rootfs", "open_subpath"]

MAX_SYMLINKS = 40
MOUNT_DATA_MAX = 4000  # mount(2) takes one page of data
# The kernel stacks at most 500 lowers (fs/overlayfs/params.h), and an overlay may be a lower of another one.
DIRECT_LOWERS, LOWERS_AT_ONCE = 400, 490


def mount_rootfs(rootfs: dict[str, Any]) -> None:
    if rootfs["type"] == "bind":
        _attach_bind(rootfs, sys.AT_FDCWD, "root")
        return
    if rootfs["type"] == "overlay":
        mount_overlay(rootfs, "root")
        return
    if rootfs["type"] == "carried":
        _move_tree(rootfs, rootfs["fd"], sys.AT_FDCWD, "root")
        return
    if rootfs["type"] == "tree":
        _attach_detached(rootfs, sys.AT_FDCWD, "root")
        return
    sys.mount(rootfs["source"], "root", rootfs["type"], rootfs["flags"], rootfs["data"] or None)


def mount_overlay(plan: dict[str, Any], target: str) -> None:
    """Mount an overlay with any number of layers.

    What is too many for one overlay is put below it as overlays of its own, on folders beside it. The options of
    mount(2) are one page. What does not fit, or has a `,` or `:` in a path, is named by descriptors instead: with
    /proc/self/fd as the working folder a layer is `17`.
    """
    folders: dict[str, str] = plan["folders"]  # upperdir, workdir
    lower: list[str] = plan["lower"]
    if len(lower) > LOWERS_AT_ONCE:
        lower = [*lower[:DIRECT_LOWERS], *_mount_lowers(plan, lower[DIRECT_LOWERS:])]
    plain = ["lowerdir=" + ":".join(lower), *(f"{key}={path}" for key, path in folders.items())]
    data = ",".join([*plain, plan["data"]] if plan["data"] else plain)
    special = any(character in path for path in (*lower, *folders.values()) for character in ",:\\")
    if len(os.fsencode(data)) <= MOUNT_DATA_MAX and not special:
        sys.mount("overlay", target, "overlay", plan["flags"], data)
        return
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened = [here]

    def name(path: str) -> str:
        opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return str(opened[-1])

    try:
        options = ["lowerdir=" + ":".join([name(path) for path in lower])]
        options += [f"{key}={name(path)}" for key, path in folders.items()]
        if plan["data"]:
            options.append(plan["data"])
        at = name(target)
        os.chdir("/proc/self/fd")
        try:
            sys.mount("overlay", at, "overlay", plan["flags"], ",".join(options))
        finally:
            os.fchdir(here)
    finally:
        for fd in opened:
            os.close(fd)


def _mount_lowers(plan: dict[str, Any], lower: list[str]) -> list[str]:
    """Read-only overlays of some hundred layers each, nearest first: where they are mounted."""
    data = ",".join(option for option in plan["data"].split(",") if option != "volatile")
    places = []
    for start in range(0, len(lower), LOWERS_AT_ONCE):
        part = lower[start : start + LOWERS_AT_ONCE]
        if len(part) == 1:
            places += part  # one alone is no overlay
            continue
        place = f"lower-{os.urandom(6).hex()}"
        os.mkdir(place, 0o700)
        mount_overlay({"folders": {}, "lower": part, "data": data, "flags": sys.MS_RDONLY | sys.MS_NODEV}, place)
        places.append(place)
    return places


def _attach_bind(plan: dict[str, Any], directory: int, path: str) -> None:
    """Bind a host path over what (directory, path) names; an empty path means the descriptor itself."""
    recursive = sys.AT_RECURSIVE if plan["recursive"] else 0
    tree = sys.open_tree(sys.AT_FDCWD, plan["source"], sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC | recursive)
    try:
        _move_tree(plan, tree, directory, path)
    finally:
        os.close(tree)


def _attach_detached(plan: dict[str, Any], directory: int, path: str) -> None:
    """Attach a mount that is in no namespace yet, as a bind is: `source` is a path of a process's descriptor of it."""
    tree = os.open(plan["source"], os.O_PATH | os.O_CLOEXEC)
    try:
        _move_tree(plan, tree, directory, path)
    finally:
        os.close(tree)


def _move_tree(plan: dict[str, Any], tree: int, directory: int, path: str) -> None:
    recursive = sys.AT_RECURSIVE if plan["recursive"] else 0
    sys.mount_setattr(tree, "", sys.AT_EMPTY_PATH | sys.AT_RECURSIVE, 0, 0, sys.MS_PRIVATE)
    attributes, clear = plan["attributes"], plan.get("clear", 0)
    if attributes & sys.MOUNT_ATTR_NODEV and _is_device(tree):
        attributes &= ~sys.MOUNT_ATTR_NODEV
    if attributes or clear:
        sys.mount_setattr(tree, "", sys.AT_EMPTY_PATH | recursive, attributes, clear)
    to_empty = 0 if path else sys.MOVE_MOUNT_T_EMPTY_PATH
    sys.move_mount(tree, "", directory, path, sys.MOVE_MOUNT_F_EMPTY_PATH | to_empty)


def open_subpath(mount: dict[str, Any], number: int) -> int:
    """A detached mount of `subpath` alone; symlinks in it stay inside of what is mounted."""
    clone = sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC | sys.AT_EMPTY_PATH
    if mount["type"] == "bind":
        whole = Root(mount["source"])
        clone |= sys.AT_RECURSIVE if mount["recursive"] else 0
    else:
        place = f"subpath-{number}"
        os.mkdir(place, 0o700)
        if mount["type"] == "overlay":
            mount_overlay(mount, place)
        elif mount["type"] == "tree":
            _attach_detached(mount, sys.AT_FDCWD, place)
        else:
            sys.mount(mount["source"], place, mount["type"], mount["flags"], mount["data"] or None)
        whole = Root(place)
    try:
        fd = whole.open(mount["subpath"], "")
        try:
            return sys.open_tree(fd, "", clone)
        finally:
            os.close(fd)
    finally:
        os.close(whole.fd)
        if mount["type"] != "bind":
            sys.umount2(place, sys.MNT_DETACH)


def _is_device(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


class Root:
    """The mounted root file system, walked by descriptors; remembers what it had to create."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.device = os.fstat(self.fd).st_dev
        self.created: list[str] = []
        self.kernel_devices: set[int] = set()

    def open(self, path: str, make: str, follow: bool = True, check: bool = True) -> int:
        """An O_PATH descriptor of `path`, every symlink taken as if this were `/`.

        What is missing is made: folders, and at the end a `make`: "folder" or "file", "": nothing. `..` goes back in
        the list of descriptors, never through the file system. The caller closes it. `check`: a symlink that leads
        to the kernel's own files is an error, as something will be mounted there.
        """
        walked = self._walk(path, make, follow, check)
        fd, _ = walked.pop()
        _close_all(walked)
        return fd

    def locate(self, path: str, make: str, follow: bool = True) -> tuple[int, str]:
        """As `open`, but an O_PATH descriptor of the folder that `path` is in, and its real path in this root."""
        walked = self._walk(path, make, follow)
        fd, here = walked.pop()
        os.close(fd)
        if not walked:
            raise OSError(errno.EINVAL, "it is the root file system itself")
        above, _ = walked.pop()
        _close_all(walked)
        return above, here

    def _walk(self, path: str, make: str, follow: bool, check: bool = True) -> list[tuple[int, str]]:
        """The descriptors and real paths of all folders on the way to `path`, and of what is there."""
        walked: list[tuple[int, str]] = [(os.dup(self.fd), "")]
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        links = 0
        try:
            while todo:
                part = todo.pop()
                if part == "..":
                    if len(walked) > 1:
                        os.close(walked.pop()[0])
                    continue
                above, name = walked[-1]
                here = f"{name}/{part}" if name else part
                try:
                    fd = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
                except FileNotFoundError:
                    if not make:
                        raise
                    fd = self._make(above, part, here, "folder" if todo else make)
                walked.append((fd, here))
                if stat.S_ISLNK(os.fstat(fd).st_mode):
                    links += 1
                    if not follow:
                        raise OSError(errno.ELOOP, f"/{here} is a symlink in the image")
                    if links > MAX_SYMLINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    target = os.readlink("", dir_fd=fd)
                    os.close(walked.pop()[0])
                    if target.startswith("/"):
                        while len(walked) > 1:
                            os.close(walked.pop()[0])
                    todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            if check and links and any(os.fstat(fd).st_dev in self.kernel_devices for fd, _ in walked):
                # An image's symlink must not lead a mount over the kernel's own files.
                raise OSError(errno.EPERM, "a symlink of the image leads into /proc, /sys or /dev")
        except BaseException:
            _close_all(walked)
            raise
        return walked

    def _make(self, above: int, name: str, path: str, kind: str) -> int:
        """Make a mount point; the folder it is in keeps its times, as if it had always been there."""
        before = os.stat(above) if os.fstat(above).st_dev == self.device else None
        if kind == "folder":
            os.mkdir(name, 0o755, dir_fd=above)
        else:
            os.mknod(name, stat.S_IFREG | 0o644, dir_fd=above)
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        if before is not None:
            self.created.append(path)
            os.utime(f"/proc/self/fd/{above}", ns=(before.st_atime_ns, before.st_mtime_ns))
        return fd

    def remove_created(self) -> None:
        """Take back what was made, after a failure."""
        for path in reversed(self.created):
            folder, _, name = path.rpartition("/")
            try:
                above = self.open(folder, "folder", follow=False)
            except OSError:
                continue
            try:
                before = os.stat(above)
                remove = os.rmdir if stat.S_ISDIR(os.lstat(name, dir_fd=above).st_mode) else os.unlink
                remove(name, dir_fd=above)
                os.utime(f"/proc/self/fd/{above}", ns=(before.st_atime_ns, before.st_mtime_ns))
            except OSError:
                continue  # a mount is on it, or it was filled meanwhile: it stays and is reported by nobody
            finally:
                os.close(above)


def _close_all(walked: list[tuple[int, str]]) -> None:
    for fd, _ in walked:
        os.close(fd)


def mount_all(plan: dict[str, Any], root: Root, step: Steps) -> None:
    for name, target in plan["attach"]:
        step(f"mount {target}")
        fd = root.open(target, "folder", follow=False)
        try:
            root.kernel_devices.add(os.stat(name).st_dev)
            sys.move_mount(sys.AT_FDCWD, name, fd, "", sys.MOVE_MOUNT_T_EMPTY_PATH)
        finally:
            os.close(fd)
    for number, mount in enumerate(plan["mounts"]):
        step(f"mount {mount['source']} on {mount['target']}")
        _mount_one(mount, root, number)
    for number, (target, content, mode, *owner) in enumerate(plan["files"]):
        step(f"put the generated file {target} in place")
        source = f"files/{number}"
        out = os.open(source, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(out, view) :]
            if owner:
                _give(out, *owner)
            os.fchmod(out, mode)
        finally:
            os.close(out)
        fd = root.open(target, "file")
        try:
            # The staging area is `noexec`; what is meant to be run has to be exempt.
            clear = sys.MOUNT_ATTR_NOEXEC if mode & 0o111 else 0
            _attach_bind({"source": source, "recursive": False, "attributes": 0, "clear": clear}, fd, "")
        finally:
            os.close(fd)
    if plan["read_only"]:
        step("make the root file system read-only")
        sys.mount_setattr(root.fd, "", sys.AT_EMPTY_PATH, sys.MOUNT_ATTR_RDONLY)


def _give(fd: int, uid: int, gid: int) -> None:
    try:
        set_owner(fd, uid, gid)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        # Where there is one id, a tmpfs before Linux 6.6 cannot keep another owner: the one may read the file.


def _mount_one(mount: dict[str, Any], root: Root, number: int) -> None:
    bind = mount["type"] == "bind"
    carried: int = mount.get("fd", -1)
    tree = open_subpath(mount, number) if mount["subpath"] else carried
    try:
        is_folder = stat.S_ISDIR(os.fstat(tree).st_mode) if tree >= 0 else not bind or os.path.isdir(mount["source"])
        fd = root.open(mount["target"], "folder" if is_folder else "file")
        try:
            where = f"/proc/self/fd/{fd}"
            if tree >= 0:
                _move_tree({"recursive": False, "attributes": 0} | mount, tree, fd, "")
            elif bind:
                _attach_bind(mount, fd, "")
            elif mount["type"] == "overlay":
                mount_overlay(mount, where)
            elif mount["type"] == "tree":
                _attach_detached(mount, fd, "")
            else:
                sys.mount(mount["source"], where, mount["type"], mount["flags"], mount["data"] or None)
        finally:
            os.close(fd)
    finally:
        if tree >= 0:
            os.close(tree)


def enter_root(root: Root) -> None:
    """Make it `/`, with nothing of the old tree in reach."""
    os.fchdir(root.fd)
    try:
        sys.pivot_root(".", ".")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # The host runs from its initial ramfs, which cannot be pivoted: move over it instead.
        sys.mount(".", "/", None, sys.MS_MOVE)
        os.chroot(".")
    else:
        sys.umount2(".", sys.MNT_DETACH)
    os.chdir("/")
