"""What every storage of stages has to do: one suite, run against registries and backends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pywerf.backend.contract import Backend
from pywerf.build.project.storage.base import StageStorage
from pywerf.build.project.storage.model import StageId
from pywerf.errors import BuildError, WerfError

DIGEST, OTHER = "a1" * 28, "b2" * 28
FIRST, SECOND, FOREIGN = StageId(DIGEST, 1700000000001), StageId(DIGEST, 1700000000002), StageId(OTHER, 1700000000000)

BuildImage = Callable[[Backend, str], str]
"""Builds an image with the labels `werf=shop` and `werf-project-repo-commit=TEXT`, and a file of that text; its id."""


class StageContract:
    """Subclasses give the fixtures `storage` (of the project `shop`), `backend` and `build_image`."""

    def test_what_is_published_is_listed_and_described(
        self, storage: StageStorage, backend: Backend, build_image: BuildImage
    ) -> None:
        assert storage.stages() == []
        image = build_image(backend, "one")
        published = storage.publish(image, SECOND, backend)
        assert storage.stages() == storage.stages(DIGEST) == storage.stages(fresh=True) == [SECOND]
        assert storage.stages(OTHER) == []
        assert storage.describe(SECOND) == published
        assert (published.id, published.tag) == (SECOND, str(SECOND))
        assert published.name == f"{published.repo}:{SECOND}"
        assert published.labels["werf"] == "shop"
        assert published.commit == "one"
        assert published.size > 0
        assert published.created > 1_600_000_000 * 10**9
        assert published.platform.startswith("linux/")

    def test_stages_are_in_order_of_their_time(
        self, storage: StageStorage, backend: Backend, build_image: BuildImage
    ) -> None:
        for number, stage in enumerate((SECOND, FOREIGN, FIRST)):
            storage.publish(build_image(backend, str(number)), stage, backend)
        assert storage.stages(DIGEST) == storage.stages(DIGEST, fresh=True) == [FIRST, SECOND]
        assert storage.stages() == [FIRST, SECOND, FOREIGN]

    def test_nothing_published_is_overwritten(
        self, storage: StageStorage, backend: Backend, build_image: BuildImage
    ) -> None:
        first = storage.publish(build_image(backend, "one"), FIRST, backend)
        with pytest.raises(BuildError, match="never overwritten"):
            storage.publish(build_image(backend, "two"), FIRST, backend)
        assert storage.describe(FIRST) == first
        assert storage.describe(FIRST) is not None

    def test_what_is_deleted_is_gone(self, storage: StageStorage, backend: Backend, build_image: BuildImage) -> None:
        storage.publish(build_image(backend, "one"), FIRST, backend)
        storage.publish(build_image(backend, "two"), SECOND, backend)
        storage.delete(FIRST)
        storage.delete(FIRST)
        assert storage.stages() == storage.stages(fresh=True) == [SECOND]
        assert storage.describe(FIRST) is None
        assert storage.describe(SECOND) is not None

    def test_what_is_rejected_is_never_seen_again(
        self, storage: StageStorage, backend: Backend, build_image: BuildImage
    ) -> None:
        storage.publish(build_image(backend, "one"), FIRST, backend)
        storage.publish(build_image(backend, "two"), SECOND, backend)
        storage.reject(FIRST)
        storage.reject(FIRST)
        assert storage.stages() == storage.stages(fresh=True) == [SECOND]

    def test_what_is_fetched_can_be_built_on(
        self, storage: StageStorage, backend: Backend, build_image: BuildImage
    ) -> None:
        published = storage.publish(build_image(backend, "one"), FIRST, backend)
        name = storage.fetch(FIRST, backend)
        assert name == published.name
        assert backend.images.inspect(name).config.labels["werf-project-repo-commit"] == "one"

    def test_what_is_missing_is_an_error(self, storage: StageStorage, backend: Backend) -> None:
        with pytest.raises(WerfError):
            storage.fetch(FIRST, backend)
        assert storage.describe(FIRST) is None
