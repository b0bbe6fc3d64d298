from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.backend.buildah.clean import remove_mount_points

TIME = 1_000_000_000 * 10**9 + 123


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    folder = tmp_path / "snapshot" / "fs"
    (folder / "var/cache/made/deep").mkdir(parents=True)
    (folder / "etc").mkdir()
    (folder / "etc/hosts").touch()
    for name in ("var/cache/made", "var/cache", "var", "etc", "."):
        os.utime(folder / name, ns=(TIME, TIME))
    return folder


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_empty_mount_points_go_and_their_folders_keep_their_times(upper: Path) -> None:
    remove_mount_points(str(upper), ["var/cache/made", "var/cache/made/deep", "etc/hosts"])
    assert tree(upper) == {"etc", "var", "var/cache"}
    for name in ("etc", "var/cache", "var", "."):
        assert (upper / name).stat().st_mtime_ns == TIME


def test_a_folder_that_was_there_stays_though_it_is_empty(upper: Path) -> None:
    """Its mode may have been changed by the command; in a whole copy it is the only one."""
    (upper / "etc").chmod(0o700)
    remove_mount_points(str(upper), ["etc/hosts"])
    assert (upper / "etc").stat().st_mode & 0o777 == 0o700


def test_what_the_command_has_put_there_stays(upper: Path) -> None:
    (upper / "var/cache/made/deep/file").write_text("kept")
    (upper / "etc/hosts").write_text("127.0.0.1 me")
    before = tree(upper)
    remove_mount_points(str(upper), ["var/cache/made", "var/cache/made/deep", "etc/hosts"])
    assert tree(upper) == before


def test_what_became_something_else_stays(upper: Path) -> None:
    (upper / "etc/hosts").unlink()
    (upper / "etc/hosts").symlink_to("/dev/null")
    os.mkfifo(upper / "etc/fifo")
    remove_mount_points(str(upper), ["etc/hosts", "etc/fifo"])
    assert {"etc/hosts", "etc/fifo"} <= tree(upper)


def test_what_is_gone_is_none_of_our_business(upper: Path) -> None:
    remove_mount_points(str(upper), ["gone", "gone/deeper", "etc/hosts/below", "etc/none"])
    assert "etc/hosts" in tree(upper)
    remove_mount_points(str(upper), [])
    remove_mount_points(str(upper / "nothing here"), [])


def test_symlinks_of_the_command_lead_nowhere_else(upper: Path, tmp_path: Path) -> None:
    """`mv /made /x && ln -s /OUTSIDE /made`: what is to be removed must not be looked up outside."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "empty").touch()
    (upper / "absolute").symlink_to(outside)
    (upper / "relative").symlink_to("../../outside")
    (upper / "climbing").symlink_to("../" * 30 + str(outside)[1:])
    paths = [f"{link}/{name}" for link in ("absolute", "relative", "climbing") for name in ("deep", "empty")]
    remove_mount_points(str(upper), paths)
    assert tree(outside) == {"deep", "empty"}


def test_names_that_are_not_utf_8(upper: Path) -> None:
    os.mkdir(os.fsencode(upper) + b"/etc/\xff")
    os.mkdir(os.fsencode(upper) + b"/etc/\xff/\xfe")
    remove_mount_points(str(upper), ["etc/\udcff", "etc/\udcff/\udcfe"])
    assert tree(upper / "etc") == {"hosts"}
