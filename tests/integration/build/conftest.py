"""Ordinary users, with images that they can read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine
from support.users import User, user


@pytest.fixture(scope="session")
def common_folder() -> Iterator[Path]:
    """A folder that every user may enter, on a file system that overlay can stand on (not a tmpfs)."""
    folder = Path(tempfile.mkdtemp(prefix="pywerf-users-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    machine.run("rm", "-rf", folder, check=False)


@pytest.fixture(scope="session")
def builder(common_folder: Path) -> Iterator[User]:
    """A user with subordinate ids."""
    with user(common_folder, f"pywb{os.getpid()}", subids=True) as one:
        yield one


@pytest.fixture(scope="session")
def plain_user(common_folder: Path) -> Iterator[User]:
    """A user without subordinate ids."""
    with user(common_folder, f"pywp{os.getpid()}", subids=False) as one:
        yield one


def _readable(layout: Path, folder: Path) -> Path:
    """A copy of an OCI layout that every user may read."""
    copy = folder / layout.name
    if not copy.exists():
        shutil.copytree(layout, copy)
        machine.run("chmod", "-R", "a+rX", copy)
    return copy


@pytest.fixture(scope="session")
def busybox_for_all(busybox_layout: Path, common_folder: Path) -> Path:
    """The busybox base, for every user."""
    return _readable(busybox_layout, common_folder)


@pytest.fixture(scope="session")
def debian_for_all(debian_layout: Path, common_folder: Path) -> Path:
    """The Debian base, for every user."""
    return _readable(debian_layout, common_folder)
