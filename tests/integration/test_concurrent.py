"""Several `werf` processes in one store at once: every build is right, and shared steps are not harmed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import image_compare, services
from support.werf import Werf

pytestmark = pytest.mark.integration


def dockerfile(folder: Path, base: str, name: str) -> Path:
    """A project that shares its first steps with the others, and has a last one of its own."""
    context = folder / name
    context.mkdir()
    (context / "shared").write_text("shared\n")
    (context / "own").write_text(f"{name}\n")
    (context / "Dockerfile").write_text(
        f"FROM {base}\nCOPY shared /shared\n"
        "RUN mkdir /work && for n in $(seq 200); do echo $n > /work/$n; done && sleep 0.5\n"
        f"COPY own /own\nRUN cat /shared /own > /both && echo {name} > /name\n"
    )
    return context


def test_builds_at_once_in_one_store(werf: Werf, tmp_path: Path, busybox: str) -> None:
    names = ["one", "two", "three"]
    running = [
        (name, werf.start("buildah", "build", "-t", f"app:{name}", dockerfile(tmp_path, busybox, name)))
        for name in names
    ]
    outputs = {name: process.communicate(timeout=240)[0].decode() for name, process in running}
    for name, process in running:
        assert process.returncode == 0, outputs[name]
    for name in names:
        image = image_compare.read_image(werf.export(f"app:{name}", tmp_path / f"{name}.tar"))
        assert image.files["both"]["size"] == len("shared\n") + len(f"{name}\n")
        assert len([path for path in image.files if path.startswith("work/")]) == 200
    assert services.mounts_below(werf.root) == []


def test_build_and_removal_at_once(werf: Werf, tmp_path: Path, busybox: str) -> None:
    context = dockerfile(tmp_path, busybox, "first")
    werf.build(context, "app:first")
    other = dockerfile(tmp_path, busybox, "second")
    building = werf.start("buildah", "build", "-t", "app:second", other)
    removing = [werf.start("buildah", "rmi", "-f", "app:first"), werf.start("buildah", "prune", "-f")]
    removed = [process.communicate(timeout=120)[0].decode() for process in removing]
    said = building.communicate(timeout=240)[0].decode()
    assert building.returncode == 0, f"{said}\n{removed}"
    assert removing[0].returncode == 0, removed
    image_compare.read_image(werf.export("app:second", tmp_path / "second.tar"))
    left = json.loads(werf.run("buildah", "images", "--json").stdout)
    assert not [image for image in left for name in image["names"] or [] if name.endswith("app:first")]
