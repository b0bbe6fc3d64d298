"""vfs on a file system with reflinks: a copy takes no room, and is a copy all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.snapshot.vfs import VfsSnapshotter
from support import machine

pytestmark = pytest.mark.integration

SIZE = 48 << 20


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """An xfs of its own, on a loop device."""
    machine.require_root()
    image, target = tmp_path / "image", tmp_path / "xfs"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    target.mkdir()
    machine.run(machine.require("mkfs.xfs", "xfsprogs"), "-q", "-m", "reflink=1", image)
    machine.run("mount", "-o", "loop", image, target)
    yield target
    machine.run("umount", target)


def used(folder: Path) -> int:
    os.sync()
    space = os.statvfs(folder)
    return (space.f_blocks - space.f_bfree) * space.f_frsize


def test_a_copy_shares_what_it_was_copied_from_until_somebody_writes(xfs: Path) -> None:
    driver = VfsSnapshotter(str(xfs / "vfs"))
    base = driver.prepare("base", None)
    big = Path(driver.layer_dir(base), "big")
    big.write_bytes(os.urandom(SIZE))
    os.link(big, big.with_name("second"))
    base = driver.commit(base)
    before = used(xfs)
    copies = [driver.prepare(f"copy{number}", base) for number in range(5)]
    assert used(xfs) - before < SIZE // 4
    for copy in copies:
        path = Path(driver.layer_dir(copy), "big")
        assert path.stat().st_ino != big.stat().st_ino
        assert path.stat().st_nlink == 2  # within the copy alone
    content = big.read_bytes()
    with open(Path(driver.layer_dir(copies[0]), "second"), "r+b") as file:
        file.write(b"changed")
    assert Path(driver.layer_dir(copies[0]), "big").read_bytes()[:7] == b"changed"
    for untouched in (base, *copies[1:]):
        assert Path(driver.layer_dir(untouched), "big").read_bytes() == content


def test_elsewhere_the_kernel_copies(tmp_path: Path) -> None:
    """Without reflinks there is still no byte that passes through this process (strace(1) shows the calls)."""
    machine.require_root()
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(1 << 20))
    (tmp_path / "target").mkdir()
    import sys

    import pywerf

    program = f"from pywerf.linux.copytree import copy_tree; copy_tree({str(source)!r}, {str(tmp_path / 'target')!r})"
    log = tmp_path / "calls"
    calls = ["-e", "trace=ioctl,copy_file_range,link,linkat,pwrite64,write", "-o", str(log)]
    environment = {**os.environ, "PYTHONPATH": str(Path(pywerf.__file__).parents[1])}
    machine.run(machine.require("strace"), *calls, sys.executable, "-c", program, env=environment)
    lines = log.read_text().splitlines()
    assert any("FICLONE" in line for line in lines)
    assert "link" not in "".join(line.partition("(")[0] for line in lines)
    assert (tmp_path / "target/file").read_bytes() == (source / "file").read_bytes()
    if not any("FICLONE" in line and line.endswith("= 0") for line in lines):
        assert sum(int(line.rpartition("= ")[2]) for line in lines if line.startswith("copy_file_range(")) == 1 << 20
