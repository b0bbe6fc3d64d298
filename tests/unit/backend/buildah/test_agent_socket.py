"""The socket that a step has in front of the user's ssh agent."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.backend.buildah.agent_socket import AgentSocket


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """An agent that answers with what it was asked, in capitals."""
    path = str(tmp_path / "agent")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()

    def answer(client: socket.socket) -> None:
        with client:
            while data := client.recv(1 << 16):
                client.sendall(data.upper())

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _own(agent: str, tmp_path: Path, mode: int = 0o600) -> AgentSocket:
    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(agent)
        return client

    return AgentSocket(connect, str(tmp_path / "own"), uid=os.getuid(), gid=os.getgid(), mode=mode)


def _ask(path: str, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(path)
        client.sendall(question)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
        return answer


def test_what_is_said_is_passed_on(agent: str, tmp_path: Path) -> None:
    with _own(agent, tmp_path) as own:
        assert _ask(own.path, b"one") == b"ONE"
        assert _ask(own.path, b"x" * 100_000) == b"X" * 100_000


def test_several_at_once(agent: str, tmp_path: Path) -> None:
    with _own(agent, tmp_path) as own:
        clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(5)]
        for client in clients:
            client.connect(own.path)
        for number, client in enumerate(clients):
            client.sendall(f"number {number}".encode())
        for number, client in enumerate(clients):
            assert client.recv(100) == f"NUMBER {number}".encode()
            client.close()


def test_it_has_its_own_mode(agent: str, tmp_path: Path) -> None:
    with _own(agent, tmp_path, 0o666) as own:
        assert stat.S_IMODE(os.stat(own.path).st_mode) == 0o666


def test_it_ends_with_the_step(agent: str, tmp_path: Path) -> None:
    with _own(agent, tmp_path) as own, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(own.path)
        client.sendall(b"a")
        assert client.recv(10) == b"A"
        own.__exit__(None, None, None)
        assert client.recv(10) == b""
        with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as late:
            late.connect(own.path)


def test_a_long_path(agent: str, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with _own(agent, folder) as own:
        assert stat.S_ISSOCK(os.stat(own.path).st_mode)
