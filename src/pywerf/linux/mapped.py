"""A container in a user namespace of its own, made by root: what is done while this process is still root.

The files of the store, and those that are mounted, belong to root's ids. So they are mounted with their owners mapped
(mount_setattr(2), MOUNT_ATTR_IDMAP): 0 on disk is 0 in the container, which is somebody else on the machine. That takes
CAP_SYS_ADMIN outside of the namespace, as joining cgroups and other namespaces does. What was mounted is taken along
when the process makes its own mount namespace (`stage.prepare`); there its flags cannot be changed any more.

Runs in the launcher's children: standard library and its neighbours only. What is done was decided by
`pywerf.isolation.user_namespace`.
"""

from __future__ import annotations

import errno
import fcntl  # noqa: F401  # now: later, as somebody else, the interpreter's files may be out of reach
import os
import stat
from resource import getrlimit

from pywerf.linux import syscalls as sys
from pywerf.linux.rootfs import Root, mount_overlay, open_subpath
from pywerf.linux.stage import FUSE, INSIDE, MAPPING, OPERATIONS, STAGE, Steps

TYPE_CHECKING = False  # the typing module would double the launcher's start-up time
if TYPE_CHECKING:
    from typing import Any

__all__ = ["UserNamespace", "enter", "mount_mapped_overlay", "move_mapped", "try_overlay"]

SIGKILL = 9
NO_DATA = (errno.EINVAL, errno.EOPNOTSUPP)
PROC_FLAGS = sys.MS_NOSUID | sys.MS_NOEXEC | sys.MS_NODEV
RLIMIT_INFINITY = -1


class UserNamespace:
    """A descriptor of a user namespace, and who its root is outside of it."""

    __slots__ = ("fd", "root_gid", "root_uid")

    def __init__(self, user: dict[str, Any], proc: int) -> None:
        """Make it with `uid_map` and `gid_map`, texts as in user_namespaces(7), or take the one at `path`.

        `proc` is a proc(5) of this process's pid namespace. Raises OSError.
        """
        ready, begun = os.pipe2(os.O_CLOEXEC)
        over, ended = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            _live(user["path"], begun, over, ended)
        os.close(begun)
        os.close(over)
        try:
            said = os.read(ready, 16)
            if said:
                number = int(said)
                raise OSError(number, os.strerror(number))
            if not user["path"]:
                for name in ("uid_map", "gid_map"):
                    _write(f"{child}/{name}", user[name], proc)
            self.root_uid = _root_of(f"{child}/uid_map", proc)
            self.root_gid = _root_of(f"{child}/gid_map", proc)
            self.fd = os.open(f"{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        finally:
            os.close(ended)
            os.close(ready)
            os.kill(child, SIGKILL)
            os.waitpid(child, 0)


def _live(path: str, begun: int, over: int, ended: int) -> None:
    """A child that is in the namespace until nobody needs it; it tells an errno when it cannot be."""
    os.close(ended)
    try:
        if path:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            sys.setns(fd, sys.CLONE_NEWUSER)
        else:
            sys.unshare(sys.CLONE_NEWUSER)
        os.close(begun)
        os.read(over, 1)
    except OSError as error:
        os.write(begun, b"%d" % (error.errno or errno.EIO))
    finally:
        os._exit(0)


def _write(name: str, text: str, folder: int) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _root_of(name: str, proc: int) -> int:
    """The id that a map gives to 0."""
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        lines = os.read(fd, 1 << 16).decode().splitlines()
    finally:
        os.close(fd)
    for line in lines:
        inside, outside, _ = line.split()
        if inside == "0":
            return int(outside)
    raise OSError(errno.EINVAL, "nobody is root in it")


def enter(plan: dict[str, Any], descriptors: list[int]) -> None:
    """Do all that only root can, then enter the namespace; this process is root of it afterwards.

    The plan then has what is to be carried along (`carried`, see `stage.prepare`) in place of what was mounted.
    Raises SetupFailed.
    """
    step = Steps()
    user = plan["user"]
    try:
        _raise_limits(plan["rlimits"], step)
        for path in plan["cgroups"]:
            step(f"join the cgroup {os.path.dirname(path)}")
            _write(path, "0", sys.AT_FDCWD)
        plan["cgroups"] = []
        for operation in user["join"]:
            step(f"set up {operation[0]} {operation[-1]}")
            OPERATIONS[operation[0]](*operation[1:])
        step("make a mount namespace")
        sys.unshare(sys.CLONE_NEWNS)
        namespace = _make_stage(user, step)
        _mount(plan, namespace, step)
        step("connect the standard streams")
        for fd in descriptors:
            _give_pipe(fd, namespace)
        step("enter the user namespace")
        sys.setns(namespace.fd, sys.CLONE_NEWUSER)
        os.close(namespace.fd)
        sys.setgroups([])
        sys.setresgid(0)
        sys.setresuid(0)
        sys.prctl(sys.PR_SET_PDEATHSIG, SIGKILL)  # the change of user cleared it
    except OSError as error:
        raise step.failed(error) from error


def _make_stage(user: dict[str, Any], step: Steps) -> UserNamespace:
    """In a mount namespace that is this process's own: a staging area with a proc, and the user namespace."""
    sys.mount(None, "/", None, sys.MS_REC | sys.MS_PRIVATE)
    step("mount the staging area")
    sys.mount("tmpfs", STAGE, "tmpfs", sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC, "mode=0711")
    os.chdir(STAGE)
    for name in ("root", "proc", INSIDE):
        os.mkdir(name, 0o755)
    step("mount proc")
    sys.mount("proc", "proc", "proc", PROC_FLAGS)
    step("make a user namespace")
    proc = os.open("proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return UserNamespace(user, proc)
    finally:
        os.close(proc)


def try_overlay(user: dict[str, Any], folder: str) -> None:
    """Mount an overlay of the folders lower, upper and work in `folder`, mapped, in namespaces of this process's own.

    That tells whether containers can be in a user namespace of their own there. Raises SetupFailed.
    """
    step = Steps()
    try:
        step("make a mount namespace")
        sys.unshare(sys.CLONE_NEWNS)
        namespace = _make_stage(user, step)
        overlay = {
            "lower": [f"{folder}/lower"],
            "folders": {"upperdir": f"{folder}/upper", "workdir": f"{folder}/work"},
            "data": "",
            "flags": sys.MS_NODEV,
        }
        mount_mapped_overlay(overlay, "root", namespace, step)
    except OSError as error:
        raise step.failed(error) from error


def _raise_limits(rlimits: list[tuple[int, int, int]], step: Steps) -> None:
    """Hard limits above the present ones need CAP_SYS_RESOURCE outside; `apply.take_identity` sets the limits later."""
    for resource, _, hard in rlimits:
        step(f"raise resource limit {resource} to {hard}")
        soft, present = getrlimit(resource)
        if present != RLIMIT_INFINITY and (hard == RLIMIT_INFINITY or hard > present):
            sys.prlimit(0, resource, soft, hard)


def _give_pipe(fd: int, namespace: UserNamespace) -> None:
    """Let the container open its standard streams (/dev/stdout), as runtimes do; files of the user's stay theirs."""
    if stat.S_ISFIFO(os.fstat(fd).st_mode) and os.readlink(f"proc/self/fd/{fd}").startswith("pipe:"):
        os.fchown(fd, namespace.root_uid, namespace.root_gid)


# ---------------------------------------------------------------- mounts


def _mount(plan: dict[str, Any], namespace: UserNamespace, step: Steps) -> None:
    """Mount the root file system and all sources of the host, mapped, and note them as `carried`."""
    step("mount the root file system")
    _mount_one(plan["rootfs"], "root", namespace, step)
    plan["rootfs"] = _carried(plan["rootfs"], plan, "root")
    for number, mount in enumerate(plan["mounts"]):
        if mount["type"] not in ("bind", "overlay", "tree"):
            continue  # a file system that the namespace mounts itself
        step(f"mount {mount['source']} on {mount['target']}")
        name = f"mount-{number}"
        _mount_one(mount, name, namespace, step)
        plan["mounts"][number] = _carried(mount, plan, name)


def _carried(mount: dict[str, Any], plan: dict[str, Any], name: str) -> dict[str, Any]:
    plan["user"]["carried"].append((name, name))
    return {
        "type": "carried",
        "name": name,
        "source": mount["source"],
        "target": mount["target"],
        "subpath": "",
        "recursive": True,
        "attributes": 0,
    }


def _mount_one(mount: dict[str, Any], name: str, namespace: UserNamespace, step: Steps) -> None:
    if mount["type"] == "overlay":
        whole = f"{name}-whole" if mount["subpath"] else name
        if not os.path.isdir(whole):
            os.mkdir(whole, 0o755)
        mount_mapped_overlay(mount, whole, namespace, step)
        if mount["subpath"]:
            _bind_part(whole, mount["subpath"], name)
        return
    recursive = sys.AT_RECURSIVE if mount["recursive"] else 0
    if mount["type"] == "tree":
        tree = os.open(mount["source"], os.O_PATH | os.O_CLOEXEC)
    elif mount["subpath"]:
        tree = open_subpath(mount, 0)
    else:
        tree = sys.open_tree(sys.AT_FDCWD, mount["source"], sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC | recursive)
    try:
        if mount["attributes"]:
            sys.mount_setattr(tree, "", sys.AT_EMPTY_PATH | recursive, _attributes(mount["attributes"], tree))
        step(MAPPING + (FUSE if mount["type"] == "tree" else mount["source"]))
        move_mapped(tree, name, namespace, recursive=bool(mount["recursive"]))
    finally:
        os.close(tree)


def _bind_part(whole: str, subpath: str, name: str) -> None:
    """Bind a path of what is mounted at `whole`; symlinks in it stay inside of there."""
    root = Root(whole)
    try:
        fd = root.open(subpath, "")
        tree = sys.open_tree(fd, "", sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC | sys.AT_EMPTY_PATH)
        os.close(fd)
        _attach(tree, name)
        os.close(tree)
    finally:
        os.close(root.fd)


def _attributes(wanted: int, tree: int) -> int:
    """A device that is bound itself works: it was asked for."""
    return wanted & ~sys.MOUNT_ATTR_NODEV if _is_special(os.fstat(tree).st_mode) else wanted


def _is_special(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def move_mapped(tree: int, name: str, namespace: UserNamespace, *, recursive: bool = False) -> None:
    """Attach a detached mount at `name`, which is made, with its owners mapped.

    Devices and sockets may be of file systems that cannot do that (devtmpfs): those keep their owners. Raises OSError.
    """
    mode = os.fstat(tree).st_mode
    flags = sys.AT_EMPTY_PATH | (sys.AT_RECURSIVE if recursive else 0)
    try:
        sys.mount_setattr(tree, "", flags, sys.MOUNT_ATTR_IDMAP, userns_fd=namespace.fd)
    except OSError as error:
        if error.errno not in NO_DATA or not (_is_special(mode) or stat.S_ISSOCK(mode)):
            raise
    _attach(tree, name)


def _attach(tree: int, name: str) -> None:
    """Attach a detached mount at `name`, which is made."""
    if not stat.S_ISDIR(os.fstat(tree).st_mode):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    elif not os.path.isdir(name):
        os.mkdir(name, 0o755)
    sys.move_mount(tree, "", sys.AT_FDCWD, name, sys.MOVE_MOUNT_F_EMPTY_PATH)


def mount_mapped_overlay(mount: dict[str, Any], target: str, namespace: UserNamespace, step: Steps) -> None:
    """An overlay of layers whose owners are mapped (Linux 5.19).

    Its mounter is who the kernel takes for the one that makes whiteouts and work folders: root of the namespace, whose
    ids the layers have, with root's own capabilities. The upper and the work folder must be on one mount.
    """
    place = f"{target}-layers"
    os.mkdir(place, 0o755)
    lower = []
    for number, source in enumerate(mount["lower"]):
        lower.append(f"{place}/{number}")
        _bind_mapped(source, lower[-1], namespace, step)
    folders = dict(mount["folders"])
    if folders:
        above = os.path.commonpath([os.path.realpath(path) for path in folders.values()])
        _bind_mapped(above, f"{place}/upper", namespace, step)
        folders = {key: f"{place}/upper{os.path.realpath(path)[len(above) :]}" for key, path in folders.items()}
    step(f"mount an overlay with the owners of {mount['lower'][-1]} mapped")
    sys.prctl(sys.PR_SET_SECUREBITS, sys.SECBIT_NO_SETUID_FIXUP)
    sys.setfsgid(namespace.root_gid)
    sys.setfsuid(namespace.root_uid)
    try:
        mount_overlay(mount | {"lower": lower, "folders": folders}, target)
    finally:
        sys.setfsuid(0)
        sys.setfsgid(0)
        sys.prctl(sys.PR_SET_SECUREBITS, 0)


def _bind_mapped(source: str, name: str, namespace: UserNamespace, step: Steps) -> None:
    step(MAPPING + source)
    tree = sys.open_tree(sys.AT_FDCWD, source, sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC)
    try:
        move_mapped(tree, name, namespace)
    finally:
        os.close(tree)
