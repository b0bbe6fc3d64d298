"""A RUN as a container: pure decisions, from the op and the image's own files."""

from __future__ import annotations

import os

from pywerf.errors import BuildError
from pywerf.graph.op import ExecOp
from pywerf.isolation.network import FORWARDER, GeneratedFile, Resolver, container_files
from pywerf.isolation.spec import ContainerFile, ContainerSpec
from pywerf.isolation.users import User, find_group, resolve_user
from pywerf.linux.mount import Mount
from pywerf.util.filetree import FileTree, resolve

__all__ = ["DEFAULT_PATH", "container_env", "container_spec", "read_small_file", "user_in"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ACCOUNT_FILE_LIMIT = 8 << 20


def read_small_file(tree: FileTree | None, path: str, limit: int = _ACCOUNT_FILE_LIMIT) -> bytes:
    """The content of a file of the image, symlinks followed inside it; empty when there is no such regular file."""
    if tree is None:
        return b""
    real = resolve(tree, path)
    node = tree.lstat(real)
    if node is None or node.kind != "file":
        return b""
    if node.size > limit:
        raise BuildError(f"{path}: {node.size} bytes are too many for such a file")
    fd = tree.open(real)
    try:
        chunks = []
        while chunk := os.read(fd, 1 << 16):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def user_in(tree: FileTree | None, user: str) -> User:
    """The numbers behind USER, looked up in the image's /etc/passwd and /etc/group. Raises BuildError."""
    return resolve_user(user, read_small_file(tree, "etc/passwd"), read_small_file(tree, "etc/group"))


def container_env(
    env: tuple[str, ...], hidden: tuple[str, ...], home: str, mount_env: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The environment as the command sees it: PATH and HOME are there.

    Of equal names those of the mounts count (a secret with `env`), then those of the Dockerfile, then the hidden ones.
    """
    merged: dict[str, str] = {}
    for item in (*hidden, *env, *mount_env):
        name, _, value = item.partition("=")
        merged[name] = value
    merged.setdefault("PATH", DEFAULT_PATH)
    merged.setdefault("HOME", home or "/")
    return tuple(f"{name}={value}" for name, value in merged.items())


def container_spec(
    op: ExecOp,
    rootfs: Mount,
    tree: FileTree | None,
    *,
    hidden_env: tuple[str, ...],
    mount_env: tuple[str, ...] = (),
    defaults: ContainerSpec,
    mounts: tuple[Mount, ...] = (),
    files: tuple[ContainerFile, ...] = (),
    resolver: Resolver | None = None,
    groups: tuple[str, ...] = (),
) -> ContainerSpec:
    """The container of a RUN. `tree` is the root file system below the step; `defaults` carries what flags ask
    for all containers of the build (capabilities, limits, size of /dev/shm). `groups` are further ones of the user,
    by their names in the image or as numbers."""
    import msgspec

    user = user_in(tree, op.user)
    accounts = read_small_file(tree, "etc/group") if groups else b""
    more = [find_group(name, accounts) for name in groups]
    # on the host's network the host's name is what resolves there
    own_name = op.network != "host" and defaults.namespaces.uts == "private"
    hostname = op.hostname or ("pywerf" if own_name else "")
    forwarder = FORWARDER if op.network == "private" and not defaults.namespaces.network.startswith("/") else ""
    generated = container_files(
        network=op.network, hostname=hostname, add_hosts=op.add_hosts, resolver=resolver, forwarder=forwarder
    )
    return msgspec.structs.replace(
        defaults,
        rootfs=rootfs,
        argv=op.argv,
        env=container_env(op.env, hidden_env, user.home, mount_env),
        cwd=op.cwd or "/",
        uid=user.uid,
        gid=user.gid,
        groups=tuple(dict.fromkeys((*user.groups, *more))),
        hostname=hostname,
        network=op.network,
        privileged=op.insecure,
        mounts=(*defaults.mounts, *mounts),
        files=(*_visible(generated, (*defaults.mounts, *mounts)), *files),
    )


def _visible(generated: tuple[GeneratedFile, ...], mounts: tuple[Mount, ...]) -> list[GeneratedFile]:
    """Without those that a mount covers, which was asked for: on the file itself, or on a folder above."""
    return [one for one in generated if not any(f"{one[0]}/".startswith(f"{mount.target}/") for mount in mounts)]
