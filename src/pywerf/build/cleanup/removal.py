"""Deletes the tags of a plan: whole manifests where no tag that stays has them, else tags alone.

A manifest that is deleted takes all of its tags along. So what belongs to nobody else goes in one request, and what is
shared with a tag that stays is only untagged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.errors import RegistryError
from pywerf.oci.digest import Digest

if TYPE_CHECKING:
    from pywerf.build.project.storage.repository import Repository

__all__ = ["Removal", "Warn", "plan_removals", "remove"]

Warn = Callable[[str], None]

_DELETES_NOTHING = (400, 405, 501)


class Removal(msgspec.Struct, frozen=True):
    """Tags of one manifest that go. `sharing` are those that stay; `alone`: the manifest has to stay for them."""

    digest: Digest | None
    tags: tuple[str, ...]
    alone: bool = False
    sharing: tuple[str, ...] = ()


def plan_removals(
    tags: Collection[str], digests: Mapping[str, Digest], pinned: Collection[Digest]
) -> tuple[Removal, ...]:
    """How tags are deleted. `digests` are those of all tags of the repository, `pinned` manifests that stay."""
    doomed = set(tags)
    sharing: dict[Digest, list[str]] = {}
    going: dict[Digest, list[str]] = {}
    for tag, digest in digests.items():
        (going if tag in doomed else sharing).setdefault(digest, []).append(tag)
    removals = [
        Removal(
            digest,
            tuple(sorted(going[digest])),
            alone=digest in sharing or digest in pinned,
            sharing=tuple(sorted(sharing.get(digest, ()))),
        )
        for digest in going
    ]
    # what was not there to be looked at: gone already, or unreadable
    removals += [Removal(None, (tag,), alone=True) for tag in sorted(doomed - digests.keys())]
    return tuple(sorted(removals, key=lambda removal: removal.tags))


def remove(repository: Repository, removals: Sequence[Removal], *, jobs: int, warn: Warn, gone: set[str]) -> None:
    """Carry removals out, up to `jobs` at once. Tags join `gone` when they are; what fails is warned of.

    Raises RegistryError when the registry deletes nothing at all.
    """
    from pywerf.registry.parallel import run_all

    failures: list[RegistryError] = []
    lock = threading.Lock()

    def work(removal: Removal) -> Callable[[threading.Event], None]:
        def run(stop: threading.Event) -> None:
            try:
                done = _remove_one(repository, removal, warn)
            except RegistryError as error:
                with lock:
                    failures.append(error)
                    if not gone and error.status in _DELETES_NOTHING:
                        raise
                warn(f"{', '.join(removal.tags)}: not deleted: {error.message}")
            else:
                with lock:
                    gone.update(done)

        return run

    run_all([work(removal) for removal in removals], jobs)
    if failures and not gone:
        raise failures[0]


def _remove_one(repository: Repository, removal: Removal, warn: Warn) -> Sequence[str]:
    if not removal.alone and removal.digest is not None:
        repository.deletion.delete_manifest(removal.digest, removal.tags)
        for tag in removal.tags:
            repository.forget_tag(tag)
        return removal.tags
    held = None
    if removal.sharing:
        held = repository.client.manifest(repository.path, str(removal.digest))
    for tag in removal.tags:
        repository.delete_tag(tag)
    if held is not None:
        for tag in removal.sharing:
            if not repository.has(tag):
                # the registry has taken "delete this tag" for "delete what it means": its layers are still there
                repository.client.put_manifest(repository.path, tag, held[0], held[1])
                warn(f"{tag}: the registry had deleted it together with {', '.join(removal.tags)}: it was restored")
    return removal.tags
