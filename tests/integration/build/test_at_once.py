"""Builds at the same time: a step that two of them want is done once, other steps do not wait for each other."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.werf import Werf

pytestmark = pytest.mark.integration


def project(folder: Path, dockerfile: str, **files: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def shared(werf: Werf) -> Path:
    """The folder of the one cache mount of the tests' Dockerfiles."""
    (found,) = (werf.root / "cache-mounts").iterdir()
    return found


def wait_for(what: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if what.exists():
            return
        assert process.poll() is None, (process.stdout.read() if process.stdout else b"").decode()
        time.sleep(0.05)
    pytest.fail(f"{what} never came")


def test_the_same_step_is_done_once(werf: Werf, busybox: str, tmp_path: Path) -> None:
    context = project(
        tmp_path / "one",
        f"FROM {busybox}\nCOPY data /data\n"
        "RUN --mount=type=cache,target=/c echo first >> /c/runs && sleep 1\n"
        "RUN --mount=type=cache,target=/c echo second >> /c/runs && sleep 1\n",
        data="data",
    )
    running = [werf.start("buildah", "build", "-t", f"app:{n}", context) for n in range(3)]
    said = [process.communicate(timeout=200)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert (shared(werf) / "runs").read_text().split() == ["first", "second"], said
    ids = {line for text in said for line in text.splitlines() if len(line) == 64}
    assert len(ids) == 1
    assert list((werf.root / "steps").iterdir()) == []


def test_other_contexts_do_not_wait(werf: Werf, busybox: str, tmp_path: Path) -> None:
    """Two builds of one Dockerfile, whose commands end only when both run at the same time."""
    dockerfile = (
        f"FROM {busybox}\nCOPY name /name\n"
        "RUN --mount=type=cache,target=/c touch /c/$(cat /name);"
        " for n in $(seq 300); do [ -e /c/a ] && [ -e /c/b ] && exit 0; sleep 0.1; done; exit 1\n"
    )
    running = [werf.start("buildah", "build", project(tmp_path / name, dockerfile, name=name)) for name in ("a", "b")]
    said = [process.communicate(timeout=200)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], said


def test_a_killed_build_lets_the_next_one_go_on(werf: Werf, busybox: str, tmp_path: Path) -> None:
    context = project(
        tmp_path / "killed",
        f"FROM {busybox}\nRUN --mount=type=cache,target=/c [ -e /c/begun ] || {{ touch /c/begun; sleep 300; }}\n",
    )
    first = werf.start("buildah", "build", context)
    wait_for(werf.root / "cache-mounts", first)
    for _ in range(600):
        if any(werf.root.glob("cache-mounts/*/begun")):
            break
        time.sleep(0.05)
    second = werf.start("buildah", "build", context)
    assert second.stdout is not None
    seen = b""
    while b"waiting for its result" not in seen:
        line = second.stdout.readline()
        assert line, seen.decode()
        seen += line
    os.killpg(first.pid, signal.SIGKILL)
    rest = second.communicate(timeout=120)[0]
    first.communicate(timeout=60)
    assert second.returncode == 0, (seen + rest).decode()
    assert b"CACHED" not in seen + rest


def test_a_failed_step_is_tried_by_the_next_one(werf: Werf, busybox: str, tmp_path: Path) -> None:
    context = project(
        tmp_path / "failing",
        f"FROM {busybox}\nRUN --mount=type=cache,target=/c echo run >> /c/runs; sleep 1; exit 7\n",
    )
    running = [werf.start("buildah", "build", context) for _ in range(2)]
    said = [process.communicate(timeout=200)[0].decode() for process in running]
    assert [process.returncode for process in running] == [7, 7], said
    assert (shared(werf) / "runs").read_text().split() == ["run", "run"]


def test_ctrl_c_while_waiting(werf: Werf, busybox: str, tmp_path: Path) -> None:
    context = project(
        tmp_path / "waiting", f"FROM {busybox}\nRUN --mount=type=cache,target=/c touch /c/begun; sleep 20\n"
    )
    first = werf.start("buildah", "build", context)
    for _ in range(600):
        if any(werf.root.glob("cache-mounts/*/begun")):
            break
        time.sleep(0.05)
    second = werf.start("buildah", "build", context)
    assert second.stdout is not None
    while b"waiting for its result" not in second.stdout.readline():
        assert second.poll() is None
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=10)
    assert second.returncode == 130
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)


def test_platforms_at_once(werf: Werf, tmp_path: Path) -> None:
    """Steps of several platforms are named after them, and what they share is done once."""
    context = project(
        tmp_path / "many", "FROM scratch\nCOPY data /data\nWORKDIR /$TARGETARCH\nARG TARGETARCH\n", data="1"
    )
    done = werf.run(
        "buildah", "build", "--platform", "linux/amd64,linux/arm64", "-t", "many:1", "--progress", "plain", context
    )
    assert done.stderr.count("COPY data /data") == 1
    assert "[linux/amd64 2/3]" in done.stderr
