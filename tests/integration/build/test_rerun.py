"""Building again: what is done, what is not, and what is left of builds that failed or were stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import services
from support.builds import build, fails, write
from support.werf import Werf

pytestmark = pytest.mark.integration

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, busybox: str) -> Project:
    """Writes a project; `BASE` in its Dockerfile is the busybox base."""

    def make(dockerfile: str, files: dict[str, str | bytes] | None = None, name: str = "project") -> Path:
        return write(tmp_path / name, {"Dockerfile": dockerfile.replace("BASE", busybox), **(files or {})})

    return make


def snapshots(werf: Werf) -> set[str]:
    folder = werf.root / "snapshots/overlay"
    return {path.name for path in folder.iterdir()} - {"l", "empty"} if folder.exists() else set()


def recorded(werf: Werf) -> set[str]:
    """The snapshots that the store knows of."""
    import sqlite3

    connection = sqlite3.connect(werf.root / "db.sqlite")
    try:
        return {row[0] for row in connection.execute("SELECT snapshot FROM layers WHERE snapshot IS NOT NULL")}
    finally:
        connection.close()


UNIQUE = "RUN cat /proc/sys/kernel/random/uuid > /unique\n"  # another layer each time that it runs


def test_the_same_again_is_the_same_image(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nCOPY . /app/\n" + UNIQUE + "WORKDIR /w\nENV A=b\nRUN true\n", {"f": "x"})
    first = build(werf, folder)
    before = snapshots(werf), sorted(os.listdir(werf.root / "oci/blobs/sha256"))
    second = build(werf, folder)
    assert second.id == first.id
    assert second.cached == [True] * 4
    assert (snapshots(werf), sorted(os.listdir(werf.root / "oci/blobs/sha256"))) == before
    assert snapshots(werf) == recorded(werf), "a command that changed nothing leaves no snapshot"


def test_a_touched_file_is_the_same_file(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nCOPY . /app/\n" + UNIQUE, {"f": "x", "d/g": "y"})
    first = build(werf, folder)
    for name in ("f", "d/g", "d"):
        os.utime(folder / name, ns=(10**18, 10**18))
    second = build(werf, folder)
    assert (second.id, second.cached) == (first.id, [True, True])


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "f").write_text("y"),  # as long as before: nothing but the content tells
        lambda folder: (folder / "f").write_text("longer"),
        lambda folder: (folder / "f").chmod(0o755),
        lambda folder: (folder / "new").write_text(""),
        lambda folder: (folder / "f").rename(folder / "renamed"),
        lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("elsewhere")),
        lambda folder: os.setxattr(folder / "f", "user.mark", b"1"),
    ],
)
def test_from_a_changed_file_on(werf: Werf, project: Project, change: Callable[[Path], object]) -> None:
    folder = project(
        "FROM BASE\nRUN echo before > /before\nCOPY . /app/\n" + UNIQUE, {"f": "x", "link": "-> f", "Dockerfile2": ""}
    )
    first = build(werf, folder)
    change(folder)
    second = build(werf, folder)
    assert second.cached == [True, False, False]
    assert second.id != first.id
    assert build(werf, folder).cached == [True, True, True]


def test_going_back_finds_the_old_results(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nCOPY f /\n" + UNIQUE, {"f": "1"})
    one = build(werf, folder)
    (folder / "f").write_text("2")
    two = build(werf, folder)
    (folder / "f").write_text("1")
    back = build(werf, folder)
    assert (back.id, back.cached) == (one.id, [True, True])
    assert two.id != one.id


def test_a_command_whose_inputs_come_out_the_same_is_not_run_again(werf: Werf, project: Project) -> None:
    """Another way to the same files: the step before runs anew, what stands on it does not."""
    folder = project("FROM BASE\nRUN echo same > /x && touch -d @1000000000 /x / /root\n" + UNIQUE)
    flags = ["--timestamp", "1000000000"]
    first = build(werf, folder, *flags)
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text().replace("echo same", "printf 'same\\n'"))
    second = build(werf, folder, *flags)
    assert second.cached == [False, True]
    assert second.document["rootfs"] == first.document["rootfs"]


def test_a_copy_from_a_stage_that_comes_out_the_same(werf: Werf, project: Project) -> None:
    """The stage is built anew, but the one file that is taken from it is as it was."""
    folder = project(
        "FROM BASE AS made\nCOPY f /f\nRUN head -c 1 /f > /first\nFROM BASE\nCOPY --from=made /first /\n" + UNIQUE,
        {"f": "abc"},
    )
    first = build(werf, folder)
    (folder / "f").write_text("another text")
    second = build(werf, folder)
    assert second.cached == [False, False, True, True]
    assert second.id == first.id


def test_config_instructions_in_between_cost_no_cache(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nRUN echo 1 > /x\nLABEL a=1\nEXPOSE 80\nRUN echo 2 > /y\n")
    build(werf, folder)
    text = (folder / "Dockerfile").read_text().replace("a=1", "a=2").replace("80", "81")
    (folder / "Dockerfile").write_text(text)
    assert build(werf, folder).cached == [True, True]


def test_args_that_a_command_sees_count_and_others_do_not(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nRUN echo early > /e\nARG V\nRUN echo $V > /v\n")
    build(werf, folder, "--build-arg", "V=1")
    assert build(werf, folder, "--build-arg", "V=1").cached == [True, True]
    assert build(werf, folder, "--build-arg", "V=2").cached == [True, False]


def test_a_file_that_is_edited_while_it_is_built_does_not_spoil_the_cache(werf: Werf, project: Project) -> None:
    """Edited while the next command runs: the layer has the old content, and so must the record."""
    folder = project(
        "FROM BASE\nRUN echo 1 > /x\nCOPY f /f\nRUN while ! test -e /go/on; do sleep 0.05; done\n", {"f": "old"}
    )
    go = write(folder.parent / "go", {})
    process = werf.start("buildah", "build", "-v", f"{go}:/go", folder)
    try:
        end = time.monotonic() + 60
        while not list((werf.root / "oci/blobs/sha256").glob("*")) or not _copied(werf):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        (folder / "f").write_text("new")
        (go / "on").touch()
        assert process.communicate(timeout=60)[0] is not None
    finally:
        services.stop(process)
    assert process.returncode == 0
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text().rpartition("RUN")[0])
    image = build(werf, folder)
    assert image.cached[:2] == [True, False]
    done = werf.run("run", image.id, "--", "cat", "/f")
    assert done.stdout == "new"


def _copied(werf: Werf) -> bool:
    """Whether a plain tar, the layer of the COPY, is in the store."""
    for path in (werf.root / "oci/blobs/sha256").iterdir():
        with path.open("rb") as file:
            file.seek(257)
            if file.read(5) == b"ustar":
                return True
    return False


# builds that fail


def test_what_was_finished_before_a_failure_is_cached(werf: Werf, project: Project) -> None:
    folder = project(
        "FROM BASE\nCOPY f /\n" + UNIQUE + "RUN head -c 20000000 /dev/urandom > /big\nRUN exit 7\n", {"f": "x"}
    )
    said = fails(werf, folder, code=7)
    assert "Dockerfile:5" in said
    assert snapshots(werf) == recorded(werf), "the snapshot of what failed is gone"
    assert services.mounts_below(werf.root) == []
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text().replace("exit 7", "true"))
    assert build(werf, folder).cached == [True, True, True, False]


def test_a_failure_stops_the_other_stages(werf: Werf, project: Project) -> None:
    folder = project(
        "FROM BASE AS one\nRUN sleep 300\nFROM BASE AS two\nRUN sleep 0.5; echo the-reason; exit 9\n"
        "FROM scratch\nCOPY --from=one / /\nCOPY --from=two / /\n"
    )
    said = fails(werf, folder, "--jobs", "4", code=9)
    assert "the-reason" in said
    assert "Dockerfile:4" in said
    assert snapshots(werf) == recorded(werf)
    assert services.mounts_below(werf.root) == []


def test_a_layer_that_cannot_be_made_stops_the_build_at_once(werf: Werf, project: Project) -> None:
    """Found out by a thread while the next command already runs: it is stopped, and the error is the thread's."""
    folder = project("FROM BASE\nRUN touch /.wh.forbidden\nRUN sleep 300\n")
    said = fails(werf, folder)
    assert ".wh.forbidden" in said
    assert "sleep" not in said.splitlines()[-1]
    assert snapshots(werf) == recorded(werf)
    assert services.mounts_below(werf.root) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_stages(werf: Werf, project: Project, signum: signal.Signals) -> None:
    folder = project(
        "FROM BASE AS one\nRUN echo one-runs; sleep 300\nFROM BASE AS two\nRUN echo two-runs; sleep 300\n"
        "FROM scratch\nCOPY --from=one / /\nCOPY --from=two / /\n"
    )
    process = werf.start("buildah", "build", "--jobs", "4", folder)
    seen = b""
    try:
        assert process.stdout is not None
        while b" one-runs" not in seen.replace(b"echo one-runs", b"") or b" two-runs" not in seen.replace(
            b"echo two-runs", b""
        ):
            line = process.stdout.readline()
            assert line, seen.decode()
            seen += line
        process.send_signal(signum)
        rest = process.communicate(timeout=20)[0]
    finally:
        services.stop(process)
    assert process.returncode == 128 + signum, rest.decode()
    assert b"Traceback" not in rest
    assert services.mounts_below(werf.root) == []
    assert snapshots(werf) == recorded(werf)
    assert not _running(werf, "sleep 300")


def _running(werf: Werf, text: str) -> list[str]:
    """Processes with this in their command line that live in a root of the store."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                mounts = (entry / "mountinfo").read_text()
            except OSError:
                continue
            if text in command and str(werf.root) in mounts:
                found.append(command)
    return found


# several at once


def test_two_processes_build_the_same(werf: Werf, project: Project) -> None:
    """Nothing is unpacked, run or recorded twice, whoever comes first; both images are the same and whole."""
    folder = project("FROM BASE\nCOPY f /\n" + UNIQUE + "RUN seq 1000 > /seq\nWORKDIR /w\n", {"f": "x" * 100_000})
    running = [werf.start("buildah", "build", "-t", f"same:{number}", folder) for number in range(3)]
    outputs = [process.communicate(timeout=120)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], outputs
    ids = {output.strip().splitlines()[-1] for output in outputs}
    assert len(ids) == 1
    assert snapshots(werf) == recorded(werf)
    assert build(werf, folder).cached == [True] * 4


def test_removal_while_the_base_is_in_use(werf: Werf, project: Project, busybox: str) -> None:
    """`rmi` of the base of a running build: the name goes, the build ends well, the next one pulls again."""
    folder = project("FROM BASE\nRUN echo it-runs; sleep 2; ls /bin > /x\nRUN ls / > /y\n")
    process = werf.start("buildah", "build", "-t", "using:1", folder)
    try:
        assert process.stdout is not None
        seen = b""
        while b" it-runs" not in seen.replace(b"echo it-runs", b""):
            line = process.stdout.readline()
            assert line, seen.decode()
            seen += line
        werf.run("buildah", "rmi", busybox)
        werf.run("buildah", "prune", "-af", check=False)
        said = process.communicate(timeout=60)[0].decode()
    finally:
        services.stop(process)
    assert process.returncode == 0, said
    listed = json.loads(werf.run("buildah", "images", "--json").stdout)
    assert [name for image in listed for name in image["names"]] == ["localhost/using:1"]
    assert werf.run("run", "using:1", "--", "wc", "-l", "/y").returncode == 0
    assert build(werf, folder).cached == [True, True]


def test_the_store_after_everything_is_removed(werf: Werf, project: Project) -> None:
    build(werf, project("FROM BASE\nCOPY f /\nRUN touch /x\n", {"f": "1"}), "-t", "a:1")
    werf.run("buildah", "rmi", "--all", "--force")
    werf.run("buildah", "prune", "--all", "--force")
    assert json.loads(werf.run("buildah", "images", "--json").stdout or "null") in (None, [])
    assert build(werf, project("FROM BASE\nCOPY f /\nRUN touch /x\n", {"f": "1"})).id
