"""Git servers of this machine's git: the daemon (git://), and http-backend behind a web server of the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.git_web import GitWeb, serve_git


@pytest.fixture(scope="session")
def git() -> Callable[..., str]:
    """Runs git, in a folder; gives its output without the last line end."""
    program = shutil.which("git")
    assert program is not None, "git is missing: apt-get install git"
    environment = {
        **os.environ,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@b",
    }

    def run(folder: Path, *arguments: str) -> str:
        result = subprocess.run([program, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout.rstrip("\n")

    return run


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder whose repositories are served."""
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def git_daemon(served: Path) -> Iterator[str]:
    """The URL of a git daemon: `git://127.0.0.1:PORT`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
    process = subprocess.Popen([*command, f"--base-path={served}", str(served)], start_new_session=True)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("git daemon did not start")
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


@pytest.fixture
def git_web(served: Path) -> Iterator[GitWeb]:
    """A web server of the repositories in `served`."""
    with serve_git(served) as server:
        yield server
