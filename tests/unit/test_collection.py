"""Every file of tests is run: none is in a folder that pytest leaves out without a word, as it does with `build`."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def test_no_folder_is_left_out(pytestconfig: pytest.Config) -> None:
    patterns = pytestconfig.getini("norecursedirs")
    folders = {name for file in TESTS.rglob("test_*.py") for name in file.relative_to(TESTS).parts[:-1]}
    assert "build" in folders
    assert not [name for name in folders if any(fnmatch(name, pattern) for pattern in patterns)]
