"""Shells in containers of the daemon, on the user's terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pywerf.backend.contract import Shell
from pywerf.backend.docker.hijack import descriptor_of, hijack
from pywerf.backend.docker.host import CONTAINER_LABEL
from pywerf.backend.docker.to_its_end import to_its_end
from pywerf.backend.shells import no_shell, on_terminal, shell_candidates, terminal_env
from pywerf.errors import WerfError
from pywerf.util.process_mark import process_mark

if TYPE_CHECKING:
    from pywerf.backend.docker.daemon import Daemon
    from pywerf.backend.docker.images import DockerImages
    from pywerf.isolation.console import OwnTerminal
    from pywerf.util.events import Reporter

__all__ = ["DockerShells"]

_ABSENT = ("executable file not found", "no such file or directory", "permission denied", "is a directory")
_SHELL = "a terminal in a container"


class DockerShells:
    """ShellOpener of a daemon."""

    def __init__(self, daemon: Daemon, images: DockerImages, reporter: Reporter) -> None:
        self._daemon = daemon
        self._images = images
        self._reporter = reporter

    def open(self, shell: Shell, host: Mapping[str, Any] | None = None) -> None:
        """ShellOpener. `host` is more for the API's HostConfig."""
        image = self._images.inspect(shell.image)
        words = image.config.shell if shell.words is None else shell.words
        with self._daemon.translated(shell.image):
            # whether there is a program is known when it has been started
            for argv in shell_candidates(words):
                containers: list[str] = []
                try:
                    if self._opened(shell, _container(shell, str(image.id), argv, host or {}), containers):
                        return
                finally:
                    self._remove(containers)
        raise no_shell(words)

    def _opened(self, shell: Shell, body: dict[str, Any], containers: list[str]) -> bool:
        """Run the shell to its end; False when there is none of this name."""
        import docker.errors

        api = self._daemon.api

        def create() -> None:
            created = api.create_container_from_config(body)  # type: ignore[no-untyped-call]  # incomplete stubs
            containers.append(str(created["Id"]))

        to_its_end(create)
        container = containers[-1]
        path = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        peer, rest = hijack(self._daemon, path, "tcp", _SHELL)
        with peer:
            try:
                api.start(container)
            except docker.errors.APIError as error:
                said = str(error.explanation or "").lower()
                if any(words in said for words in _ABSENT):
                    return False
                raise
            with descriptor_of(peer) as descriptor:
                on_terminal(
                    self._reporter,
                    shell.title,
                    shell.then,
                    lambda terminal: self._joined(container, descriptor, rest, terminal),
                )
        return True

    def _joined(self, container: str, descriptor: int, rest: bytes, terminal: OwnTerminal) -> int:
        """The shell's terminal, joined with the user's until one of them ends; the shell's status, 0 if it goes on."""
        from pywerf.isolation.console import Console

        api = self._daemon.api

        def resized(size: os.terminal_size) -> None:
            with suppress(WerfError), self._daemon.translated():
                api.resize(container, size.lines, size.columns)

        with Console(descriptor, terminal.stdin, resized) as console:
            if rest:
                os.write(terminal.screen, rest)
            ended = console.copy(terminal.screen)
        return int(api.wait(container)["StatusCode"]) if ended else 0

    def _remove(self, containers: list[str]) -> None:
        """Remove containers with their volumes, also when interrupted meanwhile. Raises no error of the daemon's."""

        def remove() -> None:
            for container in containers:
                with suppress(WerfError), self._daemon.translated():
                    self._daemon.api.remove_container(container, v=True, force=True)

        if containers:
            to_its_end(remove)


def _container(shell: Shell, image: str, argv: tuple[str, ...], host: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the API's ContainerCreate."""
    settings: dict[str, Any] = {
        "ExtraHosts": list(shell.add_hosts),
        "LogConfig": {"Type": "none"},
        **host,
    }
    if shell.network:
        settings["NetworkMode"] = shell.network
    return {
        "Image": image,
        "Entrypoint": [argv[0]],
        "Cmd": list(argv[1:]),
        "Env": [terminal_env(os.environ)],
        "Healthcheck": {"Test": ["NONE"]},
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        # should this process be killed: by its mark cleanups of the machine see that nobody waits for the container
        "Labels": {CONTAINER_LABEL: process_mark()},
        "HostConfig": settings,
    }
