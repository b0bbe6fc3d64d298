"""The build context that a command line names: a folder, git, or a tar archive from stdin or a web server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from pywerf.errors import ContextError
from pywerf.oci.digest import Digest
from pywerf.source.git_url import is_git_url, is_http_url, parse_git_url, redact
from pywerf.source.local import LocalTree

if TYPE_CHECKING:
    from pywerf.source.git_tree import GitTree

__all__ = [
    "ContextKind",
    "FolderContext",
    "GitContext",
    "Opened",
    "StreamContext",
    "classify",
    "open_context",
    "sniff",
]

ContextKind = Literal["folder", "stdin", "git", "http"]

_CHUNK: Final = 256 << 10
_COMPRESSED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\x5d\x00\x00")  # gz bz2 xz zst lzma


class FolderContext:
    """A folder. `tree` is without what the ignore file leaves out; `root` has all (the Dockerfile may be ignored)."""

    __slots__ = ("root", "tree")

    def __init__(self, root: str, tree: LocalTree) -> None:
        self.root = root
        self.tree = tree


class GitContext(msgspec.Struct, frozen=True):
    """A git commit: `tree` is its GitTree, `identity` names its content without reading (commit and folder)."""

    tree: GitTree
    commit: str
    identity: str
    url: str  # may be shown
    keep_git_dir: bool = False  # its user wants to have the repository itself as well


class StreamContext(msgspec.Struct, frozen=True):
    """What came from stdin or a web server, in a file without a name.

    `fd` stands at its beginning; who has the context closes it. `kind`: `tar` (maybe compressed) is the context
    itself; `dockerfile` is plain text, a Dockerfile whose context is empty. `digest` and `size` are those of the
    bytes; `name`, for messages, is stdin or the URL as it may be shown.
    """

    fd: int
    kind: Literal["tar", "dockerfile"]
    digest: Digest
    size: int
    name: str


Opened = FolderContext | GitContext | StreamContext


def classify(context: str) -> ContextKind:
    """What kind of context a text names. A folder that is there wins over `github.com/…` and `user@host:path`."""
    if context == "-":
        return "stdin"
    if is_http_url(context):
        return "http"
    if is_git_url(context, local=True) and ("://" in context or not os.path.isdir(context)):
        return "git"
    return "folder"


def sniff(head: bytes) -> Literal["tar", "dockerfile"]:
    """Whether a body is a tar archive (maybe compressed) or else a Dockerfile, from its first 512 bytes or more.

    As docker and BuildKit tell them apart: a compressor's magic, or a tar header with a right checksum. Two
    blocks of zeros are an archive with nothing in it.
    """
    if head.startswith(_COMPRESSED):
        return "tar"
    if len(head) < 512:
        return "dockerfile"
    block = head[:512]
    if not any(block):
        return "tar"
    field = block[148:156].strip(b" \0")
    if not field or not all(48 <= digit <= 55 for digit in field):
        return "dockerfile"
    return "tar" if int(field, 8) == sum(block) - sum(block[148:156]) + 8 * 32 else "dockerfile"


def open_context(
    context: str,
    *,
    work_dir: str,
    dockerfile: str = "",
    ignorefile: str = "",
    stdin: int = 0,
    git_cache_dir: str = "",
    git_token: str = "",
    git_header: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Opened:
    """Open what `context` names.

    `work_dir` is a folder for temporary files (they have no names there), `git_cache_dir` (default:
    `work_dir`/git) where fetched repositories are kept. `dockerfile` and `ignorefile` matter for folders: see
    `find_ignore_file`. Raises ContextError, PatternError, InvalidValue.
    """
    kind = classify(context)
    if kind == "folder":
        from pywerf.source.dockerignore import load_rules

        rules = load_rules(context, dockerfile, ignorefile) if os.path.isdir(context) else None
        tree = LocalTree(context, rules)
        return FolderContext(tree.root, tree)
    if kind == "git":
        from pywerf.source.git import GitCredentials, fetch_git

        url = parse_git_url(context, local=True)
        cache = git_cache_dir or os.path.join(work_dir, "git")
        git_tree = fetch_git(url, cache, credentials=GitCredentials(git_token, header=git_header), progress=progress)
        submodules = "" if url.submodules is not False else " without submodules"
        identity = f"git {git_tree.commit}:{git_tree.subdir}{submodules}"
        return GitContext(git_tree, git_tree.commit, identity, redact(url.remote), bool(url.keep_git_dir))
    fd = _temporary_file(work_dir)
    try:
        if kind == "stdin":
            digest, size = _copy_stdin(stdin, fd)
            name = "stdin"
        else:
            digest, size = _download(context, fd, progress)
            name = redact(context)
        os.lseek(fd, 0, os.SEEK_SET)
        if not size:
            raise ContextError(
                f"the build context from {name} is empty", hint="a tar archive or a Dockerfile is expected"
            )
        body: Literal["tar", "dockerfile"] = sniff(os.pread(fd, 1024, 0))
        return StreamContext(fd, body, digest, size, name)
    except BaseException:
        os.close(fd)
        raise


def _copy_stdin(stdin: int, fd: int) -> tuple[Digest, int]:
    import hashlib

    if os.isatty(stdin):
        raise ContextError("the build context is to come from stdin, which is a terminal", hint="tar c . | … -")
    state = hashlib.sha256()
    size = 0
    while chunk := os.read(stdin, _CHUNK):
        state.update(chunk)
        size += len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]
    return Digest.sha256(state.hexdigest()), size


def _download(url: str, fd: int, progress: Callable[[int, int], None] | None) -> tuple[Digest, int]:
    from pywerf.source.http import fetch

    with open(fd, "r+b", closefd=False) as stream:
        result = fetch(url, stream, progress=progress)
    assert result.digest is not None
    return result.digest, result.size


def _temporary_file(folder: str) -> int:
    """A descriptor of a new file in `folder` that has no name."""
    os.makedirs(folder, exist_ok=True)
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # a file system without O_TMPFILE
        import tempfile

        fd, path = tempfile.mkstemp(dir=folder)
        os.unlink(path)
        return fd
