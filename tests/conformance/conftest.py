"""Leaves out what needs corpora that are not at hand, and says so."""

from __future__ import annotations

import os
from pathlib import Path

CORPORA = Path(os.environ.get("PYWERF_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance")
NEED_CORPORA = ["test_patterns.py"]

collect_ignore = [] if CORPORA.is_dir() else NEED_CORPORA


def pytest_report_header() -> str:
    """One line above the tests."""
    if CORPORA.is_dir():
        return f"corpora: {CORPORA}"
    return f"corpora: not at {CORPORA} (PYWERF_CONFORMANCE=DIR): {', '.join(NEED_CORPORA)} left out"
