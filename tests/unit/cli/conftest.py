"""The command line in this process: `werf(...)` runs it against a session that only takes notes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.options import BuildOptions, EngineOptions
from pywerf.build.remove import RemovedEvent
from pywerf.cli.main import run
from pywerf.errors import ImageNotFound
from pywerf.oci.config import ContainerConfig, History, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest, parse_manifest
from pywerf.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from pywerf.oci.platform import Platform
from pywerf.store.gc import GcReport
from pywerf.store.images import ImageRecord
from pywerf.store.store import Store
from pywerf.util.events import Reporter

IMAGE_ID = Digest.of(b"what was built")


class BuildResult:
    """What a build gives back, as far as the command line looks at it."""

    image_id: Digest | None = IMAGE_ID


class Recorder:
    """A session with a real store that notes what it is asked for; `fail` is raised by every method."""

    def __init__(self) -> None:
        self.options: EngineOptions | None = None
        self.reporter: Reporter | None = None
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.fail: BaseException | None = None
        self.status = 0
        self.root = ""
        self.store: Store

    def open(self, options: EngineOptions, reporter: Reporter) -> Recorder:
        self.options, self.reporter = options, reporter
        self.store = Store.open(self.root)
        return self

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def _note(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.calls.append((name, args, kwargs))
        if self.fail is not None:
            raise self.fail

    @property
    def built(self) -> BuildOptions:
        """The options of the last build."""
        return next(args[0] for name, args, _ in reversed(self.calls) if name == "build")

    def build(self, options: BuildOptions) -> BuildResult:
        self._note("build", options)
        return BuildResult()

    def find_image(self, name: str) -> ImageRecord:
        for candidate in (name, f"localhost/{name}", f"localhost/{name}:latest"):
            try:
                return self.store.images.resolve(candidate)
            except ImageNotFound:
                continue
        raise ImageNotFound(name)

    def image_manifest(self, record: ImageRecord) -> Manifest:
        manifest = parse_manifest(self.store.blobs.read(record.manifest_digest), record.media_type)
        assert isinstance(manifest, Manifest)
        return manifest

    def image_config(self, record: ImageRecord) -> ImageConfig:
        return ImageConfig.from_json(self.store.blobs.read(record.id))

    def pull(self, name: str, **kwargs: Any) -> ImageRecord:
        self._note("pull", name, **kwargs)
        return ImageRecord(IMAGE_ID, IMAGE_ID, OCI_MANIFEST, (name,), "", 0)

    def push(self, image: str, destination: str = "", **kwargs: Any) -> Digest:
        self._note("push", image, destination, **kwargs)
        return IMAGE_ID

    def tag(self, image: str, names: Sequence[str]) -> None:
        self._note("tag", image, tuple(names))

    def untag(self, image: str, names: Sequence[str]) -> None:
        self._note("untag", image, tuple(names))

    def remove(self, images: Sequence[str], **kwargs: Any) -> list[RemovedEvent]:
        self._note("remove", tuple(images), **kwargs)
        return [RemovedEvent("untagged", "localhost/app:1"), RemovedEvent("deleted", IMAGE_ID.hex)]

    def prune(self, *, all: bool = False) -> GcReport:
        self._note("prune", all=all)
        return GcReport(blobs=2, layers=1, bytes=1_500_000)

    def run(self, image: str, command: Sequence[str] = (), **kwargs: Any) -> int:
        self._note("run", image, tuple(command), **kwargs)
        return self.status

    def info(self) -> dict[str, object]:
        return {"host": {"os": "linux", "cpus": 2}, "store": {"GraphDriverName": "overlay"}}


class Outcome:
    """One run of the command line."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own settings reaches the tests."""
    for name in list(os.environ):
        if name.startswith(("WERF_", "BUILDAH_", "BUILDKIT_")) or name in ("SOURCE_DATE_EPOCH", "REGISTRY_AUTH_FILE"):
            monkeypatch.delenv(name)


@pytest.fixture
def session(tmp_path: Path) -> Recorder:
    recorder = Recorder()
    recorder.root = str(tmp_path / "store")
    return recorder


@pytest.fixture
def werf(session: Recorder, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `werf` with the given words."""

    def call(*words: str) -> Outcome:
        code = run(words, session_class=session)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def put_image(session: Recorder) -> Callable[..., ImageRecord]:
    """Puts a small image into the session's store."""

    def put(*names: str, created: str = "2020-01-02T03:04:05.678901234Z", command: str = "/f") -> ImageRecord:
        diff_id = Digest.of(b"layer")
        config = ImageConfig(
            platform=Platform("linux", "amd64"),
            config=ContainerConfig(
                env=("PATH=/bin", "C=d e"), cmd=(command,), labels={"x": "y"}, exposed_ports=("80/tcp",), user="app"
            ),
            diff_ids=(diff_id,),
            history=(
                History(created=created, created_by="COPY f /f # buildkit"),
                History(created=created, created_by='CMD ["/f"] ' + "x" * 60, comment="c", empty_layer=True),
            ),
            created=created,
        ).to_json()
        manifest = Manifest(
            OCI_MANIFEST,
            Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
            (Descriptor(OCI_LAYER, diff_id, 2048),),
            {"org.opencontainers.image.title": "app"},
        ).to_json()
        with Store.open(session.root) as store:
            return store.images.put(manifest, OCI_MANIFEST, config, names, 2048)

    return put
