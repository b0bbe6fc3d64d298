"""What is known of published stages, in files of the home directory. It may be deleted at any time."""

from __future__ import annotations

import contextlib
import hashlib
import os

import msgspec

from pywerf.build.project.storage.model import StageDescription, StageId

__all__ = ["DescriptionMemo"]


class DescriptionMemo:
    """Descriptions by repository and stage, one small file each below `HOME/local_cache/stages`.

    A file that is damaged counts as none; where none can be written nothing is remembered.
    """

    def __init__(self, home: str) -> None:
        self._folder = os.path.join(home, "local_cache", "stages", "1")

    def get(self, repo: str, stage: StageId) -> StageDescription | None:
        """The description, or None. What is used is touched, for whoever cleans up by last use."""
        path = self._path(repo, stage)
        try:
            with open(path, "rb") as file:
                found = msgspec.json.decode(file.read(), type=StageDescription)
            os.utime(path)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return found if (found.repo, found.id) == (repo, stage) else None

    def put(self, description: StageDescription) -> None:
        """Remember. Atomic."""
        path = self._path(description.repo, description.id)
        new = f"{path}.{os.getpid()}.{id(description):x}.tmp"
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                with open(new, "wb") as file:
                    file.write(msgspec.json.encode(description))
                os.replace(new, path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(new)

    def forget(self, repo: str, stage: StageId) -> None:
        """Remember no more. Idempotent."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(repo, stage))

    def _path(self, repo: str, stage: StageId) -> str:
        space = hashlib.sha256(repo.encode()).hexdigest()[:16]
        return os.path.join(self._folder, space, f"{stage}.json")
