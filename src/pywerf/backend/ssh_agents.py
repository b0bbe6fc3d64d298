"""`--ssh default|ID[=SOCKET|KEYFILE[,KEYFILE…]]`: the agents that steps with `--mount=type=ssh` can talk to."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable

from pywerf.errors import BuildError, UsageError

__all__ = ["Agents", "Connect"]

Connect = Callable[[], socket.socket]
"""Opens a conversation with an agent. Raises BuildError."""


class Agents:
    """The agents by id. Key files are read at once, so that a wrong one is known before anything is built."""

    def __init__(self, flags: tuple[str, ...]) -> None:
        """Raises UsageError, and BuildError for a key that cannot be used."""
        self._agents: dict[str, Connect] = {}
        for flag in flags:
            name, _, value = flag.partition("=")
            self._agents[name or "default"] = _agent(flag, value)

    def get(self, name: str) -> Connect | None:
        """How to reach the agent, None when it was not given."""
        return self._agents.get(name)


def _agent(flag: str, value: str) -> Connect:
    paths = [os.path.expanduser(path) for path in value.split(",")] if value else []
    if not paths:
        path = os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(
                f"--ssh {flag}: no agent is running", hint="start ssh-agent, or name its socket or a key: ID=FILE"
            )
        return _at(path)
    if any(_is_socket(path) for path in paths):
        if len(paths) > 1:
            raise UsageError(f"--ssh {flag}: one socket, or any number of keys, but not both")
        return _at(paths[0])
    from pywerf.backend.buildah.key_agent import KeyAgent
    from pywerf.backend.buildah.ssh_keys import load_key

    return KeyAgent([load_key(path) for path in paths]).connect


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _at(path: str) -> Connect:
    def connect() -> socket.socket:
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            agent.connect(path)
        except OSError as error:
            agent.close()
            raise BuildError(
                f"ssh agent {path}: {error.strerror or error}",
                hint="--ssh ID=SOCKET names the socket of a running ssh-agent",
            ) from error
        return agent

    return connect
