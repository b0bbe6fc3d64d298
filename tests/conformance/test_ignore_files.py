"""Ignore files made at random: what they leave of a folder, compared with docker's classic builder."""

from __future__ import annotations

import random
import shutil
import tarfile
from pathlib import Path

import pytest

from pywerf.source.dockerignore import IgnoreRules
from pywerf.source.local import LocalTree
from support import services

pytestmark = [pytest.mark.integration, pytest.mark.conformance]

NAMES = ("a", "b", "ab", "a.b", "c")
PARTS = ("a", "b", "*", "**", "a*", "*.b", "?", "[^a]", "ab", "fa", "f*", "fc", "*b")
SEEDS = range(24)


def make_tree(folder: Path, depth: int = 0) -> None:
    """Directories of all names, three deep, each with a file of each name."""
    folder.mkdir()
    for name in NAMES:
        (folder / f"f{name}").touch()
        if depth < 2 and name != "c":
            make_tree(folder / name, depth + 1)


def make_ignore_file(seed: int) -> list[str]:
    chance = random.Random(seed)
    lines = [chance.choice(("*", "**"))] if chance.random() < 0.3 else []
    for _ in range(chance.randint(1, 4)):
        parts = [chance.choice(PARTS) for _ in range(chance.randint(1, 3))]
        sign, root, end = chance.choice(("", "", "!")), chance.choice(("", "/")), chance.choice(("", "", "/", "/**"))
        lines.append(f"{sign}{root}{'/'.join(parts)}{end}")
    return lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ignored") / "context"
    make_tree(folder)
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_docker_leaves_the_same(seed: int, folder: Path, docker: services.Docker, tmp_path: Path) -> None:
    lines = make_ignore_file(seed)
    text = "\n".join(lines)
    (folder / ".dockerignore").write_text(text)
    rules = IgnoreRules.parse(text.encode())
    ours = {path for path, node in LocalTree(str(folder), rules).walk() if node.kind != "dir"}

    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\n")
    done = docker.run("build", "-q", "-f", dockerfile, folder, check=False)
    if done.returncode:
        assert "excluded by .dockerignore" in done.stderr or "no source files" in done.stderr, (lines, done.stderr)
        assert not ours, lines
        return
    image = done.stdout.strip()
    saved = tmp_path / "saved.tar"
    theirs: set[str] = set()  # an image without a layer cannot be saved
    if not docker.run("save", "-o", saved, image, check=False).returncode:
        with tarfile.open(saved) as archive:
            for member in archive.getmembers():
                if member.name.endswith("layer.tar"):
                    with tarfile.open(fileobj=archive.extractfile(member)) as layer:
                        theirs |= {item.name for item in layer if not item.isdir()}
    docker.run("rmi", "-f", image)
    shutil.rmtree(tmp_path)
    assert ours == theirs, lines
