"""Interrupted at many moments, nothing is left of a stage, a rewritten config, a push, a pull, a save or a load.

Containers, volumes, images with and without names, names and files are counted before and after.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.backend.contract import Backend, Stage
from support import services
from support.recorder import Recorder

pytestmark = pytest.mark.integration

WHOLE = ("pull", "load")
"""What may be done when the interruption comes, by the daemon alone: then all of it is."""


@pytest.fixture(params=["buildkit", "containerd-buildkit"])
def kind(request: pytest.FixtureRequest) -> str:
    """The daemon, by the image store that it has."""
    return str(request.param)


@pytest.fixture
def names(registry: str, kind: str, backend: Backend, busybox: str, tmp_path: Path) -> dict[str, str]:
    """Names of an image with a layer of some MB: in the daemon, and in the registry alone; and its archive."""
    own, far, archive = f"own-{kind}:1", f"{registry}/far-{kind}:1", str(tmp_path / "own.tar")
    backend.transfer.pull(busybox)
    script = "dd if=/dev/urandom of=/big bs=1M count=20 2>/dev/null"
    backend.stages.run(Stage(busybox, ("/bin/sh", "-c", script), network="host", tags=(own,)))
    backend.transfer.push(own, far)
    backend.transfer.save(own, archive)
    return {"own": own, "far": far, "archive": archive, "base": busybox}


def kept(daemon: services.Docker, folder: Path) -> dict[str, list[str]]:
    """All that could be left."""
    shown = ("--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")
    return {
        "containers": daemon.run("ps", "-a", "-q").stdout.split(),
        "volumes": daemon.run("volume", "ls", "-q").stdout.split(),
        "all images": sorted(daemon.run("images", "-a", "-q", "--no-trunc").stdout.split()),
        "names": sorted(daemon.run("images", *shown).stdout.splitlines()),
        "digests": sorted(daemon.run("images", "--digests", "--format", "{{.Repository}}@{{.Digest}}").stdout.split()),
        "files": sorted(path.name for path in folder.iterdir()),
    }


def settled(daemon: services.Docker, folder: Path) -> dict[str, list[str]]:
    """All that is left when the daemon has done what it does alone."""
    seen = kept(daemon, folder)
    for _ in range(20):
        time.sleep(0.3)
        before, seen = seen, kept(daemon, folder)
        if before == seen:
            break
    return seen


def work(what: str, backend: Backend, names: dict[str, str], registry: str, folder: Path) -> Callable[[], object]:
    """The call that is interrupted."""
    number = iter(range(1000))
    stage = Stage(names["base"], ("/bin/sh", "-c", "dd if=/dev/urandom of=/b bs=1M count=20"), network="host")

    def push() -> object:
        return backend.transfer.push(names["own"], f"{registry}/pushed-{time.monotonic_ns()}:1")

    def rewrite() -> object:
        added = f"B{next(number)}=".encode()
        return backend.configs.rewrite(names["own"], lambda data: data.replace(b"PATH=", added), tags=("never:1",))

    return {
        "stage": lambda: backend.stages.run(Stage(stage.image, stage.argv, network="host", tags=("never:1",))),
        "rewrite": rewrite,
        "push": push,
        "save": lambda: backend.transfer.save(names["own"], str(folder / "saved.tar")),
        "pull": lambda: backend.transfer.pull(names["far"]),
        "load": lambda: backend.transfer.load(names["archive"]),
    }[what]


@pytest.fixture
def cleaned(daemon: services.Docker, names: dict[str, str]) -> Iterator[None]:
    """Nothing of this test disturbs the next."""
    yield
    daemon.run("rmi", "-f", names["own"], names["far"], "never:1", check=False)


@pytest.mark.parametrize("what", ["stage", "rewrite", "push", "save", "pull", "load"])
@pytest.mark.usefixtures("cleaned")
def test_nothing_is_left(
    what: str,
    backend: Backend,
    daemon: services.Docker,
    names: dict[str, str],
    registry: str,
    recorder: Recorder,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    call = work(what, backend, names, registry, folder)

    def reset() -> None:
        daemon.run("rmi", "-f", "never:1", names["far"], check=False)
        if what in WHOLE:
            daemon.run("rmi", "-f", names["own"], check=False)
        (folder / "saved.tar").unlink(missing_ok=True)

    reset()
    began = time.monotonic()
    call()
    took = time.monotonic() - began
    whole = kept(daemon, folder)
    for fraction in (0.05, 0.3, 0.5, 0.7, 0.9):
        reset()
        before = kept(daemon, folder)
        finished = False  # the machine may be quicker this time
        timer = threading.Timer(took * fraction, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
        try:
            timer.start()
            call()
            finished = True
            timer.join()
            time.sleep(1)
        except KeyboardInterrupt:
            after = settled(daemon, folder)
            if not finished and (what not in WHOLE or after != whole):
                assert after == before, f"interrupted after {fraction} of the time"
        finally:
            timer.cancel()
