"""kill -9 at any moment: the next command works, the store is whole, nothing is left running or mounted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import image_compare, machine, services
from support.werf import Werf

pytestmark = pytest.mark.integration

SEED = 20240229
MARK = "PYWERF_CRASH_TEST"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, debian: str) -> Path:
    """A build with something to lose at every moment: a pull, copies, several commands, a big layer."""
    folder = tmp_path_factory.mktemp("crash") / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f"FROM {debian}\nENV {MARK}=1\nCOPY many /many\n"
        "RUN head -c 30000000 /dev/urandom > /big && sleep 0.3\n"
        "RUN mkdir /made && for n in $(seq 400); do echo $n > /made/$n; done; rm /many/1*; sleep 0.2\n"
        "COPY last /last\n"
    )
    (folder / "many").mkdir()
    for number in range(600):
        (folder / "many" / str(number)).write_text(f"{number}\n")
    (folder / "last").write_text("last\n")
    return folder


def processes_of(root: Path) -> list[str]:
    """What still runs on behalf of a store: its path is in the command line, or our mark in the environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and (str(root).encode() in command + environment or MARK.encode() in environment):
            found.append(f"{entry.name}: {command.replace(bytes(1), b' ').decode(errors='replace')}")
    return found


def wait_until_gone(root: Path, seconds: float = 10) -> list[str]:
    """The processes of a store that do not end by themselves."""
    end = time.monotonic() + seconds
    while (left := processes_of(root)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def kill_after(werf: Werf, delay: float, *argv: str | Path) -> bool:
    """Start a command, SIGKILL it after `delay` seconds; whether it was still running."""
    process = werf.start(*argv)
    try:
        time.sleep(delay)
        alive = process.poll() is None
        process.kill()  # the main process alone: what it has started must notice by itself
    finally:
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    return alive


def assert_whole(werf: Werf) -> None:
    """The store answers, its layout is readable for others, nothing hangs around."""
    assert wait_until_gone(werf.root) == []
    images = json.loads(werf.run("buildah", "images", "--json").stdout or "[]")
    assert services.mounts_below(werf.root) == []
    for image in images or []:
        for name in image["names"] or []:
            archive = werf.home / "export.tar"
            image_compare.read_image(werf.export(name, archive))
            archive.unlink()
    layout = werf.root / "oci"
    if (layout / "index.json").exists():
        index = json.loads((layout / "index.json").read_text())
        for descriptor in index["manifests"]:
            blob = layout / "blobs" / descriptor["digest"].replace(":", "/")
            assert blob.stat().st_size == descriptor["size"]


@pytest.fixture
def timed_build(make_werf: Callable[[str], Werf], project: Path) -> tuple[Werf, float]:
    """A store, and how long a build without cache takes there once the base has been pulled."""
    werf = make_werf("timing")
    werf.build(project, "crash:1")
    start = time.monotonic()
    werf.build(project, "crash:1", "--no-cache")
    took = time.monotonic() - start
    shutil.rmtree(werf.root)
    return werf, took


def test_killed_builds(timed_build: tuple[Werf, float], project: Path) -> None:
    werf, took = timed_build
    moments = random.Random(SEED)
    killed = 0
    for attempt in range(12):
        # at any moment of a whole build; every third one may use what the others left in the cache
        cached = attempt % 3 == 2
        flags = [] if cached else ["--no-cache"]
        delay = moments.uniform(0.05, took / 4 if cached else took * 0.8)
        killed += kill_after(werf, delay, "buildah", "build", "-t", "crash:1", *flags, project)
        assert wait_until_gone(werf.root) == []
        if attempt % 4 == 3:
            assert_whole(werf)
    assert killed >= 6, "the kills came too late to mean anything"

    werf.build(project, "crash:1")
    assert_whole(werf)
    image = image_compare.read_image(werf.export("crash:1", werf.home / "final.tar"))
    assert image.files["last"]["kind"] == "file"
    assert "many/1" not in image.files
    assert len([path for path in image.files if path.startswith("made/")]) == 400
    shown = machine.run(machine.require("skopeo"), "inspect", f"oci:{werf.root}/oci:{oci_name(werf, 'crash:1')}")
    assert json.loads(shown.stdout)["Layers"]


def oci_name(werf: Werf, tag: str) -> str:
    """The name by which the store's layout knows an image."""
    index = json.loads((werf.root / "oci/index.json").read_text())
    names = [entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "") for entry in index["manifests"]]
    found = [name for name in names if name.endswith(tag)]
    assert found, names
    return str(found[0])


def test_killed_pulls(make_werf: Callable[[str], Werf], debian: str) -> None:
    werf = make_werf("pulls")
    start = time.monotonic()
    werf.run("buildah", "pull", debian)
    took = time.monotonic() - start
    shutil.rmtree(werf.root)
    moments = random.Random(SEED + 1)
    for _ in range(6):
        kill_after(werf, moments.uniform(0.02, took), "buildah", "pull", debian)
        assert wait_until_gone(werf.root) == []
    werf.run("buildah", "pull", debian)
    assert_whole(werf)


@pytest.fixture
def many_files(tmp_path: Path, busybox: str) -> Path:
    """A build whose command makes so many files that other processes help to read them."""
    made = "mkdir /many; for n in $(seq 12000); do echo $n > /many/$n; done"
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nENV {MARK}=1\nRUN {made}\n")
    return tmp_path


def wait_for_reader(werf: Werf, process: subprocess.Popen[bytes]) -> int:
    """The pid of a process that reads files for the layer."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for line in processes_of(werf.root):
            pid, _, command = line.partition(": ")
            if "layer.pack" in command:
                return int(pid)
        assert process.poll() is None, process.communicate()[0].decode()
    raise AssertionError("nothing has read the files")


def test_killed_while_other_processes_read(make_werf: Callable[[str], Werf], many_files: Path) -> None:
    """Whichever is killed: they all end, and the layer is the same in the end."""
    assert len(os.sched_getaffinity(0)) > 1, "needs two processors: with one nothing reads beside the build"
    layers = []
    for victim in ("reader", "build"):
        werf = make_werf(victim)
        process = werf.start("buildah", "build", "-t", "crash:1", "--timestamp", "1000", many_files)
        reader = wait_for_reader(werf, process)
        os.kill(reader if victim == "reader" else process.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == (0 if victim == "reader" else -signal.SIGKILL), output.decode()
        assert wait_until_gone(werf.root) == []
        assert_whole(werf)
        werf.build(many_files, "crash:1", "--timestamp", "1000")
        image = image_compare.read_image(werf.export("crash:1", werf.home / "final.tar"))
        assert len([path for path in image.files if path.startswith("many/")]) == 12000
        layers.append(image.config["rootfs"]["diff_ids"])
    assert layers[0] == layers[1]


def test_interrupt_ends_the_build_at_once(werf: Werf, tmp_path: Path, busybox: str) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nENV {MARK}=1\nRUN sleep 300\n")
    process = werf.start("buildah", "build", "-t", "never", "-f", tmp_path / "Dockerfile", tmp_path)
    try:
        end = time.monotonic() + 60
        while not any("sleep 300" in line for line in processes_of(werf.root)):
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < end, "the command never started"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    finally:
        services.stop(process)
    assert process.returncode == 130, output.decode()
    assert b"Traceback" not in output
    assert wait_until_gone(werf.root) == []
    assert_whole(werf)
