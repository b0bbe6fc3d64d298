"""`--ssh`: which agent, or which keys, it means."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pywerf.backend.ssh_agents import Agents
from pywerf.errors import BuildError, UsageError


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        agents = Agents(("default", f"other={path}"))
        assert agents.get("third") is None
        for name in ("default", "other"):
            connect = agents.get(name)
            assert connect is not None
            with connect() as client:
                assert client.getpeername() == path
        with pytest.raises(UsageError, match="not both"):
            Agents((f"default={path},{path}",))


def test_nobody_at_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UsageError, match="no agent is running"):
        Agents(("default",))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    connect = Agents(("default",)).get("default")
    assert connect is not None
    with pytest.raises(BuildError, match=r"ssh agent .*none: No such file"):
        connect()


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"ssh key .*none: No such file"):
        Agents((f"default={tmp_path}/none",))
