"""The session's server, asked by an HTTP/2 client as the daemon would: health, secrets, credentials, files."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, TrailersReceived

from pywerf.backend.contract import Secret
from pywerf.backend.docker.filesync import FileSync, wanted_paths
from pywerf.backend.docker.grpc import GrpcServer
from pywerf.backend.docker.one_file import OneFile
from pywerf.backend.docker.protobuf import Message, bytes_field, int_field
from pywerf.backend.docker.services import Credentials, handlers_of
from pywerf.backend.ssh_agents import Agents
from pywerf.source.local import LocalTree


class Client:
    """Calls methods over one connection, one at a time."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.peer.sendall(self.http.data_to_send())

    def begin(self, method: str, *metadata: tuple[str, str]) -> int:
        stream = self.http.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "x")]
        self.http.send_headers(stream, [*headers, ("te", "trailers"), *metadata])
        self.flush()
        return stream

    def write(self, stream: int, message: bytes, *, last: bool = False) -> None:
        self.http.send_data(stream, len(message).to_bytes(5, "big") + message, end_stream=last)
        self.flush()

    def messages(self, stream: int) -> Iterator[bytes]:
        """The messages of the answer; at the end `status` and `said` are set."""
        data = b""
        self.status, self.said = -1, ""
        while True:
            for event in self.http.receive_data(self.peer.recv(1 << 16)):
                if isinstance(event, DataReceived):
                    self.http.acknowledge_received_data(event.flow_controlled_length, stream)
                    data += event.data
                elif isinstance(event, TrailersReceived):
                    trailers = dict(event.headers)
                    self.status, self.said = int(trailers["grpc-status"]), trailers["grpc-message"]
                elif isinstance(event, StreamEnded):
                    assert not data
                    return
                while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5], "big"):
                    size = int.from_bytes(data[1:5], "big")
                    message, data = data[5 : 5 + size], data[5 + size :]
                    self.flush()
                    yield message
            self.flush()

    def call(self, method: str, request: bytes = b"") -> bytes:
        stream = self.begin(method)
        self.write(stream, request, last=True)
        found = list(self.messages(stream))
        assert (self.status, self.said) == (0, "")
        (message,) = found
        return message

    def refused(self, method: str, request: bytes = b"") -> tuple[int, str]:
        stream = self.begin(method)
        self.write(stream, request, last=True)
        assert list(self.messages(stream)) == []
        return self.status, self.said


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Makes a client of a server with the given trees, secrets and credentials."""
    opened: list[tuple[socket.socket, GrpcServer]] = []

    def make(
        trees: dict[str, LocalTree | OneFile] | None = None,
        secrets: tuple[Secret, ...] = (),
        credentials: dict[str, dict[str, str]] | None = None,
        ssh: tuple[str, ...] = (),
    ) -> Client:
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        handlers = handlers_of(FileSync(trees or {}), secrets, Agents(ssh), Credentials((credentials or {}).get))
        server = GrpcServer(theirs, handlers)
        server.start()
        opened.append((ours, server))
        return Client(ours)

    yield make
    for ours, server in opened:
        server.close()
        ours.close()


def test_health(make_client: Callable[..., Client]) -> None:
    assert Message(make_client().call("/grpc.health.v1.Health/Check")).number(1) == 1


def test_unknown_method(make_client: Callable[..., Client]) -> None:
    assert make_client().refused("/some.Service/Method") == (12, "unknown method")


def test_secrets(make_client: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").write_bytes(b"\0hush")
    monkeypatch.setenv("TOKEN", "from env")
    given = (Secret("file", path=str(tmp_path / "s")), Secret("var", env="TOKEN"), Secret("lost", path="/none"))
    client = make_client(secrets=given)
    method = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
    assert Message(client.call(method, bytes_field(1, "file"))).data(1) == b"\0hush"
    assert Message(client.call(method, bytes_field(1, "var"))).data(1) == b"from env"
    status, said = client.refused(method, bytes_field(1, "other"))
    assert status == 5
    assert "secret other was not given" in said
    assert client.refused(method, bytes_field(1, "lost"))[0] == 5


def test_credentials(make_client: Callable[..., Client]) -> None:
    known = {
        "r.io": {"Username": "u", "Password": "p"},
        "t.io": {"IdentityToken": "tok", "Username": "<token>"},
        "https://index.docker.io/v1/": {"Username": "hub", "Password": "q"},
    }
    client = make_client(credentials=known)
    method = "/moby.filesync.v1.Auth/Credentials"

    def found(host: str) -> tuple[str, str]:
        message = Message(client.call(method, bytes_field(1, host)))
        return message.text(1), message.text(2)

    assert found("r.io") == ("u", "p")
    assert found("t.io") == ("", "tok")
    assert found("registry-1.docker.io") == ("hub", "q")
    assert found("other") == ("", "")


def receive(client: Client, *metadata: tuple[str, str]) -> dict[str, tuple[Message, bytes]]:
    """All of a tree, as BuildKit fetches it into an empty folder."""
    stream = client.begin("/moby.filesync.v1.FileSync/DiffCopy", *metadata)
    stats: list[Message] = []
    data: dict[int, bytes] = {}
    waiting: set[int] = set()
    for raw in client.messages(stream):
        packet = Message(raw)
        kind = packet.number(1)
        if kind == 0 and 2 in packet:
            stats.append(packet.messages(2)[0])
        elif kind == 0:
            for number, stat in enumerate(stats):
                if stat.number(2) < 1 << 20 and not stat.text(7):  # a regular file that is no hard link
                    waiting.add(number)
                    client.write(stream, int_field(1, 1) + int_field(3, number))
        elif kind == 2:
            number = packet.number(3)
            data[number] = data.get(number, b"") + packet.data(4)
            if 4 not in packet:
                waiting.remove(number)
        else:
            assert kind == 3
        if stats and not waiting and kind in (0, 2) and (kind == 2 or 2 not in packet):
            client.write(stream, int_field(1, 3))
    assert client.status == 0, client.said
    return {stat.text(1): (stat, data.get(number, b"")) for number, stat in enumerate(stats)}


def test_files(make_client: Callable[..., Client], tmp_path: Path) -> None:
    big = os.urandom(3 << 20)  # more than the windows of flow control hold
    (tmp_path / "d").mkdir()
    (tmp_path / "d/big").write_bytes(big)
    (tmp_path / "d.txt").write_bytes(b"x")
    (tmp_path / "d.txt").chmod(0o4755)
    os.link(tmp_path / "d.txt", tmp_path / "z")
    (tmp_path / "link").symlink_to("d/big")
    (tmp_path / "empty").touch()
    found = receive(make_client({"context": LocalTree(str(tmp_path))}), ("dir-name", "context"))
    assert list(found) == ["d", "d/big", "d.txt", "empty", "link", "z"]
    assert found["d/big"][1] == big
    assert found["d.txt"][0].number(2) == 0o755 | 1 << 23
    assert (found["z"][0].text(7), found["z"][0].number(5)) == ("d.txt", 0)
    assert found["link"][0].text(7) == "d/big"
    assert found["d"][0].number(2) >> 31 == 1
    assert found["empty"][0].number(6) == (tmp_path / "empty").stat().st_mtime_ns


def test_one_file(make_client: Callable[..., Client]) -> None:
    found = receive(make_client({"dockerfile": OneFile("Dockerfile", b"FROM x")}), ("dir-name", "dockerfile"))
    assert {name: data for name, (_, data) in found.items()} == {"Dockerfile": b"FROM x"}


def test_only_what_is_followed(make_client: Callable[..., Client], tmp_path: Path) -> None:
    for name in ("a/b/c", "a/x", "t/f", "other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "l").symlink_to("t")
    asked = [("dir-name", "context"), ("followpaths", "a/b"), ("followpaths", "l/f")]
    assert sorted(receive(make_client({"context": LocalTree(str(tmp_path))}), *asked)) == [
        *("a", "a/b", "a/b/c", "l", "t", "t/f")
    ]


def test_unknown_folder(make_client: Callable[..., Client]) -> None:
    client = make_client()
    stream = client.begin("/moby.filesync.v1.FileSync/DiffCopy", ("dir-name", "other"))
    assert list(client.messages(stream)) == []
    assert (client.status, client.said) == (5, "no folder 'other' is offered")


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ([], None),
        (["*.py"], None),
        (["../x"], None),
        (["."], None),
        (["a/*.py", "b"], {"a", "b"}),
        (["/a/./b/"], {"a/b"}),
    ],
)
def test_wanted_paths(asked: list[str], wanted: set[str] | None) -> None:
    assert wanted_paths(OneFile("", b""), asked) == wanted


def test_the_caller_goes_in_the_middle(make_client: Callable[..., Client], tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(8 << 20))
    client = make_client({"context": LocalTree(str(tmp_path))})
    stream = client.begin("/moby.filesync.v1.FileSync/DiffCopy", ("dir-name", "context"))
    for raw in client.messages(stream):
        if not raw:
            break
    client.write(stream, int_field(1, 1))
    client.peer.close()  # the fixture's close joins the server's thread: it must not hang


def test_an_ssh_agent(make_client: Callable[..., Client], tmp_path: Path) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.bind(path)
        agent.listen()
        client = make_client(ssh=(f"mine={path}",))
        assert client.call("/moby.sshforward.v1.SSH/CheckAgent", bytes_field(1, "mine")) == b""
        assert client.refused("/moby.sshforward.v1.SSH/CheckAgent")[0] == 5
        stream = client.begin("/moby.sshforward.v1.SSH/ForwardAgent", ("buildkit.ssh.id", "mine"))
        client.write(stream, bytes_field(1, b"ask"))
        peer, _ = agent.accept()
        with peer:
            assert peer.recv(10) == b"ask"
            peer.sendall(b"answer")
            answers = client.messages(stream)
            assert Message(next(answers)).data(1) == b"answer"
