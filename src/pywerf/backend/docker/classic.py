"""The classic builder: POST /build with the context as a tar, its words as steps, and what it leaves behind removed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any
from urllib.parse import urlencode

from pywerf.backend.contract import DockerfileBuild, DockerfileStep
from pywerf.backend.docker.context_tar import free_name, tar_chunks
from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.leftovers import Leftovers
from pywerf.backend.docker.progress import Steps
from pywerf.backend.docker.steps import at_line, classic_step, failure
from pywerf.backend.docker.stream import events
from pywerf.errors import BuildError, ContainerFailed, UsageError, WerfError
from pywerf.oci.digest import Digest
from pywerf.source.dockerignore import IgnoreRules
from pywerf.util.filetree import FileTree

__all__ = ["ClassicProgress", "build_classic", "dockerfile_in", "query", "ulimit"]

_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_IMAGE = re.compile(r" ---> ([0-9a-f]{12})\n\Z")
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"
_TALK = (
    "Removing intermediate container ",
    " ---> Removed intermediate container ",
    "Successfully ",
    " ---> Running in ",
)
_CONTAINER = re.compile(r" ---> Running in ([0-9a-f]{12})\n\Z")


def build_classic(
    daemon: Daemon, build: DockerfileBuild, steps: Steps, failed: Callable[[ContainerFailed], None] | None = None
) -> Digest:
    """Build it; the id. Raises UsageError for what only BuildKit can do.

    `failed` is called for a command that has failed while the steps before it are still in the cache.
    """
    _check(build)
    name, extra = dockerfile_in(build.context, build)
    path = f"/build?{urlencode(query(build, name), doseq=True)}"
    headers = {"Content-Type": "application/x-tar", **daemon.auth_header()}
    progress = ClassicProgress(build.steps, steps)
    leftovers = Leftovers(daemon)
    try:
        sent = _sent(build.context, extra, steps)
        note = partial(_note, leftovers, progress)
        with closing(events(daemon, path, sent, headers, "build", before_stop=note)) as stream:
            try:
                for event in stream:
                    progress.take(event)
            except KeyboardInterrupt:
                note()
                raise
        return progress.finish()
    except BaseException as error:
        if isinstance(error, WerfError):
            at_line(error, build)
        progress.give_up()
        try:
            if failed is not None and isinstance(error, ContainerFailed):
                failed(error)
        finally:
            leftovers.remove(progress.made, progress.container)
        raise


def _note(leftovers: Leftovers, progress: ClassicProgress) -> None:
    """What there is while the daemon does not know yet that it is to stop."""
    leftovers.before(progress.last)


def _check(build: DockerfileBuild) -> None:
    for what, given in (("--secret", build.secrets), ("--ssh", build.ssh)):
        if given:
            raise UsageError(
                f"{what}: the classic builder of Docker cannot do it",
                hint="use BuildKit (--docker-builder buildkit), or the embedded engine (WERF_BUILDAH_MODE=auto)",
            )
    if len(build.platforms) > 1:
        raise UsageError("Docker's builder makes images for one platform", hint="build one platform after the other")


def dockerfile_in(tree: FileTree | None, build: DockerfileBuild) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """The Dockerfile's name in the archive, and the files that have to be added for it.

    One that is in the context with the same content is used as it is. One that is left out of it is sent all the same,
    and hidden from COPY again by the builder itself, which looks into .dockerignore for this file alone.
    """
    inside = tree is not None and not os.path.isabs(build.name) and not build.name.startswith("../")
    if tree is None or not inside:
        name = free_name(tree, ".pywerf.Dockerfile")
    elif tree.lstat(build.name) is None:
        name = build.name
    elif _content(tree, build.name) == build.dockerfile:
        return build.name, ()
    else:
        name = free_name(tree, ".pywerf.Dockerfile")
    rules = None if tree is None else IgnoreRules.parse(_content(tree, ".dockerignore") or b"")
    if rules is not None and rules.ignored(name):
        return name, ((name, build.dockerfile),)
    return name, ((name, build.dockerfile), (".dockerignore", f".dockerignore\n{name}\n".encode()))


def _content(tree: FileTree, path: str) -> bytes | None:
    node = tree.lstat(path)
    if node is None or node.kind != "file" or node.size > 1 << 20:
        return None
    with os.fdopen(tree.open(path), "rb") as file:
        return file.read()


def query(build: DockerfileBuild, dockerfile: str) -> list[tuple[str, str]]:
    """The parameters of /build (Engine API, ImageBuild) but for those of the builder itself."""
    pairs = [("dockerfile", dockerfile), ("rm", "1"), ("forcerm", "1")]
    pairs += [("t", tag) for tag in build.tags]
    for key, value in (("target", build.target), ("networkmode", build.network)):
        if value:
            pairs.append((key, value))
    for key, wanted in (("nocache", build.no_cache), ("pull", build.pull), ("squash", build.squash)):
        if wanted:
            pairs.append((key, "1"))
    for key, document in (
        ("buildargs", dict(build.build_args)),
        ("labels", dict(build.labels)),
        ("cachefrom", list(build.cache_from)),
        ("ulimits", [ulimit(text) for text in build.ulimits]),
    ):
        if document:
            pairs.append((key, json.dumps(document)))
    pairs += [("extrahosts", host) for host in build.add_hosts]
    if build.platforms:
        pairs.append(("platform", str(build.platforms[0])))
    if build.shm_size:
        pairs.append(("shmsize", str(build.shm_size)))
    return pairs


def ulimit(text: str) -> dict[str, Any]:
    """`TYPE=SOFT[:HARD]` as the API has it."""
    name, _, values = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
    soft, _, hard = values.partition(":")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}


def _sent(tree: FileTree | None, extra: tuple[tuple[str, bytes], ...], steps: Steps) -> Iterator[bytes]:
    """The context's archive, told as a step."""
    key = "[internal] load build context"
    steps.start(key, key)
    size = 0
    try:
        for chunk in tar_chunks(tree, extra):
            yield chunk
            size += len(chunk)
            steps.progress(key, "transferring context", size, 0)
    except BaseException as error:
        steps.finish(key, "failed", error=str(error))
        raise
    steps.progress(key, "transferring context", size, size)
    steps.finish(key, "done")


class ClassicProgress:
    """Reads the builder's words (`take`) into steps.

    `made` are the images that it has made, in order, each with the one that it stands on (short ids); `last` is the
    last one it told of, `container` the one that a command may still run in.
    """

    def __init__(self, dockerfile: tuple[DockerfileStep, ...], steps: Steps) -> None:
        self._dockerfile = dockerfile
        self._steps = steps
        self._name = ""
        self._step: DockerfileStep | None = None
        self._cached = False
        self.made: list[tuple[str, str]] = []
        self.last = ""
        self.container = ""
        self.image = ""

    def take(self, event: dict[str, Any]) -> None:
        """One object of the stream. Raises the build's error."""
        if "error" in event or "errorDetail" in event:
            detail = event.get("errorDetail") or {}
            message = str(detail.get("message") or event.get("error") or "the build failed")
            error = failure(message, self._name, self._step, code=int(detail.get("code") or 0))
            self._end("failed", error.message)
            raise error
        aux = event.get("aux")
        if isinstance(aux, dict) and str(aux.get("ID", "")).startswith("sha256:"):
            self.image = str(aux["ID"])
        elif "stream" in event:
            self._said(str(event["stream"]))
        elif "status" in event and self._name:
            detail = event.get("progressDetail") or {}
            if isinstance(detail, dict) and detail.get("current"):
                what = f"{event.get('id', '')} {str(event['status']).lower()}".strip()
                self._steps.progress(self._name, what, int(detail["current"]), int(detail.get("total") or 0))

    def _said(self, text: str) -> None:
        match = _STEP.match(text)
        if match is not None:
            self._end("cached" if self._cached else "done")
            number, total, words = int(match[1]), int(match[2]), match[3].strip()
            self._step = classic_step(self._dockerfile, number)
            self._name = f"[{number}/{total}] {' '.join(words.split())}"
            self._cached = False
            self._steps.start(self._name, self._name, source="" if self._step is None else str(self._step.source))
            return
        made, running = _IMAGE.match(text), _CONTAINER.match(text)
        if text == " ---> Using cache\n":
            self._cached = True
        elif made is not None:
            if not self._cached and not self._name.partition("] ")[2].upper().startswith("FROM "):
                self.made.append((made[1], self.last))
            self.last = made[1]
            self.container = ""
        elif running is not None and not self.container:
            self.container = running[1]
        elif text.startswith(_TALK):
            return
        elif self._name and text.strip("\n"):
            stderr = text.startswith(_RED)  # how the builder marks it
            if stderr:
                text = text.removeprefix(_RED).removesuffix(_PLAIN)
            self._steps.output(self._name, text.encode("utf-8", "surrogateescape"), stderr=stderr)

    def finish(self) -> Digest:
        """The image's id. Raises BuildError when the stream ended without one."""
        if not self.image:
            raise BuildError("the Docker daemon broke off the build", hint="see the daemon's log")
        self._end("cached" if self._cached else "done")
        return Digest.parse(self.image)

    def give_up(self) -> None:
        """End the step that was running when the build was interrupted."""
        self._end("cancelled")

    def _end(self, state: Any, error: str = "") -> None:
        if self._name:
            self._steps.finish(self._name, state, error=error)
            self._name = ""
