"""A process of the same interpreter finds this package, and next to nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pywerf.util import own_python


def test_it_finds_the_package_and_its_arguments() -> None:
    code = "import pywerf.layer.pack; print(sys.argv[2:], sorted({'typing', 'collections', 'site'} & set(sys.modules)))"
    words = own_python.command(code, "näme", b"\xff")
    assert words[0] == sys.executable
    process = subprocess.run(words, env={}, capture_output=True, check=True, text=True, encoding="utf-8")
    assert process.stdout == r"['näme', '\udcff'] []" + "\n"


def test_its_environment_is_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/lib/python")
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("WANTED", "y")
    assert own_python.environment() == {"LD_LIBRARY_PATH": "/lib/python"}
    assert own_python.environment("WANTED", "MISSING") == {"LD_LIBRARY_PATH": "/lib/python", "WANTED": "y"}
