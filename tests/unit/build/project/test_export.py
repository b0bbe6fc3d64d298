"""Exporting: names from templates, labels, what is refused."""

from __future__ import annotations

import json

import pytest

from pywerf.build.project.export import (
    Exported,
    check_platforms,
    check_templates,
    exported,
    exported_names,
    of_report,
    without_labels,
)
from pywerf.build.project.report_file import ReportedImage
from pywerf.build.project.results import BuiltImage, BuiltPlatform, BuiltStage
from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.config.werf_yaml.project import parse_config
from pywerf.errors import BuildError, UsageError
from pywerf.oci.digest import Digest

TAG = f"{'a' * 56}-1700000000001"


def stage(*, local: bool = False) -> BuiltStage:
    found = StageDescription(
        StageId("a" * 56, 1_700_000_000_001),
        "shop" if local else "r.example.com/shop",
        Digest.of(b"config"),
        None if local else Digest.of(b"manifest"),
    )
    return BuiltStage("dockerfile", found)


def test_where_a_built_image_is() -> None:
    one = BuiltImage("web", (BuiltPlatform("linux/amd64", (stage(),)),))
    assert exported(one) == Exported("web", f"r.example.com/shop:{TAG}", TAG, False)
    local = BuiltImage("web", (BuiltPlatform("linux/amd64", (stage(local=True),)),))
    assert exported(local) == Exported("web", f"shop:{TAG}", TAG, True)


def test_several_platforms_in_local_storage_are_refused() -> None:
    platforms = tuple(BuiltPlatform(name, (stage(local=True),)) for name in ("linux/amd64", "linux/arm64"))
    with pytest.raises(BuildError, match="image web: it has several platforms"):
        exported(BuiltImage("web", platforms))


def test_and_that_before_a_build() -> None:
    config = parse_config(
        "project: p\nconfigVersion: 1\nbuild: {platform: [linux/amd64, linux/arm64]}\n"
        "---\nimage: web\ndockerfile: D\n---\nimage: one\ndockerfile: D\nplatform: linux/amd64\n"
    )
    check_platforms(config.images, {"one"})
    with pytest.raises(BuildError, match="image web: it has several platforms"):
        check_platforms(config.images, {"web", "one"})


def test_where_an_image_of_a_report_is() -> None:
    image = ReportedImage("web", "r.example.com/shop:1", "r.example.com/shop", "1", "sha256:1", "sha256:2")
    assert of_report(image) == Exported("web", "r.example.com/shop:1", "1", False)
    assert of_report(ReportedImage("web", "shop:1", "shop", "1", "sha256:1")).is_local


def test_names_have_the_placeholders_of_custom_tags() -> None:
    image = Exported("web/api", "shop:1", TAG, False)
    templates = ("r.example.com/%image%:v1", "r.example.com/app:%image_slug%-%image_content_based_tag%", "localhost/x")
    assert exported_names(templates, image) == (
        "r.example.com/web/api:v1",
        f"r.example.com/app:web-api-{TAG}",
        "localhost/x:latest",
    )
    assert exported_names(("index.docker.io/me/app",), image) == ("docker.io/me/app:latest",)


def test_each_image_has_a_place_of_its_own() -> None:
    check_templates(["r.example.com/%image%:1", "r.example.com/x:%image%"], ["a", "b"])
    check_templates(["r.example.com/x:%image_content_based_tag%"], ["a", "b"])
    check_templates(["r.example.com/x:1"], ["a"])
    with pytest.raises(UsageError, match=r"both a and b would be r\.example\.com/x:1"):
        check_templates(["r.example.com/x:1"], ["a", "b"])


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("app:1", "no registry in app:1"),
        ("me/app:1", "no registry in me/app:1"),
        ("r.example.com/App:1", "lower case"),
        ("r.example.com/%image%:a b", "not allowed"),
    ],
)
def test_templates_that_name_nothing(template: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_templates([template], ["web"])


def test_labels() -> None:
    config = {
        "architecture": "amd64",
        "config": {
            "Cmd": ["x"],
            "Labels": {"werf": "shop", "werf.io/parent-stage-id": "1", "werf-version": "2", "a": "b"},
        },
        "container_config": {"Labels": {"werf": "shop"}, "Hostname": "x"},
    }
    made = json.loads(without_labels({"c": "d", "werfish": "stays"})(json.dumps(config).encode()))
    assert made == {
        "architecture": "amd64",
        "config": {"Cmd": ["x"], "Labels": {"a": "b", "c": "d", "werfish": "stays"}},
        "container_config": {"Hostname": "x"},
    }


def test_an_image_without_labels_keeps_none() -> None:
    assert json.loads(without_labels({})(b'{"os": "linux", "config": {}}')) == {"os": "linux", "config": {}}
    assert json.loads(without_labels({"a": "b"})(b'{"os": "linux"}'))["config"] == {"Labels": {"a": "b"}}
