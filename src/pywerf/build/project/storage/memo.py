"""What is known of published stages, remembered in the home directory."""

from __future__ import annotations

import msgspec

from pywerf.build.project.memo import FileMemo
from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.oci.document import json_decoder

__all__ = ["DescriptionMemo"]


class DescriptionMemo:
    """Descriptions by repository and stage. One that is damaged counts as none."""

    def __init__(self, home: str) -> None:
        self._memo = FileMemo(home, "stages/1")

    def get(self, repo: str, stage: StageId) -> StageDescription | None:
        """The description, or None."""
        data = self._memo.get(f"{repo}:{stage}")
        if data is None:
            return None
        try:
            found = json_decoder(StageDescription).decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return found if (found.repo, found.id) == (repo, stage) else None

    def put(self, description: StageDescription) -> None:
        """Remember. Atomic."""
        self._memo.put(description.name, msgspec.json.encode(description))

    def forget(self, repo: str, stage: StageId) -> None:
        """Remember no more. Idempotent."""
        self._memo.forget(f"{repo}:{stage}")
