"""`--output`: the result as an archive, a file system, a folder, in a registry, on stdout."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from support import machine
from support.builds import build, fails, write
from support.image_compare import read_image
from support.werf import Werf

pytestmark = pytest.mark.integration

DOCKERFILE = (
    "FROM {base}\nCOPY --chown=1000:50 data /d/data\n"
    "RUN ln /d/data /d/hard && ln -s data /d/soft && chmod 2750 /d && mkfifo /d/fifo && rm /etc/group\n"
    "RUN touch -d @1000000000 /d/old\n"
    'CMD ["true"]\n'
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, busybox: str) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "context"
    return write(folder, {"Dockerfile": DOCKERFILE.format(base=busybox), "data": "content"})


@pytest.fixture
def werf(shared_werf: Werf) -> Werf:
    return shared_werf


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_archives(werf: Werf, context: Path, tmp_path: Path, kind: str) -> None:
    image = build(werf, context, "-t", "outputs:1", "-o", f"type={kind},dest={tmp_path}/out.tar")
    archived = read_image(tmp_path / "out.tar")
    assert archived.files == image.files
    assert archived.config == image.image.config
    skopeo = machine.require("skopeo")
    shown = machine.run(skopeo, "inspect", f"{kind}-archive:{tmp_path}/out.tar").stdout
    assert len(json.loads(shown)["Layers"]) == 4


def test_an_oci_layout(werf: Werf, context: Path, tmp_path: Path) -> None:
    image = build(werf, context, "-t", "outputs:1", "-o", f"type=oci,dest={tmp_path}/layout,tar=false")
    assert read_image(tmp_path / "layout").files == image.files


def test_an_index_in_an_archive(werf: Werf, tmp_path: Path) -> None:
    folder = write(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    flags = ["--platform=linux/amd64,linux/arm64", "-o", f"type=oci,dest={tmp_path}/out.tar"]
    build(werf, folder, *flags)
    with tarfile.open(tmp_path / "out.tar") as tar:
        index = json.load(tar.extractfile("index.json") or io.BytesIO())
        blob = index["manifests"][0]["digest"].replace(":", "/")
        inner = json.load(tar.extractfile(f"blobs/{blob}") or io.BytesIO())
    assert [item["platform"]["architecture"] for item in inner["manifests"]] == ["amd64", "arm64"]
    said = fails(werf, folder, "--platform=linux/amd64,linux/arm64", "-o", f"type=local,dest={tmp_path}/local")
    assert "several platforms" in said


def test_a_folder(werf: Werf, context: Path, tmp_path: Path) -> None:
    build(werf, context, "-o", f"type=local,dest={tmp_path}/local")
    d = tmp_path / "local/d"
    assert d.stat().st_mode & 0o7777 == 0o2750
    assert (d / "data").read_text() == "content"
    assert ((d / "data").stat().st_uid, (d / "data").stat().st_gid) == (1000, 50)
    assert (d / "data").stat().st_ino == (d / "hard").stat().st_ino
    assert os.readlink(d / "soft") == "data"
    assert (d / "fifo").is_fifo()
    assert (d / "old").stat().st_mtime == 1_000_000_000
    assert not (tmp_path / "local/etc/group").exists()
    assert not (tmp_path / "local/etc/resolv.conf").exists()


def test_a_file_system_as_tar(werf: Werf, context: Path, tmp_path: Path) -> None:
    image = build(werf, context, "-o", f"type=tar,dest={tmp_path}/fs.tar")
    with tarfile.open(tmp_path / "fs.tar") as tar:
        names = {member.name.rstrip("/"): member for member in tar.getmembers()}
    assert set(names) == set(image.files)
    assert (names["d/data"].uid, names["d/data"].gid) == (1000, 50)
    assert {names["d/data"].type, names["d/hard"].type} == {tarfile.REGTYPE, tarfile.LNKTYPE}


@pytest.mark.parametrize("short", ["-", "{folder}"])
def test_dest_alone(werf: Werf, context: Path, tmp_path: Path, short: str) -> None:
    """`-o -` is a tar on stdout, `-o PATH` a folder, as docker and buildah have it."""
    done = subprocess.run(
        [*werf.command, "buildah", "build", "-o", short.format(folder=tmp_path / "out"), str(context)],
        env=werf.env,
        capture_output=True,
        check=True,
    )
    if short == "-":
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            assert "d/data" in tar.getnames()
    else:
        assert (tmp_path / "out/d/data").read_text() == "content"


@pytest.mark.parametrize("kind", ["oci", "docker", "tar"])
def test_on_stdout_there_is_nothing_else(werf: Werf, context: Path, tmp_path: Path, kind: str) -> None:
    build(werf, context, "-o", f"type={kind},dest={tmp_path}/out.tar")
    done = subprocess.run(
        [*werf.command, "buildah", "build", "-o", f"type={kind},dest=-", str(context)],
        env=werf.env,
        capture_output=True,
        check=True,
    )
    assert done.stdout == (tmp_path / "out.tar").read_bytes()


def test_a_registry(werf: Werf, context: Path, registry: str) -> None:
    build(werf, context, "-o", f"type=registry,name={registry}/outputs/a:1")
    build(werf, context, "-t", f"{registry}/outputs/b:2", "-o", "type=registry")
    build(werf, context, "-o", f"type=image,name={registry}/outputs/c:3,push=true,compression=zstd")
    skopeo = machine.require("skopeo")
    digests = set()
    for name in ("a:1", "b:2", "c:3"):
        shown = machine.run(skopeo, "inspect", "--tls-verify=false", "--config", f"docker://{registry}/outputs/{name}")
        digests.add(shown.stdout)
    assert len(digests) == 1, "one image"
    raw = machine.run(skopeo, "inspect", "--tls-verify=false", "--raw", f"docker://{registry}/outputs/c:3").stdout
    assert json.loads(raw)["layers"][-1]["mediaType"].endswith("+zstd")


def test_several_outputs(werf: Werf, context: Path, tmp_path: Path) -> None:
    build(werf, context, "-o", f"type=oci,dest={tmp_path}/a.tar", "-o", f"type=local,dest={tmp_path}/b")
    assert (tmp_path / "a.tar").exists()
    assert (tmp_path / "b/d/data").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("type=zip,dest=x", "unknown type"),
        ("type=local,dest=-", "a folder cannot be written to stdout"),
        ("type=registry,name=UPPER", "lower case"),
        ("type=image,push=true", "no name"),
        ("type=registry", "no name"),
        ("type=registry,name=x,compression=rar", "compression"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_anything_is_built(
    werf: Werf, tmp_path: Path, busybox: str, flag: str, message: str
) -> None:
    folder = write(tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nRUN echo it-ran\n"})
    done = werf.run("buildah", "build", "--no-cache", "-o", flag, folder, check=False)
    assert done.returncode in (2, 125)
    assert message in done.stderr
    assert "it-ran" not in done.stderr


@pytest.mark.parametrize("kind", ["oci", "tar", "local"])
def test_a_place_that_cannot_be_written(werf: Werf, context: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    said = fails(werf, context, "-o", f"type={kind},dest={tmp_path}/file/below/out")
    assert str(tmp_path / "file") in said


def test_a_file_system_as_tar_with_fixed_times_is_the_same_twice(werf: Werf, context: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        flags = ["--no-cache", "--timestamp", "1500000000", "-o", f"type=tar,dest={tmp_path}/{name}.tar"]
        build(werf, context, *flags)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
