"""Shells among the files of an image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.backend.buildah.shell import find_shell
from pywerf.errors import ShellMissing
from pywerf.source.local import LocalTree


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Programs, a link out of their folder, and what only looks like one."""
    for name, mode in {"usr/bin/dash": 0o755, "opt/bash": 0o755, "usr/bin/bash": 0o644}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(mode)
    os.symlink("usr/bin", tmp_path / "bin")
    os.symlink("/bin/dash", tmp_path / "usr/bin/sh")
    os.symlink("loop", tmp_path / "usr/bin/loop")
    return tmp_path


def found(files: Path, words: tuple[str, ...] | None = None, *env: str) -> tuple[str, ...]:
    return find_shell(LocalTree(str(files)), env, words)


def test_by_path_following_links_within_the_image(files: Path) -> None:
    assert found(files) == ("/usr/bin/sh",)  # its bash is no program
    assert found(files, None, "PATH=/opt:/bin") == ("/opt/bash",)


def test_the_shell_of_the_image_is_preferred(files: Path) -> None:
    assert found(files, ("/bin/dash", "-c")) == ("/bin/dash",)
    assert found(files, ("dash", "-e", "-c")) == ("/usr/bin/dash",)
    assert found(files, ("/bin/zsh", "-c")) == ("/usr/bin/sh",)
    assert found(files, ("/bin/loop", "-c")) == ("/usr/bin/sh",)


def test_files_without_one(tmp_path: Path) -> None:
    for tree in (None, LocalTree(str(tmp_path))):
        with pytest.raises(ShellMissing):
            find_shell(tree, (), None)
