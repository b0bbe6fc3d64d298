"""Which paths of the build context a Dockerfile may take."""

from __future__ import annotations

import posixpath

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.ast import Node
from pywerf.frontend.dockerfile.parser import parse

__all__ = ["context_sources"]


def context_sources(dockerfile: bytes) -> set[str] | None:
    """The sources of COPY, ADD and bind mounts of all stages, relative to the context ("" is all of it).

    None: it cannot be told, since the Dockerfile is wrong (the build will say how) or a source has a variable in it.
    """
    try:
        nodes = parse(dockerfile, "Dockerfile").nodes
    except DockerfileError:
        return None
    found: set[str] = set()
    for node in nodes:
        for source in _sources(node):
            if "$" in source:
                return None
            if not source.startswith(("http://", "https://", "git@", "git://", "<<")):
                found.add(posixpath.normpath("/" + source)[1:].lstrip("/"))
    return found


def _sources(node: Node) -> tuple[str, ...]:
    name = node.keyword.lower()
    if name in ("copy", "add"):
        if any(flag.startswith("--from") for flag in node.flags):
            return ()
        heredocs = len(node.heredocs)
        sources = node.args[:-1]
        return sources if not heredocs else tuple(source for source in sources if not source.startswith("<<"))
    if name == "run":
        return tuple(source for flag in node.flags for source in _bind_source(flag))
    return ()


def _bind_source(flag: str) -> tuple[str, ...]:
    """The source of `--mount=type=bind` without `from`."""
    name, _, value = flag.partition("=")
    if name != "--mount":
        return ()
    fields = dict(part.partition("=")[::2] for part in value.split(","))
    if fields.get("type", "bind") != "bind" or "from" in fields:
        return ()
    return (fields.get("source") or fields.get("src") or ".",)
