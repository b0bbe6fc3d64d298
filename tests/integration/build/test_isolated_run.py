"""What a RUN must not be able to do, tried in every isolation: each script is an attack."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pywerf.linux import caps
from support.isolations import Isolated, run_output

pytestmark = pytest.mark.integration


def said(isolated: Isolated, script: str, *flags: str) -> list[str]:
    """What a script printed on its standard output; it may fail at what it tries."""
    return run_output(isolated.build(f"exec 2>/dev/null; {script}; exit 0", *flags))


def test_processes_of_the_host_are_neither_seen_nor_killed(isolated: Isolated) -> None:
    with subprocess.Popen(["sleep", "600"]) as victim:
        try:
            script = f"ls -d /proc/[0-9]* | wc -l; kill -9 {victim.pid} || echo no"
            lines = said(isolated, f"{script}; grep -l '^Name:.*sleep' /proc/*/status; kill -9 -1; echo alive")
            assert int(lines[0]) <= 4  # the shell, and what it pipes
            assert lines[1:] == ["no", "alive"]
            assert victim.poll() is None
        finally:
            victim.kill()


def test_the_kernel_refuses_mounts_namespaces_modules_and_its_settings(isolated: Isolated) -> None:
    tries = {
        "mount": "mount -t tmpfs none /tmp",
        "bind": "mount -o bind /etc /tmp",
        "proc": "mount -t proc none /tmp",
        "remount": "mount -o remount,rw,bind /proc/sys",
        "umount": "umount /proc/sys",
        "unshare": "unshare -m true",
        "userns": "unshare -U true",
        "module": "insmod /tmp/module.ko",
        "hostname": "hostname other",
        "sysctl": "echo 77 > /proc/sys/kernel/panic",
        "sysrq": "echo h > /proc/sysrq-trigger",
        "helper": "echo x > /sys/kernel/uevent_helper",
        "power": "echo x > /sys/power/state",
        "dmesg": "dmesg -c",
        "chroot": "mkdir -p /x && chroot /x/../.. true",
    }
    before = Path("/proc/sys/kernel/panic").read_text()
    script = "; ".join(f"({command}) && echo {name}" for name, command in tries.items())
    lines = said(isolated, f"echo x > /tmp/module.ko; {script}; echo end")
    # chroot(2) is allowed, and leads nowhere: /x/../.. is the container's own root
    assert [line for line in lines if line != "chroot"] == ["end"]
    assert Path("/proc/sys/kernel/panic").read_text() == before


def test_nothing_outside_of_the_root_file_system_is_reached(isolated: Isolated) -> None:
    mark = isolated.write("mark", "host\n")
    mark.chmod(0o666)
    depth = "/.." * 40
    ways = [
        str(mark),
        f"{depth}{mark}",
        f"/proc/1/root{mark}",
        f"/proc/self/cwd{depth}{mark}",
        f"/proc/1/cwd{depth}{mark}",
        f"/link{mark}",
    ]
    tries = "; ".join(f"test -s {way} && echo seen; echo written > {way}" for way in ways)
    assert said(isolated, f"ln -s /proc/1/root{depth} /link; {tries}; echo end") == ["end"]
    assert mark.read_text() == "host\n"


def test_devices_of_the_host_cannot_be_opened(isolated: Isolated) -> None:
    device = os.stat("/").st_dev
    nodes = {"disk": f"b {os.major(device)} {os.minor(device)}", "mem": "c 1 1", "kmsg": "c 1 11"}
    made = "; ".join(f"mknod /tmp/{name} {what}; mknod /dev/{name} {what}" for name, what in nodes.items())
    opened = "; ".join(f"head -c 1 {folder}/{name} | wc -c" for folder in ("/tmp", "/dev") for name in nodes)
    theirs = ["/dev/kvm", "/dev/sda", "/dev/vda", *([] if isolated.own_kernel else ["/dev/fuse"])]
    assert said(isolated, f"{made}; {opened}; ls {' '.join(theirs)}") == ["0"] * 6


def test_no_descriptor_of_the_launcher_is_left(isolated: Isolated) -> None:
    lines = said(isolated, "exec ls -l /proc/self/fd | sed 's/.* -> //'")
    assert [line for line in lines if "socket" in line or "memfd" in line or "anon" in line] == []
    assert said(isolated, "ls /proc/$$/fd | tr '\\n' ' '; echo")[0].split()[:3] == ["0", "1", "2"]
    # the first process is the command itself: nothing of the program that started it can be read or written there
    assert said(isolated, "for fd in 3 4 5 6 7 8 9; do test -e /proc/1/fd/$fd && echo $fd; done; echo end") == ["end"]


def test_kernel_paths_are_masked_or_read_only_as_runtimes_have_them(isolated: Isolated) -> None:
    files = ("kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug")
    folders = ("/proc/acpi", "/proc/scsi", "/proc/asound", "/sys/firmware", "/sys/devices/virtual/powercap")
    script = "; ".join(f"head -c 1 /proc/{name} | grep -c ." for name in files)
    assert set(said(isolated, script)) == {"0"}
    script = "; ".join(f"ls -A {folder} | wc -l" for folder in folders)
    assert set(said(isolated, script)) == {"0"}
    if isolated.own_kernel:
        return  # what can be written to there are its own settings: the host's have not changed, see above
    read_only = ["/sys", *(f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger"))]
    writable = "test ! -e {0} || grep -q ' {0} ro[ ,]' /proc/self/mountinfo || echo {0}"
    assert said(isolated, "; ".join([*(writable.format(path) for path in read_only), "echo end"])) == ["end"]


def test_capabilities_and_the_filter_are_dockers(isolated: Isolated) -> None:
    script = "grep -E '^(CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '"
    lines = dict(line.split(": ") for line in said(isolated, script))
    assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == caps.mask(caps.DOCKER_DEFAULT)
    assert (lines.get("CapAmb", "0000000000000000"), lines["Seccomp"]) == ("0000000000000000", "2")
    few = dict(line.split(": ") for line in said(isolated, script, "--cap-drop=ALL", "--cap-add=chown,kill"))
    assert int(few["CapEff"], 16) == caps.mask(["CAP_CHOWN", "CAP_KILL"])
    more = dict(line.split(": ") for line in said(isolated, script, "--cap-add=net_admin", "--cap-drop=mknod"))
    wanted = caps.mask({*caps.DOCKER_DEFAULT, "CAP_NET_ADMIN"} - {"CAP_MKNOD"})
    assert int(more["CapEff"], 16) == wanted
    none = dict(line.split(": ") for line in said(isolated, script, "--security-opt=no-new-privileges"))
    assert none.get("NoNewPrivs", "1") == "1"  # gVisor has it always, and does not show it


def test_a_seccomp_profile_of_a_file(isolated: Isolated) -> None:
    rule = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}'
    profile = isolated.write("profile.json", f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}')
    done = isolated.build("mkdir /x 2>&1 || true", f"--security-opt=seccomp={profile}")
    # gVisor filters as it is told, but has one errno alone
    assert ("Operation not permitted" if isolated.own_kernel else "No space left on device") in run_output(done)[0]
    assert said(isolated, "grep ^Seccomp: /proc/self/status | cut -f 2", "--security-opt=seccomp=unconfined")[0] in "02"
