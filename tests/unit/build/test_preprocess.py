"""Dockerfiles named .in: what cpp is told, and what is made of its answer. The cpp is a script of the tests."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from pywerf.build.contexts import Contexts
from pywerf.errors import ContextError
from pywerf.store.store import Store


class Cpp:
    """A `cpp` in PATH: it shows its words, its input, and does what `script` says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def does(self, script: str) -> None:
        self.folder.mkdir(exist_ok=True)
        program = self.folder / "cpp"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.folder}/words\n{script}\n')
        program.chmod(0o755)

    @property
    def words(self) -> list[str]:
        return (self.folder / "words").read_text().splitlines()


@pytest.fixture
def cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cpp:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv("BUILDAH_CPPFLAGS", raising=False)
    return Cpp(tmp_path / "bin")


def text(tmp_path: Path, name: str, *flags: str, context: str = "", warned: list[str] | None = None) -> bytes:
    folder = tmp_path / "context"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile.in").write_text("FROM scratch\n")
    told: list[str] = [] if warned is None else warned
    with Store.open(str(tmp_path / "store")) as store, ExitStack() as stack:
        contexts = Contexts(store, stack, context or str(folder), {}, "", cpp_flags=flags, warn=told.append)
        data, shown = contexts.dockerfiles((name,))
    assert shown == name
    return data


def test_what_cpp_is_told(tmp_path: Path, cpp: Cpp, monkeypatch: pytest.MonkeyPatch) -> None:
    cpp.does("cat; echo LABEL a=b")
    warned: list[str] = []
    assert text(tmp_path, "Dockerfile.in", "-DA=b c", "-DD", warned=warned) == b"FROM scratch\nLABEL a=b\n"
    plain = ["-E", "-iquote", f"{tmp_path}/context", "-traditional", "-undef", "-"]
    assert cpp.words == [*plain, "-DA=b c", "-DD"]
    monkeypatch.setenv("BUILDAH_CPPFLAGS", " -DX  -DY ")
    text(tmp_path, str(tmp_path / "context/Dockerfile.in"), "-DA")
    assert cpp.words == [*plain, "-DX", "-DY", "-DA"]
    assert warned == []


def test_complaints_are_warnings(tmp_path: Path, cpp: Cpp) -> None:
    cpp.does("cat; echo 'invalid directive #comment' >&2; exit 1")
    warned: list[str] = []
    assert text(tmp_path, "Dockerfile.in", warned=warned) == b"FROM scratch\n"
    assert warned == [f"{tmp_path}/context/Dockerfile.in: cpp: invalid directive #comment"]


def test_nothing_came_of_it(tmp_path: Path, cpp: Cpp) -> None:
    cpp.does("echo 'unknown option' >&2; exit 4")
    with pytest.raises(ContextError, match=r"cpp made nothing of it \(status 4\): unknown option"):
        text(tmp_path, "Dockerfile.in")


def test_without_a_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContextError, match=r"Dockerfiles named \.in need cpp") as caught:
        text(tmp_path, "Dockerfile.in")
    assert caught.value.hint == "apt-get install cpp"


@pytest.mark.parametrize(
    ("name", "context"),
    [("http://example.invalid/Dockerfile.in", ""), ("Dockerfile.in", "https://example.invalid/x.git")],
)
def test_what_comes_from_elsewhere_is_not_given_to_cpp(tmp_path: Path, cpp: Cpp, name: str, context: str) -> None:
    cpp.does("cat")
    with pytest.raises(ContextError, match="only a Dockerfile on this machine"):
        text(tmp_path, name, context=context)
    assert not (cpp.folder / "words").exists()
