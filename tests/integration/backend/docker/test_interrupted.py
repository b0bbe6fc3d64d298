"""Interrupted at many moments, nothing is left of a stage, a rewritten config, a push, a pull, a save or a load.

Containers, volumes, images with and without names, names and files are counted before and after.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.backend.contract import Backend, Stage
from support import services
from support.interrupted import INTERRUPTED, Call

pytestmark = pytest.mark.integration

ALONE = ("pull", "load")
"""What the daemon may end by itself after the interruption: then all of it is there."""


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


NEVER = "never:1"
"""What a stage and a rewritten config are named at their end."""


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


def is_done(seen: dict[str, list[str]], whole: dict[str, list[str]]) -> bool:
    """Whether the interruption came too late: all of the work is there."""
    return seen == whole or any(NEVER in name for name in seen["names"])


def destination(what: str, registry: str, names: dict[str, str], folder: Path) -> str:
    """Where the call's result goes, a new place at each call."""
    return {
        "push": f"{registry}/pushed-{time.monotonic_ns()}:1",
        "save": str(folder / "saved.tar"),
        "load": names["archive"],
    }.get(what, NEVER)


@pytest.fixture
def cleaned(daemon: services.Docker, names: dict[str, str]) -> Iterator[None]:
    """Nothing of this test disturbs the next."""
    yield
    daemon.run("rmi", "-f", names["own"], names["far"], NEVER, check=False)


@pytest.mark.parametrize("what", ["stage", "rewrite", "push", "save", "pull", "load"])
@pytest.mark.usefixtures("cleaned")
def test_nothing_is_left(
    what: str,
    kind: str,
    daemon: services.Docker,
    names: dict[str, str],
    registry: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    builder = "classic" if kind.endswith("classic") else "buildkit"
    image = {"stage": names["base"], "pull": names["far"]}.get(what, names["own"])

    def call(seconds: float | None = None) -> tuple[int, float]:
        wanted = Call(what, builder, image, destination(what, registry, names, folder))
        return wanted.run(daemon.host, str(tmp_path / "docker"), seconds)

    def reset() -> None:
        daemon.run("rmi", "-f", NEVER, names["far"], check=False)
        if what in ALONE:
            daemon.run("rmi", "-f", names["own"], check=False)
        (folder / "saved.tar").unlink(missing_ok=True)

    reset()
    status, took = call()
    assert status == 0
    whole = kept(daemon, folder)
    for fraction in (0.05, 0.3, 0.5, 0.7, 0.9):
        reset()
        before = kept(daemon, folder)
        status, _ = call(took * fraction)
        after = kept(daemon, folder)
        for _ in range(50):  # the daemon may have something to end alone
            if after == before or is_done(after, whole):
                break
            time.sleep(0.2)
            after = kept(daemon, folder)
        for part in ("containers", "volumes") if status != INTERRUPTED or is_done(after, whole) else before:
            assert after[part] == before[part], f"after {fraction} of the time: {before} became {after}"
