"""Leases in a real Redis."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.errors import LockError, LockLost
from pywerf.locks.redis import RedisLeases
from support import machine, services
from support.lease_contract import LeaseContract

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = machine.require("redis-server")
    folder = tmp_path_factory.mktemp("redis")
    port = machine.free_port()
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        services.wait_for("redis-server", lambda: _up(log), process, log)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        services.stop(process)


def _up(log: Path) -> bool:
    return b"Ready to accept connections" in log.read_bytes()


@pytest.fixture
def service(redis_url: str, request: pytest.FixtureRequest) -> Iterator[RedisLeases]:
    made = RedisLeases(redis_url, request.node.name)
    yield made
    made.close()


class TestContract(LeaseContract):
    """The suite that every service has to pass."""


def test_lease_ends_by_itself(redis_url: str) -> None:
    service = RedisLeases(redis_url, "short", lease=0.05)
    handle = service.acquire("a", False, "one")
    assert handle is not None
    time.sleep(0.1)
    with pytest.raises(LockLost):
        service.renew(handle)
    assert service.acquire("a", False, "two") is not None
    service.close()


def test_spaces_have_locks_of_their_own(service: RedisLeases, redis_url: str) -> None:
    other = RedisLeases(redis_url, "other")
    assert service.acquire("a", False, "one") is not None
    assert other.acquire("a", False, "one") is not None
    other.close()


def test_no_redis() -> None:
    leases = RedisLeases("redis://127.0.0.1:1/0")
    with pytest.raises(LockError, match="Redis does not answer"):
        leases.acquire("a", False, "one")
    leases.close()
