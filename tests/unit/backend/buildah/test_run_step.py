"""A container that is a plain process of this user: pipes, endings and signals are real."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest

from pywerf.backend.buildah.run_step import run_container
from pywerf.backend.buildah.running import Running
from pywerf.errors import ContainerFailed, IsolationError, RuntimeFailed
from pywerf.isolation.spec import ContainerResult, ContainerSpec
from pywerf.linux.mount import Mount

PATIENCE = 20.0


class Process:
    """A Container: the process, and how often it was killed and waited for."""

    def __init__(self, process: subprocess.Popen[bytes], created: tuple[str, ...]) -> None:
        self.process = process
        self.created = created
        self.kills = 0

    def wait(self) -> ContainerResult:
        code = self.process.wait(PATIENCE)
        return ContainerResult(code if code >= 0 else 128 - code, self.created)

    def kill(self, signum: int = 9) -> None:
        self.kills += 1
        self.process.send_signal(signum)


class Processes:
    """An Isolation without any."""

    name = "none"

    def __init__(self, created: tuple[str, ...] = ()) -> None:
        self.created = created
        self.started: list[Process] = []
        self.error: Exception | None = None
        self.words = b""

    def start(self, spec: ContainerSpec, stdin: int, stdout: int, stderr: int) -> Process:
        if self.error is not None:
            os.write(stderr, self.words)
            raise self.error
        process = subprocess.Popen(spec.argv, stdin=stdin, stdout=stdout, stderr=stderr)
        self.started.append(Process(process, self.created))
        return self.started[-1]

    def close(self) -> None:
        pass


class Output:
    """What came, by stream."""

    def __init__(self) -> None:
        self.out = b""
        self.err = b""
        self.came = threading.Event()

    def __call__(self, data: bytes, stderr: bool) -> None:
        if stderr:
            self.err += data
        else:
            self.out += data
        self.came.set()


@pytest.fixture
def isolation() -> Processes:
    return Processes()


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> object:
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before


def shell(script: str) -> ContainerSpec:
    return ContainerSpec(rootfs=Mount("bind", "/"), argv=("/bin/sh", "-c", script))


def test_output_and_mount_points(output: Output) -> None:
    isolation = Processes(("a", "a/b"))
    created = run_container(isolation, shell("echo out; echo err >&2"), Running(), output, "RUN x")
    assert created == ("a", "a/b")
    assert (output.out, output.err) == (b"out\n", b"err\n")


def test_the_input_is_empty_or_what_is_given(isolation: Processes, output: Output) -> None:
    run_container(isolation, shell("cat; echo end"), Running(), output, "RUN")
    run_container(isolation, shell("cat"), Running(), output, "RUN", stdin=b"x" * 300_000)
    assert output.out == b"end\n" + b"x" * 300_000


def test_much_output_on_both_streams(isolation: Processes, output: Output) -> None:
    script = "head -c 1000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait"
    run_container(isolation, shell(script), Running(), output, "RUN")
    assert (len(output.out), len(output.err)) == (1_000_000, 1_000_000)


def test_a_closed_stream_does_not_keep_the_other(isolation: Processes, output: Output) -> None:
    run_container(isolation, shell("exec >&-; echo more >&2"), Running(), output, "RUN")
    assert output.err == b"more\n"


@pytest.mark.parametrize(
    ("script", "status", "message", "hint"),
    [
        ("exit 3", 3, "RUN it: exit code 3", None),
        ("exit 127", 127, "RUN it: exit code 127", "not found"),
        ("exit 126", 126, "RUN it: exit code 126", "not executable"),
        ("kill -9 $$", 137, r"RUN it: killed by SIGKILL \(exit code 137\)", "out of memory"),
        ("kill -TERM $$", 143, r"RUN it: killed by SIGTERM \(exit code 143\)", None),
        ("exit 200", 200, "RUN it: exit code 200", None),
        ("exit 255", 255, "RUN it: exit code 255", None),
    ],
)
def test_how_it_ended(
    isolation: Processes, output: Output, script: str, status: int, message: str, hint: str | None
) -> None:
    with pytest.raises(ContainerFailed, match=f"^{message}$") as caught:
        run_container(isolation, shell(f"echo last words; {script}"), Running(), output, "RUN it")
    assert caught.value.status == status
    assert caught.value.output == "last words\n"
    assert (caught.value.hint is None) if hint is None else hint in str(caught.value.hint)


def test_only_the_last_of_much_output_is_kept(isolation: Processes, output: Output) -> None:
    with pytest.raises(ContainerFailed) as caught:
        run_container(isolation, shell("seq 100000; exit 1"), Running(), output, "RUN")
    assert caught.value.output.endswith("99999\n100000\n")
    assert len(caught.value.output) <= 16 << 10
    assert len(output.out) > 500_000


def test_output_that_is_not_utf_8(isolation: Processes, output: Output) -> None:
    with pytest.raises(ContainerFailed) as caught:
        run_container(isolation, shell(r"printf '\377ok'; exit 1"), Running(), output, "RUN")
    assert caught.value.output == "\ufffdok"


def test_a_container_that_cannot_be_started(isolation: Processes, output: Output) -> None:
    isolation.error = IsolationError("no")
    running = Running()
    with pytest.raises(IsolationError):
        run_container(isolation, shell("true"), running, output, "RUN")


@pytest.mark.parametrize(
    ("logged", "words", "message"),
    [
        ("", b"bad flag\n\n usage: it\n -x\n", "cannot run it: it ended with status 64: bad flag; usage: it"),
        ("", b"", "cannot run it: it ended with status 64 and did not say why"),
        ("no space", b"time=now no space\n", "cannot run it: no space"),
    ],
)
def test_a_runtime_that_fails_is_quoted(
    isolation: Processes, output: Output, logged: str, words: bytes, message: str
) -> None:
    isolation.error = RuntimeFailed("cannot run it", logged=logged, status=64)
    isolation.words = words
    with pytest.raises(RuntimeFailed) as caught:
        run_container(isolation, shell("true"), Running(), output, "RUN")
    assert str(caught.value) == caught.value.message == message
    assert output.err == words


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("of the view")])
def test_an_exception_while_it_runs_ends_it(isolation: Processes, error: BaseException) -> None:
    def output(data: bytes, stderr: bool) -> None:
        raise error

    with pytest.raises(type(error)):
        run_container(isolation, shell("echo x; exec sleep 100"), Running(), output, "RUN")
    (process,) = isolation.started
    assert process.process.returncode == -signal.SIGKILL


def test_cancel_kills_what_runs_and_what_comes(isolation: Processes, output: Output) -> None:
    running = Running()
    failures: list[ContainerFailed] = []

    def run() -> None:
        with pytest.raises(ContainerFailed) as caught:
            run_container(isolation, shell("echo x; exec sleep 100"), running, output, "RUN")
        failures.append(caught.value)

    thread = threading.Thread(target=run)
    thread.start()
    assert output.came.wait(PATIENCE)
    assert not running.is_cancelled()
    running.cancel()
    thread.join(PATIENCE)
    assert running.is_cancelled()
    run()  # begun after it: killed at once
    assert [failure.status for failure in failures] == [137, 137]


def test_what_has_ended_is_not_killed(isolation: Processes, output: Output) -> None:
    running = Running()
    run_container(isolation, shell("true"), running, output, "RUN")
    running.cancel()
    assert isolation.started[0].kills == 0


def test_commands_read_from_a_descriptor_one_after_the_other() -> None:
    """Nobody reads ahead: what one command leaves is for the next, and the descriptor stays the caller's."""
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nthree\n")
    os.close(writing)
    told: list[bytes] = []
    for script in ("read x; echo 1 $x", "read x; echo 2 $x", "cat"):
        spec = ContainerSpec(rootfs=Mount("bind", "/"), argv=("sh", "-c", script))
        run_container(Processes(), spec, Running(), lambda data, stderr: told.append(data), "RUN", reading)
    os.close(reading)
    assert b"".join(told) == b"1 one\n2 two\nthree\n"
