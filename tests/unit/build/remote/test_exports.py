"""Writing to a cache where others write too: with a registry that counts, and one that fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pywerf.build.remote.document import CacheDocument, LayerBlob, StepRecord
from pywerf.build.remote.exports import write_merged
from pywerf.build.remote.place import Place, place_of
from pywerf.build.remote.spec import parse_to
from pywerf.build.session import Session
from pywerf.errors import BuildError
from pywerf.oci.digest import Digest
from support.fake_registry import FakeRegistry

LAYER = "application/vnd.oci.image.layer.v1.tar"


def record(text: str, data: bytes = b"") -> StepRecord:
    name = Digest.of(text.encode())
    digest = str(Digest.of(data))
    layer = LayerBlob(LAYER, digest, len(data)) if data else None
    return StepRecord(name.hex, name.hex, digest, len(data), "", layer, used=int(time.time()))


def document(*names: str) -> CacheDocument:
    return CacheDocument(1, tuple(map(record, names)))


def place(session: Session, registry: FakeRegistry) -> Place:
    return place_of(session, parse_to(f"type=registry,ref={registry.host}/cache:1"))


def keys(registry: FakeRegistry) -> set[str]:
    manifest = json.loads(registry.manifests["cache", "1"][0])
    found = json.loads(registry.blobs["cache", manifest["config"]["digest"]])
    return {item["key"] for item in found["records"]}


def expected(*names: str) -> set[str]:
    return {Digest.of(name.encode()).hex for name in names}


def test_into_an_empty_place_and_again(session: Session, fake_registry: FakeRegistry) -> None:
    here = place(session, fake_registry)
    write_merged(session, here, here.destination(), document("a"))
    assert keys(fake_registry) == expected("a")
    fake_registry.requests.clear()
    write_merged(session, here, here.destination(), document("a"))
    assert fake_registry.seen("PUT") == []
    loaded = here.load()
    assert loaded is not None
    assert (loaded.inline, loaded.foreign, loaded.refused) == (False, "", 0)


def test_somebody_writes_between_reading_and_writing(
    make_session: Callable[[str], Session], fake_registry: FakeRegistry
) -> None:
    one, two = make_session("one"), make_session("two")
    other = place(two, fake_registry)

    class Slow(Place):
        """Between its reading and its first look whether that was changed, the other machine writes."""

        turns = 0

        def digest(self) -> Digest | None:
            self.turns += 1
            if self.turns == 1:
                write_merged(two, other, other.destination(), document("theirs"))
            return super().digest()

    base = place(one, fake_registry)
    slow = Slow(one, base._where, base.name)
    write_merged(one, slow, slow.destination(), document("ours"))
    assert keys(fake_registry) == expected("ours", "theirs")


def test_somebody_writes_over_it(make_session: Callable[[str], Session], fake_registry: FakeRegistry) -> None:
    """What has read the same as we, and writes after us, is seen by looking again."""
    one = make_session("one")
    base = place(one, fake_registry)

    class Overwritten(Place):
        writes = 0

        def write(self, destination: Any, document_: CacheDocument) -> Digest:
            digest = super().write(destination, document_)
            self.writes += 1
            if self.writes == 1:
                super().write(destination, document("theirs"))
            return digest

    here = Overwritten(one, base._where, base.name)
    write_merged(one, here, here.destination(), document("ours"))
    assert keys(fake_registry) == expected("ours", "theirs")
    assert here.writes == 2


def test_threads_of_one_machine(session: Session, fake_registry: FakeRegistry) -> None:
    names = [f"step {number}" for number in range(6)]

    def write(name: str) -> None:
        here = place(session, fake_registry)
        write_merged(session, here, here.destination(), document(name))

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys(fake_registry) == expected(*names)


def test_an_image_is_not_written_over(session: Session, fake_registry: FakeRegistry) -> None:
    fake_registry.add_image("cache", "1", (b"layer",))
    here = place(session, fake_registry)
    with pytest.raises(BuildError, match="not a cache but an image"):
        write_merged(session, here, here.destination(), document("a"))
    assert fake_registry.seen("PUT", "/manifests/") == []


def test_what_is_damaged_is_replaced(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    here = place(session, fake_registry)
    write_merged(session, here, here.destination(), document("a"))
    manifest = json.loads(fake_registry.manifests["cache", "1"][0])
    manifest["config"].update(digest=fake_registry.add_blob("cache", b"{"), size=1)
    fake_registry.add_manifest("cache", "1", json.dumps(manifest).encode())
    write_merged(session, here, here.destination(), document("b"))
    assert keys(fake_registry) == expected("b")
    assert "is damaged, and replaced" in notes.warnings[0]


def test_layers_that_the_registry_has_lost(session: Session, fake_registry: FakeRegistry) -> None:
    here = place(session, fake_registry)
    for data in (b"kept", b"lost"):
        fake_registry.add_blob("cache", data)
    both = CacheDocument(1, (record("kept", b"kept"), record("lost", b"lost")))
    write_merged(session, here, here.destination(), both)
    del fake_registry.blobs["cache", str(Digest.of(b"lost"))]
    fake_registry.fail("PUT", "/manifests/", 404, body={"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]})
    write_merged(session, here, here.destination(), document("new"))
    assert keys(fake_registry) == expected("kept", "new")
