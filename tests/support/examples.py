"""How many examples property tests try: all of them, or a fifth where somebody waits ($PYWERF_EXAMPLES=few)."""

from __future__ import annotations

import os
from collections.abc import Collection

from hypothesis import HealthCheck, settings

__all__ = ["FEW", "examples"]

FEW = os.environ.get("PYWERF_EXAMPLES") == "few"
_DEFAULT = 100  # hypothesis' own

settings.register_profile("few", max_examples=_DEFAULT // 5, deadline=None)
settings.register_profile("all", max_examples=_DEFAULT, deadline=None)
settings.load_profile("few" if FEW else "all")


def examples(count: int, *, suppress: Collection[HealthCheck] = ()) -> settings:
    """Settings for a test that wants `count` examples. No deadlines: a test does not judge speed."""
    return settings(max_examples=max(count // 5, 5) if FEW else count, deadline=None, suppress_health_check=suppress)
