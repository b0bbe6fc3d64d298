"""What every backend promises (backend/contract.py), asked of Docker daemons and of the embedded engine."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path

import msgspec
import pytest

from pywerf.backend.contract import Backend, Secret
from pywerf.build.dockerfile_build import open_build
from pywerf.errors import (
    BuildError,
    ContainerFailed,
    ImageNotFound,
    RegistryError,
    RegistryUnauthorized,
    UsageError,
    WerfError,
)
from pywerf.oci.config import ImageConfig
from support import services
from support.backend_builds import build_of, names
from support.builds import write
from support.recorder import Recorder
from support.secured_registry import HTPASSWD, PASSWORD, USER

pytestmark = pytest.mark.integration


def test_a_dockerfile(backend: Backend, busybox: str, tmp_path: Path, recorder: Recorder) -> None:
    dockerfile = f'ARG V=no\nFROM {busybox} AS one\nARG V\nRUN echo $V > /v\nFROM one\nCOPY . /c\nCMD ["x"]\n'
    files = {"kept": "k", "left": "l", ".dockerignore": "left\n"}
    build = build_of(
        tmp_path / "c", dockerfile, files, tags=("contract:1",), build_args={"V": "yes"}, labels={"a": "b"}
    )
    id = backend.builder.build(build)
    found = backend.images.inspect("contract:1")
    assert found.id == id
    assert (found.config.cmd, found.config.labels["a"], found.platform.os) == (("x",), "b", "linux")
    assert "contract:1" in {name.rpartition("/")[2] for name in found.names}
    sources = {source for _, source, state, _ in recorder.steps if state == "done"}
    assert {"Dockerfile:4", "Dockerfile:6"} <= sources
    assert files_of(backend, "contract:1", tmp_path) == {"v": b"yes\n", "c/kept": b"k", "c/left": None}


def files_of(backend: Backend, name: str, tmp_path: Path) -> dict[str, bytes | None]:
    """The contents of some files of an image: from a saved archive."""
    from support.image_compare import read_image

    archive = tmp_path / "saved.tar"
    backend.transfer.save(name, str(archive))
    image = read_image(archive)
    with tarfile.open(archive) as outer:
        assert "manifest.json" in outer.getnames()
    wanted = {"v": b"yes\n", "c/kept": b"k", "c/left": None}
    import hashlib

    return {
        path: content
        for path, content in wanted.items()
        if (path in image.files) == (content is not None)
        and (content is None or image.files[path]["sha256"] == hashlib.sha256(content).hexdigest())
    }


def test_a_second_build_is_cached(backend: Backend, busybox: str, tmp_path: Path, recorder: Recorder) -> None:
    build = build_of(tmp_path / "c", f"FROM {busybox}\nRUN echo cached\n", tags=("again:1",))
    first = backend.builder.build(build)
    assert backend.builder.build(build) == first
    states = [state for name, _, state, _ in recorder.steps if str(name).endswith("RUN echo cached")]
    assert states[-1] == "cached"
    before = len(recorder.steps)
    backend.builder.build(msgspec.structs.replace(build, no_cache=True))
    again = [state for name, _, state, _ in recorder.steps[before:] if str(name).endswith("RUN echo cached")]
    assert again == ["done"]


def test_a_failing_command(backend: Backend, busybox: str, tmp_path: Path, recorder: Recorder) -> None:
    build = build_of(tmp_path / "c", f"FROM {busybox}\nRUN true\nRUN echo why; \\\n  exit 7\n", tags=("failed:1",))
    with pytest.raises(ContainerFailed) as caught:
        backend.builder.build(build)
    assert caught.value.status == 7
    assert caught.value.source is not None
    assert (caught.value.source.first, caught.value.source.last) == (3, 4)
    assert str(caught.value).startswith("Dockerfile:3: [3/3] RUN echo why")
    (failed,) = [step for step in recorder.steps if step[2] == "failed"]
    assert failed[3] == b"why\n"
    assert "failed:1" not in names(backend)


def test_a_missing_source(backend: Backend, busybox: str, tmp_path: Path) -> None:
    with pytest.raises(WerfError, match="nothing-there") as caught:
        backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nCOPY nothing-there /\n"))
    assert caught.value.source is not None
    assert caught.value.source.first == 2


def test_a_missing_base(backend: Backend, registry: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        backend.builder.build(build_of(tmp_path / "c", f"FROM {registry}/no/such:1\n"))
    assert caught.value.hint or caught.value.source


def test_a_target(backend: Backend, busybox: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox} AS one\nENV A=1\nFROM one AS two\nRUN false\n"
    id = backend.builder.build(build_of(tmp_path / "c", dockerfile, target="one", tags=("target:1",)))
    assert "A=1" in backend.images.inspect(str(id)).config.env
    with pytest.raises(WerfError, match="three"):
        backend.builder.build(build_of(tmp_path / "c", dockerfile, target="three"))


def test_a_secret(backend: Backend, kind: str, busybox: str, tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "s").write_text("hush")
    dockerfile = f"FROM {busybox}\nRUN --mount=type=secret,id=s wc -c < /run/secrets/s\n"
    build = build_of(tmp_path / "c", dockerfile, secrets=(Secret("s", path=str(tmp_path / "s")),), no_cache=True)
    if kind.endswith("classic"):
        with pytest.raises(UsageError, match="classic builder") as caught:
            backend.builder.build(build)
        assert "buildkit" in (caught.value.hint or "")
        return
    backend.builder.build(build)
    assert any(output == b"4\n" for _, _, _, output in recorder.steps)


def test_a_dockerfile_that_is_not_in_the_context(backend: Backend, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/f").write_text("f")
    (tmp_path / "D").write_text(f'FROM {busybox}\nCOPY . /c\nRUN test "$(ls -A /c)" = f\n')
    build = open_build(str(tmp_path / "c"), str(tmp_path / "D"))
    backend.builder.build(msgspec.structs.replace(build, network="host"))


def test_hosts(backend: Backend, busybox: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox}\nRUN grep '10.1.2.3.*db' /etc/hosts\n"
    backend.builder.build(build_of(tmp_path / "c", dockerfile, add_hosts=("db:10.1.2.3",)))


def test_names(backend: Backend, busybox: str, tmp_path: Path) -> None:
    id = backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nLABEL a=names\n", tags=("names:1",)))
    backend.images.tag("names:1", ["names:2", "names:2", "other/names:3"])
    assert {"names:1", "names:2", "names:3"} <= names(backend)
    backend.images.remove(["names:1", "names:2"])
    assert backend.images.inspect("other/names:3").id == id
    with pytest.raises(ImageNotFound, match="names:1"):
        backend.images.inspect("names:1")
    for call in (
        lambda: backend.images.tag("names:1", ["x"]),
        lambda: backend.images.remove(["names:1"]),
        lambda: backend.transfer.push("names:1"),
        lambda: backend.transfer.save("names:1", str(tmp_path / "none.tar")),
    ):
        with pytest.raises(ImageNotFound):
            call()
    backend.images.remove([str(id)])
    assert id not in {image.id for image in backend.images.images()}
    assert not list(tmp_path.glob("none.tar*"))


def test_to_a_registry_and_back(backend: Backend, kind: str, busybox: str, registry: str, tmp_path: Path) -> None:
    name = f"{registry}/contract-{kind}:1"
    id = backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nRUN echo {kind} > /k\n", tags=("push:1",)))
    digest = backend.transfer.push("push:1", name)
    assert digest.algorithm == "sha256"
    assert name not in {known for image in backend.images.images() for known in image.names}, "a name was left"
    backend.images.remove(["push:1"])
    pulled = backend.transfer.pull(name)
    assert backend.images.inspect(name).id == pulled
    if kind != "embedded":  # a push in Docker's format has another config there
        assert pulled == id
    with pytest.raises(RegistryError):
        backend.transfer.pull(f"{registry}/no/such:1")


def test_an_image_without_a_name_is_still_there_after_a_push(
    backend: Backend, kind: str, busybox: str, registry: str, tmp_path: Path
) -> None:
    id = backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nLABEL only={kind}\n"))
    before = {image.id for image in backend.images.images()}
    backend.transfer.push(str(id), f"{registry}/unnamed-{kind}:1")
    assert backend.images.inspect(str(id)).names == ()
    assert {image.id for image in backend.images.images()} == before
    backend.images.remove([str(id)])


@pytest.mark.parametrize("kind", ["buildkit", "containerd-buildkit"])
def test_a_registry_that_wants_a_password(
    backend: Backend, kind: str, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with services.registry(tmp_path / "secured", HTPASSWD) as host:
        backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nLABEL a={kind}\n", tags=("pw:1",)))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
        with pytest.raises(RegistryUnauthorized):
            backend.transfer.push("pw:1", f"{host}/pw:1")
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        write(tmp_path / "config", {"config.json": json.dumps({"auths": {host: {"auth": auth}}})})
        backend.transfer.push("pw:1", f"{host}/pw:1")
        pulled = backend.transfer.pull(f"{host}/pw:1")
        assert backend.images.inspect(str(pulled)).config.labels["a"] == kind
        backend.images.remove([f"{host}/pw:1"])


def test_to_an_archive_and_back(backend: Backend, busybox: str, tmp_path: Path) -> None:
    backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nRUN echo x > /x\n", tags=("saved:1",)))
    before = backend.images.inspect("saved:1")
    backend.transfer.save("saved:1", str(tmp_path / "a.tar"))
    backend.images.remove(["saved:1"])
    (loaded,) = backend.transfer.load(str(tmp_path / "a.tar"))
    after = backend.images.inspect("saved:1")
    assert after.id == loaded
    assert (after.config, after.diff_ids) == (before.config, before.diff_ids)
    (tmp_path / "bad.tar").write_bytes(b"not a tar")
    with pytest.raises(WerfError):
        backend.transfer.load(str(tmp_path / "bad.tar"))
    with pytest.raises(WerfError):
        backend.transfer.load(str(tmp_path / "none.tar"))


def test_prune(backend: Backend, kind: str, busybox: str, tmp_path: Path) -> None:
    old = backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nRUN echo 1 > /x\n", tags=("prune:1",)))
    new = backend.builder.build(build_of(tmp_path / "c", f"FROM {busybox}\nRUN echo 2 > /x\n", tags=("prune:1",)))
    unnamed = old in {image.id for image in backend.images.images()}
    assert unnamed or kind == "containerd-buildkit"  # which lets go of an image with its last name
    pruned = backend.images.prune()
    assert (str(old) in pruned.images) == unnamed
    ids = {image.id for image in backend.images.images()}
    assert old not in ids
    assert new in ids


def test_another_config(backend: Backend, kind: str, busybox: str, tmp_path: Path) -> None:
    dockerfile = f'FROM {busybox}\nENV A=1\nRUN true\nWORKDIR /w\nLABEL l=1\nRUN echo x > /x\nCMD ["c"]\n'
    below = backend.builder.build(build_of(tmp_path / "c", dockerfile, tags=("below:1",)))
    before = backend.images.inspect("below:1")

    def change(data: bytes) -> bytes:
        config = ImageConfig.from_json(data)
        assert config.config == before.config
        made = [line.empty_layer for line in config.history]
        assert made.count(False) == len(before.diff_ids)
        assert "RUN" in config.history[-2].created_by or "-c echo x" in config.history[-2].created_by
        inner = msgspec.structs.replace(config.config, env=("B=2",), cmd=None, entrypoint=("e",), labels={"m": "2"})
        return msgspec.structs.replace(config, config=inner, author="me", history=()).to_json()

    id = backend.configs.rewrite(str(below), change, tags=("rewritten:1", "rewritten:2"))
    after = backend.images.inspect("rewritten:1")
    assert (after.id, after.author, after.diff_ids) == (id, "me", before.diff_ids)
    assert (after.config.env, after.config.cmd, after.config.entrypoint) == (("B=2",), None, ("e",))
    assert (after.config.labels, after.config.working_dir) == ({"m": "2"}, "/w")
    assert backend.images.inspect("rewritten:2").id == id
    assert backend.images.inspect("below:1").id == below
    assert backend.configs.rewrite("below:1", change, tags=("rewritten:1",)) == id
    # what is on top of it stands on whole layers
    backend.builder.build(build_of(tmp_path / "d", "FROM rewritten:1\nRUN test $(cat /x) = x\n"))
    backend.transfer.save("rewritten:1", str(tmp_path / "saved.tar"))
    from support.image_compare import read_image

    assert "x" in read_image(tmp_path / "saved.tar").files

    def fail(data: bytes) -> bytes:
        raise BuildError("no such change")

    images = {image.id for image in backend.images.images()}
    with pytest.raises(BuildError):
        backend.configs.rewrite("below:1", fail, tags=("never:1",))
    with pytest.raises(ImageNotFound):
        backend.configs.rewrite("no-such:1", change, tags=("never:1",))
    assert {image.id for image in backend.images.images()} == images


def test_squash(backend: Backend, kind: str, busybox: str, tmp_path: Path) -> None:
    build = build_of(tmp_path / "c", f"FROM {busybox}\nRUN echo 1 > /x\nRUN echo 2 > /y\n", tags=("sq:1",), squash=True)
    if kind == "embedded":
        backend.builder.build(build)
        assert len(backend.images.inspect("sq:1").diff_ids) == 2
        return
    with pytest.raises(BuildError, match="experimental"):  # which the daemon of the tests is not
        backend.builder.build(build)
