from __future__ import annotations

import json

import msgspec
import pytest

from pywerf.backend.buildah.assemble import (
    assemble,
    changed_features,
    layer_descriptor,
    make_manifest,
    squashed_config,
)
from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.graph.image_plan import HistoryStep, ImagePlan
from pywerf.graph.op import ExecOp
from pywerf.graph.vertex import Vertex
from pywerf.oci import media_types
from pywerf.oci.config import ContainerConfig, History, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform
from pywerf.util.promise import Promise

AMD64 = Platform("linux", "amd64")
NOW = "2024-05-06T07:08:09.5Z"
PULLED = Descriptor(media_types.DOCKER_LAYER_GZIP, Digest.of(b"packed"), 60)


def info(name: str, *, empty: bool = False, created: str = "", descriptor: Descriptor | None = None) -> LayerInfo:
    return LayerInfo(Digest.of(name.encode()), 100, empty, created, descriptor)


def step(name: str) -> Vertex:
    return Vertex(ExecOp(argv=(name,)), name=name)


BASE = ImageConfig(
    AMD64,
    diff_ids=(Digest.of(b"base"),),
    history=(History("2020-01-01T00:00:00Z", "base"), History("", "CMD", empty_layer=True)),
    author="of the base",
    os_version="10.0",
    os_features=("win32k",),
)
FIRST, NOTHING, SECOND = step("first"), step("nothing"), step("second")
PLAN = ImagePlan(
    SECOND,
    ContainerConfig(cmd=("sh",)),
    AMD64,
    base=BASE,
    steps=(
        HistoryStep("RUN first", FIRST),
        HistoryStep("ENV a=b"),
        HistoryStep("RUN nothing", NOTHING),
        HistoryStep("RUN second", SECOND),
    ),
)


@pytest.fixture
def results() -> dict[str, Ref]:
    base = Ref(None, Promise.of(info("base", descriptor=PULLED)))
    first = Ref(base, Promise.of(info("first", created="2024-01-01T00:00:00Z")))
    nothing = Ref(first, Promise.of(info("nothing", empty=True, created="2024-02-01T00:00:00Z")))
    second = Ref(nothing, Promise.of(info("second", created="2024-03-01T00:00:00Z")))
    return {FIRST.definition: first, NOTHING.definition: nothing, SECOND.definition: second}


def build(results: dict[str, Ref], plan: ImagePlan = PLAN, **more: object):  # type: ignore[no-untyped-def]
    arguments = {"image_format": "oci", "annotations": {}, "when": lambda draft: NOW} | more
    ref = None if plan.vertex is None else results[plan.vertex.definition]
    return assemble(plan, ref, results, **arguments)  # type: ignore[arg-type]


def test_the_history_can_be_left_out(results: dict[str, Ref]) -> None:
    whole, without = build(results).config, build(results, omit_history=True).config
    assert whole.history
    assert without == msgspec.structs.replace(whole, history=())
    last = Ref(None, Promise.of(info("squashed")))
    assert squashed_config(without, last.info.result(), 1).history == ()


def test_the_config_tells_layers_and_history(results: dict[str, Ref]) -> None:
    config = build(results).config
    assert config.diff_ids == tuple(Digest.of(name) for name in (b"base", b"first", b"second"))
    assert config.history == (
        *BASE.history,
        History("2024-01-01T00:00:00Z", "RUN first", comment="pywerf"),
        History(NOW, "ENV a=b", comment="pywerf", empty_layer=True),
        History(NOW, "RUN nothing", comment="pywerf", empty_layer=True),
        History("2024-03-01T00:00:00Z", "RUN second", comment="pywerf"),
    )
    assert len(config.diff_ids) == sum(not item.empty_layer for item in config.history)
    assert (config.created, config.author, config.os_version) == (NOW, "of the base", "10.0")
    assert config.os_features == ("win32k",)


def test_all_digests_and_sizes_fit(results: dict[str, Ref]) -> None:
    image = build(results, annotations={"k": "v"})
    assert ImageConfig.from_json(image.config_bytes) == image.config
    assert image.id == Digest.of(image.config_bytes)
    assert image.manifest.config.size == len(image.config_bytes)
    assert image.size == 300
    assert image.manifest.annotations == {"k": "v"}


def test_pulled_layers_keep_their_form_and_new_ones_are_plain(results: dict[str, Ref]) -> None:
    layers = build(results).manifest.layers
    assert (layers[0].media_type, layers[0].digest, layers[0].size) == (media_types.OCI_LAYER_GZIP, PULLED.digest, 60)
    assert (layers[1].media_type, layers[1].digest, layers[1].size) == (media_types.OCI_LAYER, Digest.of(b"first"), 100)


def test_dockers_format(results: dict[str, Ref]) -> None:
    manifest = build(results, image_format="docker", annotations={"k": "v"}).manifest
    assert manifest.media_type == media_types.DOCKER_MANIFEST
    assert manifest.config.media_type == media_types.DOCKER_CONFIG
    assert [layer.media_type for layer in manifest.layers] == [
        media_types.DOCKER_LAYER_GZIP,
        media_types.DOCKER_LAYER,
        media_types.DOCKER_LAYER,
    ]
    assert manifest.annotations == {}, "Docker's manifests have none"


def test_the_draft_has_no_time_of_this_build(results: dict[str, Ref]) -> None:
    """So that the same build again finds the time that it had before, and the same id."""
    drafts: list[bytes] = []
    for now in (NOW, "2025-01-01T00:00:00Z"):

        def when(draft: bytes, now: str = now) -> str:
            drafts.append(draft)
            return now

        build(results, when=when)
    assert drafts[0] == drafts[1]
    assert "created" not in json.loads(drafts[0])
    assert NOW.encode() not in drafts[0]


def test_a_fixed_time_is_that_of_every_step(results: dict[str, Ref]) -> None:
    """Steps from the cache were done at other times: they must not show."""
    config = build(results, when=lambda draft: NOW, step_time=NOW).config
    assert {item.created for item in config.history[2:]} == {NOW}
    assert config.history[:2] == BASE.history


def test_an_image_of_nothing() -> None:
    image = build({}, ImagePlan(None, ContainerConfig(), AMD64, author="me"))
    assert image.config.diff_ids == ()
    assert image.manifest.layers == ()
    assert (image.size, image.config.author) == (0, "me")


def test_a_layer_of_an_unknown_kind_counts_as_gzip() -> None:
    odd = info("x", descriptor=Descriptor("application/octet-stream", Digest.of(b"y"), 1))
    assert layer_descriptor(odd, "oci").media_type == media_types.OCI_LAYER_GZIP


def history(text: str) -> tuple[History, ...]:
    """One line a letter: capital letters have a layer."""
    return tuple(History("t", letter, empty_layer=letter.islower()) for letter in text)


@pytest.mark.parametrize(
    ("lines", "base_layers", "kept"),
    [
        ("AbCdE", 1, "Ab"),
        ("AbCdE", 2, "AbCd"),
        ("ABC", 1, "A"),
        ("aBcD", 0, ""),
        ("Ab", 1, "Ab"),
    ],
)
def test_squashed_history(lines: str, base_layers: int, kept: str) -> None:
    """What stood in the base's history stays; what came above it is one line, that of the last instruction."""
    diff_ids = tuple(Digest.of(letter.encode()) for letter in lines if letter.isupper())
    one = info("squashed")
    config = squashed_config(
        ImageConfig(AMD64, diff_ids=diff_ids, history=history(lines), created=NOW), one, base_layers
    )
    assert config.diff_ids == (*diff_ids[:base_layers], one.diff_id)
    assert config.history[:-1] == history(kept)
    assert config.history[-1] == History(NOW, lines[-1], comment="pywerf")
    assert len(config.diff_ids) == sum(not item.empty_layer for item in config.history)
    make_manifest(config, [one], image_format="oci", annotations={})


def test_layers_that_come_to_nothing_when_they_are_squashed() -> None:
    config = ImageConfig(AMD64, diff_ids=(Digest.of(b"A"), Digest.of(b"B")), history=history("AB"), created=NOW)
    squashed = squashed_config(config, info("nothing", empty=True), 1)
    assert squashed.diff_ids == (Digest.of(b"A"),)
    assert squashed.history == (*history("A"), History(NOW, "B", comment="pywerf", empty_layer=True))


@pytest.mark.parametrize(("lines", "layers"), [("", 2), ("A", 3), ("aBc", 2), ("ABC", 1), ("AbC", 0)])
def test_a_base_whose_history_does_not_fit_its_layers(lines: str, layers: int) -> None:
    """Builders may leave the history out; each layer has one line in ours, as with BuildKit."""
    diff_ids = tuple(Digest.of(bytes([number])) for number in range(layers))
    base = ImageConfig(AMD64, diff_ids=diff_ids, history=history(lines), created="then")
    plan = ImagePlan(None, ContainerConfig(), AMD64, base=base, steps=(HistoryStep("ENV a=b"),))
    ref: Ref | None = None
    for diff_id in diff_ids:
        ref = Ref(ref, Promise.of(LayerInfo(diff_id, 1)))
    config = assemble(plan, ref, {}, image_format="oci", annotations={}, when=lambda draft: NOW).config
    assert config.diff_ids == diff_ids
    assert sum(not item.empty_layer for item in config.history) == layers
    assert [item.created_by for item in config.history if item.created_by] == [*lines, "ENV a=b"]


@pytest.mark.parametrize(
    ("features", "changes", "expected"),
    [
        ((), (), ()),
        (("a",), (), ("a",)),
        (("a",), ("b", "c"), ("a", "b", "c")),
        (("a", "b"), ("b", "a"), ("a", "b")),
        (("a", "b"), ("a-", "c"), ("b", "c")),
        (("a",), ("b", "b-"), ("a",)),
        (("a",), ("x-", ""), ("a",)),
    ],
)
def test_features_of_the_system(features: tuple[str, ...], changes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert changed_features(features, changes) == expected


@pytest.mark.parametrize(("given", "kept"), [("", "10.0"), ("10.0.19042", "10.0.19042")])
def test_the_version_of_the_system(given: str, kept: str) -> None:
    plan = msgspec.structs.replace(PLAN, vertex=None, steps=())
    made = assemble(
        plan,
        None,
        {},
        image_format="oci",
        annotations={},
        when=lambda draft: NOW,
        os_version=given,
        os_features=("win32k-", "more"),
    )
    document = json.loads(made.config_bytes)
    assert document["os.version"] == kept
    assert document["os.features"] == ["more"]
