"""A Dockerfile in a folder: found, opened, its steps listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.build.dockerfile_build import dockerfile_steps, find_dockerfile, open_build
from pywerf.errors import ContextError, DockerfileError
from pywerf.frontend.dockerfile.parser import parse
from pywerf.util.filetree import walk


def test_the_usual_names(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert find_dockerfile(folder) is None
    (tmp_path / "Containerfile").touch()
    assert find_dockerfile(folder) == str(tmp_path / "Containerfile")
    (tmp_path / "Dockerfile").touch()
    assert find_dockerfile(folder) == str(tmp_path / "Dockerfile")


def test_a_named_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").touch()
    assert find_dockerfile("sub", "a") == "sub/a"
    (tmp_path / "a").touch()
    assert find_dockerfile("sub", "a") == "a"  # from here first
    assert find_dockerfile("sub", "-") == "-"
    with pytest.raises(ContextError, match="b: no such Dockerfile") as caught:
        find_dockerfile("sub", "b")
    assert caught.value.hint == "looked for b and sub/b"


def test_the_build_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / "kept").touch()
    (tmp_path / "left").touch()
    (tmp_path / ".dockerignore").write_text("left\nDockerfile\n")
    build = open_build(str(tmp_path), str(tmp_path / "Dockerfile"))
    assert (build.name, build.dockerfile) == ("Dockerfile", b"FROM x\n")
    assert build.context is not None
    assert [path for path, _ in walk(build.context, "")] == [".dockerignore", "kept"]
    outside = tmp_path / "c"
    outside.mkdir()
    assert open_build(str(outside), str(tmp_path / "Dockerfile")).name == str(tmp_path / "Dockerfile")


def test_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("# nothing\n")
    with pytest.raises(DockerfileError):
        open_build(str(tmp_path), str(tmp_path / "Dockerfile"))


def test_steps() -> None:
    steps = dockerfile_steps(parse(b"ARG A\nfrom a\nRUN x \\\n  y\nFROM b As C\n", "D"))
    assert [(step.keyword, step.stage, step.stage_name, str(step.source)) for step in steps] == [
        ("ARG", -1, "", "D:1"),
        ("FROM", 0, "stage-0", "D:2"),
        ("RUN", 0, "stage-0", "D:3"),
        ("FROM", 1, "c", "D:5"),
    ]
    assert steps[2].lines == ("RUN x \\", "  y")
    assert [step.stage_name for step in dockerfile_steps(parse(b"FROM a AS b\nRUN x\n"))] == ["", ""]
