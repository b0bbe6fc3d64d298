"""`--cache-repo`: copies of stages near the builder. They are read first, and filled after; what fails is a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywerf.errors import ImageNotFound, WerfError

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.model import StageId
    from pywerf.build.project.storage.registry import RegistryStageStorage

__all__ = ["bring_from_caches", "copy_to_caches"]


def bring_from_caches(repos: Repos, stage: StageId, backend: Backend) -> None:
    """Before something is built on a stage: bring it into the backend from the first cache repo that has it.

    It gets the name that it has in the main repository. A stage that no cache repo has is copied there.
    """
    if not repos.caches:
        return
    name = f"{repos.main.address}:{stage}"
    try:
        backend.images.inspect(name)
        return
    except ImageNotFound:
        pass
    for cache in repos.caches:
        try:
            if stage in cache.stages(stage.digest):
                backend.images.tag(cache.fetch(stage, backend), [name])
                return
        except WerfError as error:
            _warn(repos, cache, error)
    copy_to_caches(repos, stage)


def copy_to_caches(repos: Repos, stage: StageId) -> None:
    """Copy a published stage to the cache repos that do not have it."""
    if not repos.caches:
        return
    from pywerf.build.project.storage.registry import RegistryStageStorage, copy_stage

    assert isinstance(repos.main, RegistryStageStorage)  # local storage has no caches
    for cache in repos.caches:
        try:
            if stage not in cache.stages(stage.digest):
                copy_stage(repos.main, cache, stage)
        except WerfError as error:
            _warn(repos, cache, error)


def _warn(repos: Repos, cache: RegistryStageStorage, error: WerfError) -> None:
    repos.reporter.message("warning", f"--cache-repo {cache.address}: {error.message}")
