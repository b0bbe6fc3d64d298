"""The directory for what is kept between runs."""

from __future__ import annotations

import os

import pytest

from pywerf.util.home import werf_home


def test_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WERF_HOME", "/x")
    assert werf_home() == "/x"
    assert werf_home("/y") == "/y"
    monkeypatch.delenv("WERF_HOME")
    assert werf_home() == os.path.expanduser("~/.werf")
