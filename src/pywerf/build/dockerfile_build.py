"""A Dockerfile in a folder as a build that every backend takes: file, steps and context."""

from __future__ import annotations

import os
import sys

from pywerf.backend.contract import DockerfileBuild, DockerfileStep
from pywerf.errors import ContextError
from pywerf.frontend.dockerfile.ast import Dockerfile, Node
from pywerf.frontend.dockerfile.parser import parse
from pywerf.source.dockerignore import load_rules
from pywerf.source.local import LocalTree

__all__ = ["DEFAULT_DOCKERFILES", "dockerfile_steps", "find_dockerfile", "open_build"]

DEFAULT_DOCKERFILES = ("Dockerfile", "Containerfile")


def find_dockerfile(folder: str, file: str = "") -> str | None:
    """The path of the Dockerfile: `file` from here or in the folder (`-`: stdin), or one of the usual names.

    None when nobody named one and there is none. Raises ContextError when the named one is not there.
    """
    if file == "-":
        return file
    if not file:
        paths = [os.path.join(folder, name) for name in DEFAULT_DOCKERFILES]
        return next((path for path in paths if os.path.isfile(path)), None)
    candidates = [file] if os.path.isabs(file) else [file, os.path.join(folder, file)]
    for path in candidates:
        if os.path.isfile(path):
            return path
    raise ContextError(f"{file}: no such Dockerfile", hint=f"looked for {' and '.join(candidates)}")


def open_build(folder: str, path: str) -> DockerfileBuild:
    """The build of the Dockerfile at `path` with the folder as its context, without any options.

    Raises ContextError, PatternError, DockerfileError.
    """
    if path == "-":
        data, name, beside = sys.stdin.buffer.read(), "Dockerfile", ""
    else:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ContextError(f"{path}: {error.strerror}") from error
        relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
        name, beside = (path if relative.startswith("..") else relative), path
    tree = LocalTree(folder, load_rules(folder, beside))
    return DockerfileBuild(dockerfile=data, name=name, context=tree, steps=dockerfile_steps(parse(data, name)))


def dockerfile_steps(dockerfile: Dockerfile) -> tuple[DockerfileStep, ...]:
    """The instructions in order, each with its stage as builders call that one."""
    many = sum(node.name == "FROM" for node in dockerfile.nodes) > 1
    stage, name = -1, ""
    steps = []
    for node in dockerfile.nodes:
        if node.name == "FROM":
            stage += 1
            name = _stage_name(node, stage) if many else ""
        lines = dockerfile.excerpt(node.first, node.last).lines
        steps.append(DockerfileStep(node.name, stage, name, dockerfile.range(node), lines))
    return tuple(steps)


def _stage_name(node: Node, number: int) -> str:
    if len(node.args) == 3 and node.args[1].upper() == "AS":
        return node.args[2].lower()
    return f"stage-{number}"
