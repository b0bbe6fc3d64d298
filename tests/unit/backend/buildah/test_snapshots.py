"""Layers that come as streams of bytes, into snapshots of both drivers; nothing is mounted."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.backend.buildah.snapshots import Snapshots
from pywerf.errors import ArchiveError, DigestMismatch, RegistryError, StoreError
from pywerf.oci.chain import chain_ids
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.media_types import OCI_LAYER
from pywerf.snapshot.overlay import OverlaySnapshotter
from pywerf.snapshot.vfs import VfsSnapshotter
from pywerf.store.layers import LayerRecord
from pywerf.store.store import Store
from pywerf.util.promise import Promise

PATIENCE = 20.0


def layer(**files: str) -> bytes:
    """A tar of files that belong to whoever runs this; `a__b` is a/b, whose folder is made first."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            path = name.replace("__", "/")
            for kind, what, data in ((tarfile.DIRTYPE, os.path.dirname(path), b""), (tarfile.REGTYPE, path, content)):
                if not what:
                    continue
                info = tarfile.TarInfo(what)
                info.type, info.mode, info.uid, info.gid = kind, 0o755, os.getuid(), os.getgid()
                encoded = data if isinstance(data, bytes) else data.encode()
                info.size = len(encoded)
                tar.addfile(info, io.BytesIO(encoded))
    return out.getvalue()


A, B, C = layer(a="1", shared="a"), layer(b="2"), layer(c__d="3", shared="c")


class Lazy:
    """A LazyLayer that notes what it is told."""

    def __init__(self, chunks: Callable[[], Iterator[bytes]]) -> None:
        self.chunks = chunks
        self.told: list[object] = []

    def verified(self) -> None:
        self.told.append("verified")

    def refuse(self, error: Exception) -> None:
        self.told.append(error)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


@pytest.fixture(params=["overlay", "vfs"])
def snapshots(store: Store, request: pytest.FixtureRequest) -> Snapshots:
    folder = store.driver_dir(request.param)
    os.makedirs(folder, exist_ok=True)
    driver = OverlaySnapshotter(folder) if request.param == "overlay" else VfsSnapshotter(folder)
    return Snapshots(store, driver)


@pytest.fixture
def stack(store: Store) -> Callable[..., Ref]:
    """Makes a stack of refs whose blobs are in the store; `damage` maps a position to other bytes for its blob."""

    def make(*tars: bytes, damage: dict[int, bytes] | None = None, keep: bool = True) -> Ref:
        ref: Ref | None = None
        for number, tar in enumerate(tars):
            blob = (damage or {}).get(number, gzip.compress(tar, mtime=0))
            digest = store.blobs.put(blob) if keep else Digest.of(blob)
            descriptor = Descriptor(OCI_LAYER, digest, len(blob))
            ref = Ref(ref, Promise.of(LayerInfo(Digest.of(tar), len(tar), descriptor=descriptor)))
        assert ref is not None
        return ref

    return make


def on_disk(snapshots: Snapshots) -> set[str]:
    """The snapshots that there are, unfinished ones included."""
    folder = snapshots.store.driver_dir(snapshots.driver.name)
    return set(os.listdir(folder)) - {"l", "empty"}


def read(snapshots: Snapshots, ref: Ref, path: str) -> str | None:
    tree = snapshots.tree(ref)
    assert tree is not None
    if tree.lstat(path) is None:
        return None
    fd = tree.open(path)
    with os.fdopen(fd) as file:
        return file.read()


def chunked(data: bytes, size: int = 300) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def test_the_empty_file_system_has_no_snapshot(snapshots: Snapshots) -> None:
    assert snapshots.of(None) is None
    assert snapshots.tree(None) is None
    nothing = Ref(None, Promise.of(LayerInfo(Digest.of(b""), 0, empty=True)))
    assert snapshots.of(nothing) is None
    assert on_disk(snapshots) == set()


def test_layers_are_unpacked_on_top_of_each_other(snapshots: Snapshots, stack: Callable[..., Ref]) -> None:
    ref = stack(A, B, C)
    assert [read(snapshots, ref, path) for path in ("a", "b", "c/d", "shared")] == ["1", "2", "3", "c"]
    assert ref.parent is not None
    assert read(snapshots, ref.parent, "shared") == "a"
    assert len(on_disk(snapshots)) == 3


def test_what_is_unpacked_is_found_again(snapshots: Snapshots, stack: Callable[..., Ref], store: Store) -> None:
    first = snapshots.of(stack(A, B))
    before = on_disk(snapshots)
    second = snapshots.of(stack(A, B, C))
    assert first is not None
    assert second is not None
    assert second.parents[:2] == (first.id, *first.parents)
    assert len(on_disk(snapshots) - before) == 1
    for chain in chain_ids([Digest.of(tar) for tar in (A, B, C)]):
        record = store.layers.get(chain)
        assert record is not None
        assert record.snapshot in on_disk(snapshots)


def test_empty_steps_share_the_snapshot_below(snapshots: Snapshots, stack: Callable[..., Ref]) -> None:
    below = stack(A)
    nothing = Ref(below, Promise.of(LayerInfo(Digest.of(b""), 0, empty=True)))
    assert snapshots.of(nothing) == snapshots.of(below)
    assert len(on_disk(snapshots)) == 1


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_layer_with_other_content_leaves_nothing_and_can_be_tried_again(
    snapshots: Snapshots, stack: Callable[..., Ref], store: Store, broken: int
) -> None:
    ref = stack(A, B, C, damage={broken: gzip.compress(layer(evil="x"))})
    with pytest.raises(DigestMismatch) as caught:
        snapshots.of(ref)
    assert caught.value.expected == str(Digest.of((A, B, C)[broken]))
    recorded = {record.snapshot for record in store.layers.list()}
    assert on_disk(snapshots) == recorded, "what is no layer's is gone"
    assert all(item.snapshot is None for item in ref.stack())

    item = ref.stack()[broken]
    blob = gzip.compress((A, B, C)[broken], mtime=0)
    descriptor = Descriptor(OCI_LAYER, store.blobs.put(blob), len(blob))
    item.info = Promise.of(LayerInfo(item.info.result().diff_id, 1, descriptor=descriptor))
    assert read(snapshots, ref, "c/d") == "3"
    assert len(on_disk(snapshots)) == 3


@pytest.mark.parametrize(
    "damage",
    [b"", b"no archive at all" * 100, gzip.compress(A, mtime=0)[:-20], b"\x1f\x8b\x08garbage"],
    ids=["empty", "no archive", "cut off", "no gzip"],
)
def test_damaged_archives(snapshots: Snapshots, stack: Callable[..., Ref], damage: bytes) -> None:
    with pytest.raises((ArchiveError, DigestMismatch)):
        snapshots.of(stack(A, B, damage={0: damage}))
    assert len(on_disk(snapshots)) <= 1


def test_a_layer_that_is_nowhere(snapshots: Snapshots, stack: Callable[..., Ref]) -> None:
    with pytest.raises(StoreError, match="neither as a blob nor as a snapshot") as caught:
        snapshots.of(stack(A, B, keep=False))
    assert caught.value.hint
    assert on_disk(snapshots) == set()


def test_fetch_is_called_once_and_only_for_what_is_missing(snapshots: Snapshots, stack: Callable[..., Ref]) -> None:
    calls: list[str] = []

    def fetch() -> None:
        calls.append("fetch")

    ref = stack(A, B)
    for item in ref.stack():
        item.fetch = fetch
    snapshots.of(ref.parent)
    assert calls == ["fetch"]
    again = stack(A)
    again.fetch = fetch
    snapshots.of(again)
    assert calls == ["fetch"], "it is unpacked: there is nothing to fetch"


def test_a_failed_fetch_is_tried_again(snapshots: Snapshots, stack: Callable[..., Ref]) -> None:
    ref = stack(A)
    answers: list[Exception | None] = [RegistryError("down"), None]

    def fetch() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    ref.fetch = fetch
    with pytest.raises(RegistryError, match="down"):
        snapshots.of(ref)
    assert snapshots.of(ref) is not None
    assert answers == []


def test_the_damage_of_the_line_is_told_rather_than_what_it_led_to(
    snapshots: Snapshots, stack: Callable[..., Ref]
) -> None:
    """A damaged stream rarely is an archive; that it is damaged shows at its end, and is the better answer."""
    ref = stack(A)
    mismatch = DigestMismatch("layer", "sha256:good", "sha256:bad")

    def damaged() -> Iterator[bytes]:
        yield b"\x1f\x8b\x08" + b"x" * 5000
        yield b"more"
        raise mismatch

    ref.lazy = lazy = Lazy(damaged)
    with pytest.raises(DigestMismatch) as caught:
        snapshots.of(ref)
    assert caught.value is mismatch
    assert lazy.told == [mismatch]
    assert on_disk(snapshots) == set()


def test_a_lazy_layer_is_told_that_it_was_right(snapshots: Snapshots, stack: Callable[..., Ref]) -> None:
    ref = stack(A, keep=False)
    ref.lazy = lazy = Lazy(lambda: chunked(gzip.compress(A, mtime=0)))
    assert read(snapshots, ref, "a") == "1"
    assert lazy.told == ["verified"]
    assert ref.lazy is None


def test_the_first_failure_stops_the_others(store: Store, stack: Callable[..., Ref]) -> None:
    """The layer above is endless, until the one below has failed; its error is the one that is raised."""
    folder = store.driver_dir("overlay")
    os.makedirs(folder)
    snapshots = Snapshots(store, OverlaySnapshotter(folder))
    begun, ended = threading.Event(), threading.Event()

    def failing() -> Iterator[bytes]:
        yield A[:600]
        assert begun.wait(PATIENCE)
        raise RegistryError("the line broke")

    def without_end() -> Iterator[bytes]:
        try:
            yield B[: 512 + 512]
            while True:
                begun.set()
                yield bytes(512)
        finally:
            ended.set()

    ref = stack(A, B, keep=False)
    assert ref.parent is not None
    below, above = Lazy(failing), Lazy(without_end)
    ref.parent.lazy, ref.lazy = below, above
    before = set(threading.enumerate())
    with pytest.raises(RegistryError, match="the line broke") as caught:
        snapshots.of(ref)
    assert below.told == [caught.value]
    assert ended.wait(PATIENCE)
    assert above.told == [], "it has done nothing wrong"
    assert on_disk(snapshots) == set()
    assert set(threading.enumerate()) <= before


def test_many_layers_are_unpacked_at_once_in_order(store: Store, stack: Callable[..., Ref]) -> None:
    """Four at a time: they meet at a barrier before any of them may end."""
    folder = store.driver_dir("overlay")
    os.makedirs(folder)
    snapshots = Snapshots(store, OverlaySnapshotter(folder))
    tars = [layer(**{f"file{number}": str(number), "top": str(number)}) for number in range(12)]
    meeting = threading.Barrier(4)

    def chunks(tar: bytes) -> Iterator[bytes]:
        yield tar[:512]
        meeting.wait(PATIENCE)
        yield tar[512:]

    ref = stack(*tars, keep=False)
    for item, tar in zip(ref.stack(), tars, strict=True):
        item.lazy = Lazy(lambda tar=tar: chunks(tar))  # type: ignore[misc]
    assert read(snapshots, ref, "top") == "11"
    assert read(snapshots, ref, "file0") == "0"


def test_another_process_was_first(snapshots: Snapshots, stack: Callable[..., Ref], store: Store) -> None:
    """While we unpack two layers, somebody records the lower one: ours goes, and the upper stands on theirs."""
    theirs: list[str] = []

    def meanwhile() -> Iterator[bytes]:
        snapshot = snapshots.driver.prepare(store.new_snapshot_id(), None)
        (Path(snapshots.driver.layer_dir(snapshot)) / "a").write_text("theirs")
        snapshots.driver.commit(snapshot)
        theirs.append(snapshot.id)
        store.layers.put(LayerRecord(Digest.of(A), None, Digest.of(A), len(A), snapshot=snapshot.id))
        yield from chunked(A)

    ref = stack(A, B)
    assert ref.parent is not None
    ref.parent.lazy = Lazy(meanwhile)
    snapshot = snapshots.of(ref)
    assert snapshot is not None
    assert snapshot.parents == tuple(theirs)
    assert read(snapshots, ref, "a") == "theirs"
    assert on_disk(snapshots) == {snapshot.id, *theirs}


def test_a_snapshot_whose_files_are_gone_is_made_again(
    snapshots: Snapshots, stack: Callable[..., Ref], store: Store
) -> None:
    lost = snapshots.of(stack(A))
    assert lost is not None
    snapshots.driver.remove(lost.id)
    assert read(snapshots, stack(A), "a") == "1"
    record = store.layers.get(Digest.of(A))
    assert record is not None
    assert record.snapshot != lost.id
    assert on_disk(snapshots) == {record.snapshot}


def test_nobody_sees_a_snapshot_that_is_not_whole(snapshots: Snapshots, stack: Callable[..., Ref]) -> None:
    """Another thread that asks for the same files waits until they are there."""
    ref = stack(A, B)
    inside, go = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        inside.set()
        assert go.wait(PATIENCE)
        yield from chunked(A)

    assert ref.parent is not None
    ref.parent.lazy = Lazy(slow)
    results: list[str | None] = []
    threads = [threading.Thread(target=lambda: results.append(read(snapshots, ref, "a"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert inside.wait(PATIENCE)
    assert ref.snapshot is None
    assert ref.parent.snapshot is None
    assert results == []
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == ["1"] * 3
