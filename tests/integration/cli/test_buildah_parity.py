"""`werf buildah` beside Debian's buildah on the same image: same rows, same JSON, same exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import machine
from support.judges import Buildah
from support.werf import Werf

pytestmark = pytest.mark.integration

DOCKERFILE = """\
FROM scratch
COPY data /data
ENV A=b C="d e"
LABEL x=y
EXPOSE 80/tcp
VOLUME /v
USER 1:2
WORKDIR /data
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/x"]
CMD ["<&>"]
"""


class Pair:
    """Both programs, with the same image under the same name."""

    def __init__(self, werf: Werf, judge: Buildah, folder: Path) -> None:
        self.werf = werf
        self.judge = judge
        context = folder / "context"
        context.mkdir()
        (context / "data").write_bytes(b"x" * 123_456)
        (context / "Dockerfile").write_text(DOCKERFILE)
        archive = folder / "image.tar"
        machine.run(*judge.argv, "bud", "-t", "parity:1", context)
        machine.run(*judge.argv, "push", "parity:1", f"oci-archive:{archive}")
        image = werf.run("buildah", "pull", f"oci-archive:{archive}").stdout.strip()
        werf.run("buildah", "tag", image, "parity:1")

    def ours(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.werf.run("buildah", *argv, check=False)

    def theirs(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return machine.run(*self.judge.argv, *argv, check=False)


@pytest.fixture(scope="module")
def pair(shared_werf: Werf, buildah_judge: Buildah, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(shared_werf, buildah_judge, tmp_path_factory.mktemp("parity"))


def without_times_and_sizes(text: str) -> str:
    """Ages change from one call to the next, and buildah adds its own documents to an image's size."""
    text = re.sub(r"(Less than a|About an?|\d+) (second|minute|hour)s?( ago)?", "AGE", text)
    return " ".join(re.sub(r"[\d.]+ [KM]?B\b", "SIZE", text).split())


@pytest.mark.parametrize(
    "argv",
    [
        ["images", "parity:1"],
        ["images", "--noheading", "parity:1"],
        ["images", "--quiet", "parity:1"],
        ["images", "--quiet", "--no-trunc", "parity:1"],
        ["images", "--format", "{{.ID}}|{{.Name}}|{{.Tag}}|{{.CreatedAtRaw}}|{{.Created}}|{{.ReadOnly}}", "parity:1"],
        ["images", "--format", "table {{.ID}} {{.Name}}", "parity:1"],
        ["images", "--filter", "label=x=y", "--filter", "reference=*parity*", "--format", "{{.Name}}"],
        ["images", "--filter", "dangling=true", "--filter", "label=nosuch"],
        ["inspect", "--type", "image", "--format", "{{.OCIv1.Config.Env}} {{.FromImageID}} {{.FromImage}}", "parity:1"],
        ["inspect", "--type", "image", "--format", "{{.Docker.Config.Cmd}}{{.Docker.Config.Volumes}}", "parity:1"],
        ["inspect", "--type", "image", "--format", "{{.OCIv1.Created}} {{.OCIv1.RootFS}}", "parity:1"],
        [
            "inspect",
            "--type",
            "image",
            "--format",
            "{{range .History}}{{.CreatedBy}}{{.EmptyLayer}}{{end}}",
            "parity:1",
        ],
        ["inspect", "--type", "image", "--format", "{{.Config}}", "parity:1"],
    ],
    ids=" ".join,
)
def test_the_same_lines(argv: list[str], pair: Pair) -> None:
    ours, theirs = pair.ours(*argv), pair.theirs(*argv)
    assert ours.returncode == theirs.returncode == 0
    assert without_times_and_sizes(ours.stdout) == without_times_and_sizes(theirs.stdout)


def test_the_same_json_of_images(pair: Pair) -> None:
    (ours,) = json.loads(pair.ours("images", "--json", "parity:1").stdout)
    (theirs,) = json.loads(pair.theirs("images", "--json", "parity:1").stdout)
    assert list(ours) == list(theirs)
    # The digest is that of the manifest as it is stored; the archive's manifest has compressed layers.
    for same in ("id", "names", "created", "createdatraw", "readonly", "history"):
        assert ours[same] == theirs[same], same


def test_the_same_inspection(pair: Pair) -> None:
    ours: dict[str, Any] = json.loads(pair.ours("inspect", "parity:1").stdout)
    theirs: dict[str, Any] = json.loads(pair.theirs("inspect", "--type", "image", "parity:1").stdout)
    assert list(ours) == list(theirs)
    assert list(ours["Docker"]) == list(theirs["Docker"])
    different = {key for key in theirs if ours[key] != theirs[key]}
    # Manifest: compressed in the archive, plain in buildah's storage. The rest tells of working containers.
    assert different <= {"FromImageDigest", "Manifest", "Isolation", "NamespaceOptions"}


@pytest.mark.parametrize(
    "argv",
    [
        ["images", "nosuch"],
        ["images", "--format", "{{.Nope}}"],
        ["images", "--format", "{{.ID"],
        ["images", "--filter", "before=nosuch"],
        ["inspect", "--type", "image", "nosuch"],
        ["tag", "nosuch", "x"],
        ["rmi", "nosuch"],
        ["push", "nosuch"],
        ["build", "-f", "nosuch", "/usr/share/doc/buildah"],
        ["build", "/nosuch"],
        ["logout", "--authfile", "/nosuch/auth.json", "registry.example.com"],
    ],
    ids=" ".join,
)
def test_the_same_failures(argv: list[str], pair: Pair) -> None:
    ours, theirs = pair.ours(*argv), pair.theirs(*argv)
    assert ours.returncode == theirs.returncode == 125
    assert ours.stdout == theirs.stdout == ""
    assert "\nError: " in f"\n{ours.stderr}"  # a line before it says how commands would be run


def test_a_run_that_fails_gives_its_status(pair: Pair, tmp_path: Path) -> None:
    busybox = machine.require("busybox", "busybox-static")
    (tmp_path / "busybox").write_bytes(Path(busybox).read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/sh\nRUN echo so far; exit 3\n")
    ours = pair.ours("build", str(tmp_path))
    theirs = pair.theirs("build", "--isolation=chroot", str(tmp_path))
    assert ours.returncode == theirs.returncode == 3
    assert "so far" in ours.stderr
    assert "Dockerfile:3: " in ours.stderr


@pytest.fixture
def podman(pair: Pair) -> Iterator[list[str]]:
    """podman on the store of buildah; its run directory must have a short name."""
    root = pair.judge.argv[pair.judge.argv.index("--root") + 1]
    with tempfile.TemporaryDirectory(prefix="podman") as short:
        yield [machine.require("podman"), "--root", root, "--runroot", short, "--storage-driver", "overlay"]


def test_history_is_that_of_podman(pair: Pair, podman: list[str]) -> None:
    ours = json.loads(pair.ours("history", "--format", "json", "parity:1").stdout)
    theirs = json.loads(machine.run(*podman, "history", "--format", "json", "parity:1").stdout)
    assert [{**row, "tags": None, "size": 0} for row in ours] == [{**row, "tags": None, "size": 0} for row in theirs]
    lines = [
        [without_times_and_sizes(line) for line in text.splitlines()]
        for text in (
            pair.ours("history", "--human", "parity:1").stdout,
            machine.run(*podman, "history", "parity:1").stdout,
        )
    ]
    assert lines[0] == lines[1]


def test_rmi_says_the_same(pair: Pair) -> None:
    for call in (pair.ours, pair.theirs):
        assert call("tag", "parity:1", "parity:gone").returncode == 0
        gone = call("rmi", "parity:gone")
        assert (gone.returncode, gone.stdout) == (0, "untagged: localhost/parity:gone\n")
