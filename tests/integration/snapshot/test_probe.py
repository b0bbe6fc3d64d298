"""Probing overlay with real mounts."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from pywerf.snapshot.probe import probe

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("userxattr", [False, True])
def test_overlay_works_for_root_and_nothing_is_left(tmp_path: Path, userxattr: bool) -> None:
    if os.geteuid() != 0:
        pytest.fail("mounting needs root: run this test as root")
    mounts = Path("/proc/self/mountinfo").read_text()
    assert probe(str(tmp_path), userxattr=userxattr) is None
    assert os.listdir(tmp_path) == []
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_without_privilege_the_answer_names_the_step(open_tmp_path: Path) -> None:
    tmp_path = open_tmp_path
    tmp_path.chmod(0o777)
    importlib.import_module("pywerf.linux.syscalls")  # the other user may not be able to read the package
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            if os.geteuid() == 0:
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            found = probe(str(tmp_path))
            os.write(writer, str(found).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    assert answer == "making a mount namespace: Operation not permitted (EPERM)"
    assert os.listdir(tmp_path) == []
