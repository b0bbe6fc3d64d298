"""Contexts as archives: what is in them, and how a Dockerfile that COPY must not see gets to the classic builder."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from pywerf.backend.contract import DockerfileBuild
from pywerf.backend.docker.classic import dockerfile_in
from pywerf.backend.docker.context_tar import free_name, tar_chunks
from pywerf.source.dockerignore import load_rules
from pywerf.source.local import LocalTree


def tree(folder: Path, files: dict[str, str]) -> LocalTree:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return LocalTree(str(folder), load_rules(str(folder)))


def test_an_archive(tmp_path: Path) -> None:
    files = tree(tmp_path, {"d/f": "text", "ignored": "x", ".dockerignore": "ignored\n"})
    os.link(tmp_path / "d/f", tmp_path / "z")
    (tmp_path / "l").symlink_to("d/f")
    os.mkfifo(tmp_path / "p")
    (tmp_path / "d").chmod(0o750)
    data = b"".join(tar_chunks(files, (("more", b"m"),)))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {info.name: info for info in archive}
        read = archive.extractfile("d/f")
        assert read is not None
        assert read.read() == b"text"
    assert list(members) == [".dockerignore", "d", "d/f", "l", "p", "z", "more"]
    assert {(info.uid, info.gid) for info in members.values()} == {(0, 0)}
    assert (members["z"].islnk(), members["z"].linkname) == (True, "d/f")
    assert (members["l"].linkname, members["d"].mode) == ("d/f", 0o750)


def test_no_context_at_all() -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_chunks(None, (("D", b"x"),))))) as archive:
        assert archive.getnames() == ["D"]


def test_a_name_that_is_free(tmp_path: Path) -> None:
    assert free_name(tree(tmp_path, {"a": "", "a.2": ""}), "a") == "a.3"
    assert free_name(None, "a") == "a"


def found(folder: Path, files: dict[str, str], name: str = "Dockerfile") -> tuple[str, tuple[tuple[str, bytes], ...]]:
    context = tree(folder, files)
    return dockerfile_in(context, DockerfileBuild(b"FROM x", name=name, context=context))


def test_a_dockerfile_that_is_in_the_context(tmp_path: Path) -> None:
    assert found(tmp_path, {"Dockerfile": "FROM x"}) == ("Dockerfile", ())


def test_one_that_the_ignore_file_hides(tmp_path: Path) -> None:
    files = {"Dockerfile": "FROM x", ".dockerignore": "Dockerfile\n"}
    assert found(tmp_path, files) == ("Dockerfile", (("Dockerfile", b"FROM x"),))


def test_one_that_an_ignore_file_hides_which_is_hidden_itself(tmp_path: Path) -> None:
    files = {"Dockerfile": "FROM x", ".dockerignore": "*\n!f\n", "f": ""}
    name, extra = found(tmp_path, files)
    assert (name, dict(extra)[".dockerignore"]) == ("Dockerfile", b".dockerignore\nDockerfile\n")


def test_one_from_elsewhere(tmp_path: Path) -> None:
    name, extra = found(tmp_path, {"f": ""}, name="/elsewhere/Dockerfile")
    assert name == ".pywerf.Dockerfile"
    assert [path for path, _ in extra] == [".pywerf.Dockerfile", ".dockerignore"]
    assert dockerfile_in(None, DockerfileBuild(b"x"))[0] == ".pywerf.Dockerfile"


def test_one_that_has_changed_since(tmp_path: Path) -> None:
    assert found(tmp_path, {"Dockerfile": "FROM other"})[0] == ".pywerf.Dockerfile"
