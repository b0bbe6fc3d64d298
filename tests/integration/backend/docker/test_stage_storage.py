"""The storages of stages on real ground: the contract with a docker-registry, by the embedded engine and by Docker."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.backend.contract import Backend
from pywerf.build.project.storage.local import LocalStageStorage
from pywerf.build.project.storage.open import open_registry_storage
from pywerf.build.project.storage.records import CustomTag, ManagedImage, managed_images
from pywerf.build.project.storage.registry import RegistryStageStorage, copy_stage
from pywerf.registry.access import RegistryAccess
from support.backend_builds import build_of
from support.stage_contract import FIRST, SECOND, BuildImage, StageContract

pytestmark = pytest.mark.integration

_numbers = itertools.count(1)


@pytest.fixture(params=["embedded", "buildkit", "containerd-buildkit"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(open_backend: Callable[[str], Backend], kind: str) -> Iterator[Backend]:
    opened = open_backend(kind)
    yield opened
    ours = [name for image in opened.images.images() for name in image.names if "shop" in name]
    for name in ours:
        opened.images.remove([name])


@pytest.fixture
def build_image(tmp_path: Path) -> BuildImage:
    def build(backend: Backend, text: str) -> str:
        folder = tmp_path / f"build-{next(_numbers)}"
        labels = {"werf": "shop", "werf-project-repo-commit": text}
        return str(
            backend.builder.build(build_of(folder, "FROM scratch\nCOPY file /\n", {"file": text}, labels=labels))
        )

    return build


class TestLocal(StageContract):
    @pytest.fixture
    def storage(self, backend: Backend) -> LocalStageStorage:
        return LocalStageStorage("shop", backend)


class TestRegistry(StageContract):
    @pytest.fixture
    def storage(
        self, registry: str, make_access: Callable[..., RegistryAccess], tmp_path: Path
    ) -> RegistryStageStorage:
        return open_registry_storage(f"{registry}/shop{next(_numbers)}", make_access(), home=str(tmp_path / "home"))

    def test_records_and_custom_tags_come_and_go_alone(
        self, storage: RegistryStageStorage, backend: Backend, build_image: BuildImage
    ) -> None:
        records = storage.records
        storage.publish(build_image(backend, "one"), FIRST, backend)
        for image in (ManagedImage("team/web"), ManagedImage("")):
            records.write(image.tag, image.labels)
        records.point("v1", FIRST)
        custom = CustomTag("v1", FIRST)
        records.write(custom.tag, custom.labels)
        assert managed_images(records) == [ManagedImage(""), ManagedImage("team/web")]
        for tag in (ManagedImage("").tag, "v1"):
            records.delete(tag)
        assert set(records.tags(fresh=True)) == {str(FIRST), ManagedImage("team/web").tag, custom.tag}
        assert storage.intact(FIRST)

    def test_a_stage_is_copied_whole(
        self,
        storage: RegistryStageStorage,
        backend: Backend,
        build_image: BuildImage,
        make_access: Callable[..., RegistryAccess],
        tmp_path: Path,
    ) -> None:
        published = storage.publish(build_image(backend, "one"), SECOND, backend)
        other = open_registry_storage(f"{storage.address}-copy", make_access(), home=str(tmp_path / "home"))
        copied = copy_stage(storage, other, SECOND)
        assert (copied.manifest, copied.image_id) == (published.manifest, published.image_id)
        assert other.intact(SECOND)
        assert not other.intact(FIRST)
