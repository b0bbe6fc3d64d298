"""Which published stage is taken for a digest, and how a new one is published: all builders come to the same one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.errors import RegistryError

if TYPE_CHECKING:
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.base import StageStorage

__all__ = ["choose", "find_elsewhere", "publish"]

Make = Callable[[StageId], StageDescription]
Take = Callable[["StageStorage", StageId], StageDescription]


def choose(storage: StageStorage, digest: str, *, not_before: int = 0, fresh: bool = False) -> StageDescription | None:
    """The oldest stage of a digest that is not older than the stage before it (`not_before`, its timestamp)."""
    for stage in storage.stages(digest, fresh=fresh):
        if not stage.is_index and stage.timestamp >= not_before:
            found = storage.describe(stage)
            if found is not None:
                return found
    return None


def publish(
    repos: Repos, digest: str, make: Make, *, not_before: int = 0, now: Callable[[], float] = time.time
) -> tuple[StageDescription, bool]:
    """Publish what `make` publishes, under the digest's lock; or take what another builder was first with.

    `make` gets the name. The result tells whether it was called. Raises LockError, LockLost, and what `make` raises.
    """
    with repos.locked(digest) as hold:
        found = choose(repos.main, digest, not_before=not_before, fresh=True)
        if found is not None:
            return found, False
        taken = [stage.timestamp for stage in (*repos.main.stages(digest), *repos.main.rejected())]
        later = max((stamp + 1 for stamp in taken), default=0)
        stage = StageId(digest, max(int(now() * 1000), later, not_before))
        hold.check()
        return make(stage), True


def find_elsewhere(
    repos: Repos, digest: str, others: Sequence[StageStorage], take: Take, *, not_before: int = 0
) -> StageDescription | None:
    """A stage of the secondary storages, brought into the main one under its own name, in the order of `others`.

    `take` does that. A storage that cannot be asked has nothing.
    """
    for storage in others:
        try:
            found = choose(storage, digest, not_before=not_before)
        except RegistryError as error:
            repos.reporter.message("warning", f"{storage.address} cannot be asked: {error.message}")
            continue
        if found is None:
            continue
        with repos.locked(digest) as hold:
            first = choose(repos.main, digest, not_before=not_before, fresh=True)
            if first is not None:
                return first
            hold.check()
            return take(storage, found.id)
    return None
