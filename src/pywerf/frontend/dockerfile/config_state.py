"""What the instructions that touch no file make of an image's config."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from pywerf.frontend.dockerfile import commands as c

if TYPE_CHECKING:
    from pywerf.graph.vertex import Vertex
    from pywerf.oci.config import ContainerConfig

__all__ = ["CONFIG_INSTRUCTIONS", "ConfigState", "changed_config"]

_DEFAULT_SHELL = ("/bin/sh", "-c")


class ConfigState(ABC):
    """An image's config while (expanded) instructions change it, with the lines of its history.

    `cmd_is_own` tells that CMD was set in this stage: ENTRYPOINT leaves it then.
    """

    def __init__(self, config: ContainerConfig, *, cmd_is_own: bool = False) -> None:
        self.config = config
        self.author = ""
        self.cmd_is_own = cmd_is_own

    def set_env(self, key: str, value: str) -> None:
        """A variable of the image."""
        env = list(self.config.env)
        for index, item in enumerate(env):
            if item.partition("=")[0] == key:
                env[index] = f"{key}={value}"
                break
        else:
            env.append(f"{key}={value}")
        self.change(env=tuple(env))

    def change(self, **fields: object) -> None:
        """Change fields of the image's config."""
        self.config = msgspec.structs.replace(self.config, **fields)

    @abstractmethod
    def note(self, text: str, vertex: Vertex | None = None) -> None:
        """A line of the image's history; without `vertex` nothing was done to the files."""

    def env(self, command: c.Env) -> None:
        """ENV."""
        for pair in command.pairs:
            self.set_env(pair.key, pair.value)
        self.note("ENV " + " ".join(f"{pair.key}={pair.value}" for pair in command.pairs))

    def label(self, command: c.Label) -> None:
        """LABEL."""
        self.change(labels={**self.config.labels, **{pair.key: pair.value for pair in command.pairs}})
        self.note("LABEL " + " ".join(f"{pair.key}={pair.value}" for pair in command.pairs))

    def cmd(self, command: c.Cmd) -> None:
        """CMD."""
        self.cmd_is_own = True
        self.change(cmd=self._argv(command.form, command.argv, command.line))
        self.note(f"CMD {_shown(self.config.cmd)}")

    def entrypoint(self, command: c.Entrypoint) -> None:
        """ENTRYPOINT; a CMD that was inherited goes, since it was meant for another entry point."""
        self.change(entrypoint=self._argv(command.form, command.argv, command.line))
        if not self.cmd_is_own:
            self.change(cmd=None)
        self.note(f"ENTRYPOINT {_shown(self.config.entrypoint)}")

    def shell(self, command: c.Shell) -> None:
        """SHELL."""
        self.change(shell=command.argv)
        self.note(f"SHELL {_shown(command.argv)}")

    def user(self, command: c.User) -> None:
        """USER."""
        self.change(user=command.user)
        self.note(f"USER {command.user}")

    def expose(self, command: c.Expose) -> None:
        """EXPOSE."""
        self.change(exposed_ports=tuple(sorted({*self.config.exposed_ports, *command.ports})))
        self.note(f"EXPOSE {' '.join(command.ports)}")

    def volume(self, command: c.Volume) -> None:
        """VOLUME."""
        self.change(volumes=tuple(sorted({*self.config.volumes, *command.paths})))
        self.note(f"VOLUME {' '.join(command.paths)}")

    def stopsignal(self, command: c.Stopsignal) -> None:
        """STOPSIGNAL."""
        self.change(stop_signal=command.signal)
        self.note(f"STOPSIGNAL {command.signal}")

    def healthcheck(self, command: c.Healthcheck) -> None:
        """HEALTHCHECK."""
        self.change(healthcheck=command.config)
        self.note(command.code)

    def onbuild(self, command: c.Onbuild) -> None:
        """ONBUILD."""
        self.change(onbuild=(*self.config.onbuild, command.expression))
        self.note(command.code)

    def maintainer(self, command: c.Maintainer) -> None:
        """MAINTAINER."""
        self.author = command.maintainer
        self.note(f"MAINTAINER {command.maintainer}")

    def _argv(self, form: str, argv: tuple[str, ...], line: str) -> tuple[str, ...]:
        return argv if form == "exec" else (*self.shell_words, line)

    @property
    def shell_words(self) -> tuple[str, ...]:
        """What the shell forms of instructions begin with."""
        return self.config.shell or _DEFAULT_SHELL


class _OneInstruction(ConfigState):
    """What one instruction does; its line of the history is `noted`."""

    noted = ""

    def note(self, text: str, vertex: Vertex | None = None) -> None:
        self.noted = text


def changed_config(
    config: ContainerConfig, command: c.Command, *, cmd_is_own: bool = False
) -> tuple[ContainerConfig, str, str]:
    """The config after an (expanded) instruction of CONFIG_INSTRUCTIONS, the author that it names, and the history's

    line.
    """
    state = _OneInstruction(config, cmd_is_own=cmd_is_own)
    CONFIG_INSTRUCTIONS[type(command)](state, command)
    return state.config, state.author, state.noted


def _shown(argv: tuple[str, ...] | None) -> str:
    return msgspec.json.encode(list(argv or ())).decode()


CONFIG_INSTRUCTIONS: Mapping[type[c.Command], Callable[[Any, Any], None]] = {
    c.Cmd: ConfigState.cmd,
    c.Entrypoint: ConfigState.entrypoint,
    c.Env: ConfigState.env,
    c.Expose: ConfigState.expose,
    c.Healthcheck: ConfigState.healthcheck,
    c.Label: ConfigState.label,
    c.Maintainer: ConfigState.maintainer,
    c.Onbuild: ConfigState.onbuild,
    c.Shell: ConfigState.shell,
    c.Stopsignal: ConfigState.stopsignal,
    c.User: ConfigState.user,
    c.Volume: ConfigState.volume,
}
"""By kind of instruction; each takes the kind that it is listed for."""
