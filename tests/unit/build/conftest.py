"""Sessions with a store of their own (vfs: nothing is mounted), and images of a registry in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.build.options import EngineOptions, RegistryOptions
from pywerf.build.session import Session
from pywerf.oci.platform import host_platform
from pywerf.report.quiet import QuietReporter
from pywerf.util.events import Reporter
from support.fake_registry import FakeRegistry
from support.image_values import Image, image, index_of, make_image

__all__ = ["image", "index_of", "make_image"]


@pytest.fixture
def make_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Session]]:
    """Makes sessions by the name of their store; nothing of the user's registries is seen."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "/dev/null")
    made: list[Session] = []

    def make(name: str = "store", reporter: Reporter | None = None) -> Session:
        options = EngineOptions(root=str(tmp_path / name), storage_driver="vfs", registry=RegistryOptions(retries=0))
        made.append(Session.open(options, reporter or QuietReporter(io.StringIO())))
        return made[-1]

    yield make
    for session in made:
        session.__exit__(None, None, None)


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    """A session with an empty store."""
    return make_session()


@pytest.fixture
def put_image(fake_registry: FakeRegistry) -> Callable[[str, Image], str]:
    """Puts an image value into the fake registry as NAME:TAG; its full reference."""

    def put(name: str, image: Image) -> str:
        repository, _, tag = name.partition(":")
        for blob in image.blobs.values():
            fake_registry.add_blob(repository, blob)
        fake_registry.add_manifest(repository, tag, image.data, image.manifest.media_type)
        return f"{fake_registry.host}/{name}"

    return put


@pytest.fixture
def put_index(fake_registry: FakeRegistry, put_image: Callable[[str, Image], str]) -> Callable[..., str]:
    """Puts an index of image values there."""

    def put(name: str, index: bytes, *images: Image) -> str:
        repository, _, tag = name.partition(":")
        for number, item in enumerate(images):
            put_image(f"{repository}:part{number}", item)
        fake_registry.add_manifest(repository, tag, index, json.loads(index)["mediaType"])
        return f"{fake_registry.host}/{name}"

    return put


@pytest.fixture(scope="session")
def here() -> str:
    """The platform of this machine."""
    return str(host_platform())
