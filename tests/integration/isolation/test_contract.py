"""What every Isolation promises (isolation/spec.py), for each implementation."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.plain import PlainIsolation
from pywerf.isolation.spec import Isolation
from pywerf.linux.mount import Mount
from support.container_drivers import IMPLEMENTATIONS
from support.forked import in_a_child

pytestmark = pytest.mark.integration

ALL: dict[str, Callable[[], Isolation]] = {**IMPLEMENTATIONS, "plain": PlainIsolation}


@pytest.fixture(params=sorted(ALL))
def make_isolation(request: pytest.FixtureRequest) -> Callable[[], Isolation]:
    return ALL[request.param]


@pytest.fixture
def isolation(make_isolation: Callable[[], Isolation]) -> Iterator[Isolation]:
    made = make_isolation()
    yield made
    made.close()


@pytest.fixture
def run(isolation: Isolation, runner_of: Callable[[Isolation], Any]) -> Any:
    return runner_of(isolation)


def test_has_a_name(isolation: Isolation) -> None:
    assert isolation.name in ("chroot", "oci")


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_code(run: Any, status: int) -> None:
    assert run.shell(f"exit {status}") == (status, "")


def test_standard_streams(run: Any) -> None:
    status, output, _ = run.run(run.spec("sh", "-c", "cat; echo err >&2"), b"in\n")
    assert (status, output) == (0, "in\nerr\n")


def test_the_callers_descriptors_stay_open(run: Any) -> None:
    read, write = os.pipe()
    run.isolation.start(run.spec("echo", "hello"), read, write, write).wait()
    os.close(write)
    assert os.read(read, 100) == b"hello\n"
    assert os.read(read, 1) == b""  # nobody else holds the other side
    os.close(read)


def test_wait_is_idempotent_and_kill_after_the_end_is_nothing(run: Any) -> None:
    container = run.isolation.start(run.spec("false"), 0, 1, 2)
    assert container.wait() == container.wait()
    container.kill()
    assert container.wait().status == 1


@pytest.mark.parametrize(("signum", "trap", "status"), [(9, "", 137), (signal.SIGTERM, "trap 'exit 3' TERM;", 3)])
def test_kill(run: Any, signum: int, trap: str, status: int) -> None:
    read, write = os.pipe()
    script = f"{trap} echo up; while :; do sleep 0.05; done"
    container = run.isolation.start(run.spec("sh", "-c", script), 0, write, write)
    os.close(write)
    assert os.read(read, 3) == b"up\n"
    container.kill(signum)
    assert container.wait().status == status
    os.close(read)


def test_kill_while_another_thread_waits(run: Any) -> None:
    container = run.isolation.start(run.spec("sleep", "600"), 0, 1, 2)
    results = []
    threads = [threading.Thread(target=lambda: results.append(container.wait().status)) for _ in range(2)]
    for thread in threads:
        thread.start()
    container.kill()
    for thread in threads:
        thread.join(60)
    assert results == [137, 137]


def test_an_interrupted_wait_can_be_repeated(
    make_isolation: Callable[[], Isolation], runner_of: Callable[[Isolation], Any]
) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    def interrupted() -> None:
        isolation = make_isolation()
        container = isolation.start(runner_of(isolation).spec("sleep", "600"), 0, 1, 2)
        signal.signal(signal.SIGALRM, stop)
        with pytest.raises(Stop):  # noqa: PT012 - it comes while we wait, on a slow machine before
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            container.wait()
        container.kill(signal.SIGKILL)
        assert container.wait().status == 137
        isolation.close()

    in_a_child(interrupted)


def test_background_processes_die_with_the_first_one(run: Any) -> None:
    read, write = os.pipe()
    status = run.isolation.start(run.spec("sh", "-c", "nohup sleep 600 & exit 5"), 0, write, write).wait().status
    os.close(write)
    assert status == 5
    while os.read(read, 100):  # what nohup says; and the end, as every holder of the pipe is gone
        pass
    os.close(read)


def test_twenty_at_once_from_threads(run: Any) -> None:
    specs = [run.spec("sh", "-c", f"echo {number}; exit {number}") for number in range(20)]
    results: dict[int, tuple[int, str, tuple[str, ...]]] = {}
    threads = [
        threading.Thread(target=lambda number=number: results.update({number: run.run(specs[number])}))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert results == {number: (number, f"{number}\n", ()) for number in range(20)}


def test_a_container_that_cannot_be_made_leaves_nothing(run: Any) -> None:
    spec = run.spec("true", mounts=(Mount("bind", "/does/not/exist", "/new/place"),))
    with pytest.raises(IsolationError, match="cannot mount /does/not/exist on /new/place: No such file"):
        run.isolation.start(spec, 0, 1, 2)
    assert run.changed() == []
    assert run.shell("exit 0") == (0, "")


def test_command_not_found_and_not_executable(run: Any) -> None:
    (run.image / "etc/script").write_text("#!/nope\n")
    (run.image / "etc/script").chmod(0o755)
    assert run.run(run.spec("nope"))[:2] == (127, 'exec: "nope": executable file not found in $PATH\n')
    assert run.run(run.spec("/nope"))[:2] == (127, 'exec: "/nope": no such file or directory\n')
    assert run.run(run.spec("/etc/script"))[:2] == (127, 'exec: "/etc/script": no such file or directory\n')
    assert run.run(run.spec("/etc"))[:2] == (126, 'exec: "/etc": permission denied\n')
    assert run.run(run.spec("/etc/passwd"))[:2] == (126, 'exec: "/etc/passwd": permission denied\n')


def test_close_kills_what_runs_and_is_idempotent(runner_of: Callable[[Isolation], Any], isolation: Isolation) -> None:
    run = runner_of(isolation)
    read, write = os.pipe()
    container = isolation.start(run.spec("sleep", "600"), 0, write, write)
    os.close(write)
    isolation.close()
    isolation.close()
    assert os.read(read, 1) == b""
    os.close(read)
    with pytest.raises(IsolationError):
        container.wait()
    with pytest.raises(IsolationError):
        isolation.start(run.spec("true"), 0, 1, 2)


def test_a_dropped_container_is_killed(run: Any) -> None:
    read, write = os.pipe()
    container = run.isolation.start(run.spec("sleep", "600"), 0, write, write)
    os.close(write)
    del container
    assert os.read(read, 1) == b""
    os.close(read)


def test_nothing_changes_on_the_host(run: Any, mounts_on_host: Callable[[], list[str]]) -> None:
    name = os.uname().nodename
    inside = "inside" if not isinstance(run.isolation, PlainIsolation) else name
    container = run.isolation.start(run.spec("sleep", "600", hostname=inside), 0, 1, 2)
    assert mounts_on_host() == []
    container.kill()
    container.wait()
    assert mounts_on_host() == []
    assert os.uname().nodename == name
