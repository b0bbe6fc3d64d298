"""Ordinary users, with images that they can read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine
from support.bases import pull_base
from support.isolations import ISOLATIONS, OWN_KERNEL, Isolated
from support.users import User, user
from support.werf import Werf


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
    """A user with neither subordinate ids nor namespaces."""
    with user(common_folder, f"pywp{os.getpid()}", subids=False, confined=True) as one:
        yield one


@pytest.fixture(scope="session")
def one_id_user(common_folder: Path) -> Iterator[User]:
    """A user without subordinate ids."""
    with user(common_folder, f"pywo{os.getpid()}", subids=False) as one:
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


@pytest.fixture(scope="session")
def root(service_folder: Path, busybox_for_all: Path) -> Isolated:
    """Root, with a store of this test process that has the busybox base."""
    werf = Werf(service_folder / "isolated", service_folder / "isolated-home")

    def write(path: str, text: str) -> Path:
        file = werf.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    pull_base(werf.run, busybox_for_all)
    return Isolated("root", machine.run, werf.run, write, (), werf.words)


@pytest.fixture(params=list(ISOLATIONS))
def isolated(request: pytest.FixtureRequest, busybox_for_all: Path) -> Isolated:
    """Each isolation in turn, with the busybox base under the name `base`."""
    return _isolated(request, busybox_for_all)


@pytest.fixture(params=[name for name in ISOLATIONS if name not in OWN_KERNEL])
def on_host_kernel(request: pytest.FixtureRequest, busybox_for_all: Path) -> Isolated:
    """The same, of those whose commands see the host's kernel."""
    return _isolated(request, busybox_for_all)


@pytest.fixture(params=OWN_KERNEL)
def on_own_kernel(request: pytest.FixtureRequest, busybox_for_all: Path) -> Isolated:
    """The same, of those whose commands do not."""
    return _isolated(request, busybox_for_all)


def _isolated(request: pytest.FixtureRequest, busybox: Path) -> Isolated:
    who, flags = ISOLATIONS[request.param]
    caller = request.getfixturevalue(who)
    if isinstance(caller, Isolated):
        return caller._replace(name=request.param, flags=flags)
    pull_base(caller.werf, busybox)
    return Isolated(request.param, caller.run, caller.werf, caller.write, flags, caller.werf_on_terminal)


@pytest.fixture
def tun_for_all() -> Iterator[None]:
    """The mode that udev gives /dev/net/tun; a machine without udev may have another one.

    Tests that need it are in the group `tun`: one after the other, they leave the mode as it was.
    """
    tun = Path("/dev/net/tun")
    mode = tun.stat().st_mode & 0o777
    tun.chmod(0o666)
    yield
    tun.chmod(mode)
