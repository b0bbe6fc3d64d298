"""What a build has asked the backend for."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from pywerf.build.project.operations import Operations, measured, stage_cache
from pywerf.build.project.results import BuiltImage, BuiltPlatform, BuiltStage
from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.oci.digest import Digest


def test_statistics() -> None:
    times = iter([0.0, 1.0, 3.0, 4.0, 10.0, 10.5])
    operations = Operations(lambda: next(times))
    with operations.measure("image push"), operations.measure("image push"):  # from 0 to 4, and from 1 to 3
        pass
    with pytest.raises(KeyError), operations.measure("image push"):
        raise KeyError
    assert operations.statistics() == {
        "image push": {
            "Count": 3,
            "TotalTimeSeconds": 6.5,
            "WallTimeSeconds": 4.5,
            "AvgTimeSeconds": 2.167,
            "MaxTimeSeconds": 4.0,
        }
    }


class Transfer:
    def push(self, name: str, destination: str = "") -> str:
        return f"{name} to {destination}"

    def other(self) -> int:
        return 7


class Parts:
    name = "docker"
    transfer = Transfer()


def test_a_measured_backend_does_the_same() -> None:
    operations = Operations()
    backend: Any = Parts()
    with measured(nullcontext(backend), operations) as found:
        assert found.name == "docker"
        assert str(found.transfer.push("a", destination="b")) == "a to b"
        assert found.transfer.other() == 7  # type: ignore[attr-defined]  # a method that nothing is known of
    assert {name: values["Count"] for name, values in operations.statistics().items()} == {"image push": 1}


def test_where_stages_were() -> None:
    def stage(**fields: Any) -> BuiltStage:
        manifest = fields.pop("manifest", Digest.of(b"manifest"))
        return BuiltStage("x", StageDescription(StageId("a" * 56, 1), "r/x", Digest.of(b"1"), manifest), **fields)

    stages = (stage(rebuilt=True), stage(), stage(), stage(source="secondary"), stage(manifest=None))
    image = BuiltImage("web", (BuiltPlatform("linux/amd64", stages),))
    assert stage_cache([image]) == {
        "built": 1,
        "copied from secondary": 1,
        "found in local": 1,
        "found in repo": 2,
    }
