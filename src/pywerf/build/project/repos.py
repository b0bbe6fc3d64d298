"""The repositories of a build: the main storage, those beside it, and the locks that its builders share.

begun = Repos.begin(options, access)            # a registry is asked while the project is looked at
with Repos.open(options, project, …, begun=begun) as repos:
    repos.main, repos.final, repos.caches, repos.secondaries
    with repos.locked(digest) as hold: …
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.storage.open import open_registry_storage, open_storage
from pywerf.errors import UsageError, WerfError

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.storage.base import StageStorage
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.locks.base import Hold, Locker
    from pywerf.registry.access import RegistryAccess
    from pywerf.util.events import Reporter

__all__ = ["RepoOptions", "Repos"]

SETTLE_SECONDS = 2.0  # until the records of builders that begin at the same time can be seen by all


class RepoOptions(msgspec.Struct, frozen=True):
    """What the command line says about repositories and locks. `home` is the directory for caches and locks.

    `repo` empty or `:local`: the backend's own images. `synchronization` empty: `:local`.
    """

    repo: str = ""
    final_repo: str = ""
    cache_repos: tuple[str, ...] = ()
    secondary_repos: tuple[str, ...] = ()
    synchronization: str = ""
    home: str = ""

    @property
    def is_local(self) -> bool:
        """Whether there is no repository."""
        return self.repo in ("", ":local")


class Repos:
    """The opened repositories. Nothing is asked of a registry or a lock service before it is needed."""

    def __init__(
        self,
        main: StageStorage,
        *,
        project: str,
        options: RepoOptions,
        access: Callable[[], RegistryAccess],
        reporter: Reporter,
        final: RegistryStageStorage | None = None,
        caches: tuple[RegistryStageStorage, ...] = (),
        secondaries: tuple[StageStorage, ...] = (),
    ) -> None:
        self.main = main
        self.final = final
        self.caches = caches
        self.secondaries = secondaries
        self.project = project
        self.options = options
        self.access = access
        self.reporter = reporter
        self._locker: Locker | None = None
        self._lock = threading.Lock()

    @staticmethod
    def begin(options: RepoOptions, access: Callable[[], RegistryAccess]) -> RegistryStageStorage | None:
        """Ask the main repository for its tags, which come while other things are done.

        None: there is no repository, or it cannot be opened; what is wrong then is told by `open`, in its turn.
        """
        if options.is_local:
            return None
        try:
            storage = open_registry_storage(options.repo, access(), home=options.home)
        except WerfError:
            return None
        storage.repository.begin()
        return storage

    @classmethod
    def open(
        cls,
        options: RepoOptions,
        project: str,
        *,
        access: Callable[[], RegistryAccess],
        backend: Callable[[], Backend],
        reporter: Reporter,
        begun: RegistryStageStorage | None = None,
    ) -> Repos:
        """What the options name. `begun`: the main storage, from `begin`.

        Raises UsageError for what does not fit together.
        """
        if options.is_local:
            for flag, given in (
                ("--final-repo", options.final_repo),
                ("--cache-repo", options.cache_repos),
                ("--secondary-repo", options.secondary_repos),
            ):
                if given:
                    raise UsageError(f"{flag} needs --repo: without it the stages are local images")
            if options.synchronization not in ("", ":local"):
                raise UsageError(
                    f"--synchronization {options.synchronization} needs --repo: local stages are nobody else's",
                    hint="leave it out, or name the repository",
                )
        main = begun or open_storage(options.repo, project, access=access, backend=backend, home=options.home)

        def opened(repo: str, flag: str) -> RegistryStageStorage:
            return open_registry_storage(repo, access(), home=options.home, flag=flag)

        return cls(
            main,
            project=project,
            options=options,
            access=access,
            reporter=reporter,
            final=opened(options.final_repo, "--final-repo") if options.final_repo else None,
            caches=tuple(opened(repo, "--cache-repo") for repo in options.cache_repos),
            secondaries=tuple(opened(repo, "--secondary-repo") for repo in options.secondary_repos),
        )

    def __enter__(self) -> Repos:
        return self

    def __exit__(self, *_: object) -> None:
        if self._locker is not None:
            self._locker.close()

    @contextmanager
    def locked(self, digest: str) -> Iterator[Hold]:
        """Hold the lock under which stages of a digest are published. Raises LockError."""
        with self._opened_locker().lock(f"{self.project}.stage.{digest}") as hold:
            yield hold

    @contextmanager
    def alone(self, what: str) -> Iterator[Hold]:
        """Hold a lock of the project's that has nothing to do with a digest. Raises LockError."""
        with self._opened_locker().lock(f"{self.project}.{what}") as hold:
            yield hold

    def _opened_locker(self) -> Locker:
        with self._lock:
            if self._locker is None:
                self._locker = self._open_locker()
            return self._locker

    def _open_locker(self) -> Locker:
        from pywerf.locks.choose import is_server, open_locker

        address = self.options.synchronization
        space = self.main.address if self.main.records is not None else self.project
        if not address and self.main.records is not None:
            self.reporter.message(
                "info",
                "builders of this host keep out of each other's way (--synchronization :local); for those of other "
                "hosts name a lock server",
            )
        if is_server(address):
            space = self._client_id(address)
        return open_locker(address, space, home=self.options.home, on_wait=self._tell_wait)

    def _tell_wait(self, name: str) -> None:
        self.reporter.message("info", f"waiting for another builder of {name.rpartition('.')[2][:12]}…")

    def _client_id(self, address: str) -> str:
        """Who the builders of this repository are for the server: the oldest record of the repository, or a new one."""
        from pywerf.build.project.storage.records import ClientId, client_ids
        from pywerf.locks.http import new_client_id

        records = self.main.records
        assert records is not None
        known = client_ids(records)
        if not known:
            new = ClientId(int(time.time() * 1000), new_client_id(address))
            records.write(new.tag, new.labels)
            time.sleep(SETTLE_SECONDS)
            known = client_ids(records, fresh=True) or [new]
        return known[0].id
