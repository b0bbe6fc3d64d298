"""`werf host cleanup` and `werf buildah prune`: what goes, and what never does."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from support.werf import Werf

pytestmark = pytest.mark.integration


def age(werf: Werf, seconds: float = 10_000) -> None:
    """Make the store look as if all had been built that long ago."""
    then = time.time() - seconds
    for folder, _, files in os.walk(werf.root):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.utime(path, (then, then), follow_symlinks=False)
    with sqlite3.connect(werf.root / "db.sqlite") as database:
        database.execute("UPDATE cache SET created = created - ?, last_used = last_used - ?", (seconds, seconds))
        database.execute("UPDATE layers SET created = created - ?", (seconds,))
        database.execute("UPDATE images SET added = added - ?", (seconds,))
    database.close()


def report(text: str) -> dict[str, int]:
    rows = (line.split(":") for line in text.splitlines() if ":" in line and not line.startswith("Space"))
    return {key: int(value) for key, value in rows}


@pytest.fixture
def context(tmp_path: Path, busybox: str) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f"FROM {busybox} AS build\nRUN head -c 100000 /dev/urandom > /tmp/made\n"
        f"FROM {busybox}\nCOPY --from=build /tmp/made /made\nRUN echo done > /done\n"
    )
    return folder


def test_without_need_only_what_nobody_needs_goes(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1")
    age(werf)
    assert report(werf.run("host", "cleanup").stdout) == {
        "Images": 0,
        "Blobs": 0,
        "Layers": 0,
        "Snapshots": 0,
        "Cache records": 0,
        "Cache mounts": 0,
    }
    assert werf.build(context, "app:1").stderr.count("CACHED") == 3


def test_a_volume_that_is_too_full(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1")
    werf.run("buildah", "build", "--build-arg", "X=1", "--label", "a=b", context)  # an image without a name
    age(werf)
    flags = ("--allowed-backend-storage-volume-usage", "0", "--allowed-backend-storage-volume-usage-margin", "0")
    dry = report(werf.run("host", "cleanup", "--dry-run", *flags).stdout)
    assert dry["Images"] == 1
    assert dry["Cache records"] == 3
    assert len(werf.run("buildah", "images", "-q").stdout.split()) == 3
    done = werf.run("host", "cleanup", *flags)
    assert report(done.stdout)["Cache records"] == 3
    assert report(done.stdout)["Layers"] == 1  # of the stage that no image is made of
    assert "nothing else here can go" in done.stderr
    # what the images with names need is all there
    assert werf.run("run", "app:1", "--", "cat", "/done").stdout == "done\n"
    assert len(werf.run("buildah", "images", "-q").stdout.split()) == 2


def test_limits_of_age_and_size(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1")
    age(werf)
    assert report(werf.run("host", "cleanup", "--max-age", "24h").stdout)["Cache records"] == 0
    assert report(werf.run("host", "cleanup", "--max-age", "1h").stdout)["Cache records"] == 3
    werf.build(context, "app:1")
    age(werf)
    assert report(werf.run("host", "cleanup", "--keep-storage", "1g").stdout)["Cache records"] == 0
    assert report(werf.run("host", "cleanup", "--keep-storage", "0").stdout)["Cache records"] == 3


def test_prune_with_filters(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1")
    age(werf)
    assert report(werf.run("buildah", "prune", "-f", "--filter", "until=24h").stdout)["Cache records"] == 0
    assert report(werf.run("buildah", "prune", "-f", "--filter", "until=1h").stdout)["Cache records"] == 3
    assert "unsupported filter" in werf.run("buildah", "prune", "--filter", "label=x", check=False).stderr


def test_nothing_goes_while_something_is_built(werf: Werf, context: Path, busybox: str, tmp_path: Path) -> None:
    werf.build(context, "app:1")
    age(werf)
    other = tmp_path / "other"
    other.mkdir()
    (other / "Dockerfile").write_text(f"FROM {busybox}\nRUN --mount=type=cache,target=/c touch /c/begun; sleep 3\n")
    building = werf.start("buildah", "build", other)
    for _ in range(600):
        if any(werf.root.glob("cache-mounts/*/begun")):
            break
        time.sleep(0.05)
    done = werf.run("host", "cleanup", "--max-age", "0", "--allowed-backend-storage-volume-usage", "0")
    assert set(report(done.stdout).values()) == {0}
    assert "another werf works in this store" in done.stderr
    said = building.communicate(timeout=60)[0]
    assert building.returncode == 0, said.decode()


def test_a_build_starts_a_cleanup_when_the_volume_is_too_full(werf: Werf, context: Path, tmp_path: Path) -> None:
    flags = ("--allowed-backend-storage-volume-usage", "0", "--allowed-backend-storage-volume-usage-margin", "0")
    other = tmp_path / "other"
    other.mkdir()
    (other / "Dockerfile").write_text("FROM scratch\nWORKDIR /a\n")
    werf.build(context, "app:1", *flags)
    assert not (werf.root / "cleaned").exists()  # the store is young
    age(werf)
    werf.build(other, "other:1", *flags, "--disable-auto-host-cleanup")
    assert not (werf.root / "cleaned").exists()
    werf.build(other, "other:1", *flags)
    assert (werf.root / "cleaned").exists()
    keys = []
    for _ in range(600):
        with sqlite3.connect(werf.root / "db.sqlite") as database:
            keys = database.execute("SELECT key FROM cache").fetchall()
        database.close()
        if len(keys) == 1:
            break
        time.sleep(0.05)
    assert len(keys) == 1  # what was used just now stays
    assert werf.run("run", "app:1", "--", "cat", "/done").stdout == "done\n"
    wrong = werf.build(context, "app:1", "--allowed-backend-storage-volume-usage", "much", check=False)
    assert wrong.returncode == 2
