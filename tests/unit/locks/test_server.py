"""The lock server and its clients, over real HTTP on loopback."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from pywerf.errors import LockError, UsageError
from pywerf.locks.choose import is_server, open_locker
from pywerf.locks.files import FileLocker
from pywerf.locks.http import HttpLeases, new_client_id
from pywerf.locks.server import LockServer
from pywerf.locks.table import LeaseTable
from support.lease_contract import LeaseContract


@pytest.fixture
def server() -> Iterator[LockServer]:
    made = LockServer(LeaseTable(":memory:"), "127.0.0.1", 0)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.stop()
    thread.join()
    made.close()


@pytest.fixture
def leases(server: LockServer) -> Iterator[HttpLeases]:
    made = HttpLeases(f"{server.address}/client-1")
    yield made
    made.close()


class TestContract(LeaseContract):
    @pytest.fixture
    def service(self, leases: HttpLeases) -> HttpLeases:
        return leases


def post(url: str, body: bytes) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_clients_have_locks_of_their_own(server: LockServer, leases: HttpLeases) -> None:
    other = HttpLeases(f"{server.address}/{new_client_id(server.address)}/")
    assert leases.acquire("a", False, "one") is not None
    assert other.acquire("a", False, "one") is not None
    other.close()


def test_answers_as_they_are_on_the_wire(server: LockServer) -> None:
    assert post(f"{server.address}/health", b'{"echo": "hi"}') == (200, b'{"err":null,"echo":"hi","status":"OK"}')
    wanted = b'{"lockName": "a", "opts": {"shared": false, "acquirerId": "x"}}'
    status, answer = post(f"{server.address}/c/locker/acquire", wanted)
    assert status == 200
    assert answer.startswith(b'{"err":null,"lockHandle":{"uuid":"')
    assert answer.endswith(b'","lockName":"a"}}')
    assert post(f"{server.address}/c/locker/acquire", wanted.replace(b'"x"', b'"y"')) == (200, b'{"err":"should wait"}')
    lost = b'{"lockHandle": {"uuid": "00", "lockName": "a"}}'
    assert post(f"{server.address}/c/locker/release", lost) == (200, b'{"err":"no existing lock lease found"}')


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/c/locker/steal", b"{}", 404),
        ("/../etc", b"{}", 404),
        ("/c/locker/acquire", b"not json", 400),
        ("/c/locker/acquire", b"{}", 400),
        ("/c/locker/acquire", b" " * (65 << 10), 413),
    ],
)
def test_bad_requests(server: LockServer, path: str, body: bytes, status: int) -> None:
    assert post(server.address + path, body)[0] == status


def test_port_in_use(server: LockServer) -> None:
    port = int(server.address.rpartition(":")[2])
    with pytest.raises(LockError, match="cannot listen"):
        LockServer(LeaseTable(":memory:"), "127.0.0.1", port)


def test_no_server() -> None:
    leases = HttpLeases("http://127.0.0.1:1/client")
    with pytest.raises(LockError, match="does not answer"):
        leases.acquire("a", False, "one")
    with pytest.raises(LockError):
        new_client_id("http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("kubernetes://ns", "not supported"),
        ("ftp://host", "no lock service"),
        ("http://", "no address"),
        ("http://host/?a", "no address"),
    ],
)
def test_addresses_that_are_none(address: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        open_locker(address, "space", home="/nowhere")


def test_addresses(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert isinstance(open_locker("", "s", home=str(tmp_path_factory.mktemp("home"))), FileLocker)
    assert is_server("https://locks.example.com")
    assert not is_server(":local")
