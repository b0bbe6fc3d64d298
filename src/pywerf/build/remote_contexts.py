"""Contexts that are no folders: git repositories, archives from stdin and web servers, single downloads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pywerf.backend.buildah.archive_tree import ArchiveTree
from pywerf.backend.buildah.empty_tree import EmptyTree
from pywerf.backend.buildah.exec_spec import read_small_file
from pywerf.backend.buildah.files import Files
from pywerf.backend.buildah.ignored_tree import IgnoredTree
from pywerf.backend.buildah.unpack import is_archive, read_chunks
from pywerf.build.grants import Grants
from pywerf.errors import ContextError
from pywerf.layer.compress import decompress
from pywerf.layer.tar_read import read_entries
from pywerf.oci.digest import Digest
from pywerf.oci.document import json_decoder
from pywerf.source.context import FolderContext, GitContext, StreamContext, open_context
from pywerf.source.dockerignore import IgnoreRules
from pywerf.source.git_url import is_git_url, parse_git_url, redact
from pywerf.util.filetree import FileTree, Node, walk

if TYPE_CHECKING:
    from pywerf.source.http import HttpResult
    from pywerf.store.store import Store

__all__ = ["RemoteContext", "download", "newest", "open_remote"]


class RemoteContext:
    """An opened context. `dockerfile` is the text when what came was a Dockerfile alone, else None."""

    def __init__(self, name: str, tree: FileTree, identity: str, dockerfile: bytes | None = None) -> None:
        self._name = name
        self._tree = tree
        self._identity = identity
        self.dockerfile = dockerfile

    def files(self, ignorefile: str, dockerfile: str, ignored: bool) -> Files:
        """The files, without (`ignored`) what the ignore file in them, or the one named, leaves out."""
        rules = self._rules(ignorefile, dockerfile) if ignored else None
        if rules is None:
            return Files(self._name, self._tree, identity=self._identity)
        # what is left depends on the rules: the content is digested then, as in a folder
        return Files(self._name, IgnoredTree(self._tree, rules))

    def _rules(self, ignorefile: str, dockerfile: str) -> IgnoreRules | None:
        if ignorefile:
            try:
                with open(ignorefile, "rb") as file:
                    return IgnoreRules.parse(file.read(), ignorefile)
            except OSError as error:
                raise ContextError(f"{ignorefile}: {error.strerror}") from error
        for name in (f"{dockerfile}.dockerignore" if dockerfile else "", ".containerignore", ".dockerignore"):
            if name and self._tree.lstat(name) is not None:
                return IgnoreRules.parse(read_small_file(self._tree, name), name)
        return None


def open_remote(store: Store, stack: ExitStack, context: str, grants: Grants) -> RemoteContext:
    """Open a context that is no folder; what it needs on disk is given back with `stack`.

    A git server gets the token or header of `grants`, or their default agent. Raises ContextError.
    """
    work = stack.enter_context(store.tmp_dir())
    token = header = ""
    if is_git_url(context):
        host = urlsplit(parse_git_url(context).remote).hostname or ""
        token, header = grants.git_token(host), grants.git_header(host)
        grants.offer_agent(stack, work)
    cache = os.path.join(store.root, "git")
    opened = open_context(context, work_dir=work, git_cache_dir=cache, git_token=token, git_header=header)
    if isinstance(opened, FolderContext):
        return RemoteContext(f"the context {context}", opened.tree, "")
    if isinstance(opened, GitContext):
        name = f"the git repository {opened.url}"
        if not opened.keep_git_dir:
            return RemoteContext(name, opened.tree, opened.identity)
        from pywerf.source.git_dir import WithGitDir

        return RemoteContext(name, WithGitDir(opened.tree, work, opened.url), f"{opened.identity} with .git")
    return _streamed(opened, stack, work)


def _streamed(opened: StreamContext, stack: ExitStack, work: str) -> RemoteContext:
    try:
        if opened.kind == "dockerfile":
            text = b"".join(read_chunks(opened.fd))
            return RemoteContext(f"the context from {opened.name}", EmptyTree(), "empty", text)
        tree = ArchiveTree(read_chunks(opened.fd), work)
    finally:
        os.close(opened.fd)
    stack.callback(tree.close)
    return RemoteContext(f"the context from {opened.name}", tree, f"tar {opened.digest}")


def newest(files: Files, *, whole: bool) -> int | None:
    """The time of the newest file, in seconds since 1970.

    Without `whole` it is a download: its own time, or of an archive that has none, that of the newest file in it.
    """
    times = [node.mtime_ns for _, node in walk(files.tree, "") if node.kind == "file"]
    if not whole and times and not times[0]:
        name = files.tree.scandir("")[0].name

        def opened() -> Iterator[bytes]:
            fd = files.tree.open(name)
            try:
                yield from read_chunks(fd)
            finally:
                os.close(fd)

        if is_archive(opened):
            times = [entry.mtime_ns for entry in read_entries(decompress(opened())) if entry.kind == "file"]
        else:
            times = []
    return max(times) // 1_000_000_000 if times else None


def download(store: Store, stack: ExitStack, url: str, checksum: str) -> Files:
    """One file from a web server, as a tree with nothing else in it. A server that says that it has not changed

    since the last time spares the download. Raises ContextError, DigestMismatch.
    """
    expected = Digest.parse(checksum) if checksum else None
    result, fd = _fetch(store, stack, url, expected)
    assert result.digest is not None
    return Files(
        redact(url),
        _OneFile(result.filename, fd, result.size, result.mtime),
        identity=f"http {result.digest} {result.filename} {result.mtime}",
    )


def _fetch(store: Store, stack: ExitStack, url: str, expected: Digest | None) -> tuple[HttpResult, int]:
    import msgspec

    from pywerf.source.http import HttpResult, Validators, fetch

    kept = store.memo.get("download", url)
    known = json_decoder(HttpResult).decode(kept) if kept is not None else None
    if known is not None and (known.digest is None or store.blobs.has(known.digest) is None):
        known = None
    validators = Validators(known.etag, known.last_modified) if known is not None else None
    folder = stack.enter_context(store.tmp_dir())
    path = os.path.join(folder, "download")
    with open(path, "w+b") as file:
        result = fetch(url, file, validators=validators, checksum=expected)
    if result.not_modified and known is not None:
        result = known
        assert known.digest is not None
        _verify(url, store.blobs.path(known.digest), known.digest, expected)
    elif result.digest is not None and (result.etag or result.last_modified):
        with store.blobs.writer() as writer, open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                writer.write(chunk)
            writer.commit(result.digest)
        store.memo.put("download", url, msgspec.json.encode(result))
    assert result.digest is not None
    source = path if result is not known else store.blobs.path(result.digest)
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return result, fd


def _verify(url: str, path: str, digest: Digest, expected: Digest | None) -> None:
    """A file that was not downloaded again must have the checksum that is asked for now. Raises DigestMismatch."""
    if expected is None or expected == digest:
        return
    import hashlib

    from pywerf.errors import DigestMismatch

    actual = digest
    if expected.algorithm != digest.algorithm:
        with open(path, "rb") as file:
            actual = Digest(expected.algorithm, hashlib.file_digest(file, expected.algorithm).hexdigest())
    if actual != expected:
        raise DigestMismatch(redact(url), str(expected), str(actual))


class _OneFile:
    """A FileTree with one file, whose data is behind a descriptor."""

    def __init__(self, name: str, fd: int, size: int, mtime: int) -> None:
        self._node = Node(name, "file", 0o600, 0, 0, size, mtime * 1_000_000_000)
        self._fd = fd

    def lstat(self, path: str) -> Node | None:
        if not path:
            return Node("", "dir", 0o755, 0, 0, 0, 0)
        return self._node if path == self._node.name else None

    def scandir(self, path: str) -> list[Node]:
        if path:
            raise NotADirectoryError(path)
        return [self._node]

    def readlink(self, path: str) -> str:
        raise OSError(f"{path}: not a symbolic link")

    def open(self, path: str) -> int:
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def xattrs(self, path: str) -> dict[str, bytes]:
        return {}
