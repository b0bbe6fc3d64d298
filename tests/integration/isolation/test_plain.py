"""Containers without mounts and namespaces: what is put in place of mounts, and what is left of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pywerf
from pywerf.errors import IsolationError
from pywerf.isolation.plain import PlainIsolation
from pywerf.isolation.spec import Isolation, Resources
from pywerf.linux.mount import Mount

pytestmark = pytest.mark.integration


@pytest.fixture
def run(runner_of: Callable[[Isolation], Any]) -> Iterator[Any]:
    with PlainIsolation() as isolation:
        yield runner_of(isolation)


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Kind, mode, owner, time and content of everything below."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        st = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(root))] = (st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, st.st_rdev, content)
    return found


def test_nothing_of_it_is_left(run: Any, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    mounts = (
        Mount("bind", str(tmp_path / "volume"), "/data", ("bind", "rw")),
        Mount("tmpfs", "tmpfs", "/tmp", ("nosuid",)),
    )
    files = (("/etc/hosts", b"127.0.0.1 me\n", 0o644), ("/bin/tool", b"#!/bin/sh\necho tool\n", 0o755, 5, 6))
    spec = run.spec(
        "sh",
        "-c",
        "cat /etc/hosts; tool; stat -c '%a %u:%g' /bin/tool; stat -c %a /tmp; echo x >/dev/null; ls /proc/cpuinfo;"
        " touch /tmp/x /dev/shm/y /proc/z /data/kept; echo changed > /etc/hosts; echo lost > /bin/tool",
        mounts=mounts,
        files=files,
    )
    before = tree(run.upper)
    status, output, created = run.run(spec)
    assert (status, output) == (0, "127.0.0.1 me\ntool\n755 5:6\n1777\n/proc/cpuinfo\n")
    assert created == ("bin/tool",)
    assert (run.upper / "bin/tool").read_bytes() == b""
    (run.upper / "bin/tool").unlink()
    os.utime(run.upper / "bin", ns=(0, before["bin"][3]))
    assert tree(run.upper) == before
    assert os.listdir(tmp_path / "volume") == ["kept"]
    assert [path for path in run.folder.iterdir() if path.name.startswith(".aside")] == []


def test_changes_of_the_command_beside_the_mounts_stay_and_so_do_their_times(run: Any) -> None:
    script = "touch -d @1000 /etc/new /etc; rm -rf /work; mkdir /work; touch -d @2000 /work; touch -d @3000 /"
    status, _, _ = run.run(run.spec("sh", "-c", script, files=(("/etc/hosts", b"x", 0o644),)))
    assert status == 0
    assert [os.stat(run.upper / path).st_mtime for path in ("etc", "etc/new", "work", "")] == [1000, 1000, 2000, 3000]


def test_a_place_that_the_command_removes_or_replaces_comes_back(run: Any, busybox_image: Path) -> None:
    files = (("/etc/hosts", b"x", 0o644), ("/data/a/secret", b"s3cret", 0o400))
    script = "rm /etc/hosts && ln -s /etc/passwd /etc/hosts; rm -rf /dev /proc; mkdir /dev; mv /data/a /data/b"
    assert run.run(run.spec("sh", "-c", script, files=files))[0] == 0
    assert (run.upper / "etc/hosts").read_bytes() == b""
    assert not (run.upper / "etc/hosts").is_symlink()
    assert os.listdir(run.upper / "dev") == os.listdir(run.upper / "proc") == []
    assert b"s3cret" not in b"".join(path.read_bytes() for path in run.upper.rglob("*") if path.is_file())
    assert (busybox_image / "etc/passwd").read_bytes() == (run.upper / "etc/passwd").read_bytes()


def test_a_volume_is_changed_as_the_command_changed_its_copy_and_else_left_alone(run: Any, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "sub/deep").mkdir(parents=True)
    for name in ("same", "written", "gone", "sub/gone", "sub/deep/same", "moded"):
        (volume / name).write_text(name)
    (volume / "becomes-folder").write_text("x")
    (volume / "becomes-file").mkdir()
    same = (volume / "same").stat()
    script = """
        cd /data; echo more >> written; rm gone sub/gone; chmod 600 moded; rm -r becomes-file becomes-folder
        mkdir becomes-folder; echo 1 > becomes-folder/x; echo 2 > becomes-file; ln -s nowhere link; mkfifo fifo
        echo h > sub/one; ln sub/one sub/two; mkdir -p new/er; echo n > new/er/file; chown 7:8 new; touch -d @77 new
        touch -d @99 sub
    """
    spec = run.spec("sh", "-ec", script, mounts=(Mount("bind", str(volume), "/data", ("bind", "rw")),))
    (volume / "of-another").write_text("meanwhile")
    assert run.run(spec)[:2] == (0, "")
    assert (volume / "same").stat().st_ino == same.st_ino
    assert (volume / "written").read_text() == "writtenmore\n"
    assert not (volume / "gone").exists()
    assert os.listdir(volume / "sub/deep") == ["same"]
    assert (volume / "moded").stat().st_mode & 0o777 == 0o600
    assert (volume / "becomes-folder/x").read_text() == "1\n"
    assert (volume / "becomes-file").read_text() == "2\n"
    assert os.readlink(volume / "link") == "nowhere"
    assert (volume / "fifo").is_fifo()
    assert (volume / "sub/one").stat().st_ino == (volume / "sub/two").stat().st_ino
    assert (volume / "new/er/file").read_text() == "n\n"
    new = (volume / "new").stat()
    assert (new.st_uid, new.st_gid, new.st_mtime) == (7, 8, 77)
    assert (volume / "sub").stat().st_mtime == 99
    assert (volume / "of-another").read_text() == "meanwhile"


def test_what_is_only_read_is_thrown_away(run: Any, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("1")
    mounts = (
        Mount("bind", str(volume), "/data", ("bind", "ro")),
        Mount("bind", str(volume / "file"), "/etc/one", ("bind", "ro")),
        Mount("bind", str(volume / "file"), "/etc/two", ("bind", "rw")),
    )
    script = "cat /data/file /etc/one; echo x > /data/file; rm -rf /data/*; echo y > /etc/one; echo z > /etc/two"
    assert run.run(run.spec("sh", "-c", script, mounts=mounts))[:2] == (0, "11")
    assert (volume / "file").read_text() == "z\n"


def test_a_part_of_what_is_mounted(run: Any, tmp_path: Path) -> None:
    (tmp_path / "volume/in").mkdir(parents=True)
    (tmp_path / "volume/link").symlink_to("/in")
    mount = Mount("bind", str(tmp_path / "volume"), "/data", ("bind", "rw"), "link")
    assert run.run(run.spec("touch", "/data/x", mounts=(mount,)))[0] == 0
    assert os.listdir(tmp_path / "volume/in") == ["x"]


def test_a_mount_in_a_mount(run: Any, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    (tmp_path / "inner").mkdir()
    mounts = (
        Mount("bind", str(tmp_path / "outer"), "/data", ("bind", "rw")),
        Mount("bind", str(tmp_path / "inner"), "/data/deep/in", ("bind", "rw")),
    )
    status, _, created = run.run(run.spec("sh", "-c", "touch /data/o /data/deep/in/i", mounts=mounts))
    assert (status, created) == (0, ())
    assert os.listdir(tmp_path / "inner") == ["i"]
    assert sorted(os.listdir(tmp_path / "outer")) == ["deep", "o"]
    assert os.listdir(tmp_path / "outer/deep/in") == []
    assert os.listdir(run.upper / "data") == []


def test_a_socket_is_the_very_one(run: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        mount = Mount("bind", str(tmp_path / "agent"), "/run/agent", ("bind", "rw"))
        spec = run.spec("sh", "-c", "test -S /run/agent && stat -c %i /run/agent", mounts=(mount,))
        assert run.run(spec)[:2] == (0, f"{(tmp_path / 'agent').stat().st_ino}\n")


def test_links_of_the_image_lead_nowhere_else(run: Any, tmp_path: Path, busybox_image: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    for number, target in enumerate((str(victim), "../" * 30 + str(victim).lstrip("/"))):
        spec = run.spec("sh", "-c", "exit 0", files=(("/etc/link/file", b"planted", 0o644),))
        (run.upper / "etc/link").symlink_to(target)
        assert run.run(spec)[0] == 0, number
    assert os.listdir(victim) == []


@pytest.mark.parametrize("folder", ["dev", "proc"])
def test_a_link_in_the_place_of_a_kernel_file_system_is_refused(run: Any, folder: str) -> None:
    spec = run.spec("true")
    (run.upper / folder).rmdir()
    (run.upper / folder).symlink_to("/etc")
    with pytest.raises(IsolationError, match=f"cannot mount /{folder}: /{folder} is a symlink in the image"):
        run.isolation.start(spec, 0, 1, 2)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"network": "none"}, "--network none needs a network namespace"),
        ({"network": "private"}, "--network private needs a network namespace"),
        ({"privileged": True}, "a privileged container"),
        ({"read_only": True}, "a read-only root file system"),
        ({"hostname": "other"}, "the host name other"),
        ({"resources": Resources(memory=1 << 20)}, "limits of memory"),
        ({"mounts": (Mount("overlay", "overlay", "/x"),)}, "/x: a file system of type overlay"),
    ],
)
def test_what_needs_mounts_or_namespaces_is_refused_not_left_out(run: Any, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(IsolationError, match=says) as caught:
        run.isolation.start(run.spec("true", **fields), 0, 1, 2)
    assert "rung 4" in caught.value.message
    assert "rungs 1 to 3" in str(caught.value.hint)


def running(marker: str) -> list[str]:
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (one / "cmdline").read_text():
                found.append(one.name)
        except OSError:
            continue
    return found


def wait_until_none(marker: str) -> None:
    end = time.monotonic() + 60
    while left := running(marker):
        assert time.monotonic() < end, left
        time.sleep(0.05)


DAEMON = "(trap '' TERM HUP INT; nohup sleep {0} >/dev/null 2>&1 & sleep {0} & (sleep {0} &) ) &"


def test_daemons_in_sessions_of_their_own_are_dead_when_wait_returns(run: Any) -> None:
    marker = f"7654{os.getpid()}"
    status, _, _ = run.run(run.spec("sh", "-c", DAEMON.format(marker) + " sleep 0.3; exit 4"))
    assert status == 4
    assert running(marker) == []


def test_a_command_that_kills_what_watches_it_leaves_nothing(run: Any, busybox_image: Path) -> None:
    marker = f"6543{os.getpid()}"
    other = run.isolation.start(run.spec("sleep", "3"), 0, 1, 2)
    helper = subprocess.Popen(["sleep", "100"])  # of the program's own
    as_another = f"su -s /bin/sh nobody -c 'exec setsid sleep {marker}' &"
    script = f"{DAEMON.format(marker)} {as_another} sleep 0.3; kill -9 $PPID; sleep {marker}"
    with pytest.raises(IsolationError, match="the launcher ended, and the container with it"):
        run.run(run.spec("sh", "-c", script))
    assert running(marker) == []
    assert other.wait().status == 0
    assert helper.poll() is None
    helper.kill()
    helper.wait()


def test_orphans_are_reaped_while_the_container_runs(run: Any) -> None:
    script = "i=0; while [ $i -lt 20 ]; do (true & ) ; i=$((i+1)); done; sleep 0.5; exit 0"
    container = run.isolation.start(run.spec("sh", "-c", script), 0, 1, 2)
    (watcher,) = run.isolation._watching
    end = time.monotonic() + 60
    seen = 0
    while time.monotonic() < end:
        try:
            children = Path(f"/proc/{watcher}/task/{watcher}/children").read_text().split()
        except OSError:
            break
        zombies = [pid for pid in children if " Z " in (Path(f"/proc/{pid}/stat").read_text() if _there(pid) else "")]
        seen = max(seen, len(zombies))
        if not children:
            break
        time.sleep(0.02)
    assert container.wait().status == 0
    assert seen < 10


def _there(pid: str) -> bool:
    return Path(f"/proc/{pid}/stat").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_all_of_a_container_dies_with_the_program(run: Any, number: int) -> None:
    marker = f"8765{os.getpid()}{int(number)}"
    spec = run.spec("sh", "-c", DAEMON.format(marker) + f" echo up; exec sleep {marker}")
    program = (
        "from pywerf.isolation.plain import PlainIsolation; from pywerf.isolation.spec import ContainerSpec;"
        "from pywerf.linux.mount import Mount; import sys;"
        f"PlainIsolation().start(ContainerSpec(rootfs=Mount('bind', {spec.rootfs.source!r}, '', ('bind',)),"
        f" argv={spec.argv!r}, env=('PATH=/bin',)), 0, 1, 2).wait()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(pywerf.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        process.wait(30)
    wait_until_none(marker)


# ---------------------------------------------------------------- attacks

ESCAPE = "mkdir -p /x && chroot /x /bin/true"


def test_root_cannot_leave_by_another_chroot(run: Any) -> None:
    status, output = run.shell(f"{ESCAPE}; grep -c x /proc/1/cmdline")
    assert status != 0
    assert "Operation not permitted" in output


def test_it_can_chroot_when_it_was_asked_for(run: Any) -> None:
    assert run.shell("chroot / true", capabilities=("CAP_SYS_CHROOT",)) == (0, "")


def test_the_programs_descriptors_are_out_of_reach(run: Any, tmp_path: Path) -> None:
    (tmp_path / "host").write_text("host's")
    with open(tmp_path / "host") as file:
        os.set_inheritable(file.fileno(), True)
        script = 'for n in 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (eval "cat <&$n") 2>/dev/null; done'
        _, output = run.shell(script)
    assert output == ""


def test_neither_the_program_nor_its_helper_can_be_traced(run: Any) -> None:
    """A process that is not dumpable is out of reach for root without CAP_SYS_PTRACE (ptrace(2))."""
    setpriv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    container = run.isolation.start(run.spec("sleep", "600"), 0, 1, 2)
    try:
        for pid, readable in ((container.watcher, False), (os.getpid(), False), ("self", True)):
            done = subprocess.run([*setpriv, "cat", f"/proc/{pid}/environ"], capture_output=True, check=False)
            assert (done.returncode == 0) is readable, pid
    finally:
        container.kill()
        container.wait()


@pytest.mark.parametrize("command", ["mount -t tmpfs none /tmp", "unshare -m true", "unshare -U true", "hostname x"])
def test_the_kernel_refuses(run: Any, command: str) -> None:
    assert run.shell(f"{command} 2>/dev/null")[0] != 0
