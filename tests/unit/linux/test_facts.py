"""What the machine's files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.linux.facts import (
    in_container,
    in_initial_namespace,
    is_container_cgroup,
    open_to_all,
    read_number,
    read_text,
)

MOUNTED = "700 600 0:1 /var/lib/docker/containers/0123abcd/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
PLAIN = "25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "contained"),
    [
        ("12:cpu:/docker/0123\n0::/docker/0123\n", PLAIN, True),
        ("0::/kubepods/burstable/pod1\n", PLAIN, True),
        ("0::/system.slice/containerd.service\n", PLAIN, True),
        ("1:name=systemd:/lxc/box\n", PLAIN, True),
        ("0::/\n", MOUNTED, True),
        ("0::/\n", PLAIN, False),
        ("0::/init.scope\n", MOUNTED, False),
        ("9:name=systemd:/\n0::/\n", PLAIN, False),
        ("", "", False),
    ],
)
def test_containers_are_known_by_their_cgroups_and_mounts(cgroup: str, mountinfo: str, contained: bool) -> None:
    assert is_container_cgroup(cgroup, mountinfo) is contained


@pytest.mark.parametrize(("value", "contained"), [("1", True), ("yes", True), ("0", False), ("No", False)])
def test_the_variable_overrides(value: str, contained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WERF_CONTAINERIZED", value)
    assert in_container() is contained


def test_files_that_are_not_there_are_no_settings(tmp_path: Path) -> None:
    assert read_number(str(tmp_path / "none")) is None
    assert read_text(str(tmp_path / "none")) == ""
    (tmp_path / "number").write_text("15000\n")
    (tmp_path / "words").write_text("max\n")
    assert read_number(str(tmp_path / "number")) == 15000
    assert read_number(str(tmp_path / "words")) is None


def test_the_namespace_of_this_process_is_the_one_of_its_map() -> None:
    words = Path("/proc/self/uid_map").read_text().split()
    assert in_initial_namespace() is (words == ["0", "0", "4294967295"])


def test_a_folder_is_open_to_all_when_all_above_it_are(tmp_path: Path) -> None:
    assert open_to_all("/")
    inner = tmp_path / "one/two"
    inner.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(inner)
    (tmp_path / "one").chmod(0o700)
    assert not open_to_all(str(inner))
    assert not open_to_all(str(link))
    assert not open_to_all(str(tmp_path / "none"))
    (tmp_path / "file").touch(0o777)
    assert not open_to_all(str(tmp_path / "file"))
    assert open_to_all("/proc/self/root")
