"""Devices as CDI files describe them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pywerf.backend.buildah.cdi import DeviceEdits, find_device
from pywerf.errors import BuildError

SPEC = {
    "cdiVersion": "0.6.0",
    "kind": "vendor.com/gpu",
    "containerEdits": {"env": ["ALL=1"]},
    "devices": [
        {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/null"}]}},
        {
            "name": "1",
            "containerEdits": {
                "env": ["ONE=1"],
                "deviceNodes": [{"path": "/dev/gpu1"}],
                "mounts": [{"hostPath": "/lib/gpu", "containerPath": "/usr/lib/gpu", "options": ["ro"]}],
            },
        },
        {"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/true"}]}},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "gpu.json").write_text(json.dumps(SPEC))
    (tmp_path / "README").write_text("not a specification")
    return str(tmp_path)


def test_a_device(folder: str) -> None:
    assert find_device("vendor.com/gpu=1", [folder]) == DeviceEdits(
        env=("ALL=1", "ONE=1"),
        nodes=(("/dev/gpu1", "/dev/gpu1"),),
        mounts=(("/lib/gpu", "/usr/lib/gpu", ("ro",)),),
    )


def test_a_class_is_its_first_device(folder: str) -> None:
    found = find_device("vendor.com/gpu", [folder])
    assert found is not None
    assert found.nodes == (("/dev/null", "/dev/gpu0"),)


@pytest.mark.parametrize("name", ["vendor.com/gpu=2", "other.com/gpu=0", "gpu"])
def test_devices_that_nobody_describes(folder: str, name: str) -> None:
    assert find_device(name, [folder, "/no/such/folder"]) is None


def test_the_later_folder_wins(folder: str, tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    (later / "gpu.json").write_text(json.dumps({"kind": "vendor.com/gpu", "devices": [{"name": "0"}]}))
    assert find_device("vendor.com/gpu=0", [folder, str(later)]) == DeviceEdits()


def test_hooks_are_refused(folder: str) -> None:
    with pytest.raises(BuildError, match="hooks"):
        find_device("vendor.com/gpu=hooked", [folder])


def test_damage_is_told(folder: str) -> None:
    Path(folder, "a.json").write_text("{")
    with pytest.raises(BuildError, match="no CDI specification"):
        find_device("vendor.com/gpu=0", [folder])
