"""Opens what a build reads from: its context, named contexts, downloads, git repositories; when a step needs them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pywerf.backend.buildah.empty_tree import EmptyTree
from pywerf.backend.buildah.files import Files
from pywerf.build.grants import Grants
from pywerf.errors import ContextError, UsageError, WerfError
from pywerf.graph.op import ContextOp, HttpOp

if TYPE_CHECKING:
    from pywerf.build.remote_contexts import RemoteContext
    from pywerf.source.digests import FileDigests
    from pywerf.source.dockerignore import IgnoreRules
    from pywerf.store.store import Store
    from pywerf.util.filetree import FileTree

__all__ = ["Contexts", "Given", "context_name", "parse_named"]

_DOCKERFILES = ("Containerfile", "Dockerfile")


class Given(NamedTuple):
    """A build context and a Dockerfile that somebody has opened already; the tree is without what is ignored."""

    dockerfile: bytes
    name: str
    tree: FileTree | None


class Contexts:
    """All sources of one build that are no images. Use it within an ExitStack: downloads live until its end."""

    def __init__(
        self,
        store: Store,
        stack: ExitStack,
        main: str,
        named: dict[str, str],
        ignorefile: str,
        given: Given | None = None,
        grants: Grants | None = None,
        *,
        cpp_flags: Sequence[str] = (),
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`grants`: what git servers may be given; `cpp_flags`, `warn`: for cpp, and for what it says."""
        self._given = given
        self._store = store
        self._stack = stack
        self._main = main
        self.named = named
        self.grants = grants or Grants()
        self._cpp_flags = cpp_flags
        self._warn = warn
        self._ignorefile = ignorefile
        self._opened: dict[str, Files] = {}
        self._memories: list[FileDigests] = []
        self._lock = threading.RLock()
        self._folder: str | None = None
        self._dockerfile_data: bytes | None = None
        self._remote: RemoteContext | None = None

    # the Dockerfile

    def dockerfiles(self, files: tuple[str, ...]) -> tuple[bytes, str]:
        """The text of the Dockerfile and its name; several are joined, as buildah joins them."""
        if self._given is not None:
            return self._given.dockerfile, self._given.name
        if not files:
            return self._default_dockerfile()
        parts = [self._read_dockerfile(name) for name in files]
        return b"\n".join(parts) if len(parts) > 1 else parts[0], files[0] if files[0] != "-" else "Dockerfile"

    def _default_dockerfile(self) -> tuple[bytes, str]:
        if self._main == "-":
            self.main()
            if self._dockerfile_data is not None:
                return self._dockerfile_data, "Dockerfile"
        for name in _DOCKERFILES:
            data = self._from_main(name)
            if data is not None:
                return data, name
        raise ContextError(
            f"no Containerfile or Dockerfile in {self._main or '.'}", hint="name it with -f, or change the directory"
        )

    def _from_main(self, name: str) -> bytes | None:
        if self.folder() is not None:
            path = os.path.join(self.folder() or "", name)
            if not os.path.isfile(path):
                return None
            with open(path, "rb") as file:
                return file.read()
        from pywerf.backend.buildah.exec_spec import read_small_file

        tree = self.main(ignored=False).tree
        return read_small_file(tree, name) or None

    def _read_dockerfile(self, name: str) -> bytes:
        if name == "-":
            return sys.stdin.buffer.read()
        wanted = name.endswith(".in")
        if wanted and (self.folder() is None or name.startswith(("http://", "https://"))):
            # what it includes could be any file of this machine, and it is somebody else's
            raise ContextError(
                f"{name}: only a Dockerfile on this machine, with a folder as context, is preprocessed",
                hint="get it, and run cpp -E on it; or rename it",
            )
        if name.startswith(("http://", "https://")):
            return self._download_bytes(name)
        candidates = [name]
        folder = self.folder()
        if folder is not None and not os.path.isabs(name):
            # buildah looks from here first, then in the context
            candidates.append(os.path.join(folder, name))
        for path in candidates:
            if os.path.isfile(path):
                try:
                    with open(path, "rb") as file:
                        data = file.read()
                except OSError as error:
                    raise ContextError(f"{path}: {error.strerror}") from error
                if wanted:
                    from pywerf.build.preprocess import preprocess

                    return preprocess(data, path, folder or "", self._cpp_flags, self._warn)
                return data
        if folder is None:
            found = self._from_main(name)
            if found is not None:
                return found
        raise ContextError(f"{name}: no such Dockerfile", hint=f"looked for {' and '.join(candidates)}")

    # contexts

    def folder(self) -> str | None:
        """The main context as a folder of this machine; None when it is something else."""
        if self._folder is None and self._main and self._main != "-" and os.path.isdir(self._main):
            self._folder = os.path.realpath(self._main)
        return self._folder

    def open(self, op: ContextOp | HttpOp, dockerfile: str = "") -> Files:
        """The files behind a vertex, opened once. Raises ContextError."""
        key = op.name if isinstance(op, ContextOp) else f"{op.url} {op.checksum}"
        with self._lock:
            if key not in self._opened:
                if isinstance(op, HttpOp):
                    self._opened[key] = self._download(op)
                elif op.name:
                    self._opened[key] = self._open_named(op.name)
                else:
                    self._opened[key] = self.main(dockerfile)
            return self._opened[key]

    def main(self, dockerfile: str = "", *, ignored: bool = True) -> Files:
        """The build context, without what .dockerignore leaves out."""
        if self._given is not None and self._given.tree is not None:
            return self._of_tree("the build context", self._given.tree)
        folder = self.folder()
        if folder is not None:
            rules = _load_rules(folder, dockerfile, self._ignorefile)
            return self._local("the build context", folder, rules)
        if not self._main:
            return Files("the build context (there is none)", EmptyTree())
        if self._remote is None:
            from pywerf.build.remote_contexts import open_remote

            self._remote = open_remote(self._store, self._stack, self._main, self.grants)
            self._dockerfile_data = self._remote.dockerfile
        return self._remote.files(self._ignorefile, dockerfile, ignored)

    def ignored_paths(self, dockerfile: str) -> Callable[[str], bool] | None:
        """Which paths of the context are left out; None when that is not known, or not to be told by a path alone."""
        folder = self.folder()
        rules = None if folder is None else _load_rules(folder, dockerfile, self._ignorefile)
        if rules is None or any(pattern.negated for pattern in rules.matcher.patterns):
            return None
        return rules.ignored

    def _local(self, name: str, folder: str, rules: IgnoreRules | None) -> Files:
        from pywerf.source.local import LocalTree

        return self._of_tree(name, LocalTree(folder, rules))

    def _of_tree(self, name: str, tree: FileTree) -> Files:
        """Files with the memory of their digests, when they are a folder's."""
        from pywerf.source.digests import FileDigests
        from pywerf.source.local import LocalTree

        if not isinstance(tree, LocalTree):
            return Files(name, tree)
        folder = tree.root
        memory = FileDigests(
            lambda: self._store.memo.get("context", folder),
            lambda data: self._store.memo.put("context", folder, data),
        )
        self._memories.append(memory)
        return Files(name, tree, digests=memory)

    def _open_named(self, name: str) -> Files:
        where = self.named.get(name, name)
        if os.path.isdir(where):
            folder = os.path.realpath(where)
            return self._local(f"the context {name}", folder, _load_rules(folder))
        from pywerf.build.remote_contexts import open_remote

        return open_remote(self._store, self._stack, where, self.grants).files("", "", name in self.named)

    def modified(self, op: ContextOp | HttpOp) -> int | None:
        """When a source was last changed, in seconds since 1970: see the frontend's Resolver."""
        where = op.url if isinstance(op, HttpOp) else self.named.get(op.name, op.name) if op.name else self._main
        if isinstance(op, ContextOp) and os.path.isdir(where):
            return None
        from pywerf.build.remote_contexts import newest

        return newest(self.open(op), whole=isinstance(op, ContextOp))

    def _download(self, op: HttpOp) -> Files:
        from pywerf.build.remote_contexts import download

        return download(self._store, self._stack, op.url, op.checksum)

    def _download_bytes(self, url: str) -> bytes:
        from pywerf.backend.buildah.exec_spec import read_small_file

        files = self._download(HttpOp(url))
        nodes = files.tree.scandir("")
        return read_small_file(files.tree, nodes[0].name)

    def finish(self) -> None:
        """Keep what was learnt of files."""
        for memory in self._memories:
            memory.flush()


def parse_named(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """`--build-context NAME=VALUE`. Raises UsageError."""
    named: dict[str, str] = {}
    for name, value in pairs:
        if not name or not value:
            raise UsageError(f"--build-context {name}={value}: both a name and a value are needed")
        named[context_name(name)] = value
    return named


def context_name(name: str) -> str:
    """One form of the names that mean the same image: without docker.io/, library/ and :latest (as buildx has it)."""
    from pywerf.oci.reference import DEFAULT_REGISTRY, Reference

    lower = name.lower()
    try:
        reference = Reference.parse(lower)
    except WerfError:
        return lower
    return reference.with_host(reference.host or DEFAULT_REGISTRY).familiar.removesuffix(":latest")


def _load_rules(folder: str, dockerfile: str = "", ignorefile: str = "") -> IgnoreRules | None:
    """What `source.dockerignore` reads; a build that reads no files does not import it."""
    from pywerf.source.dockerignore import load_rules

    return load_rules(folder, dockerfile, ignorefile)
