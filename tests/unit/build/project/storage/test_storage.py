"""Storages of stages: the contract for both drivers, with the embedded engine; and what only a registry has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.backend.contract import Backend, DockerfileBuild
from pywerf.build.embedded import EmbeddedBackend
from pywerf.build.host.embedded import EmbeddedHost
from pywerf.build.project.storage.local import LocalStageStorage
from pywerf.build.project.storage.memo import DescriptionMemo
from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.build.project.storage.open import open_registry_storage, open_storage
from pywerf.build.project.storage.records import ClientId, CustomTag, ManagedImage, custom_tags, managed_images
from pywerf.build.project.storage.registry import RegistryStageStorage
from pywerf.build.session import Session
from pywerf.errors import RegistryError, RegistryUnauthorized, UsageError
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform
from pywerf.registry.access import RegistryAccess
from support.fake_registry import FakeRegistry
from support.memory_tree import MemoryTree
from support.stage_contract import DIGEST, FIRST, SECOND, BuildImage, StageContract


@pytest.fixture
def backend(session: Session) -> EmbeddedBackend:
    return EmbeddedBackend(session)


@pytest.fixture
def build_image() -> BuildImage:
    def build(backend: Backend, text: str) -> str:
        labels = {"werf": "shop", "werf-project-repo-commit": text}
        tree = MemoryTree({"file": text.encode()})
        dockerfile = b"FROM scratch\nCOPY file /\n"
        return str(backend.builder.build(DockerfileBuild(dockerfile, context=tree, labels=labels)))

    return build


class TestLocal(StageContract):
    @pytest.fixture
    def storage(self, backend: EmbeddedBackend) -> LocalStageStorage:
        return LocalStageStorage("shop", backend)

    def test_images_of_others_are_not_stages(self, storage: LocalStageStorage, backend: EmbeddedBackend) -> None:
        image = backend.builder.build(
            DockerfileBuild(b"FROM scratch\nENV A=1\n", tags=(f"shop:{FIRST}", "shop:latest"))
        )
        assert image
        assert storage.describe(FIRST) is None

    def test_an_index_of_two_platforms(self, storage: LocalStageStorage, backend: EmbeddedBackend) -> None:
        members = []
        for stage, platform in ((FIRST, Platform.parse("linux/amd64")), (SECOND, Platform.parse("linux/arm64"))):
            build = DockerfileBuild(
                b"FROM scratch\nCOPY file /\n",
                context=MemoryTree({"file": b"one"}),
                labels={"werf": "shop", "werf-project-repo-commit": "one"},
                platforms=(platform,),
            )
            members.append(storage.publish(str(backend.builder.build(build)), stage, backend))
        digest = "c3" * 28
        index = storage.publish_index(digest, members)
        assert index is not None
        assert (index.name, index.commit) == (f"shop:{digest}", "one")
        assert storage.publish_index(digest, members) == index
        assert StageId(digest) in storage.stages(digest, fresh=True)
        record = backend.session.find_image(index.name)
        assert record.is_index
        assert record.labels["werf"] == "shop"

        storage.reject(SECOND)  # damaged, and in an index
        assert storage.stages(DIGEST, fresh=True) == [FIRST]

    def test_a_cleanup_takes_an_index_with_its_first_image(
        self, storage: LocalStageStorage, backend: EmbeddedBackend, build_image: BuildImage
    ) -> None:
        member = storage.publish(build_image(backend, "one"), FIRST, backend)
        assert storage.publish_index("c3" * 28, [member]) is not None
        host = EmbeddedHost(backend.session)
        images = host.images("shop")
        assert sorted(name for image in images for name in image.names) == [
            f"localhost/shop:{FIRST}",
            f"localhost/shop:{'c3' * 28}",
        ]
        first = next(image for image in images if image.id == member.image_id.hex)
        assert host.remove_image(first)
        assert host.images("shop") == []


class TestRegistry(StageContract):
    @pytest.fixture
    def storage(
        self, fake_registry: FakeRegistry, make_access: Callable[..., RegistryAccess], tmp_path: Path
    ) -> RegistryStageStorage:
        return open_registry_storage(f"{fake_registry.host}/shop", make_access(), home=str(tmp_path / "home"))

    def test_another_machine_sees_it(
        self,
        storage: RegistryStageStorage,
        backend: EmbeddedBackend,
        build_image: BuildImage,
        make_session: Callable[..., Session],
        make_access: Callable[..., RegistryAccess],
        tmp_path: Path,
    ) -> None:
        published = storage.publish(build_image(backend, "one"), FIRST, backend)
        other = open_registry_storage(storage.address, make_access(), home=str(tmp_path / "other"))
        assert other.stages() == [FIRST]
        assert other.describe(FIRST) == published
        elsewhere = EmbeddedBackend(make_session("elsewhere"))
        assert elsewhere.images.inspect(other.fetch(FIRST, elsewhere)).id == published.image_id

    @pytest.mark.parametrize("status", [401, 403])
    def test_registries_that_refuse_to_read_a_new_repository(
        self,
        status: int,
        fake_registry: FakeRegistry,
        storage: RegistryStageStorage,
        backend: EmbeddedBackend,
        build_image: BuildImage,
    ) -> None:
        fake_registry.missing_status = status
        assert storage.stages() == []
        assert not storage.repository.has(str(FIRST))
        published = storage.publish(build_image(backend, "one"), FIRST, backend)
        assert storage.describe(FIRST) == published
        assert not fake_registry.uploads, "the question whether we may push leaves something behind"

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_record_is_the_first_in_a_new_repository(
        self, status: int, fake_registry: FakeRegistry, storage: RegistryStageStorage
    ) -> None:
        fake_registry.missing_status = status
        storage.records.write("managed-image-web", {"name": "web"})
        assert storage.records.tags(fresh=True) == ("managed-image-web",)

    def test_who_may_not_push_is_refused(self, fake_registry: FakeRegistry, storage: RegistryStageStorage) -> None:
        fake_registry.missing_status = 403
        fake_registry.fail("POST", "/blobs/uploads/", 403)
        with pytest.raises(RegistryUnauthorized, match="denied"):
            storage.stages()

    def test_what_is_known_is_not_asked_again(
        self,
        storage: RegistryStageStorage,
        backend: EmbeddedBackend,
        build_image: BuildImage,
        fake_registry: FakeRegistry,
        make_access: Callable[..., RegistryAccess],
        tmp_path: Path,
    ) -> None:
        published = storage.publish(build_image(backend, "one"), FIRST, backend)
        again = open_registry_storage(storage.address, make_access(), home=str(tmp_path / "home"))
        fake_registry.requests.clear()
        assert again.stages(DIGEST) == [FIRST]
        assert again.describe(FIRST) == published
        assert [str(request) for request in fake_registry.requests if request.path != "/v2/"] == [
            "GET /v2/shop/tags/list"
        ]

    def test_a_push_that_fails_can_be_repeated(
        self,
        storage: RegistryStageStorage,
        backend: EmbeddedBackend,
        build_image: BuildImage,
        fake_registry: FakeRegistry,
    ) -> None:
        image = build_image(backend, "one")
        fake_registry.fail("PUT", "/manifests/", 500, times=9)
        with pytest.raises(RegistryError):
            storage.publish(image, FIRST, backend)
        assert storage.stages(fresh=True) == []
        fake_registry.failures.clear()
        assert str(storage.publish(image, SECOND, backend).image_id) == image

    def test_an_index_of_two_platforms(
        self, storage: RegistryStageStorage, backend: EmbeddedBackend, build_image: BuildImage
    ) -> None:
        members = [
            storage.publish(build_image(backend, "one"), FIRST, backend),
            storage.publish(build_image(backend, "two"), SECOND, backend),
        ]
        index = storage.publish_index("c3" * 28, members)
        assert index is not None
        assert index.name == f"{storage.address}:{'c3' * 28}"
        assert index.members == tuple(member.manifest for member in members)
        assert index.id in storage.stages(fresh=True)
        assert index.id.is_index

    @pytest.mark.parametrize("deletes_tags", [True, False])
    def test_records(
        self,
        storage: RegistryStageStorage,
        backend: EmbeddedBackend,
        build_image: BuildImage,
        fake_registry: FakeRegistry,
        deletes_tags: bool,
    ) -> None:
        fake_registry.deletes_tags = deletes_tags
        records = storage.records
        for image in (ManagedImage("team/web"), ManagedImage("")):
            records.write(image.tag, image.labels)
            records.write(image.tag, image.labels)
        assert managed_images(records) == [ManagedImage(""), ManagedImage("team/web")]
        assert records.read(ManagedImage("").tag) == {"werf-image-name": ""}
        assert records.read("nothing") is None
        records.delete(ManagedImage("").tag)
        records.delete(ManagedImage("").tag)
        assert records.tags() == records.tags(fresh=True) == (ManagedImage("team/web").tag,)

    @pytest.mark.parametrize("deletes_tags", [True, False])
    def test_custom_tags_go_alone(
        self,
        storage: RegistryStageStorage,
        backend: EmbeddedBackend,
        build_image: BuildImage,
        fake_registry: FakeRegistry,
        deletes_tags: bool,
    ) -> None:
        fake_registry.deletes_tags = deletes_tags
        storage.publish(build_image(backend, "one"), FIRST, backend)
        storage.publish(build_image(backend, "two"), SECOND, backend)
        for stage in (FIRST, SECOND):
            storage.records.point("v1", stage)
            record = CustomTag("v1", stage)
            storage.records.write(record.tag, record.labels)
        assert custom_tags(storage.records) == [CustomTag("v1", SECOND)]
        assert fake_registry.manifests["shop", "v1"] == fake_registry.manifests["shop", str(SECOND)]
        storage.records.delete("v1")
        assert storage.stages(fresh=True) == [FIRST, SECOND]
        assert "v1" not in storage.records.tags()

    def test_a_registry_that_deletes_nothing_says_so(
        self, storage: RegistryStageStorage, backend: EmbeddedBackend, build_image: BuildImage,
        fake_registry: FakeRegistry,
    ) -> None:  # fmt: skip
        storage.publish(build_image(backend, "one"), FIRST, backend)
        fake_registry.fail("DELETE", "/manifests/", 405, body={"errors": [{"code": "UNSUPPORTED", "message": "no"}]})
        with pytest.raises(RegistryError) as caught:
            storage.delete(FIRST)
        assert "DELETE_ENABLED" in str(caught.value.hint)


def test_damaged_memos_are_none(tmp_path: Path) -> None:
    memo = DescriptionMemo(str(tmp_path))
    assert memo.get("r/shop", FIRST) is None
    known = StageDescription(FIRST, "r/shop", Digest.of(b"x"), labels={"a": "b"}, created=5)
    memo.put(known)
    assert memo.get("r/shop", FIRST) == known
    assert memo.get("r/other", FIRST) is None
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_bytes(path.read_bytes()[:20])
    assert memo.get("r/shop", FIRST) is None
    memo.forget("r/shop", FIRST)
    memo.forget("r/shop", FIRST)
    assert not path.exists()


def test_nowhere_to_write(tmp_path: Path) -> None:
    (tmp_path / "local_cache").write_text("a file in the way")
    memo = DescriptionMemo(str(tmp_path))
    memo.put(StageDescription(FIRST, "r/shop", Digest.of(b"x")))
    assert memo.get("r/shop", FIRST) is None


@pytest.mark.parametrize("repo", ["", ":local"])
def test_without_a_repository_the_backend_has_the_stages(backend: EmbeddedBackend, repo: str) -> None:
    def nothing() -> RegistryAccess:
        raise AssertionError("no registry is needed")

    storage = open_storage(repo, "shop", access=nothing, backend=lambda: backend, home="/nowhere")
    assert (storage.address, storage.records) == (":local", None)


@pytest.mark.parametrize(
    "repo", ["r.example.com/Shop", "r.example.com/shop:1", "r.example.com/shop@sha256:" + "0" * 64]
)
def test_what_is_no_repository(repo: str, make_access: Callable[..., RegistryAccess]) -> None:
    with pytest.raises(UsageError, match="--final-repo"):
        open_registry_storage(repo, make_access(), home="/nowhere", flag="--final-repo")


def test_the_oldest_client_id_is_first() -> None:
    assert ClientId.of(ClientId(12, "a-b").tag) == ClientId(12, "a-b")
    assert ClientId(11, "z") < ClientId(12, "a")
