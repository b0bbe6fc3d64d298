"""The embedded engine: executes vertices on snapshots, in containers of its own. Here the parts of layer 3 meet."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.buildah.contents import Contents
from pywerf.backend.buildah.files import Files, Result
from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.backend.buildah.running import Running
from pywerf.errors import BuildStopped, ContainerFailed, SnapshotError
from pywerf.graph.op import ContextOp, CopyOp, ExecOp, HttpOp, ImageOp, MkdirOp
from pywerf.graph.vertex import Vertex
from pywerf.oci.digest import Digest
from pywerf.oci.document import json_decoder
from pywerf.util.promise import Promise, run_in_thread
from pywerf.util.spans import spans_of

if TYPE_CHECKING:
    import socket

    from pywerf.backend.buildah.bind_exports import BindExports
    from pywerf.backend.buildah.cache_mounts import CacheWatcher
    from pywerf.backend.buildah.failed_step import FailedStep
    from pywerf.backend.buildah.snapshots import Snapshots
    from pywerf.backend.buildah.volumes import Volume
    from pywerf.isolation.network import Resolver
    from pywerf.isolation.spec import ContainerSpec, Isolation
    from pywerf.snapshot.base import Snapshot
    from pywerf.store.store import Store
    from pywerf.util.events import Reporter

__all__ = ["Engine"]


class Engine:
    """An OpExecutor. One engine serves one build; the store, the driver and the isolation outlive it.

    `open_files` opens a context by name (ContextOp) or a download (HttpOp); `base` gives the ref of an image.
    `clamp`: no time in a layer is later than these seconds; `epoch`: what is made new has this time, now if None.
    `created` is the time that history shows.
    `cache_mounts` is told of cache mounts, and may fill new ones. `volumes`, `resolver` and `groups` are every
    container's. `stdin` is the descriptor that commands read from, None for nothing.
    With `keep_failed` the first command that fails is kept as it is, as `failed`, until `close`.
    """

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        isolation: Callable[[], Isolation],
        reporter: Reporter,
        *,
        open_files: Callable[[ContextOp | HttpOp], Files],
        base: Callable[[ImageOp], Ref | None],
        defaults: ContainerSpec,
        clamp: int | None = None,
        epoch: int | None = None,
        created: Callable[[], str],
        secrets: Callable[[str], bytes | None] = lambda name: None,
        ssh: Callable[[str], Callable[[], socket.socket] | None] = lambda name: None,
        cache_mounts: CacheWatcher | None = None,
        volumes: tuple[Volume, ...] = (),
        resolver: Resolver | None = None,
        groups: tuple[str, ...] = (),
        stdin: int | None = None,
        keep_failed: bool = False,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._isolation = isolation
        self._reporter = reporter
        self._span = spans_of(reporter)
        self._open_files = open_files
        self._base = base
        self._defaults = defaults
        self._clamp = clamp
        self._epoch = epoch if clamp is None else clamp
        self._created = created
        self._secrets = secrets
        self._ssh = ssh
        self._cache_mounts = cache_mounts
        self._volumes = volumes
        self._resolver = resolver
        self._groups = groups
        self._stdin = stdin
        self._keep_failed = keep_failed
        self.failed: FailedStep | None = None
        self._running = Running()
        self._exports: BindExports | None = None
        self._exports_lock = threading.Lock()
        self._failure: BaseException | None = None  # of a thread that works behind a step
        self._hashing: list[Promise[LayerInfo]] = []
        self._own: list[str] = []  # snapshots that only this build uses
        self._contents = Contents(store, snapshots, self._span)

    # what the solver asks

    def is_cacheable(self, vertex: Vertex) -> bool:
        return isinstance(vertex.op, ExecOp | CopyOp | MkdirOp)

    def shape(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> str:
        op = vertex.op
        if isinstance(op, CopyOp) and isinstance(source := inputs[1], Files) and source.digests is not None:
            return self._contents.shape(op, vertex.op_digest, source)
        return ""

    def is_known(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> bool:
        op = vertex.op
        if not (isinstance(op, CopyOp) and op.sources and isinstance(source := inputs[1], Files)) or source.identity:
            return False
        return self._contents.is_known(op, vertex.op_digest, source)

    def components(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> dict[str, str]:
        return self._components(vertex, inputs, self._contents.digest)

    def identities(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> dict[str, str]:
        """As `components`, but other stages and images are named by their layers: nothing of them is read."""

        def name(op: CopyOp, op_digest: str, source: Result | None) -> str:
            if isinstance(source, Files):
                return self._contents.digest(op, op_digest, source)
            return f"{'scratch' if source is None else source.identity} {op_digest[:16]}"

        return self._components(vertex, inputs, name)

    def _components(
        self,
        vertex: Vertex,
        inputs: tuple[Result | None, ...],
        content: Callable[[CopyOp, str, Result | None], str],
    ) -> dict[str, str]:
        op = vertex.op
        parent = inputs[0] if inputs else None
        found: dict[str, str] = {}
        if not (isinstance(op, CopyOp) and op.link):
            found["parent"] = parent.identity if isinstance(parent, Ref) else "scratch"
        if isinstance(op, CopyOp) and op.sources:
            found["files"] = content(op, vertex.op_digest, inputs[1])
        elif isinstance(op, ExecOp):
            for mount in op.mounts:
                if mount.input >= 0:
                    select_op = CopyOp(sources=(mount.source or "/",), dest="/", dest_is_dir=True, keep_owner=True)
                    digest = Vertex(select_op).op_digest
                    found[f"mount {mount.target}"] = content(select_op, digest, inputs[mount.input])
        return found

    def listings(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> list[tuple[str, Callable[[], bytes]]]:
        found: list[tuple[str, Callable[[], bytes]]] = []

        def note(op: CopyOp, op_digest: str, source: Result | None) -> str:
            component = self._contents.digest(op, op_digest, source)
            found.append((component, lambda: self._contents.listing(op, op_digest, source)))
            return component

        self._components(vertex, inputs, note)
        return found

    def execute(self, vertex: Vertex, inputs: tuple[Result | None, ...], step: int) -> Result:
        if self._running.is_cancelled():
            raise self._failure or BuildStopped()
        try:
            return self._execute(vertex, inputs, step)
        except Exception as error:
            if self._failure is not None and error is not self._failure:
                raise self._failure from error
            if isinstance(error, ContainerFailed) and self._running.is_cancelled():
                raise BuildStopped from error
            raise

    def _execute(self, vertex: Vertex, inputs: tuple[Result | None, ...], step: int) -> Result:
        op = vertex.op
        if isinstance(op, ContextOp | HttpOp):
            return self._open_files(op)
        if isinstance(op, ImageOp):
            ref = self._base(op)
            return ref if ref is not None else Ref(None, Promise.of(_nothing()))
        parent = inputs[0] if inputs else None
        assert parent is None or isinstance(parent, Ref)
        if isinstance(op, ExecOp):
            return self._run(vertex, op, parent, inputs, step)
        return self._write_files(op, vertex.op_digest, parent, inputs)

    def describe(self, vertex: Vertex, result: Result) -> bytes:
        assert isinstance(result, Ref)
        return msgspec.json.encode(_Stored.of(result))

    def restore(self, vertex: Vertex, inputs: tuple[Result | None, ...], description: bytes) -> Result | None:
        stored = json_decoder(_Stored).decode(description)
        parent = inputs[0] if inputs else None
        assert parent is None or isinstance(parent, Ref)
        info = stored.info()
        if not info.empty:
            ref = Ref(parent, Promise.of(info))
            chain = ref.chain_id
            assert chain is not None
            record = self._store.layers.get(chain)
            if record is None:
                if info.descriptor is None or self._store.blobs.has(info.descriptor.digest) is None:
                    return None
                self._remember_layer(ref, info, None)
                return ref
            if record.snapshot is None and record.blob is None:
                return None
            return Ref(parent, Promise.of(msgspec.structs.replace(info, descriptor=record.blob)))
        return Ref(parent, Promise.of(info))

    def cancel(self) -> None:
        self._running.cancel()

    def close(self) -> None:
        """Wait for what still works behind finished steps; remove the snapshots that nobody else will look for."""
        if self.failed is not None:
            self.failed.close()
            self.failed = None
        for promise in self._hashing:
            promise.wait()
        self._hashing.clear()
        for id in reversed(self._own):
            self._discard(id)
        self._own.clear()

    def _discard(self, id: str) -> None:
        try:
            self._snapshots.driver.remove(id)
        except SnapshotError as error:
            self._reporter.message("warning", f"{error.message}; it is removed later")

    # the steps

    def _run(self, vertex: Vertex, op: ExecOp, parent: Ref | None, inputs: tuple[Result | None, ...], step: int) -> Ref:
        from pywerf.backend.buildah.clean import remove_mount_points
        from pywerf.backend.buildah.exec_mounts import ExecMounts
        from pywerf.backend.buildah.exec_spec import container_spec
        from pywerf.backend.buildah.run_step import run_container

        isolation = self._isolation()  # first: it gets ready meanwhile, or says that there is none
        store, snapshots = self._store, self._snapshots
        driver = snapshots.driver
        with self._span("unpack", vertex.name):
            below = snapshots.of(parent)
        snapshot = driver.prepare(store.new_snapshot_id(), below)
        kept: FailedStep | None = None
        try:
            tree = None if below is None else driver.view(below)
            with ExitStack() as stack:
                mounts = stack.enter_context(
                    ExecMounts(
                        store,
                        snapshots,
                        op,
                        inputs,
                        secrets=self._secrets,
                        ssh=self._ssh,
                        caches=self._cache_mounts,
                        exports=self._bind_exports(),
                        volumes=self._volumes,
                        tree=tree,
                    )
                )
                spec = container_spec(
                    op,
                    driver.rootfs(snapshot, stubs=mounts.stubs, writable=True),
                    tree,
                    hidden_env=vertex.hidden_env,
                    mount_env=tuple(mounts.env),
                    defaults=self._defaults,
                    mounts=mounts.mounts,
                    files=mounts.files,
                    resolver=self._resolver,
                    groups=self._groups,
                )
                try:
                    left = run_container(
                        isolation,
                        spec,
                        self._running,
                        lambda data, stderr: self._reporter.step_output(step, data, stderr=stderr),
                        vertex.name,
                        self._stdin if self._stdin is not None else b"",
                    )
                except ContainerFailed:
                    if self._keep_failed and self.failed is None and not self._running.is_cancelled():
                        from pywerf.backend.buildah.failed_step import FailedStep

                        discard = partial(self._discard, snapshot.id)
                        kept = FailedStep(vertex, spec, mounts, snapshot, below, stack.pop_all(), discard)
                        self.failed = kept
                    raise
            remove_mount_points(driver.layer_dir(snapshot), left)
            snapshot = driver.commit(snapshot)
        except BaseException:
            if kept is None:
                self._discard(snapshot.id)
            raise
        created = self._created()

        def hashed() -> LayerInfo:
            with self._span("hash", vertex.name):
                return self._hash(parent, snapshot, created)

        info = run_in_thread(hashed, f"layer-{snapshot.id}")
        self._hashing.append(info)
        return Ref(parent, info, snapshot=snapshot)

    def _bind_exports(self) -> BindExports:
        from pywerf.backend.buildah.bind_exports import BindExports

        with self._exports_lock:
            if self._exports is None:
                self._exports = BindExports(self._store)
            return self._exports

    def _hash(self, parent: Ref | None, snapshot: Snapshot, created: str) -> LayerInfo:
        """The layer of a snapshot; a failure stops the build now, not when somebody asks for the layer."""
        try:
            info = self._hashed(parent, snapshot, created)
        except BaseException as error:
            self._own.append(snapshot.id)
            if self._failure is None:
                self._failure = error
            self._running.cancel()
            raise
        return info

    def _hashed(self, parent: Ref | None, snapshot: Snapshot, created: str) -> LayerInfo:
        from pywerf.backend.buildah.layer_of import hash_layer

        info = hash_layer(self._snapshots.driver, snapshot, clamp=self._clamp, created=created)
        if self._clamp is not None:
            self._store.memo.put("clamp", snapshot.id, str(self._clamp).encode())
        ref = Ref(parent, Promise.of(info))
        if info.empty or self._remember_layer(ref, info, snapshot.id) != snapshot.id:
            self._own.append(snapshot.id)  # it changed nothing, or another process had the same layer before
        return info

    def _write_files(
        self, op: CopyOp | MkdirOp, op_digest: str, parent: Ref | None, inputs: tuple[Result | None, ...]
    ) -> Ref:
        from pywerf.backend.buildah.copy_step import copy_layer, mkdir_layer

        lower = None if isinstance(op, CopyOp) and op.link and not _names_owner(op) else self._snapshots.tree(parent)
        # directories made take the time of the build; a clamp makes that the same each time
        made = self._epoch if self._epoch is not None else op.made_at
        made_ns = (int(time.time()) if made is None else made) * 1_000_000_000
        created = self._created()
        if isinstance(op, MkdirOp):
            info = mkdir_layer(op, lower, self._store, clamp=self._clamp, made_ns=made_ns, created=created)
        else:
            source = self._contents.files_of(inputs[1] if len(inputs) > 1 else None)
            info = copy_layer(
                op,
                lower,
                source,
                self._contents.select(op, op_digest, source),
                self._store,
                clamp=self._clamp,
                made_ns=made_ns,
                created=created,
                scratch_dir=os.path.join(self._store.root, "tmp"),
                changed=lambda: self._contents.forget(source),
            )
        ref = Ref(parent, Promise.of(info))
        if not info.empty:
            self._remember_layer(ref, info, None)
        return ref

    def _remember_layer(self, ref: Ref, info: LayerInfo, snapshot: str | None) -> str | None:
        """Record a layer; the snapshot that it has in the store now."""
        from pywerf.store.layers import LayerRecord

        chain = ref.chain_id
        assert chain is not None
        record = self._store.layers.put(
            LayerRecord(
                chain_id=chain,
                parent=None if ref.parent is None else ref.parent.chain_id,
                diff_id=info.diff_id,
                size=info.size,
                blob=info.descriptor,
                snapshot=snapshot,
            )
        )
        return record.snapshot

    # contents


def _names_owner(op: CopyOp) -> bool:
    owner = op.owner
    return owner is not None and not (owner.user.isdigit() and (not owner.group or owner.group.isdigit()))


def _nothing() -> LayerInfo:
    return LayerInfo(Digest.of(bytes(1024)), 1024, empty=True)


class _Stored(msgspec.Struct, frozen=True):
    """A LayerInfo as the cache keeps it. `chain` names the layer with all below it, for the collector alone."""

    diff_id: str
    size: int
    empty: bool
    created: str
    blob: tuple[str, str, int] | None = None
    chain: str = ""

    @classmethod
    def of(cls, ref: Ref) -> _Stored:
        info, chain = ref.info.result(), ref.chain_id
        blob = info.descriptor
        return cls(
            str(info.diff_id),
            info.size,
            info.empty,
            info.created,
            None if blob is None else (blob.media_type, str(blob.digest), blob.size),
            "" if chain is None else str(chain),
        )

    def info(self) -> LayerInfo:
        from pywerf.oci.descriptor import Descriptor

        blob = self.blob
        return LayerInfo(
            Digest.parse(self.diff_id),
            self.size,
            self.empty,
            self.created,
            None if blob is None else Descriptor(blob[0], Digest.parse(blob[1]), blob[2]),
        )
