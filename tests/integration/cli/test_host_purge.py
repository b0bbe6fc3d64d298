"""`werf host purge` and `host cleanup`: images of projects in the embedded engine's store, caches, temporary files."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from support.builds import write
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration

YAML = "project: %s\nconfigVersion: 1\n---\nimage: web\ndockerfile: Dockerfile\n"


def build(werf: Werf, folder: Path, project: str) -> None:
    """Build the one image of a project."""
    git = GitRepository(folder / project)
    git.commit({"werf.yaml": YAML % project, "Dockerfile": "FROM scratch\nCOPY file /\n", "file": project})
    werf.run("build", "--dir", git.path)


def grow_old(werf: Werf) -> None:
    """Make all images of the store and all cached files five hours older."""
    with sqlite3.connect(werf.root / "db.sqlite") as database:
        database.execute("UPDATE images SET added = added - 18000")
    database.close()
    then = time.time() - 18000
    for folder, _, files in os.walk(werf.home / ".werf"):
        for name in files:
            os.utime(os.path.join(folder, name), (then, then))


def projects(werf: Werf) -> list[str]:
    """The repositories of the images that are there."""
    return sorted(set(werf.run("buildah", "images", "--format", "{{.Name}}").stdout.split()))


@pytest.fixture
def built(werf: Werf, tmp_path: Path) -> Werf:
    """Two projects, and an image that belongs to none."""
    build(werf, tmp_path, "shop")
    build(werf, tmp_path, "blog")
    write(tmp_path / "other", {"Dockerfile": "FROM scratch\nCOPY file /\n", "file": "x"})
    werf.build(tmp_path / "other", "mine:1")
    return werf


def test_what_is_young_stays(built: Werf) -> None:
    before = projects(built)
    assert "removed image" not in built.run("host", "purge").stdout
    assert projects(built) == before


def test_one_project(built: Werf) -> None:
    grow_old(built)
    would = built.run("host", "purge", "-N", "shop", "--dry-run").stdout
    assert projects(built) == ["localhost/blog", "localhost/mine", "localhost/shop"]
    did = built.run("host", "purge", "-N", "shop").stdout
    assert [line.replace("would remove", "removed") for line in would.splitlines()[:-1]] == did.splitlines()[:-1]
    assert "removed image localhost/shop:" in did
    assert projects(built) == ["localhost/blog", "localhost/mine"]
    assert (built.home / ".werf" / "local_cache").exists()


def test_everything_of_projects(built: Werf, tmp_path: Path) -> None:
    grow_old(built)
    tmp = tmp_path / "tmp"
    (tmp / "werf-docker-config-x").mkdir(parents=True)
    done = built.run("host", "purge", "--tmp-dir", tmp).stdout
    assert done.count("removed image") == 2
    assert "the caches in" in done
    assert projects(built) == ["localhost/mine"]
    assert not (built.home / ".werf" / "local_cache").exists()
    assert (tmp / "werf-docker-config-x").exists()
    built.run("host", "purge", "--tmp-dir", tmp, "--force")
    assert not (tmp / "werf-docker-config-x").exists()
    # all is built anew, and what was left alone is whole
    build(built, tmp_path / "again", "shop")
    built.run("buildah", "push", "mine:1", f"oci-archive:{tmp_path}/mine.tar")


def test_a_cleanup_of_a_full_volume_takes_images_of_projects_too(built: Werf, tmp_path: Path) -> None:
    grow_old(built)
    flags = (
        *("--allowed-backend-storage-volume-usage", "0", "--allowed-backend-storage-volume-usage-margin", "0"),
        *("--allowed-local-cache-volume-usage", "0", "--allowed-local-cache-volume-usage-margin", "0"),
        *("--tmp-dir", tmp_path),
    )
    would = built.run("host", "cleanup", "-N", "blog", "--dry-run", *flags).stdout
    assert projects(built) == ["localhost/blog", "localhost/mine", "localhost/shop"]
    did = built.run("host", "cleanup", "-N", "blog", *flags)
    counts = [dict(line.split(":", 1) for line in text.splitlines()) for text in (would, did.stdout)]
    assert [count["Images"].strip() for count in counts] == ["1", "1"]
    assert counts[0]["Cached files"] == counts[1]["Cached files"]
    assert projects(built) == ["localhost/mine", "localhost/shop"]
    assert "nothing else here can go" in did.stderr
    built.run("host", "cleanup", *flags)
    assert projects(built) == ["localhost/mine"]


def test_a_build_starts_a_cleanup_where_a_volume_is_too_full(built: Werf, tmp_path: Path) -> None:
    full = ("--allowed-backend-storage-volume-usage", "0", "--allowed-backend-storage-volume-usage-margin", "0")
    mark = built.home / ".werf" / "cleaned"
    argv = ("build", "--dir", tmp_path / "shop", "--check-built-images")
    built.run(*argv, *full)
    grow_old(built)  # the mark, too
    built.run(*argv, *full, "--disable-auto-host-cleanup")
    built.run(*argv, "--allowed-backend-storage-volume-usage", "100")
    assert time.time() - mark.stat().st_mtime > 15000
    built.run(*argv, *full)
    assert time.time() - mark.stat().st_mtime < 600
    for _ in range(600):
        if projects(built) == ["localhost/mine", "localhost/shop"]:
            break
        time.sleep(0.1)
    assert projects(built) == ["localhost/mine", "localhost/shop"], "what a build has found just now is in use"
    refused = built.run("build", "--dir", tmp_path / "shop", "--allowed-local-cache-volume-usage", "much", check=False)
    assert refused.returncode == 2


def test_limits_of_one_kind(werf: Werf) -> None:
    done = werf.run("host", "cleanup", "--allowed-local-cache-volume-usage", "1GB", check=False)
    assert done.returncode == 2
    assert "--allowed-local-cache-volume-usage 1GB and its margin 5" in done.stderr
