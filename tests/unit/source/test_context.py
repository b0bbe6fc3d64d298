from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from pathlib import Path

import pygit2
import pytest

from pywerf.errors import ContextError
from pywerf.oci.digest import Digest
from pywerf.source.context import FolderContext, GitContext, StreamContext, classify, open_context, sniff


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("Dockerfile"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("context", "kind"),
    [
        ("-", "stdin"),
        (".", "folder"),
        ("/srv/x.git", "folder"),
        ("missing", "folder"),
        ("https://host/x.tar.gz", "http"),
        ("https://host/x.git", "git"),
        ("https://host/x.git#main:dir", "git"),
        ("git@host:x", "git"),
        ("github.com/x/y", "git"),
        ("file:///srv/x.git", "git"),
        ("ssh://host/x", "git"),
    ],
)
def test_classify(context: str, kind: str) -> None:
    assert classify(context) == kind


def test_a_folder_that_is_there_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "github.com" / "x").mkdir(parents=True)
    (tmp_path / "git@host:x").mkdir()
    assert classify("github.com/x") == "folder"
    assert classify("git@host:x") == "folder"
    assert classify("github.com/y") == "git"


def test_sniff() -> None:
    archive = tar()
    assert sniff(archive) == "tar"
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert sniff(pack(archive)) == "tar"
    assert sniff(b"\x28\xb5\x2f\xfd....") == "tar"
    assert sniff(bytes(1024)) == "tar"
    assert sniff(b"FROM scratch\n") == "dockerfile"
    assert sniff(b"# long\n" * 200) == "dockerfile"
    assert sniff(archive[:148] + b"0000000\0" + archive[156:]) == "dockerfile"
    assert sniff(b"") == "dockerfile"


def test_a_folder(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a").write_text("")
    (context / "Dockerfile").write_text("")
    (context / ".dockerignore").write_text("Dockerfile\n")
    opened = open_context(str(context), work_dir=str(tmp_path))
    assert isinstance(opened, FolderContext)
    assert opened.root == str(context)
    assert [path for path, _ in opened.tree.walk()] == [".dockerignore", "a"]
    with pytest.raises(ContextError, match="cannot open the build context"):
        open_context(str(tmp_path / "missing"), work_dir=str(tmp_path))


@pytest.mark.parametrize(("body", "kind"), [(tar(), "tar"), (b"FROM scratch\n", "dockerfile")])
def test_stdin(tmp_path: Path, body: bytes, kind: str) -> None:
    stdin, end = os.pipe()
    os.write(end, body)
    os.close(end)
    opened = open_context("-", work_dir=str(tmp_path / "work"), stdin=stdin)
    os.close(stdin)
    assert isinstance(opened, StreamContext)
    assert (opened.kind, opened.digest, opened.size, opened.name) == (kind, Digest.of(body), len(body), "stdin")
    assert os.read(opened.fd, 1 << 20) == body
    os.close(opened.fd)
    assert os.listdir(tmp_path / "work") == []


def test_nothing_on_stdin(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    stdin = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(ContextError, match="is empty"):
        open_context("-", work_dir=str(tmp_path), stdin=stdin)
    os.close(stdin)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_terminal_on_stdin(tmp_path: Path) -> None:
    leader, terminal = os.openpty()
    with pytest.raises(ContextError, match="terminal"):
        open_context("-", work_dir=str(tmp_path), stdin=terminal)
    os.close(leader)
    os.close(terminal)


def test_git(tmp_path: Path) -> None:
    repo = pygit2.init_repository(str(tmp_path / "x.git"), bare=True, initial_head="main")
    builder = repo.TreeBuilder()
    builder.insert("Dockerfile", repo.create_blob(b"FROM scratch\n"), 0o100644)
    author = pygit2.Signature("A", "a@b", 1, 0)
    commit = str(repo.create_commit("refs/heads/main", author, author, "m", builder.write(), []))
    opened = open_context(f"file://{tmp_path}/x.git#main", work_dir=str(tmp_path / "work"))
    assert isinstance(opened, GitContext)
    assert opened.commit == commit
    assert opened.identity == f"git {commit}:"
    assert opened.tree.lstat("Dockerfile") is not None
