"""Opens storages: what `--repo` and its kin name, or the backend's own images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pywerf.build.project.storage.local import LOCAL
from pywerf.errors import InvalidReference, UsageError

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.storage.base import StageStorage
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.registry.access import RegistryAccess
    from pywerf.registry.deletion import VendorAccess

__all__ = ["open_registry_storage", "open_storage"]


def open_storage(
    repo: str, project: str, *, access: Callable[[], RegistryAccess], backend: Callable[[], Backend], home: str
) -> StageStorage:
    """The storage of a project: the repository `repo`, or local images when it is empty or `:local`.

    Only what is needed is made: no registries for local images, no backend for a repository. Raises UsageError.
    """
    if repo in ("", LOCAL):
        from pywerf.build.project.storage.local import LocalStageStorage

        return LocalStageStorage(project, backend())
    return open_registry_storage(repo, access(), home=home)


def open_registry_storage(
    repo: str,
    access: RegistryAccess,
    *,
    home: str,
    flag: str = "--repo",
    kind: str = "",
    vendor: VendorAccess | None = None,
) -> RegistryStageStorage:
    """The stages of a repository. No request is made yet. Raises UsageError, that names the flag.

    `kind` and `vendor` matter for what deletes: see Repository.
    """
    from pywerf.build.project.storage.memo import DescriptionMemo
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.build.project.storage.repository import Repository
    from pywerf.oci.reference import Reference
    from pywerf.registry.deletion import NO_VENDOR_ACCESS, registry_kind

    try:
        reference = Reference.parse(repo.removeprefix("docker://"))
    except InvalidReference as error:
        raise UsageError(f"{flag} {repo}: {error.message}", hint="write REGISTRY/NAME") from error
    if reference.tag or reference.digest is not None:
        raise UsageError(
            f"{flag} {repo}: a repository has no tag: stages get their own", hint=f"{flag} {reference.name}"
        )
    registry_kind(reference.host, kind, f"{flag}-container-registry")
    repository = Repository(reference.name, access, kind=kind, vendor=vendor or NO_VENDOR_ACCESS)
    return RegistryStageStorage(repository, DescriptionMemo(home))
