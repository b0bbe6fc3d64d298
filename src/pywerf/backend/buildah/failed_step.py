"""A command that has failed, with all that its container had: kept so that somebody can look into it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.buildah.shell import find_shell
from pywerf.backend.buildah.volumes import Volume, mount_volume
from pywerf.backend.shells import State, terminal_env

if TYPE_CHECKING:
    from pywerf.backend.buildah.exec_mounts import ExecMounts
    from pywerf.backend.buildah.snapshots import Snapshots
    from pywerf.graph.vertex import Vertex
    from pywerf.isolation.spec import ContainerSpec
    from pywerf.linux.mount import Mount
    from pywerf.snapshot.base import Snapshot

__all__ = ["FailedStep"]


class FailedStep:
    """`spec` is the container that the command had, on `snapshot`; `below` the files before it.

    `stack` holds `mounts`; `discard` removes the snapshot. Both are done by `close`.
    """

    def __init__(
        self,
        vertex: Vertex,
        spec: ContainerSpec,
        mounts: ExecMounts,
        snapshot: Snapshot,
        below: Snapshot | None,
        stack: ExitStack,
        discard: Callable[[], None],
    ) -> None:
        self._vertex = vertex
        self._spec = spec
        self._mounts = mounts
        self._snapshot = snapshot
        self._below = below
        self._stack = stack
        self._discard: Callable[[], None] | None = discard

    @contextmanager
    def container(self, state: State, snapshots: Snapshots) -> Iterator[ContainerSpec]:
        """A container as the command's with a shell instead, on its files before or after it.

        What is written to files before it, and to cache mounts, is thrown away. Raises ShellMissing.
        """
        driver, store, spec = snapshots.driver, snapshots.store, self._spec
        with ExitStack() as stack:
            snapshot = self._snapshot
            if state == "before":
                snapshot = driver.prepare(store.new_snapshot_id(), self._below)
                stack.callback(driver.remove, snapshot.id)
            else:
                driver.release(spec.rootfs)  # that of a container which has ended is not mounted twice
            argv = find_shell(driver.view(snapshot), spec.env, self._vertex.shell)
            rootfs = driver.rootfs(snapshot, stubs=self._mounts.stubs, writable=True)
            stack.callback(driver.release, rootfs)
            scratch = stack.enter_context(store.tmp_dir())
            mounts = [
                self._throwaway(mount, driver.name, os.path.join(scratch, str(number)))
                for number, mount in enumerate(spec.mounts)
            ]
            yield msgspec.structs.replace(
                spec,
                rootfs=rootfs,
                argv=argv,
                env=(*spec.env, terminal_env(os.environ)),
                mounts=tuple(mounts),
                terminal=True,
            )

    def _throwaway(self, mount: Mount, driver: str, folder: str) -> Mount:
        """A mount as the shell has it: a cache is read, and stays as it is."""
        if mount.target not in self._mounts.written_caches:
            return mount
        volume = Volume(mount.source, mount.target, overlay=True)
        own = mount_volume(volume, driver, folder, lambda: (self._spec.uid, self._spec.gid))
        return msgspec.structs.replace(own, subpath=mount.subpath)

    def close(self) -> None:
        """Give back what was mounted, and remove the files. Idempotent."""
        self._stack.close()
        discard, self._discard = self._discard, None
        if discard is not None:
            discard()
