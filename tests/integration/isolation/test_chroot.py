"""What a container sees: user, environment, limits, capabilities, mounts, terminal."""

from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.console import attach
from pywerf.isolation.limits import TYPES
from pywerf.isolation.network import container_files
from pywerf.isolation.spec import ContainerSpec, Rlimit
from pywerf.linux import caps, rlimits
from pywerf.linux.mount import Mount
from support.container_drivers import HOST_KERNEL

pytestmark = pytest.mark.integration

SHARED = HOST_KERNEL  # what is seen here is the host's kernel; gVisor's is looked at by test_own_kernel.py


def test_environment_and_working_directory(runner: Any) -> None:
    env = ("PATH=/bin", "A=b c", "EMPTY=", "BYTES=\udcff")
    if runner.isolation.name == "oci":
        with pytest.raises(IsolationError, match="not UTF-8"):
            runner.shell("true", env=env)
        env = (*env[:3], "BYTES=?")  # and runtimes look a missing HOME up themselves
    status, output = runner.shell("pwd; env | grep -vE '^(SHLVL|PWD|HOME)' | tr '\\377' '?'", env=env, cwd="/work")
    assert status == 0
    assert sorted(output.split("\n")) == sorted(["/work", "PATH=/bin", "A=b c", "EMPTY=", "BYTES=?", ""])


def test_a_missing_working_directory_is_an_error(runner: Any) -> None:
    with pytest.raises(IsolationError, match="cannot enter the working directory /nope: No such file"):
        runner.shell("true", cwd="/nope")


def test_first_process_has_its_own_pid_namespace(runner: Any) -> None:
    assert runner.shell("echo $$; ps > /tmp/ps; wc -l < /tmp/ps") == (0, "1\n3\n")


def test_user_and_groups(runner: Any) -> None:
    _, output = runner.shell("id -u; id -g; id -G", uid=1000, gid=1001, groups=(1001, 50, 60))
    assert output == "1000\n1001\n1001 50 60\n"
    _, output = runner.shell("grep -E '^(Uid|Gid|Groups)' /proc/self/status | tr '\\t' ' '")
    assert output.split("\n")[:2] == ["Uid: 0 0 0 0", "Gid: 0 0 0 0"]


def capabilities_of(runner: Any, **fields: Any) -> dict[str, int]:
    _, output = runner.shell("grep ^Cap /proc/self/status", **fields)
    return {line.split(":")[0]: int(line.split()[1], 16) for line in output.splitlines()}


def test_capabilities_of_root_are_dockers(runner: Any) -> None:
    default = caps.mask(caps.DOCKER_DEFAULT)
    expected = {"CapInh": 0, "CapPrm": default, "CapEff": default, "CapBnd": default, "CapAmb": 0}
    assert capabilities_of(runner) == expected


def test_capabilities_of_others_are_none_but_bounding(runner: Any) -> None:
    default = caps.mask(caps.DOCKER_DEFAULT)
    expected = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": default, "CapAmb": 0}
    assert capabilities_of(runner, uid=1000, gid=1000) == expected


def test_chosen_capabilities(runner: Any) -> None:
    chosen = ("CAP_CHOWN", "CAP_SYS_ADMIN")
    assert capabilities_of(runner, capabilities=chosen)["CapEff"] == caps.mask(chosen)
    assert capabilities_of(runner, capabilities=())["CapBnd"] == 0


def test_no_new_privileges_and_seccomp_marks(runner: Any) -> None:
    script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '"
    assert runner.shell(script) == (0, "NoNewPrivs: 0\nSeccomp: 2\n")
    assert runner.shell(script, no_new_privileges=True) == (0, "NoNewPrivs: 1\nSeccomp: 2\n")
    # Where a supervisor makes devices it needs a filter that asks.
    mode = 2 if runner.mapped else 0
    assert runner.shell(script, seccomp="unconfined") == (0, f"NoNewPrivs: 0\nSeccomp: {mode}\n")


def limits_of(runner: Any, **fields: Any) -> str:
    return str(runner.shell("cat /proc/self/limits", **fields)[1])


def test_limits_are_inherited(runner: Any) -> None:
    assert limits_of(runner) == Path("/proc/self/limits").read_text()


TITLES = {
    "core": "Max core file size",
    "cpu": "Max cpu time",
    "data": "Max data size",
    "fsize": "Max file size",
    "locks": "Max file locks",
    "memlock": "Max locked memory",
    "msgqueue": "Max msgqueue size",
    "nice": "Max nice priority",
    "nofile": "Max open files",
    "nproc": "Max processes",
    "rss": "Max resident set",
    "rtprio": "Max realtime priority",
    "rttime": "Max realtime timeout",
    "sigpending": "Max pending signals",
    "stack": "Max stack size",
}


@pytest.mark.parametrize("name", TYPES)
def test_every_limit_type_arrives(runner: Any, name: str) -> None:
    _, hard = rlimits.current()[name]
    wanted = 1 << 28 if hard == -1 else hard
    soft = wanted // 2
    (line,) = [
        line
        for line in limits_of(runner, rlimits=(Rlimit(name, soft, wanted),)).splitlines()
        if line.startswith(TITLES[name] + "  ")
    ]
    assert line[len(TITLES[name]) :].split()[:2] == [str(soft), str(wanted)]


def test_kernel_mounts(runner: Any) -> None:
    _, output = runner.shell("cat /proc/self/mounts")
    mounts = {line.split()[1]: line.split() for line in output.splitlines()}
    assert mounts["/"][2] == "overlay"
    assert mounts["/proc"][2] == "proc"
    assert mounts["/sys"][2] == "sysfs"
    assert mounts["/sys"][3].startswith("ro,")
    assert {"/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"} <= set(mounts)
    assert "size=65536k" in mounts["/dev/shm"][3]
    for path in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"):
        if os.path.exists(path):
            assert mounts[path][3].startswith("ro,"), path
    assert not [path for path in mounts if path.startswith("/mnt") or "pywerf" in path]


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"])
def test_masked_files_are_empty(runner: Any, path: str) -> None:
    if os.path.exists(path):
        assert runner.shell(f"wc -c < {path}") == (0, "0\n")
    else:
        assert runner.shell(f"test -e {path}")[0] == 1


@pytest.mark.parametrize("path", ["/proc/acpi", "/proc/scsi", "/proc/asound", "/sys/firmware"])
def test_masked_folders_are_empty(runner: Any, path: str) -> None:
    assert runner.shell(f"ls -A {path} 2>/dev/null | wc -l") == (0, "0\n")


def test_devices(runner: Any) -> None:
    script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 8 /dev/urandom | wc -c; ls /dev | tr '\\n' ' '"
    status, output = runner.shell(script)
    assert status == 0
    assert output == ("4\n8\ncore fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ")


def test_shm_size(runner: Any) -> None:
    assert "131072" in runner.shell("df -k /dev/shm", shm_size=128 << 20)[1]


def test_network_none_has_a_loopback_only(runner: Any) -> None:
    status, output = runner.shell("ls /sys/class/net; ip link show lo", network="none")
    assert status == 0
    assert output.startswith("lo\n")
    assert "UP" in output


def test_network_host_is_the_hosts(runner: Any) -> None:
    script = "readlink /proc/self/ns/net"
    assert runner.shell(script) == (0, os.readlink("/proc/self/ns/net") + "\n")


def test_hostname(runner: Any) -> None:
    assert runner.shell("hostname", hostname="inside") == (0, "inside\n")
    assert runner.shell("hostname") == (0, os.uname().nodename + "\n")


def test_generated_files(runner: Any) -> None:
    files = (*container_files(hostname="c1"), ("/run/secrets/key", b"s3cret", 0o400))
    spec = runner.spec("sh", "-c", "cat /etc/hostname /run/secrets/key; stat -c %a /run/secrets/key", files=files)
    assert runner.run(spec) == (0, "c1\ns3cret400\n", ("run", "run/secrets", "run/secrets/key"))
    assert (runner.upper / "run/secrets/key").read_bytes() == b""
    assert (runner.upper / "run/secrets/key").is_file()


def test_a_no_op_leaves_nothing_in_the_upper_folder(runner: Any) -> None:
    runner.run(runner.spec("true", files=container_files(), mounts=(Mount("tmpfs", "tmpfs", "/data"),)))
    assert list(runner.upper.rglob("*")) == []


def test_created_mount_points_keep_the_times_of_their_folder(runner: Any) -> None:
    folder = runner.image / "etc"
    os.utime(folder, ns=(10**18, 10**18))
    _, _, created = runner.run(runner.spec("true", files=(("/etc/new", b"", 0o644),)))
    assert created == ("etc/new",)
    assert (runner.upper / "etc").stat().st_mtime_ns == 10**18


def test_extra_mounts(runner: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content\n")
    mounts = (
        Mount("bind", str(source), "/data"),
        Mount("bind", str(source), "/ro", ("ro",)),
        Mount("bind", str(source / "file"), "/one", ("ro",)),
        Mount("tmpfs", "tmpfs", "/t", ("size=1m", "mode=1777", "nosuid")),
    )
    script = "cat /data/file /one; touch /data/new; touch /ro/x; stat -c %a /t; df -k /t | grep -c 1024"
    status, output, created = runner.run(runner.spec("sh", "-c", script, mounts=mounts))
    assert (status, output) == (0, "content\ncontent\ntouch: /ro/x: Read-only file system\n1777\n1\n")
    assert (source / "new").exists()
    assert created == ("ro", "one", "t")


def test_recursive_binds_are_read_only_all_the_way(runner: Any, tmp_path: Path) -> None:
    source = tmp_path / "tree"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(source / "below")], check=True)
    try:
        (source / "below/file").write_text("deep\n")
        script = "cat /data/below/file; touch /data/below/x 2>/dev/null || echo read-only"
        recursive = Mount("bind", str(source), "/data", ("rbind", "ro"))
        assert runner.shell(script, mounts=(recursive,)) == (0, "deep\nread-only\n")
        plain = Mount("bind", str(source), "/data")
        assert runner.shell("ls /data/below | wc -l", mounts=(plain,)) == (0, "0\n")
    finally:
        subprocess.run(["umount", str(source / "below")], check=True)


def test_mounts_made_after_the_start_are_seen(runner: Any, tmp_path: Path) -> None:
    runner.shell("true")
    source = tmp_path / "late"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(source)], check=True)
    try:
        (source / "file").write_text("late\n")
        assert runner.shell("cat /data/file", mounts=(Mount("bind", str(source), "/data"),)) == (0, "late\n")
    finally:
        subprocess.run(["umount", str(source)], check=True)


def test_read_only_root(runner: Any) -> None:
    status, output = runner.shell("touch /x; echo ok > /dev/shm/x && cat /dev/shm/x", read_only=True)
    assert (status, output) == (0, "touch: /x: Read-only file system\nok\n")


def test_bind_rootfs(runner: Any) -> None:
    spec = ContainerSpec(rootfs=Mount("bind", str(runner.image)), argv=("cat", "/etc/passwd"), env=("PATH=/bin",))
    assert runner.run(spec)[:2] == (0, "root:x:0:0::/root:/bin/sh\n")


@pytest.mark.parametrize("name", ["plain", "a:b", "a,b", "a\\b", "a b=c"])
def test_overlay_folders_with_any_name(runner: Any, tmp_path: Path, name: str) -> None:
    base = tmp_path / name
    for folder in ("lower/etc", "upper", "work"):
        (base / folder).mkdir(parents=True)
    (base / "lower/etc/mark").write_text("here\n")
    lower = str(base / "lower").replace(":", "\\:") + ":" + str(runner.image)
    options = (f"lowerdir={lower}", f"upperdir={base}/upper", f"workdir={base}/work")
    rootfs = Mount("overlay", "overlay", "", options)
    spec = ContainerSpec(rootfs=rootfs, argv=("sh", "-c", "cat /etc/mark; echo x > /new"), env=("PATH=/bin",))
    assert runner.run(spec)[:2] == (0, "here\n")
    assert (base / "upper/new").read_text() == "x\n"


def test_overlay_with_four_hundred_layers(runner: Any, tmp_path: Path) -> None:
    layers = []
    for number in range(400):
        layer = tmp_path / f"{number:064d}"
        layer.mkdir()
        (layer / f"f{number}").touch()
        layers.append(str(layer))
    (tmp_path / "u").mkdir()
    (tmp_path / "w").mkdir()
    lower = ":".join([*layers, str(runner.image)])
    rootfs = Mount("overlay", "overlay", "", (f"lowerdir={lower}", f"upperdir={tmp_path}/u", f"workdir={tmp_path}/w"))
    spec = ContainerSpec(rootfs=rootfs, argv=("sh", "-c", "ls / | grep -c ^f"), env=("PATH=/bin",))
    assert runner.run(spec)[:2] == (0, "400\n")


def test_a_plan_larger_than_a_datagram(runner: Any) -> None:
    content = os.urandom(1 << 20)
    env = ("PATH=/bin", "BIG=" + "x" * 100_000)
    script = "wc -c < /etc/hosts; echo ${#BIG}"
    assert runner.shell(script, files=(("/etc/hosts", content, 0o644),), env=env) == (0, "1048576\n100000\n")


def test_terminal(runner: Any) -> None:
    script = "tty; stty size; read line; echo got $line; test -c /dev/console && exit 7"
    spec = runner.spec("sh", "-c", script, terminal=True)
    user, terminal = os.openpty()
    read, write = os.pipe()
    os.write(user, b"hello\n")
    import fcntl
    import struct
    import termios

    fcntl.ioctl(user, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
    before = termios.tcgetattr(terminal)
    container = runner.isolation.start(spec, terminal, terminal, terminal)
    assert container.console is not None
    result = attach(container, container.console, terminal, write)
    assert termios.tcgetattr(terminal) == before
    os.close(write)
    output = b""
    while select.select([read], [], [], 10)[0] and (data := os.read(read, 4096)):
        output += data
    lines = output.decode().replace("\r", "").split("\n")
    # The terminal echoes the typed line at any point.
    assert [line for line in lines if line != "hello"][:3] == ["/dev/pts/0", "33 77", "got hello"]
    assert result.status == 7
    for fd in (user, terminal, read):
        os.close(fd)
