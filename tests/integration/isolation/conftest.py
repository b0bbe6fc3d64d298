"""Root file systems and a runner for containers that really run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pywerf
from pywerf.isolation.oci import OciIsolation
from pywerf.isolation.plain import PlainIsolation
from pywerf.isolation.spec import ContainerSpec, Isolation
from pywerf.linux.copytree import copy_tree
from pywerf.linux.mount import Mount
from support.container_drivers import IMPLEMENTATIONS

BUSYBOX = "/bin/busybox"
APPLETS = (
    "sh cat echo ls mount umount id ps sleep true false kill grep stat hostname env pwd touch mkdir mknod chroot"
    " unshare tty stty readlink rm wc head df dd nohup chown ip seq tr test ln"
)


class Runner:
    """Makes specs on an overlay of a busybox image (plain isolation: on a copy), and runs them with captured output."""

    def __init__(self, isolation: Isolation, image: Path, folder: Path) -> None:
        self.isolation = isolation
        self.image = image
        self.folder = folder
        self.count = 0

    def spec(self, *argv: str, image: Path | None = None, **fields: Any) -> ContainerSpec:
        self.count += 1
        upper, work = self.folder / f"upper{self.count}", self.folder / f"work{self.count}"
        fields.setdefault("env", ("PATH=/bin",))
        if isinstance(self.isolation, PlainIsolation):
            upper.mkdir()
            copy_tree(str(image or self.image), str(upper))
            return ContainerSpec(rootfs=Mount("bind", str(upper), "", ("bind",)), argv=argv, **fields)
        upper.mkdir()
        work.mkdir()
        options = (f"lowerdir={image or self.image}", f"upperdir={upper}", f"workdir={work}")
        return ContainerSpec(rootfs=Mount("overlay", "overlay", "", options), argv=argv, **fields)

    @property
    def own_kernel(self) -> bool:
        """Whether what a container sees of a kernel is gVisor's: its devices, /proc and /sys are not the host's."""
        return isinstance(self.isolation, OciIsolation) and self.isolation._runtime.adapter.own_kernel

    @property
    def upper(self) -> Path:
        """The last container's upper folder; all of its files with plain isolation."""
        return self.folder / f"upper{self.count}"

    def changed(self) -> list[str]:
        """The paths that the last container's root file system has and its image has not."""
        found = {str(path.relative_to(self.upper)) for path in self.upper.rglob("*")}
        return sorted(found - {str(path.relative_to(self.image)) for path in self.image.rglob("*")})

    def run(self, spec: ContainerSpec, stdin: bytes = b"") -> tuple[int, str, tuple[str, ...]]:
        """(status, standard output and error together, created paths)."""
        output = os.memfd_create("output")
        source = os.memfd_create("input")
        os.write(source, stdin)
        os.lseek(source, 0, os.SEEK_SET)
        try:
            result = self.isolation.start(spec, source, output, output).wait()
            size = os.fstat(output).st_size
            return result.status, os.pread(output, size, 0).decode(), result.created
        finally:
            os.close(output)
            os.close(source)

    @property
    def mapped(self) -> bool:
        """Whether containers are in a user namespace of their own."""
        return self.shell("cat /proc/self/uid_map")[1].split()[1] != "0"

    def shell(self, script: str, **fields: Any) -> tuple[int, str]:
        """Run a script; (status, output)."""
        status, output, _ = self.run(self.spec("sh", "-c", script, **fields))
        return status, output


@pytest.fixture(scope="session")
def busybox_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with every mount point that a container wants."""
    assert os.geteuid() == 0, "these tests make mounts: run them as root"
    assert os.path.exists(BUSYBOX), "install busybox-static (apt-get install busybox-static)"
    image = tmp_path_factory.mktemp("image")
    image.chmod(0o755)
    for folder in ("bin", "proc", "sys", "dev", "etc", "tmp", "root", "data", "work"):
        (image / folder).mkdir()
    (image / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, image / "bin/busybox")
    for applet in APPLETS.split():
        (image / "bin" / applet).symlink_to("busybox")
    (image / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    for name in ("resolv.conf", "hosts", "hostname"):
        (image / "etc" / name).write_text("")
    return image


@pytest.fixture
def mounts_on_host(tmp_path: Path) -> Callable[[], list[str]]:
    """Gives the mounts that containers of this test would have left behind."""
    return lambda: host_mounts(tmp_path)


@pytest.fixture
def overlay_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for upper and work folders, whose file system can hold them."""
    probe = subprocess.run(["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True, check=True)
    assert probe.stdout.strip() != "overlayfs", "overlay cannot stand on overlay: give pytest another --basetemp"
    yield tmp_path
    for work in tmp_path.glob("work*/work"):
        shutil.rmtree(work, ignore_errors=True)


def host_mounts(folder: Path) -> list[str]:
    """The mounts of this process's namespace that are ours: in the tests' folder, or over the package."""
    ours = str(folder), str(Path(pywerf.__file__).parent)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if any(path in line for path in ours)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module's own SHARED, or all."""
    if "shared_isolation" in metafunc.fixturenames:
        names = sorted(getattr(metafunc.module, "SHARED", IMPLEMENTATIONS))
        metafunc.parametrize("shared_isolation", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def shared_isolation(request: pytest.FixtureRequest, busybox_image: Path) -> Iterator[Isolation]:
    """One launcher for many containers, as a build has it; nothing stays mounted on the host."""
    isolation = IMPLEMENTATIONS[request.param]()
    yield isolation
    isolation.close()
    assert host_mounts(busybox_image) == []


@pytest.fixture
def runner(shared_isolation: Isolation, busybox_image: Path, overlay_folder: Path) -> Runner:
    """Runs containers on the shared launcher."""
    return Runner(shared_isolation, busybox_image, overlay_folder)


@pytest.fixture
def runner_of(busybox_image: Path, overlay_folder: Path) -> Callable[[Isolation], Runner]:
    """A runner for an isolation of the test's own."""
    return lambda isolation: Runner(isolation, busybox_image, overlay_folder)
