"""Making and removing cgroups, in plain folders that stand for a hierarchy."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.cgroup_dirs import Cgroups
from pywerf.isolation.cgroups import Hierarchy
from pywerf.isolation.spec import Resources


def cgroup(path: Path, controllers: str = "memory cpu", passed_on: str = "") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.controllers").write_text(controllers)
    (path / "cgroup.subtree_control").write_text(passed_on)
    return path


def test_v2_without_a_parent_that_can_is_an_error_that_names_the_flag_and_each_try(tmp_path: Path) -> None:
    own = tmp_path / "a" / "b"
    own.mkdir(parents=True)
    cgroups = Cgroups(lambda folder: None, (Hierarchy(2, str(tmp_path), ("memory",), "/a/b"),))
    with pytest.raises(IsolationError) as caught:
        cgroups.make(Resources(memory=1), "")
    assert caught.value.message.startswith("--memory: no cgroup can be made: ")
    assert f"{own}: No such file or directory; {tmp_path / 'a'}: " in caught.value.message
    assert "systemd-run --user --scope -p Delegate=yes" in (caught.value.hint or "")
    assert os.listdir(own) == []


def test_nothing_is_left_when_the_kernel_has_no_such_file(tmp_path: Path) -> None:
    cgroup(tmp_path, passed_on="memory")
    noted: list[str] = []
    cgroups = Cgroups(noted.append, (Hierarchy(2, str(tmp_path), ("memory",)),))
    with pytest.raises(IsolationError, match=r"this kernel has no memory\.max"):
        cgroups.make(Resources(memory=1), "")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert len(noted) == 1


@pytest.mark.parametrize("resources", [Resources(memory=1 << 20), Resources(cpu_shares=2)])
def test_v2_a_cgroup_with_processes_passes_nothing_on(tmp_path: Path, resources: Resources) -> None:
    """Also where the kernel would let it: what is below it then can be joined by nobody."""
    cgroup(tmp_path, passed_on="memory cpu")
    own = cgroup(tmp_path / "own")
    (own / "cgroup.type").write_text("domain\n")
    (own / "cgroup.procs").write_text("1\n")
    cgroups = Cgroups(lambda folder: None, (Hierarchy(2, str(tmp_path), ("memory", "cpu"), "/own"),))
    with pytest.raises(IsolationError, match="this kernel has no"):
        cgroups.make(resources, "")  # these are plain folders: it has been made beside its own, and has no files
    assert (own / "cgroup.subtree_control").read_text() == ""
    (tmp_path / "cgroup.type").write_text("domain\n")
    (tmp_path / "cgroup.procs").write_text("2\n")
    with pytest.raises(IsolationError, match=f"{own}: it has processes; {tmp_path}: it has processes"):
        cgroups.make(resources, "")


def test_made_below_a_parent_that_is_made_too_and_removed_with_it(tmp_path: Path) -> None:
    cgroups = Cgroups(lambda folder: None, (Hierarchy(1, str(tmp_path), ("name=systemd",)),))
    made = cgroups.make(Resources(), "/builds/ci")
    folder = tmp_path / "builds/ci" / f"pywerf-chroot-{os.getpid()}-1"
    assert made.joined == (f"{folder}/cgroup.procs",)
    assert folder.is_dir()
    made.remove()
    assert os.listdir(tmp_path) == []
    made.remove()


def test_a_parent_that_others_use_stays(tmp_path: Path) -> None:
    cgroups = Cgroups(lambda folder: None, (Hierarchy(1, str(tmp_path), ("name=systemd",)),))
    one, other = cgroups.make(Resources(), "/builds"), cgroups.make(Resources(), "/builds")
    one.remove()
    assert len(os.listdir(tmp_path / "builds")) == 1
    other.remove()
    assert os.listdir(tmp_path / "builds") == []


def test_what_a_killed_process_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    dead, alive, foreign = (tmp_path / name for name in ("pywerf-chroot-1-1", "pywerf-chroot-1-2", "docker"))
    for folder in (dead, alive, foreign):
        folder.mkdir()
    fd = os.open(alive, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        made = Cgroups(lambda folder: None, (Hierarchy(1, str(tmp_path), ("name=systemd",)),)).make(Resources(), "/")
        made.remove()
    finally:
        os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["docker", "pywerf-chroot-1-2"]
