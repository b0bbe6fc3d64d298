"""The daemon's BuildKit, without a client of anybody else: POST /build with a session that sends the context."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from pywerf.backend.contract import DockerfileBuild
from pywerf.backend.docker.classic import query
from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.errors import explain
from pywerf.backend.docker.filesync import FileSync
from pywerf.backend.docker.one_file import OneFile
from pywerf.backend.docker.progress import Steps
from pywerf.backend.docker.services import Credentials, handlers_of
from pywerf.backend.docker.session import BuildSession, shared_key
from pywerf.backend.docker.steps import at_line, excerpt, failure, image_step
from pywerf.backend.docker.stream import events
from pywerf.backend.docker.trace import Trace
from pywerf.backend.ssh_agents import Agents
from pywerf.errors import BuildError, RegistryNotFound, UsageError, WerfError
from pywerf.oci.digest import Digest
from pywerf.source.local import LocalTree
from pywerf.util.filetree import FileTree

__all__ = ["build_buildkit"]

_NETWORKS = ("", "default", "host", "none")
_WANTED = ("[internal] load metadata for ", "FROM ")
"""What steps are called that get an image; the second one is that of a `--from=` before 23.0."""
DOCKERFILE = "Dockerfile"


def build_buildkit(daemon: Daemon, build: DockerfileBuild, steps: Steps) -> Digest:
    """Build it; the id. Raises UsageError for what the daemon's BuildKit cannot do."""
    _check(build)
    dockerfile = OneFile(DOCKERFILE, build.dockerfile)
    trees: dict[str, FileTree] = {"dockerfile": dockerfile, "context": build.context or OneFile("", b"")}
    handlers = handlers_of(FileSync(trees), build.secrets, Agents(build.ssh), Credentials(daemon.credentials))
    folder = build.context.root if isinstance(build.context, LocalTree) else ""
    trace = Trace(build.steps, steps)
    image = ""
    try:
        with BuildSession(daemon, handlers, shared_key(folder) if folder else "") as session:
            pairs = [*query(build, DOCKERFILE), ("version", "2"), ("session", session.id), ("remote", "client-session")]
            pairs.append(("buildid", session.id))
            with closing(events(daemon, f"/build?{urlencode(pairs)}", None, {}, "build")) as stream:
                for event in stream:
                    image = _take(event, trace, build) or image
    except BaseException:
        steps.finish_all("cancelled")
        raise
    steps.finish_all("done")
    if not image:
        raise BuildError("the Docker daemon broke off the build", hint="see the daemon's log")
    return Digest.parse(image)


def _check(build: DockerfileBuild) -> None:
    if build.network not in _NETWORKS:
        raise UsageError(
            f"--network {build.network}: BuildKit in the Docker daemon knows host, none and its own",
            hint="the classic builder knows the daemon's networks: --docker-builder classic",
        )
    if len(build.platforms) > 1:
        raise UsageError(
            "the Docker daemon builds and keeps images of one platform", hint="build one platform after the other"
        )


def _take(event: Mapping[str, Any], trace: Trace, build: DockerfileBuild) -> str:
    """One object of the stream; the image's id when it tells it. Raises the build's error."""
    if "error" in event or "errorDetail" in event:
        detail = event.get("errorDetail") or {}
        raise _error(str(detail.get("message") or event.get("error")), int(detail.get("code") or 0), trace, build)
    aux = event.get("aux")
    if event.get("id") == "moby.buildkit.trace" and isinstance(aux, str):
        try:
            trace.take(base64.b64decode(aux))
        except ValueError as error:
            raise BuildError(f"the Docker daemon tells its progress in an unknown form: {error}") from error
    elif event.get("id") == "moby.image.id" and isinstance(aux, dict):
        return str(aux.get("ID") or "")
    return ""


def _error(message: str, code: int, trace: Trace, build: DockerfileBuild) -> WerfError:
    if trace.failed is not None:
        name, step, text = trace.failed
        if step is not None:
            return failure(text, name, step, code=code)
        for words in _WANTED:
            if name.startswith(words):
                return _no_base(name.removeprefix(words), text, build)
        message = text
    message = message.removeprefix("failed to solve: ").removeprefix("failed to solve with frontend dockerfile.v0: ")
    message = message.removeprefix("failed to create LLB definition: ")
    return at_line(explain(message), build)


def _no_base(image: str, message: str, build: DockerfileBuild) -> WerfError:
    """What is said when a base image cannot be had, at the instruction that wants it."""
    error = explain(message, image=image)
    if type(error) is BuildError and message.endswith(": not found"):
        error = RegistryNotFound(f"{image}: not found in its registry", hint="see that the name and the tag are right")
    error.source = excerpt(image_step(build.steps, image))
    return error
