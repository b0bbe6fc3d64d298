"""COPY, ADD and WORKDIR: a layer is written straight from its sources, and unpacked only when somebody reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pywerf.backend.buildah.copy_plan import CopyPlan, Planned
from pywerf.backend.buildah.copy_write import write_plan
from pywerf.backend.buildah.exec_spec import user_in
from pywerf.backend.buildah.files import Files
from pywerf.backend.buildah.ref import LayerInfo
from pywerf.backend.buildah.selection import Selected
from pywerf.backend.buildah.unpack import is_archive, unpack_archive
from pywerf.errors import BuildError, IsolationError
from pywerf.graph.op import CopyOp, MkdirOp, Owner
from pywerf.layer.sink import LayerSink
from pywerf.layer.tar_write import TarWriter
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.media_types import OCI_LAYER
from pywerf.util.filemode import parse_mode
from pywerf.util.filetree import FileTree, Node, join

if TYPE_CHECKING:
    from pywerf.store.store import Store

__all__ = ["copy_layer", "mkdir_layer", "owner_numbers"]

_MAX_ID = (1 << 32) - 2  # -1 means "leave it" to chown(2)


def owner_numbers(owner: Owner | None, image: FileTree | None) -> tuple[int, int] | None:
    """--chown as numbers: names are looked up in the image, a number alone is user and group."""
    if owner is None:
        return None
    if not owner.group:
        if owner.user.isdigit():
            return _id(owner.user), _id(owner.user)
        user = user_in(image, owner.user)
        return user.uid, user.gid
    if owner.user.isdigit() and owner.group.isdigit():
        return _id(owner.user), _id(owner.group)
    user = user_in(image, f"{owner.user or '0'}:{owner.group}")
    return user.uid, user.gid


def _id(digits: str) -> int:
    number = int(digits)
    if number > _MAX_ID:
        raise IsolationError(f"{digits}: uids and gids must be in range 0-{_MAX_ID}")
    return number


def mkdir_layer(
    op: MkdirOp,
    lower: FileTree | None,
    store: Store,
    *,
    clamp: int | None,
    made_ns: int,
    created: str,
) -> LayerInfo:
    """The layer of a WORKDIR; empty when the directory is there."""
    plan = CopyPlan(lower, owner=None, mode=None, made_ns=made_ns)
    path = plan.resolve(op.path)
    if lower is not None:
        there = lower.lstat(path) if path else None
        if not path or (there is not None and there.kind == "dir"):
            plan = CopyPlan(None, owner=None, mode=None, made_ns=made_ns)
            return _write(plan, store, clamp=clamp, created=created)
    try:
        plan.owner = owner_numbers(op.owner, lower)
    except IsolationError:
        plan.owner = None  # a USER that nobody knows yet: root's, as with all builders; a RUN will complain
    plan.make_directories(path)
    return _write(plan, store, clamp=clamp, created=created)


def copy_layer(
    op: CopyOp,
    lower: FileTree | None,
    source: Files,
    selected: list[Selected],
    store: Store,
    *,
    clamp: int | None,
    made_ns: int,
    created: str,
    scratch_dir: str,
    changed: Callable[[], None],
) -> LayerInfo:
    """The layer of a COPY or ADD: written to the store as an uncompressed blob, in one pass over the sources.

    `changed` is called when a file is not what its digest said any more: the layer has what was read now.
    """
    owner = owner_numbers(op.owner, lower)
    if owner is None and not op.keep_owner:
        owner = (0, 0)
    # a layer of --link stands on nothing: it looks at nothing below, and can be put on anything
    below = None if op.link else lower
    plan = CopyPlan(
        below,
        owner=owner,
        mode=parse_mode(op.chmod) if op.chmod else None,
        made_ns=made_ns,
    )
    spool = -1
    try:
        if op.unpack and any(item.node.kind == "file" for item in selected):
            spool = os.open(scratch_dir, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        _plan_sources(op, plan, source.tree, selected, spool)
        return _write(plan, store, clamp=clamp, created=created, digested=_remember(source, changed))
    finally:
        if spool >= 0:
            os.close(spool)


def _plan_sources(op: CopyOp, plan: CopyPlan, tree: FileTree, selected: list[Selected], spool: int) -> None:
    dest = plan.resolve(op.dest)
    for item in selected:
        if item.node.kind == "dir":
            plan.copy_directory(tree, item.path, item.entries(tree), dest)
        elif op.unpack and item.node.kind == "file" and is_archive(_opener(tree, item.path)):
            _unpack(op, plan, dest, _opener(tree, item.path)(), spool)
        else:
            plan.copy_file(
                tree,
                item.path,
                item.node,
                _place(op, plan, dest, op.rename or item.name),
            )
    for file in op.files:
        target = _place(op, plan, dest, file.name)
        plan.make_directories(target.rpartition("/")[0])
        node = Node(file.name, "file", 0o644, 0, 0, len(file.data), plan.made_ns)
        plan.put(target, node, None, "", data=file.data)


def _place(op: CopyOp, plan: CopyPlan, dest: str, name: str) -> str:
    """Where a file goes: into `dest` if that is a directory, or is to be one, else it is called that."""
    there = plan.lstat(dest) if dest else None
    if op.dest_is_dir or not dest or (there is not None and there.kind == "dir"):
        return join(dest, name)
    if dest in plan.entries:
        raise BuildError(
            f"{op.dest}: with more than one source file the destination must be a directory and end with a /",
            hint="the files would overwrite one another",
        )
    return dest


def _unpack(op: CopyOp, plan: CopyPlan, dest: str, chunks: Iterator[bytes], spool: int) -> None:
    """An archive's own owners and modes stay, but for --chown."""
    owner, mode = plan.owner, plan.mode
    plan.make_directories(dest)
    plan.owner, plan.mode = None if op.owner is None else owner, None
    unpack_archive(chunks, plan, dest, spool)
    plan.owner, plan.mode = owner, mode


def _opener(tree: FileTree, path: str) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        fd = tree.open(path)
        try:
            while chunk := os.read(fd, 1 << 20):
                yield chunk
        finally:
            os.close(fd)

    return chunks


def _remember(source: Files, changed: Callable[[], None]) -> Callable[[FileTree, Planned, bytes], None] | None:
    digests = source.digests
    if digests is None:
        return None

    def digested(tree: FileTree, entry: Planned, digest: bytes) -> None:
        if not digests.remember(entry.source, entry.node, digest):
            changed()

    return digested


def _write(
    plan: CopyPlan,
    store: Store,
    *,
    clamp: int | None,
    created: str,
    digested: Callable[[FileTree, Planned, bytes], None] | None = None,
) -> LayerInfo:
    with store.blobs.writer() as blob, LayerSink(blob.write) as sink:
        writer = TarWriter(sink.write, clamp=clamp)
        write_plan(plan, writer, digested)
        writer.close()
        total = sink.finish()
        diff_id, size = total.diff_id, total.size
        if not plan.entries:
            return LayerInfo(diff_id, size, empty=True, created=created)
        blob.commit(diff_id)
    return LayerInfo(diff_id, size, created=created, descriptor=Descriptor(OCI_LAYER, diff_id, size))
