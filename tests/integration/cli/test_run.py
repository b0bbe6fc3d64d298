"""`werf run` with real containers: status, streams, terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from support import machine
from support.werf import Werf

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def image(shared_werf: Werf, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with busybox alone."""
    context = tmp_path_factory.mktemp("run")
    busybox = context / "busybox"
    busybox.write_bytes(Path(machine.require("busybox", "busybox-static")).read_bytes())
    busybox.chmod(0o755)
    (context / "Dockerfile").write_text(
        "FROM scratch\n"
        "COPY busybox /bin/busybox\n"
        'RUN ["/bin/busybox", "--install", "/bin"]\n'
        "ENV GREETING=hello\n"
        "WORKDIR /tmp\n"
        'ENTRYPOINT ["/bin/sh", "-c"]\n'
        'CMD ["echo $GREETING from $(pwd)"]\n'
    )
    shared_werf.build(context, "run-test")
    return "run-test"


def test_what_the_image_says(shared_werf: Werf, image: str) -> None:
    assert shared_werf.run("run", image).stdout == "hello from /tmp\n"


def test_what_the_flags_say(shared_werf: Werf, image: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("shared\n")
    tmp_path.chmod(0o755)
    done = shared_werf.run(
        "run", "-e", "GREETING=bye", "-u", "7:8", "-w", "/", "-v", f"{tmp_path}:/mnt:ro",
        image, "--", "echo $GREETING $(pwd) $(id -u):$(id -g) $(cat /mnt/file); touch /mnt/x || echo read-only",
    )  # fmt: skip
    assert done.stdout == "bye / 7:8 shared\nread-only\n"


@pytest.mark.parametrize(("command", "status"), [("exit 0", 0), ("exit 42", 42), ("sh -c 'kill -9 $$'; exit $?", 137)])
def test_the_status_is_passed_on(command: str, status: int, shared_werf: Werf, image: str) -> None:
    assert shared_werf.run("run", image, command, check=False).returncode == status


def test_a_command_that_is_not_there(shared_werf: Werf, image: str) -> None:
    done = shared_werf.run("run", "--entrypoint", "/nosuch", image, check=False)
    assert done.returncode == 127
    assert "/nosuch" in done.stderr


def test_stdin_with_interactive(shared_werf: Werf, image: str) -> None:
    assert shared_werf.run("run", "-i", image, "cat", stdin=b"through\n").stdout == "through\n"
    assert shared_werf.run("run", image, "cat", stdin=b"through\n").stdout == ""


def test_streams_stay_apart(shared_werf: Werf, image: str) -> None:
    done = shared_werf.run("run", image, "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_terminal(shared_werf: Werf, image: str) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*shared_werf.command, "run", "-it", image, "test -t 0 && test -t 1 && read x && echo got $x; exit 5"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=shared_werf.env,
        start_new_session=True,
    )
    os.close(slave)
    os.write(master, b"typed\n")
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: the last one who had the terminal is gone
            break
        if not data:
            break
        shown += data
    os.close(master)
    assert process.wait(timeout=60) == 5
    assert b"got typed" in shown
