"""A build asks its repository for tags while it looks at the project: what becomes of that when something is wrong."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine
from support.git_repository import GitRepository
from support.users import user
from support.werf import Werf

pytestmark = pytest.mark.integration

WERF_YAML = "project: shop\nconfigVersion: 1\n---\nimage: web\ndockerfile: Dockerfile\n"
DOCKERFILE = "FROM scratch\nCOPY page.html /\n"


class Silent:
    """A server that takes connections and says nothing; `asked` when there is one."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.repo = f"127.0.0.1:{self._listening.getsockname()[1]}/shop"
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._connections.append(self._listening.accept()[0])
                self.asked.set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for connection in self._connections:
            connection.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    with contextlib.closing(Silent()) as server:
        yield server


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    git = GitRepository(tmp_path / "shop")
    git.commit({"werf.yaml": WERF_YAML, "Dockerfile": DOCKERFILE, "page.html": "hello\n"})
    return git


def ended(process: subprocess.Popen[bytes]) -> str:
    """What it said; it has to end long before the registry's time is over (120 seconds)."""
    try:
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    return said.decode()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_registry_says_nothing(
    werf: Werf, git: GitRepository, silent: Silent, signum: signal.Signals
) -> None:
    process = werf.start("build", "--repo", silent.repo, cwd=git.path)
    assert silent.asked.wait(60)
    time.sleep(0.5)  # until nothing is left to be done but to wait for it
    process.send_signal(signum)
    said = ended(process)
    assert process.returncode == 128 + signum, said
    assert said.splitlines()[-1] == ("interrupted" if signum == signal.SIGINT else "stopped by signal 15")


def test_what_is_wrong_with_the_project_is_told_at_once(werf: Werf, git: GitRepository, silent: Silent) -> None:
    git.write({"Dockerfile": DOCKERFILE + "ENV A=1\n"})
    process = werf.start("build", "--repo", silent.repo, cwd=git.path)
    said = ended(process)
    assert process.returncode == 1
    assert "Dockerfile (changed since the commit)" in said
    assert silent.repo not in said


def test_the_project_comes_before_its_repository(werf: Werf, git: GitRepository) -> None:
    git.write({"werf.yaml": WERF_YAML + "target: x\n"})
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for repo in (f"127.0.0.1:{nobody.getsockname()[1]}/shop", "example.com/shop:tag"):
            said = werf.run("build", "--repo", repo, cwd=git.path, check=False).stderr
            assert "changed since the commit" in said
            assert repo not in said


def test_errors_of_the_registry(werf: Werf, git: GitRepository) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        result = werf.run("build", "--repo", f"{host}/shop", cwd=git.path, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == f"Error: {host}/shop: {host}: connection refused"
    result = werf.run("build", "--repo", f"{host}/shop:tag", cwd=git.path, check=False)
    assert result.returncode == 2
    assert "a repository has no tag" in result.stderr


def test_a_user_namespace_is_entered_after_the_registry_was_asked(registry: str, git: GitRepository) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pywerf-ahead-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with user(folder, "pywahead", subids=True) as one:
            repository = GitRepository(one.home / "shop")
            repository.commit({"werf.yaml": WERF_YAML, "Dockerfile": DOCKERFILE, "page.html": "hello\n"})
            machine.run("chown", "-R", one.name, repository.path)
            words = ("build", "--dir", repository.path, "--repo", f"{registry}/ahead")
            printed = one.werf(*words, env={"WERF_BUILDAH_MODE": "native-rootless"}).stdout
            assert one.werf(*words, "-Z", env={"WERF_BUILDAH_MODE": "native-rootless"}).stdout == printed
    finally:
        machine.run("rm", "-rf", folder)
