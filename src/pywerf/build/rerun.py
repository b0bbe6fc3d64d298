"""Dockerfiles that show what there is before a command of another one, and what the command leaves when it fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.contract import DockerfileBuild
from pywerf.errors import SourceExcerpt
from pywerf.frontend.dockerfile.ast import Dockerfile, Node, to_text
from pywerf.frontend.dockerfile.parser import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["RerunCommand", "find_command"]

_SHELLS = ("ash", "bash", "dash", "ksh", "sh", "zsh")
_GIVEN = frozenset(f"{where}{what}" for where in ("TARGET", "BUILD") for what in ("PLATFORM", "OS", "ARCH", "VARIANT"))
"""ARGs that have a value though nobody gives one."""

_SCRIPT = '"$@"; status=$?; echo "introspection: run once more, the command has ended with status $status"; exit 0'


def find_command(build: DockerfileBuild, place: SourceExcerpt | None) -> RerunCommand | None:
    """The RUN that an error's place means; None where there is none."""
    if place is None:
        return None
    dockerfile = parse(build.dockerfile, build.name)
    for index, node in enumerate(dockerfile.nodes):
        if node.first == place.first and node.name == "RUN":
            return RerunCommand(build, dockerfile, index)
    return None


class RerunCommand:
    """A RUN that is followed by nothing but what makes its state visible. See docker/introspection.py for the use."""

    def __init__(self, build: DockerfileBuild, dockerfile: Dockerfile, index: int) -> None:
        self._build = build
        self._dockerfile = dockerfile
        self._node = dockerfile.nodes[index]
        self._before = dockerfile.nodes[:index]
        self._mounts = [_mount(flag) for flag in self._node.flags if flag.startswith("--mount=")]

    @property
    def before(self) -> DockerfileBuild:
        """FailedCommand."""
        return self._made(self._before)

    def after(self, shell: tuple[str, ...]) -> DockerfileBuild:
        """FailedCommand. The shell form is run by the SHELL that it has, called by one that swallows the failure."""
        program = shell[0] if shell and os.path.basename(shell[0]) in _SHELLS else "/bin/sh"
        # the name of the script is another one each time: no cache has the result
        wrapper = (program, "-c", _SCRIPT, f"again-{os.urandom(6).hex()}")
        if self._node.json:
            again = Node("RUN", "RUN", args=(*wrapper, *self._node.args), flags=self._node.flags, json=True, leading="")
            return self._made((*self._before, again))
        words = (*wrapper, *(shell or ("/bin/sh", "-c")))
        return self._made(
            (
                *self._before,
                Node("SHELL", "SHELL", args=words, json=True),
                msgspec.structs.replace(self._node, leading=""),
            )
        )

    @property
    def network(self) -> str:
        """FailedCommand."""
        own = [flag.partition("=")[2] for flag in self._node.flags if flag.startswith("--network=")]
        network = own[-1] if own and own[-1] != "default" else self._build.network
        return "" if network == "default" else network

    @property
    def tmpfs(self) -> tuple[str, ...]:
        """FailedCommand."""
        return tuple(mount["target"] for mount in self._mounts if mount["type"] == "tmpfs" and mount["target"])

    @property
    def missing(self) -> tuple[str, ...]:
        """FailedCommand."""
        return tuple(
            mount["written"]
            for mount in self._mounts
            if mount["type"] != "tmpfs" and not (mount["type"] == "bind" and _can_be_copied(mount))
        )

    def _made(self, nodes: tuple[Node, ...]) -> DockerfileBuild:
        ends = [*self._copies(), *self._variables()]
        text = to_text(msgspec.structs.replace(self._dockerfile, nodes=(*nodes, *ends), trailing=""))
        data = text.encode("utf-8", "surrogateescape")
        from pywerf.build.dockerfile_build import dockerfile_steps

        return msgspec.structs.replace(
            self._build,
            dockerfile=data,
            tags=(),  # the labels stay: by them cleanups of the machine find what was left behind
            target="",
            squash=False,
            pull=False,
            no_cache=False,  # the build that has failed has just filled the cache
            steps=dockerfile_steps(parse(data, self._build.name)),
        )

    def _copies(self) -> Iterator[Node]:
        """What bind mounts show, as files of the image."""
        for mount in self._mounts:
            if mount["type"] == "bind" and _can_be_copied(mount):
                flags = (f"--from={mount['from']}",) if mount["from"] else ()
                yield Node("COPY", "COPY", args=(mount["source"] or "/", mount["target"]), flags=flags, json=True)

    def _variables(self) -> Iterator[Node]:
        """The ARGs that the command sees, as variables of the image."""
        given: set[str] = {*_GIVEN, *self._build.build_args}
        for node in self._before[: _first_from(self._before)]:
            given.update(name for name, default in _args(node).items() if default)
        start = max(index for index, node in enumerate(self._before) if node.name == "FROM")
        names: dict[str, None] = {}
        for node in self._before[start:]:
            names.update((name, None) for name, default in _args(node).items() if default or name in given)
        for name in names:
            yield Node("ENV", "ENV", args=(name, f'"${{{name}}}"', "="))


def _first_from(nodes: tuple[Node, ...]) -> int:
    return next(index for index, node in enumerate(nodes) if node.name == "FROM")


def _args(node: Node) -> dict[str, bool]:
    """The names that an ARG declares, and whether each has a default."""
    if node.name != "ARG":
        return {}
    pairs = (word.partition("=") for word in node.args)
    return {name: bool(equals) for name, equals, _ in pairs if name.isidentifier()}


def _mount(flag: str) -> Mapping[str, str]:
    """The fields of a --mount by their long names, and as it was `written`."""
    written = flag.partition("=")[2]
    fields = dict(part.partition("=")[::2] for part in written.split(","))
    return {
        "written": flag,
        "type": fields.get("type") or "bind",
        "from": fields.get("from", ""),
        "source": fields.get("source") or fields.get("src") or "",
        "target": fields.get("target") or fields.get("dst") or fields.get("destination") or "",
    }


def _can_be_copied(mount: Mapping[str, str]) -> bool:
    return bool(mount["target"]) and "$" not in mount["from"] + mount["source"] + mount["target"]
