"""A container of the engine on the user's terminal, and the shell that is found for one."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pywerf.backend.buildah.exec_spec import DEFAULT_PATH
from pywerf.backend.shells import no_shell, shell_candidates
from pywerf.errors import ContextError
from pywerf.util.filetree import FileTree, resolve

if TYPE_CHECKING:
    from pywerf.isolation.console import OwnTerminal
    from pywerf.isolation.spec import ContainerSpec, Isolation

__all__ = ["find_shell", "run_shell"]


def find_shell(tree: FileTree | None, env: Sequence[str], words: Sequence[str] | None) -> tuple[str, ...]:
    """The command line of the best shell that these files have; `words` are their SHELL. Raises ShellMissing."""
    known = dict(item.partition("=")[::2] for item in env)
    for candidate in shell_candidates(words):
        for path in _places(candidate[0], known.get("PATH") or DEFAULT_PATH):
            if tree is not None and _is_program(tree, path):
                return (path, *candidate[1:])
    raise no_shell(words)


def _places(name: str, path: str) -> Iterator[str]:
    if "/" in name:
        yield name
        return
    for folder in path.split(":"):
        yield posixpath.join(folder or "/", name)


def _is_program(tree: FileTree, path: str) -> bool:
    try:
        node = tree.lstat(resolve(tree, path.lstrip("/")))
    except ContextError:  # links that lead to themselves
        return False
    return node is not None and node.kind == "file" and bool(node.mode & 0o111)


def run_shell(isolation: Isolation, spec: ContainerSpec, terminal: OwnTerminal) -> int:
    """Run a container with a terminal of its own, joined with the user's; its exit status."""
    from pywerf.isolation.console import attach

    stdin, screen = terminal
    container = isolation.start(spec, stdin, screen, screen)
    master = getattr(container, "console", None)  # of every isolation of ours, when the spec asks for a terminal
    assert isinstance(master, int)
    return attach(container, master, stdin, screen).status
