"""Flags about containers, through real builds in every isolation, and through `werf run`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.isolations import Isolated, run_output

pytestmark = pytest.mark.integration


@pytest.fixture
def volume(isolated: Isolated) -> Iterator[Path]:
    """A folder of the caller with a file in it."""
    file = isolated.write("volume/file", "original\n")
    yield file.parent
    for extra in ("new", "file"):
        (file.parent / extra).unlink(missing_ok=True)


def test_what_is_written_to_an_overlay_is_gone_with_the_command(isolated: Isolated, volume: Path) -> None:
    script = "cat /v/file; echo changed > /v/file; echo more > /v/new; cat /v/file; ls /v | wc -l"
    done = isolated.build(f"{script}\nRUN cat /v/file; ls /v | wc -l", f"--volume={volume}:/v:O")
    assert run_output(done) == ["original", "1"]
    assert "changed" in done.stderr
    assert (volume / "file").read_text() == "original\n"
    assert not (volume / "new").exists()


def test_a_volume_is_given_to_the_user_of_the_command(isolated: Isolated, volume: Path) -> None:
    done = isolated.build("true\nUSER 1234:5678\nRUN echo mine > /v/file; stat -c %u:%g /v", f"--volume={volume}:/v:U")
    assert run_output(done) == ["1234:5678"]
    assert (volume / "file").read_text() == "mine\n"
    isolated.build("true\nUSER 0:0\nRUN true", f"--volume={volume}:/v:U")  # gives it back


def test_a_read_only_volume_without_programs(on_host_kernel: Isolated) -> None:
    volume = on_host_kernel.write("read-only/file", "original\n").parent
    script = "cp /bin/busybox /tmp/; (echo x > /v/new) 2>/dev/null || echo ro; grep ' /v ' /proc/self/mountinfo"
    lines = run_output(on_host_kernel.build(script, f"--volume={volume}:/v:ro,noexec"))
    assert lines[0] == "ro"
    assert "noexec" in lines[1]
    assert not (volume / "new").exists()


def test_names(isolated: Isolated) -> None:
    flags = ("--dns=192.0.2.53", "--dns-search=a.example,b.example", "--dns-option=ndots:3", "--add-host=db:192.0.2.7")
    lines = run_output(isolated.build("cat /etc/resolv.conf; grep db /etc/hosts", *flags))
    assert lines == [
        "search a.example b.example",
        "nameserver 192.0.2.53",
        "options ndots:3",
        "192.0.2.7\tdb",
    ]


def test_names_as_the_image_has_them_are_part_of_it(isolated: Isolated) -> None:
    script = "echo nameserver image > /etc/resolv.conf; echo 192.0.2.9 own > /etc/hosts"
    done = isolated.build(f"{script}\nRUN cat /etc/resolv.conf /etc/hosts", "--dns=none", "--no-hosts")
    assert run_output(done) == ["nameserver image", "192.0.2.9 own"]


def test_the_name_that_the_image_has_is_left(isolated: Isolated) -> None:
    script = "echo of-the-image > /etc/hostname"
    assert run_output(isolated.build(f"{script}\nRUN cat /etc/hostname", "--no-hostname")) == ["of-the-image"]
    assert run_output(isolated.build(f"{script}\nRUN cat /etc/hostname")) != ["of-the-image"]


def test_groups_that_are_added(isolated: Isolated) -> None:
    assert run_output(isolated.build("id -G", "--group-add=50,4711")) == ["0 50 4711"]
    assert run_output(isolated.build("true\nUSER 4000\nRUN id -G", "--group-add=staff")) == ["0 50"]
    failed = isolated.build("true", "--group-add=nobody-knows", check=False)
    assert "unable to find group nobody-knows" in failed.stderr


def test_a_device(on_host_kernel: Isolated) -> None:
    lines = run_output(
        on_host_kernel.build("head -c 3 /dev/deep/z | wc -c; ls /dev/deep", "--device=/dev/zero:/dev/deep/z")
    )
    assert lines == ["3", "z"]


@pytest.mark.parametrize("kind", ["uts", "ipc", "cgroup"])
def test_the_hosts_namespace(on_host_kernel: Isolated, kind: str) -> None:
    flag = "--cgroupns=host" if kind == "cgroup" else f"--{kind}=host"
    theirs = run_output(on_host_kernel.build(f"readlink /proc/self/ns/{kind}", flag))
    own = run_output(on_host_kernel.build(f"readlink /proc/self/ns/{kind}"))
    assert theirs == [os.readlink(f"/proc/self/ns/{kind}")]
    assert own != theirs


def test_a_size_of_shared_memory(isolated: Isolated) -> None:
    assert run_output(isolated.build("df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", "--shm-size=5m")) == [
        "5120"
    ]


def test_limits_or_what_would_give_them(on_host_kernel: Isolated) -> None:
    """Where the doctor says that limits work they do; elsewhere the error names the flag and the way out."""
    checks = json.loads(on_host_kernel.werf("host", "doctor", "--json").stdout)["checks"]
    works = next(check["state"] for check in checks if check["name"] == "limits of cpuset") == "ok"
    done = on_host_kernel.build("grep Cpus_allowed_list /proc/self/status", "--cpuset-cpus=0", check=False)
    if works:
        assert run_output(done) == ["Cpus_allowed_list:\t0"]
    else:
        assert done.returncode != 0
        assert "--cpuset-cpus and --cpuset-mems: no cgroup can be made: " in done.stderr
        assert "systemd-run --user --scope -p Delegate=yes" in done.stderr


REFUSED = {
    "--device=/dev/zero": "--device /dev/zero",
    "--uts=host": "--uts host",
    "--ipc=host": "--ipc host",
    "--cgroupns=host": "--cgroupns host",
    "--pid=host": "--pid",
    "--volume=/etc:/v:ro,noexec": "mount of /v",
    "--security-opt=label=type:a_t": "--security-opt label",
}


@pytest.mark.parametrize("flag", REFUSED)
def test_what_a_kernel_of_its_own_has_not_is_an_error(on_own_kernel: Isolated, flag: str) -> None:
    done = on_own_kernel.build("true", flag, check=False)
    assert done.returncode != 0
    assert f"Dockerfile:2: {REFUSED[flag]}" in done.stderr
    assert "use another runtime: --runtime crun" in done.stderr or "--isolation chroot can" in done.stderr


def test_run_has_the_same_flags(root: Isolated) -> None:
    flags = ("--cpuset-cpus=0", "--memory=64m", "--ulimit=nofile=77", "--hostname=box", "--dns=192.0.2.53")
    script = "hostname; ulimit -n; grep Cpus_allowed_list /proc/self/status; cat /etc/resolv.conf"
    done = root.werf("run", *flags, "base", "--", "sh", "-c", script)
    assert done.stdout.splitlines() == ["box", "77", "Cpus_allowed_list:\t0", "nameserver 192.0.2.53"]
    done = root.werf("run", "--buildah-ulimit=nofile:66", "base", "--", "sh", "-c", "ulimit -n")
    assert done.stdout == "66\n"
