"""What a container must not be able to do: each test is an attack."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.chroot import ChrootIsolation
from pywerf.isolation.spec import Isolation
from pywerf.linux.mount import Mount

pytestmark = pytest.mark.integration


@pytest.fixture
def own_image(busybox_image: Path, tmp_path: Path) -> Path:
    """A copy of the image that a test may spoil."""
    return Path(shutil.copytree(busybox_image, tmp_path / "own", symlinks=True))


def test_host_processes_cannot_be_seen_or_killed(runner: Any) -> None:
    victim = subprocess.Popen(["sleep", "600"])
    try:
        status, output = runner.shell(f"ls -d /proc/[0-9]*; kill -9 {victim.pid} || echo no; kill -9 -1; echo alive")
        assert status == 0
        assert len([line for line in output.splitlines() if line.startswith("/proc/")]) <= 2
        assert "no" in output
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /sys",
        "mount -o remount,rw /proc/sys",
        "umount /proc/sys",
        "unshare -m true",
        "unshare -U true",
        "sh -c 'echo 1 > /proc/sys/kernel/sysrq'",
        "sh -c 'echo b > /proc/sysrq-trigger'",
        "sh -c 'echo x > /sys/kernel/uevent_helper'",
        "hostname other",
    ],
)
def test_the_kernel_refuses(runner: Any, command: str) -> None:
    status, _ = runner.shell(f"{command} 2>/dev/null")
    assert status != 0


@pytest.mark.parametrize("folder", ["/tmp", "/dev", "/dev/shm", "/data", "/work"])
def test_device_nodes_can_be_made_but_not_opened(runner: Any, tmp_path: Path, folder: str) -> None:
    source = tmp_path / "volume"
    source.mkdir()
    mounts = (Mount("bind", str(source), "/data"), Mount("tmpfs", "tmpfs", "/work"))
    device = os.stat("/").st_dev
    script = f"""
        mknod {folder}/disk b {os.major(device)} {os.minor(device)} && mknod {folder}/mem c 1 1 &&
        mknod {folder}/nul c 1 5 && echo made
        for node in disk mem nul; do head -c 1 {folder}/$node && echo opened $node; done 2>/dev/null; echo end"""
    status, output = runner.shell(f"({script}) 2>/dev/null", mounts=mounts)
    if runner.own_kernel:
        # it makes its own devices only where the file system is its own: none of them is the host's
        assert not {"opened disk", "opened mem"} & set(output.split("\n"))
        assert output.endswith("end\n")
    else:
        # In a user namespace none is made in a folder of the machine's, where others might open it.
        made = "" if folder == "/data" and runner.mapped else "made\n"
        assert (status, output) == (0, f"{made}end\n")


def test_a_device_that_is_given_works(runner: Any) -> None:
    mounts = (Mount("bind", "/dev/zero", "/data/zero"),)
    assert runner.shell("head -c 3 /data/zero | wc -c", mounts=mounts) == (0, "3\n")


@pytest.mark.parametrize("extra", [{"seccomp": "unconfined"}, {}])
def test_block_devices_of_the_host_cannot_be_mounted(runner: Any, extra: dict[str, Any]) -> None:
    device = os.stat("/").st_dev
    script = f"mknod /tmp/disk b {os.major(device)} {os.minor(device)}; mount /tmp/disk /data"
    assert runner.shell(f"({script}) 2>/dev/null", **extra)[0] != 0


def test_nothing_of_the_old_root_is_left(runner: Any, tmp_path: Path) -> None:
    secret = tmp_path / "host-secret"
    secret.write_text("host")
    depth = "/.." * 50
    script = f"cat {secret} ..{depth}{secret} /proc/self/cwd{depth}{secret} /proc/1/root{secret} 2>/dev/null; echo end"
    assert runner.shell(script) == (0, "end\n")


def test_chroot_in_a_chroot_does_not_lead_out(runner: Any, tmp_path: Path) -> None:
    secret = tmp_path / "host-secret"
    secret.write_text("host")
    escape = "mkdir /x; cd /; chroot /x true 2>/dev/null; cat ../../../../../.." + str(secret)
    assert "host" not in runner.shell(f"({escape}) 2>/dev/null")[1]


def test_only_the_standard_streams_are_open(runner: Any) -> None:
    status, output = runner.shell("exec ls /proc/self/fd")
    assert status == 0
    assert output.split() == ["0", "1", "2", "3"]  # 3 is ls's own


def test_the_launchers_memory_and_files_are_out_of_reach(runner: Any) -> None:
    status, output = runner.shell("readlink /proc/1/exe; ls /proc | grep -c '^[0-9]'", seccomp="unconfined")
    assert status == 0
    *shown, _ = output.split()
    assert shown == ([] if runner.own_kernel else ["/bin/busybox"])


def test_proc_self_exe_as_command_cannot_be_written(runner: Any) -> None:
    import sys

    interpreter = Path(os.path.realpath(sys.executable))
    before = interpreter.stat()
    runner.run(runner.spec("/proc/self/exe", "-c", "pass"))
    (runner.image / "etc/evil").write_text("#!/proc/self/exe\n")
    (runner.image / "etc/evil").chmod(0o755)
    runner.run(runner.spec("/etc/evil"))
    after = interpreter.stat()
    assert (before.st_mtime_ns, before.st_size, before.st_ino) == (after.st_mtime_ns, after.st_size, after.st_ino)


SYMLINKS = ["/{host}", "../../../../../../../../..{host}", "/proc/self/root{host}", "/work/../../../..{host}"]


@pytest.mark.parametrize("link", SYMLINKS)
def test_a_symlink_cannot_lead_a_mount_out(runner: Any, own_image: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = link.format(host=outside).replace("//", "/")
    (own_image / "data").rmdir()
    (own_image / "data").symlink_to(target)
    source = tmp_path / "source"
    source.mkdir()
    (source / "mark").write_text("mark")
    mounts = (Mount("bind", str(source), "/data"), Mount("tmpfs", "tmpfs", "/data/sub"))
    files = (("/data/file", b"content", 0o644),)
    spec = runner.spec("true", image=own_image, mounts=mounts, files=files)
    assert runner.run(spec)[0] == 0
    assert sorted(path.name for path in source.iterdir()) == ["file", "mark", "sub"]
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["resolv.conf", "hosts"])
def test_a_generated_files_target_may_be_a_dangling_symlink(runner: Any, own_image: Path, name: str) -> None:
    (own_image / "etc" / name).unlink()
    (own_image / "etc" / name).symlink_to("../run/other/place")
    spec = runner.spec("cat", f"/etc/{name}", image=own_image, files=((f"/etc/{name}", b"inside\n", 0o644),))
    assert runner.run(spec) == (0, "inside\n", ("run", "run/other", "run/other/place"))


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_kernel_mount_points_may_not_be_symlinks(runner: Any, own_image: Path, name: str) -> None:
    (own_image / name).rmdir()
    (own_image / name).symlink_to("/tmp")
    with pytest.raises(IsolationError, match=f"cannot mount /{name}: /{name} is a symlink in the image"):
        runner.run(runner.spec("true", image=own_image))


@pytest.mark.parametrize("target", ["/proc/self/attr", "/proc/sys", "/sys/kernel", "/dev/pts"])
def test_a_symlink_cannot_lead_a_mount_over_the_kernels_files(runner: Any, own_image: Path, target: str) -> None:
    (own_image / "data").rmdir()
    (own_image / "data").symlink_to(target)
    with pytest.raises(IsolationError, match=r"leads into /proc, /sys or /dev"):
        runner.run(runner.spec("true", image=own_image, mounts=(Mount("tmpfs", "tmpfs", "/data"),)))


def test_symlink_loops_end(runner: Any, own_image: Path) -> None:
    (own_image / "data").rmdir()
    (own_image / "data").symlink_to("/data2")
    (own_image / "data2").symlink_to("/data")
    with pytest.raises(IsolationError, match="symbolic links"):
        runner.run(runner.spec("true", image=own_image, mounts=(Mount("tmpfs", "tmpfs", "/data"),)))


def test_missing_mount_points_are_made_and_reported(runner: Any, own_image: Path) -> None:
    for name in ("proc", "sys", "dev"):
        (own_image / name).rmdir()
    status, _, created = runner.run(runner.spec("test", "-e", "/proc/self", image=own_image))
    assert (status, created) == (0, ("proc", "sys", "dev"))


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize("whom", ["outer", "inner"])
@pytest.mark.parametrize("uid", [0, 1000])
def test_containers_die_with_the_launcher(runner_of: Callable[[Isolation], Any], whom: str, uid: int) -> None:
    isolation = ChrootIsolation()
    try:
        run = runner_of(isolation)
        read, write = os.pipe()
        container = isolation.start(run.spec("sleep", "600", uid=uid), 0, write, write)
        os.close(write)
        launcher = isolation._launcher.pid
        (inner,) = children_of(launcher)
        os.kill(launcher if whom == "outer" else inner, signal.SIGKILL)
        with pytest.raises(IsolationError, match="the launcher ended"):
            container.wait()
        assert os.read(read, 1) == b""
        os.close(read)
        with pytest.raises(IsolationError):
            isolation.start(run.spec("true"), 0, 1, 2)
    finally:
        isolation.close()


def test_everything_dies_with_the_program(busybox_image: Path, overlay_folder: Path) -> None:
    script = f"""
import os
from pywerf.isolation.chroot import ChrootIsolation
from pywerf.isolation.spec import ContainerSpec
from pywerf.linux.mount import Mount
isolation = ChrootIsolation()
spec = ContainerSpec(rootfs=Mount("bind", {str(busybox_image)!r}), argv=("sleep", "600"), env=("PATH=/bin",))
container = isolation.start(spec, 0, 1, 2)
print(isolation._launcher.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    import sys

    process = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=60)
    # run() came back: the container, which had the pipe as its output, is gone.
    launcher = int(process.stdout)
    deadline = time.monotonic() + 30
    while os.path.exists(f"/proc/{launcher}") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{launcher}")


def test_without_privilege_the_error_says_what_is_missing(busybox_image: Path) -> None:
    script = f"""
from pywerf.linux import syscalls
for number in range(41):
    syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
syscalls.capset(0, 0, 0)
from pywerf.errors import IsolationError
from pywerf.isolation.chroot import ChrootIsolation
from pywerf.isolation.spec import ContainerSpec
from pywerf.linux.mount import Mount
with ChrootIsolation() as isolation:
    try:
        isolation.start(ContainerSpec(rootfs=Mount("bind", {str(busybox_image)!r}), argv=("true",)), 0, 1, 2)
    except IsolationError as error:
        print(error, "|", error.hint)
"""
    import sys

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stdout.startswith("cannot make a pid namespace: Operation not permitted | ")
    assert "CAP_SYS_ADMIN" in result.stdout
