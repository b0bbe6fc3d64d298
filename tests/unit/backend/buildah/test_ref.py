from __future__ import annotations

import threading

import pytest

from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.oci.chain import chain_ids
from pywerf.oci.digest import Digest
from pywerf.util.promise import Promise


def info(name: str, *, empty: bool = False) -> LayerInfo:
    return LayerInfo(Digest.of(name.encode()), 1, empty=empty)


def stack(*infos: LayerInfo) -> Ref:
    ref: Ref | None = None
    for item in infos:
        ref = Ref(ref, Promise.of(item))
    assert ref is not None
    return ref


def test_chain_ids_follow_the_specification() -> None:
    infos = [info("a"), info("b"), info("c")]
    assert stack(*infos).chain_id == chain_ids([item.diff_id for item in infos])[-1]


def test_what_changed_nothing_is_no_layer() -> None:
    ref = stack(info("a"), info("nothing", empty=True), info("b"), info("nothing", empty=True))
    assert ref.chain_id == stack(info("a"), info("b")).chain_id
    assert len(ref.stack()) == 4
    assert [layer.info.result().diff_id for layer in ref.layers()] == [info("a").diff_id, info("b").diff_id]


def test_an_empty_file_system_has_no_chain() -> None:
    ref = stack(info("nothing", empty=True), info("nothing", empty=True))
    assert ref.chain_id is None
    assert ref.identity == "scratch"
    assert ref.layers() == []


def test_the_chain_waits_for_the_layer() -> None:
    promise: Promise[LayerInfo] = Promise()
    ref = Ref(stack(info("a")), promise)
    got: list[Digest | None] = []
    waiting = threading.Thread(target=lambda: got.append(ref.chain_id))
    waiting.start()
    assert got == []
    promise.resolve(info("b"))
    waiting.join()
    assert got == [stack(info("a"), info("b")).chain_id]
    assert ref.identity == str(got[0])


def test_a_layer_that_failed_fails_what_stands_on_it() -> None:
    promise: Promise[LayerInfo] = Promise()
    promise.fail(OSError("no room"))
    ref = Ref(Ref(None, promise), Promise.of(info("b")))
    for _ in range(2):
        with pytest.raises(OSError, match="no room"):
            _ = ref.chain_id


def test_many_layers_need_no_deep_stack() -> None:
    infos = [info(str(number)) for number in range(3000)]
    assert stack(*infos).chain_id == chain_ids([item.diff_id for item in infos])[-1]
