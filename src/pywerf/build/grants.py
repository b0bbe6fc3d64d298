"""What the user lends to a build: secrets and ssh agents. They reach the steps that ask for them, and git."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pywerf.errors import BuildError, UsageError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from pywerf.backend.contract import Secret
    from pywerf.backend.ssh_agents import Agents, Connect

__all__ = ["Grants", "Secrets", "parse_secret"]


class Grants:
    """Secrets and agents by name. Secrets are read when they are asked for, key files at once."""

    def __init__(self, secrets: tuple[str, ...] = (), ssh: tuple[str, ...] = ()) -> None:
        """Raises UsageError, and BuildError for a key that cannot be used."""
        self._secrets = Secrets(secrets)
        self._agents: Agents | None = None
        if ssh:
            from pywerf.backend.ssh_agents import Agents

            self._agents = Agents(ssh)
        self._offered = False

    def secret(self, name: str) -> bytes | None:
        """The secret's bytes, None when it was not given. Raises BuildError when it cannot be read."""
        return self._secrets.get(name)

    def agent(self, name: str) -> Connect | None:
        """How to reach an agent, None when it was not given."""
        return None if self._agents is None else self._agents.get(name)

    def offer_agent(self, stack: ExitStack, folder: str) -> None:
        """Have git find the default agent until the end of `stack`; `folder` is for a socket.

        libssh2 looks into SSH_AUTH_SOCK, which is changed for this process; no container sees it. Raises BuildError.
        """
        connect = self.agent("default")
        if connect is None or self._offered:
            return
        from pywerf.backend.buildah.agent_socket import AgentSocket

        own = AgentSocket(connect, os.path.join(folder, "agent"), uid=os.getuid(), gid=os.getgid(), mode=0o600)
        stack.enter_context(own)
        stack.callback(_set_agent, os.environ.get("SSH_AUTH_SOCK"))
        _set_agent(own.path)
        self._offered = True

    def git_token(self, host: str) -> str:
        """The token for git servers (BuildKit's names of secrets): that of the host, or of all; "" for none."""
        data = self.secret(f"GIT_AUTH_TOKEN.{host}") or self.secret("GIT_AUTH_TOKEN") or b""
        return data.decode("utf-8", "surrogateescape").strip()

    def git_header(self, host: str) -> str:
        """What the Authorization header for a git server says (`basic …`, `Bearer …`); "" for nothing.

        Raises BuildError for what cannot be a header.
        """
        data = self.secret(f"GIT_AUTH_HEADER.{host}") or self.secret("GIT_AUTH_HEADER") or b""
        text = data.decode("utf-8", "surrogateescape").strip()
        if not (text.isascii() and (not text or text.isprintable())):
            raise BuildError(
                "the secret GIT_AUTH_HEADER is no HTTP header", hint="it is one line, such as `Bearer TOKEN`"
            )
        return text


def _set_agent(path: str | None) -> None:
    if path is None:
        os.environ.pop("SSH_AUTH_SOCK", None)
    else:
        os.environ["SSH_AUTH_SOCK"] = path


def parse_secret(text: str) -> Secret:
    """`id=NAME,src=FILE` or `id=NAME,env=VARIABLE` (`id=NAME`: the variable of that name). Raises UsageError."""
    from pywerf.backend.contract import Secret

    fields = dict(part.partition("=")[::2] for part in text.split(","))
    name = fields.get("id", "")
    if not name:
        raise UsageError(f"--secret {text.partition('=')[0]}=…: an id is needed", hint="--secret id=NAME,src=FILE")
    path = fields.get("src") or fields.get("source")
    return Secret(name, path=os.path.expanduser(path)) if path else Secret(name, env=fields.get("env") or name)


class Secrets:
    """What `--secret` names (parse_secret): read when a step asks for it, kept nowhere."""

    def __init__(self, flags: tuple[str, ...]) -> None:
        self._secrets = {secret.id: secret for secret in map(parse_secret, flags)}

    def get(self, name: str) -> bytes | None:
        """The secret's bytes, None when it was not given. Raises BuildError when it cannot be read."""
        secret = self._secrets.get(name)
        if secret is None:
            return None
        if not secret.path:
            value = os.environ.get(secret.env)
            return None if value is None else os.fsencode(value)
        try:
            with open(secret.path, "rb") as file:
                return file.read()
        except OSError as error:
            raise BuildError(f"secret {name}: {secret.path}: {error.strerror}") from error
