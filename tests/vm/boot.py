"""Boots a Debian of its own under qemu and has guest.py check there what this machine's kernel may not have.

    scripts/vm [BEGINNINGS OF CHECKS' NAMES]

Pure cgroup v2 with systemd, AppArmor, sysctls that forbid user namespaces. The machine's disk is made once, by
debootstrap, and kept in the tests' cache; what a run writes to it is thrown away. The status is that of the checks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import bases, machine

PACKAGES = (
    *("linux-image-cloud-amd64", "systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "apparmor"),
    *("uidmap", "crun", "runc", "python3", "procps", "iproute2", "util-linux", "kmod"),
)
VERSION = "1"  # goes up when what is put onto the disk changes
MEMORY = 1500  # MiB
SERVICE = """\
[Unit]
After=multi-user.target systemd-logind.service dbus.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh -c 'mount -o ro /dev/vdb /opt; python3 /opt/guest.py $(cat /opt/arguments) >/dev/ttyS1 2>&1; \\
    echo "status $?" >/dev/ttyS1; sync; systemctl poweroff -ff'
[Install]
WantedBy=multi-user.target
"""
IDLE = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer")


def disk() -> Path:
    """A folder with root.img, vmlinuz and initrd.img."""
    layout = bases.debian_base(PACKAGES)
    with machine.locked("vm") as cache:
        folder = cache / f"vm-{bases.key_of(VERSION, layout.name, SERVICE)}"
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory(prefix="pywerf-vm-") as temporary:
            root, made = Path(temporary) / "root", Path(temporary) / "made"
            root.mkdir()
            made.mkdir()
            bases.rootfs_tar(layout, Path(temporary) / "tar")
            machine.run("tar", "-x", "--numeric-owner", "-p", "-C", root, "-f", f"{temporary}/tar", timeout=600)
            for name in ("vmlinuz", "initrd.img"):
                (found,) = (root / "boot").glob(f"{name}-*")
                shutil.move(found, made / name)
            units = root / "etc/systemd/system"
            (units / "checks.service").write_text(SERVICE)
            (units / "multi-user.target.wants").mkdir(exist_ok=True)
            (units / "multi-user.target.wants/checks.service").symlink_to("../checks.service")
            for unit in (*IDLE, "serial-getty@ttyS0.service", "serial-getty@ttyS1.service"):
                (units / unit).unlink(missing_ok=True)
                (units / unit).symlink_to("/dev/null")
            (root / "etc/hostname").write_text("vm\n")
            for user in ("ids", "one"):
                machine.run("chroot", root, "useradd", "-m", "-s", "/bin/bash", user)
            for kind in ("subuid", "subgid"):
                (root / "etc" / kind).write_text("ids:100000:65536\n")
            machine.run("mkfs.ext4", "-q", "-F", "-m", "0", "-d", root, made / "root.img", "1200M", timeout=600)
            shutil.copytree(made, f"{folder}.partial", dirs_exist_ok=True)
            Path(f"{folder}.partial").rename(folder)
        return folder


def work(folder: Path, arguments: list[str]) -> Path:
    """The second disk: the engine, what it needs, a base image, and the checks."""
    here = Path(__file__).resolve().parent
    data = folder / "data"
    shutil.copytree(here.parents[1] / "src/pywerf", data / "src/pywerf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(bases.python_packages(), data / "packages")
    shutil.copytree(bases.busybox_base(), data / "busybox")
    shutil.copy(here / "guest.py", data / "guest.py")
    (data / "arguments").write_text(" ".join(arguments))
    machine.run("mkfs.ext4", "-q", "-F", "-m", "0", "-d", data, folder / "data.img", "300M")
    return folder / "data.img"


def accelerators() -> str:
    """The processor's own virtualisation where it has some; what only looks like it may not boot a kernel."""
    flags = Path("/proc/cpuinfo").read_text().split()
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK) and ("vmx" in flags or "svm" in flags)
    return "kvm" if usable else "tcg,thread=multi"


def boot(root: Path, data: Path) -> int:
    """Run the machine to its end, show what it says, and give the checks' status (1 when there is none)."""
    drive = "format=raw,if=virtio"
    command = [
        *(machine.require("qemu-system-x86_64", "qemu-system-x86"), "-accel", accelerators(), "-cpu", "max"),
        *("-smp", "2", "-m", str(MEMORY), "-nodefaults", "-display", "none", "-no-reboot", "-snapshot"),
        *("-kernel", str(root / "vmlinuz"), "-initrd", str(root / "initrd.img")),
        *("-append", "console=ttyS0 root=/dev/vda rw quiet"),
        *("-drive", f"file={root}/root.img,{drive}", "-drive", f"file={data},{drive},readonly=on"),
        *("-serial", f"file:{data.parent}/console", "-serial", "stdio"),
    ]
    status = ""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            status = line.removeprefix("status ").strip() if line.startswith("status ") else status
    if not status.isdigit():
        sys.stderr.write((data.parent / "console").read_text(errors="replace")[-3000:])
        return 1
    return int(status)


def main() -> int:
    """See the module."""
    if os.uname().machine != "x86_64":
        print("scripts/vm: the machine is one for x86_64 hosts")
        return 1
    try:
        machine.require_root()
        with tempfile.TemporaryDirectory(prefix="pywerf-vm-") as temporary:
            return boot(disk(), work(Path(temporary), sys.argv[1:]))
    except pytest.fail.Exception as error:
        print(f"scripts/vm: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
