"""A process of the tests that crashes is one failed test: all the others of the run are run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import scheduling

pytestmark = pytest.mark.integration

FILE = """
import os, pathlib, pytest
pytestmark = pytest.mark.xdist_group(pathlib.Path(__file__).name)

@pytest.mark.parametrize("number", range(4))
def test_it(number):
    if (pathlib.Path(__file__).stem, number) in {crashing}:
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("number", [0, 1, 3])
def test_only_the_test_that_crashes_fails(tmp_path: Path, number: int) -> None:
    for name in ("test_a", "test_b", "test_c", "test_d"):
        crashing = {("test_b", number), ("test_c", number)}
        (tmp_path / f"{name}.py").write_text(FILE.format(crashing=crashing))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup"]
    done = subprocess.run(
        [*words, "-p", "support.scheduling", f"--rootdir={tmp_path}", str(tmp_path)],
        env={**env, "PYTHONPATH": str(Path(scheduling.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 14 passed" in done.stdout, done.stdout
    assert f"crashed while running 'test_b.py::test_it[{number}]'" in done.stdout
