"""What BuildKit may ask of us while it builds: secrets, ssh agents, credentials of registries, and whether we live."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pywerf.backend.contract import Secret
from pywerf.backend.docker.grpc import NOT_FOUND, Call, Handler, Refused
from pywerf.backend.docker.protobuf import Message, bytes_field, int_field
from pywerf.backend.ssh_agents import Agents, Connect

__all__ = ["Agents", "Credentials", "Secrets", "handlers_of", "health"]

_CHUNK = 1 << 15
_HUB = ("registry-1.docker.io", "docker.io", "index.docker.io")
_HUB_KEY = "https://index.docker.io/v1/"


def health(call: Call) -> None:
    """grpc.health.v1.Health/Check: serving."""
    call.read()
    call.write(int_field(1, 1))


class Secrets:
    """moby.buildkit.secrets.v1.Secrets/GetSecret: read when a step wants one, and kept nowhere."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._secrets = {secret.id: secret for secret in secrets}

    def __call__(self, call: Call) -> None:
        """Answer with the secret's bytes."""
        name = Message(call.read() or b"").text(1)
        secret = self._secrets.get(name)
        if secret is None:
            raise Refused(NOT_FOUND, f"secret {name} was not given: --secret id={name},src=FILE")
        call.write(bytes_field(1, _content(secret)))


def _content(secret: Secret) -> bytes:
    if not secret.path:
        return os.fsencode(os.environ.get(secret.env or secret.id, ""))
    try:
        with open(secret.path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Refused(NOT_FOUND, f"secret {secret.id}: {secret.path}: {error.strerror}") from error


class SshForward:
    """moby.sshforward.v1.SSH: what a step says to its agent's socket is said to the user's, and back."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def check(self, call: Call) -> None:
        """CheckAgent: whether there is one of that id."""
        self._find(Message(call.read() or b"").text(1))
        call.write(b"")

    def _find(self, name: str) -> Connect:
        name = name or "default"
        connect = self._agents.get(name)
        if connect is None:
            raise Refused(NOT_FOUND, f"ssh agent {name} was not given: --ssh {name}")
        return connect

    def forward(self, call: Call) -> None:
        """ForwardAgent: a conversation."""
        with self._find(call.metadata.get("buildkit.ssh.id", [""])[0])() as agent:
            back = threading.Thread(target=_back, args=(agent, call), name="ssh-agent", daemon=True)
            back.start()
            while (data := call.read()) is not None:
                agent.sendall(Message(data).data(1))
            agent.shutdown(socket.SHUT_WR)
            back.join()


def _back(agent: socket.socket, call: Call) -> None:
    try:
        while data := agent.recv(_CHUNK):
            call.write(bytes_field(1, data))
    except OSError:
        return  # one of both sides is gone


class Credentials:
    """moby.filesync.v1.Auth/Credentials: who we are for a registry, from docker's config.json and its helpers."""

    def __init__(self, lookup: Callable[[str], Mapping[str, Any] | None]) -> None:
        self._lookup = lookup

    def __call__(self, call: Call) -> None:
        """Answer with user name and password, or identity token, or nothing."""
        host = Message(call.read() or b"").text(1)
        found = self._lookup(_HUB_KEY if host in _HUB else host) or {}
        token = str(found.get("IdentityToken") or found.get("identitytoken") or "")
        if token:
            call.write(bytes_field(2, token))
            return
        user = str(found.get("Username") or found.get("username") or "")
        password = str(found.get("Password") or found.get("password") or "")
        call.write(bytes_field(1, user) + bytes_field(2, password))


def handlers_of(
    files: Handler, secrets: Sequence[Secret], agents: Agents, credentials: Credentials
) -> dict[str, Handler]:
    """All methods by their paths."""
    forward = SshForward(agents)
    return {
        "/grpc.health.v1.Health/Check": health,
        "/moby.filesync.v1.FileSync/DiffCopy": files,
        "/moby.filesync.v1.Auth/Credentials": credentials,
        "/moby.buildkit.secrets.v1.Secrets/GetSecret": Secrets(secrets),
        "/moby.sshforward.v1.SSH/CheckAgent": forward.check,
        "/moby.sshforward.v1.SSH/ForwardAgent": forward.forward,
    }
