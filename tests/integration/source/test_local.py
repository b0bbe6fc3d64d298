"""Contexts that a user without privilege cannot read everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = """
import os, sys
from pywerf.errors import WerfError
from pywerf.source.digests import content_digest
from pywerf.source.dockerignore import load_rules
from pywerf.source.local import LocalTree
def digest():
    content_digest(LocalTree(sys.argv[1], load_rules(sys.argv[1])), [("", "")])
digest()  # as root, so that all modules are there: another user may not be able to read them
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    digest()
except WerfError as error:
    print(error.message, "|", error.hint)
"""


@pytest.mark.parametrize("path", ["secret", "folder"])
def test_what_cannot_be_read(open_tmp_path: Path, path: str) -> None:
    assert os.geteuid() == 0, "this test changes its user: run it as root"
    context = open_tmp_path / "context"
    (context / "folder").mkdir(parents=True)
    (context / "secret").write_text("")
    context.chmod(0o755)
    (context / path).chmod(0)

    def run() -> str:
        command = [sys.executable, "-c", SCRIPT, str(context)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    message = run()
    assert f"cannot read {path} in {context}: Permission denied" in message
    assert ".dockerignore" in message
    (context / ".dockerignore").write_text(f"{path}\n")
    assert run() == ""
