"""GNU tar, bsdtar and tarfile agree with what is written; what they write is read right."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.layer.apply import apply_layer
from pywerf.layer.compress import decompress
from pywerf.layer.diff import write_tree
from pywerf.layer.tar_read import read_entries
from pywerf.layer.tar_write import TarWriter
from support.trees import tree

pytestmark = pytest.mark.integration

# What the older formats cannot hold.
BEYOND_USTAR = ("disk", "bigid", "old", "future", f"{1:0120d}", f"{7:0130d}ü", f"p{1:0150d}", "usr/bin/longlink")


def need(tool: str, package: str) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.fail(f"{tool} is needed: install the Debian package {package}")
    return found


def run(*command: str | Path, cwd: Path | None = None, stdin: bytes = b"") -> bytes:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with everything that a layer may hold."""
    need("setcap", "libcap2-bin")
    need("setfattr", "attr")
    root = tmp_path / "source"
    root.mkdir()
    script = r"""
        set -e; umask 022
        mkdir -p etc usr/bin "$(printf '%0120d/%0120d' 1 2)" "$(printf 'p%0150d/q%090d' 1 2)" 'Ünï ☃'
        echo hosts > etc/hosts; chmod 640 etc/hosts; chown 12:34 etc/hosts
        echo > "$(printf '%0120d/%0120d/%0200d' 1 2 3)"; echo > "$(printf 'p%0150d/q%090d' 1 2)/x"
        echo utf8 > 'Ünï ☃/ß'; echo > "$(printf '%0130d' 7)ü"
        echo program > usr/bin/tool; chmod 4755 usr/bin/tool; ln usr/bin/tool usr/bin/ztool
        ln -s tool usr/bin/link; ln -s "$(printf '%0180d' 5)" usr/bin/longlink
        ln usr/bin/ztool "$(printf '%0120d/%0120d' 1 2)/hard"
        echo ping > usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping
        echo attributes > usr/attr; setfattr -n user.binary -v 0x00ff0a3d usr/attr; setfattr -n user.dir -v x etc
        echo big > bigid; chown 3000000:4000000000 bigid
        mknod null c 1 3; mknod disk b 259 1000; mkfifo -m 620 pipe
        truncate -s 2M sparse; echo end >> sparse; : > empty
        head -c 1234567 /dev/urandom > random
        find . -exec touch -h -d @1500000000 {} +
        touch -d @-5 old; touch -d @9000000000 future
    """
    run("sh", "-c", script, cwd=root)
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def written(source: Path, where: Path) -> Path:
    with where.open("wb") as out:
        writer = TarWriter(out.write)
        write_tree(str(source), writer)
        writer.close()
    return where


def test_gnu_tar_reads_what_we_write(source: Path, target: Path, tmp_path: Path) -> None:
    archive = written(source, tmp_path / "layer.tar")
    run("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", archive, "-C", target)
    assert tree(target) == tree(source)


def test_bsdtar_reads_what_we_write(source: Path, target: Path, tmp_path: Path) -> None:
    archive = written(source, tmp_path / "layer.tar")
    run(need("bsdtar", "libarchive-tools"), "--xattrs", "--numeric-owner", "-xpf", archive, "-C", target)
    assert tree(target) == tree(source)


def test_tarfile_reads_what_we_write(source: Path, target: Path, tmp_path: Path) -> None:
    archive = written(source, tmp_path / "layer.tar")
    with tarfile.open(archive) as tar:
        tar.extraction_filter = lambda member, path: member  # the `filter` argument came with Python 3.11.4
        tar.extractall(target, numeric_owner=True)
        assert {info.mtime for info in tar if info.issym()} == {1500000000}  # which it does not set

    def comparable(root: Path) -> dict[str, tuple[object, ...]]:
        return {
            name: (*entry[:3], None if "link" in name else entry[3], entry[4], entry[6])
            for name, entry in tree(root).items()
        }

    assert comparable(target) == comparable(source)


@pytest.mark.parametrize("reader", ["tar", "bsdtar"])
@pytest.mark.parametrize("length", [20, 240])
def test_names_that_are_not_utf8(target: Path, tmp_path: Path, reader: str, length: int) -> None:
    need("bsdtar", "libarchive-tools")
    name = os.fsdecode(b"caf\xe9-" + b"x" * (length - 5))
    archive = tmp_path / "names.tar"
    with archive.open("wb") as out:
        writer = TarWriter(out.write)
        writer.file_bytes(name, 0o644, 0, 0, 0, b"content")
        writer.symlink("link", name, 0, 0, 0)
        writer.close()
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run([reader, "-xf", archive, "-C", target], env=environment, capture_output=True, check=False)
    assert (target / name).read_bytes() == b"content"
    assert os.readlink(target / "link") == name


@pytest.mark.parametrize("listing", [("tar", "--numeric-owner", "-tvf"), ("bsdtar", "--numeric-owner", "-tvf")])
def test_listing_of_a_file_beyond_eight_gibibytes(tmp_path: Path, listing: tuple[str, ...]) -> None:
    need("bsdtar", "libarchive-tools")
    size = 9 << 30
    archive = tmp_path / "huge.tar"

    def zeros() -> Iterator[bytes]:
        for _ in range(9 << 10):
            yield block

    block = bytes(1 << 20)
    position = 0
    with archive.open("wb") as out:

        def write(chunk: bytes) -> None:
            nonlocal position
            if chunk is not block:  # the content stays a hole
                out.seek(position)
                out.write(chunk)
            position += len(chunk)

        writer = TarWriter(write)
        writer.file_chunks("huge", 0o644, 0, 0, 0, size, zeros())
        writer.close()
    assert archive.stat().st_size == 3 * 512 + size + 1024
    assert archive.stat().st_blocks < 1000
    assert str(size).encode() in run(*listing, archive)


@pytest.mark.parametrize(
    ("format", "sparse"),
    [("v7", ""), ("ustar", ""), ("oldgnu", ""), ("oldgnu", "old"), ("gnu", ""), ("gnu", "old"), ("posix", "")]
    + [("posix", version) for version in ("0.0", "0.1", "1.0")],
)
def test_gnu_tar_writes_and_we_unpack(source: Path, target: Path, tmp_path: Path, format: str, sparse: str) -> None:
    if format in ("v7", "ustar"):
        run("rm", "-rf", *BEYOND_USTAR, cwd=source)
    if format == "v7":
        run("rm", "-rf", "null", "pipe", cwd=source)
    command = [
        "tar",
        f"--format={format}",
        "--numeric-owner",
        "--sort=name",
        "-cf",
        str(tmp_path / "gnu.tar"),
        "-C",
        str(source),
    ]
    if format == "posix":
        command += ["--xattrs", "--xattrs-include=*"]
    if sparse:
        command += ["--sparse"] + ([f"--sparse-version={sparse}"] if format == "posix" else [])
    run(*command, *sorted(os.listdir(source)))
    data = (tmp_path / "gnu.tar").read_bytes()
    apply_layer((data[i : i + 99_999] for i in range(0, len(data), 99_999)), str(target), form="plain")
    expected, found = tree(source), tree(target)
    if format != "posix":
        expected = {name: (*entry[:5], {}, entry[6]) for name, entry in expected.items()}
    assert found == expected
    if sparse:
        assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("format", ["ustar", "pax", "gnutar", "v7"])
def test_bsdtar_writes_and_we_unpack(source: Path, target: Path, tmp_path: Path, format: str) -> None:
    if format in ("ustar", "v7"):
        run("rm", "-rf", *BEYOND_USTAR, cwd=source)
    if format == "v7":
        run("rm", "-rf", "null", "pipe", cwd=source)
    if format == "gnutar":
        run("rm", "-rf", "old", "future", "disk", cwd=source)
    archive = tmp_path / "bsd.tar"
    run(
        need("bsdtar", "libarchive-tools"),
        f"--format={format}",
        "--xattrs",
        "-cf",
        archive,
        "-C",
        source,
        *sorted(os.listdir(source)),
    )
    data = archive.read_bytes()
    apply_layer((data[i : i + 99_999] for i in range(0, len(data), 99_999)), str(target), form="plain")
    expected = tree(source)
    if format != "pax":
        expected = {name: (*entry[:5], {}, entry[6]) for name, entry in expected.items()}
    found = tree(target)
    assert {name: entry[:6] for name, entry in found.items()} == {name: entry[:6] for name, entry in expected.items()}


@pytest.mark.parametrize("option", ["-z", "-j", "-J", "--zstd"])
def test_compressed_archives_of_gnu_tar(source: Path, option: str, tmp_path: Path) -> None:
    packed = run("tar", option, "-cf", "-", "-C", source, ".")
    plain = run("tar", "-cf", "-", "-C", source, ".")
    names = [entry.path for entry in read_entries(decompress([packed]))]
    assert names == [entry.path for entry in read_entries([plain])]
    assert len(names) > 15
