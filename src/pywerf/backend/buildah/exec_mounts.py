"""RUN --mount: what is bound into the container beside its root file system, and what must be locked meanwhile."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from pywerf.backend.buildah.cache_mounts import CacheFolder, CacheWatcher, cache_name, lock_caches
from pywerf.backend.buildah.empty_tree import EmptyTree
from pywerf.backend.buildah.export_tree import export_tree
from pywerf.backend.buildah.files import Files, Result
from pywerf.backend.buildah.mount_points import mount_points
from pywerf.errors import BuildError
from pywerf.graph.op import ExecMount, ExecOp
from pywerf.isolation.spec import ContainerFile
from pywerf.linux.mount import Mount
from pywerf.util.filetree import resolve

if TYPE_CHECKING:
    import socket

    from pywerf.backend.buildah.bind_exports import BindExports
    from pywerf.backend.buildah.ref import Ref
    from pywerf.backend.buildah.snapshots import Snapshots
    from pywerf.backend.buildah.volumes import Volume
    from pywerf.store.store import Store
    from pywerf.util.filetree import FileTree

__all__ = ["BUILTIN_TARGETS", "ExecMounts", "Secrets"]

Secrets = Callable[[str], bytes | None]
BUILTIN_TARGETS = ("dev", "proc", "sys", "etc/resolv.conf", "etc/hosts", "etc/hostname")
_SOURCE_HINT = "source is a path in what `from` names, or else in the build context"
_FILES = frozenset(("etc/resolv.conf", "etc/hosts", "etc/hostname"))


class ExecMounts:
    """A context manager: while it is entered, `mounts`, `files`, `env` and `stubs` can be used for one container.

    `caches` is told of cache mounts; `exports` keeps what is only read for the steps after this one.
    `volumes` are mounted first; `tree` is the root file system, whose users they may be given to.
    `stubs` is a directory with nothing but the mount points; below all layers it spares the snapshot from them.

    Of two mounts on one target the later one counts. Otherwise what lies deeper is mounted later, and secrets and
    agents after all others (BuildKit does so: it sorts by target).
    """

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        op: ExecOp,
        inputs: tuple[Result | None, ...],
        *,
        secrets: Secrets,
        ssh: Callable[[str], Callable[[], socket.socket] | None],
        caches: CacheWatcher | None = None,
        exports: BindExports | None = None,
        volumes: tuple[Volume, ...] = (),
        tree: FileTree | None = None,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._op = op
        self._inputs = inputs
        self._secrets = secrets
        self._ssh = ssh
        self._caches = caches
        self._exports = exports
        self._volumes = volumes
        self._tree = tree
        self._stack = ExitStack()
        self._mounts: dict[str, Mount] = {}
        self._files: dict[str, ContainerFile] = {}
        self._targets: dict[str, bool] = {}
        self.env: list[str] = []
        self.stubs = ""
        self.written_caches: set[str] = set()  # targets

    @property
    def mounts(self) -> tuple[Mount, ...]:
        return tuple(self._mounts.values())

    @property
    def files(self) -> tuple[ContainerFile, ...]:
        return tuple(self._files.values())

    @cached_property
    def _tmp(self) -> str:
        """A folder for what this container alone needs, which most do not."""
        return self._stack.enter_context(self._store.tmp_dir())

    def __enter__(self) -> ExecMounts:
        try:
            for target in BUILTIN_TARGETS:
                self._stub(target, is_dir=target not in _FILES)
            if self._op.script is not None:
                self._file((f"/dev/pipes/{self._op.script.name}", self._op.script.data, 0o755))
            for number, volume in enumerate(self._volumes):
                self._volume(volume, number)
            self._lock_caches()
            for number, mount in sorted(enumerate(self._op.mounts), key=self._order):
                self._add(mount, number)
            for name, required in self._op.devices:
                self._device(name, required)
            self.stubs = mount_points(self._store, self._targets)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _volume(self, volume: Volume, number: int) -> None:
        from pywerf.backend.buildah.exec_spec import user_in
        from pywerf.backend.buildah.volumes import mount_volume

        def owner() -> tuple[int, int]:
            user = user_in(self._tree, self._op.user)
            return user.uid, user.gid

        folder = os.path.join(self._tmp, f"volume-{number}")
        mount = mount_volume(volume, self._snapshots.driver.name, folder, owner)
        self._mount(mount, is_dir=os.path.isdir(volume.source))

    def _stub(self, target: str, *, is_dir: bool) -> None:
        """A mount point below all layers; what is mounted last says what it is."""
        self._targets[target] = is_dir

    def _order(self, numbered: tuple[int, ExecMount]) -> tuple[int, str]:
        mount = numbered[1]
        last = ("secret", "ssh").index(mount.type) + 1 if mount.type in ("secret", "ssh") else 0
        return last, "" if last else self._target(mount.target)

    def _mount(self, mount: Mount, *, is_dir: bool) -> None:
        self._stub(mount.target, is_dir=is_dir)
        self._files.pop(mount.target, None)
        self.written_caches.discard(mount.target)
        self._mounts[mount.target] = mount

    def _target(self, target: str) -> str:
        return "/" + posixpath.normpath(posixpath.join("/", self._op.cwd, target)).lstrip("/")

    def _file(self, file: ContainerFile) -> None:
        self._stub(file[0], is_dir=False)
        self._mounts.pop(file[0], None)
        self.written_caches.discard(file[0])
        self._files[file[0]] = file

    def _lock_caches(self) -> None:
        self._cache_names = {
            number: cache_name(mount, self._inputs[mount.input] if mount.input >= 0 else None)
            for number, mount in enumerate(self._op.mounts)
            if mount.type == "cache"
        }
        locked = [name for number, name in self._cache_names.items() if self._op.mounts[number].sharing == "locked"]
        lock_caches(self._store, self._stack, locked)

    def _add(self, mount: ExecMount, number: int) -> None:
        if mount.type == "bind":
            self._bind(mount, number)
        elif mount.type == "cache":
            self._cache(mount, number)
        elif mount.type == "tmpfs":
            self._tmpfs(mount)
        elif mount.type == "secret":
            self._secret(mount)
        else:
            self._agent(mount, number)

    def _bind(self, mount: ExecMount, number: int) -> None:
        source = self._inputs[mount.input] if mount.input >= 0 else None
        if isinstance(source, Files):
            self._bind_files(mount, source, number)
            return
        self._bind_snapshot(mount, source, number)

    def _bind_snapshot(self, mount: ExecMount, ref: Ref | None, number: int) -> None:
        """Files of another stage or image; what is written there is thrown away."""
        driver = self._snapshots.driver
        is_dir = True
        if _subpath(mount.source):
            tree = self._snapshots.tree(ref) or EmptyTree()
            path = resolve(tree, mount.source)
            node = tree.lstat(path) if path else None
            if path and node is None:
                raise BuildError(f'--mount=type=bind: "{mount.source}": not found in the image', hint=_SOURCE_HINT)
            is_dir = node is None or node.kind == "dir"
        snapshot = self._snapshots.of(ref)
        if mount.read_only and snapshot is not None:
            root = driver.rootfs(snapshot, writable=False)
        else:
            scratch = driver.prepare(self._store.new_snapshot_id(), snapshot)
            self._stack.callback(driver.remove, scratch.id)
            root = driver.rootfs(scratch, writable=True)
        self._stack.callback(driver.release, root)
        target = self._target(mount.target)
        options = (*root.options, "ro") if mount.read_only else root.options
        self._mount(Mount(root.type, root.source, target, options, _subpath(mount.source)), is_dir=is_dir)

    def _bind_files(self, mount: ExecMount, files: Files, number: int) -> None:
        """A copy of what the mount shows, so that nothing can write to where it comes from; all root's, as in COPY."""
        tree = files.tree
        path = resolve(tree, mount.source)
        node = tree.lstat(path) if path else None
        if path and node is None:
            raise BuildError(f'--mount=type=bind: "{mount.source}": not found in {files.name}', hint=_SOURCE_HINT)
        if mount.read_only and self._exports is not None:
            folder = self._exports.path(tree, path)
        else:
            folder = os.path.join(self._tmp, f"bind-{number}")
            export_tree(tree, path, folder, owner=(0, 0))
        target = self._target(mount.target)
        options = ("bind", "ro") if mount.read_only else ("bind", "rw")
        self._mount(Mount("bind", folder, target, options), is_dir=node is None or node.kind == "dir")

    def _cache(self, mount: ExecMount, number: int) -> None:
        source = self._inputs[mount.input] if mount.input >= 0 else None
        tree = source.tree if isinstance(source, Files) else self._snapshots.tree(source)
        folder = CacheFolder(self._store, self._stack, mount, self._cache_names[number], tree, self._caches)
        path, is_dir = folder.open(os.path.join(self._tmp, f"cache-{number}"))
        target = self._target(mount.target)
        options = ("bind", "ro") if mount.read_only else ("bind", "rw")
        self._mount(Mount("bind", path, target, options, _subpath(mount.source)), is_dir=is_dir)
        if not mount.read_only:
            self.written_caches.add(target)

    def _tmpfs(self, mount: ExecMount) -> None:
        target = self._target(mount.target)
        options = (f"size={mount.size}",) if mount.size else ()
        self._mount(Mount("tmpfs", "tmpfs", target, ("nosuid", "nodev", *options)), is_dir=True)

    def _secret(self, mount: ExecMount) -> None:
        name = mount.id or os.path.basename(mount.target)
        data = self._secrets(name)
        if data is None:
            if mount.required:
                raise BuildError(
                    f"secret {name!r} is required and was not given", hint=f"pass --secret id={name},src=FILE"
                )
            return
        if mount.env:
            self.env.append(f"{mount.env}={data.decode('utf-8', 'surrogateescape')}")
            if not mount.target:
                return
        target = self._target(mount.target or f"/run/secrets/{name}")
        mode = 0o400 if mount.mode is None else mount.mode
        self._file((target, data, mode, mount.uid or 0, mount.gid or 0))

    def _device(self, name: str, required: bool) -> None:
        from pywerf.backend.buildah.cdi import CDI_FOLDERS, find_device

        found = find_device(name)
        if found is None:
            if required:
                raise BuildError(
                    f"device {name!r} is required and there is none",
                    hint=f"devices are described by CDI files in {' or '.join(CDI_FOLDERS)}",
                )
            return
        self.env.extend(found.env)
        for host, target in found.nodes:
            self._mount(Mount("bind", host, target, ("bind", "rw")), is_dir=False)
        for host, target, options in found.mounts:
            self._mount(Mount("bind", host, target, ("bind", *options)), is_dir=os.path.isdir(host))

    def _agent(self, mount: ExecMount, number: int) -> None:
        name = mount.id or "default"
        connect = self._ssh(name)
        if connect is None:
            if mount.required:
                raise BuildError(f"ssh agent {name!r} is required and was not given", hint=f"pass --ssh {name}")
            return
        from pywerf.backend.buildah.agent_socket import AgentSocket

        target = self._target(mount.target or f"/run/buildkit/ssh_agent.{number}")
        own = AgentSocket(
            connect,
            os.path.join(self._tmp, f"ssh-{number}"),
            uid=mount.uid or 0,
            gid=mount.gid or 0,
            mode=0o600 if mount.mode is None else mount.mode,
        )
        self._stack.enter_context(own)
        self._mount(Mount("bind", own.path, target, ("bind", "rw")), is_dir=False)
        self.env.append(f"SSH_AUTH_SOCK={target}")


def _subpath(source: str) -> str:
    return source.strip("/") if source.strip("/.") else ""
