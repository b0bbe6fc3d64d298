"""`werf build --introspect-…`, by a person at a terminal: with the embedded engine, and with Docker's builders."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import machine, services
from support.git_repository import GitRepository
from support.terminal import Terminal
from support.werf import Werf

pytestmark = pytest.mark.integration

BACKENDS = ("embedded", "buildkit", "classic")
TITLE = "introspection: the state {} the command that fail"


@pytest.fixture(params=BACKENDS)
def on(request: pytest.FixtureRequest, werf: Werf, docker: services.Docker, busybox: str) -> Werf:
    """`werf` with one of them."""
    werf.env["WERF_BACKEND_NETWORK"] = "host"
    if request.param != "embedded":
        docker.run("pull", busybox)
        werf.env.update(WERF_BUILDAH_MODE="docker", DOCKER_HOST=docker.host, WERF_DOCKER_BUILDER=request.param)
    return werf


@pytest.fixture
def project(tmp_path: Path, busybox: str) -> GitRepository:
    """Two images that can be built, and one that cannot; the first has no final newline, and a SHELL."""
    git = GitRepository(tmp_path / "shop")
    names = ("good", "group/other", "bad")
    images = "".join(f"---\nimage: {name}\ndockerfile: {name[:3]}.Dockerfile\n" for name in names)
    git.commit(
        {
            "werf.yaml": f"project: shop\nconfigVersion: 1\n{images}",
            "goo.Dockerfile": f'FROM {busybox}\nSHELL ["/bin/busybox", "sh", "-c"]\nENV A=b\nRUN echo ok > /ok',
            "gro.Dockerfile": f"FROM {busybox}\nWORKDIR /w\nUSER 7:8\n",
            "bad.Dockerfile": (
                f"FROM {busybox} AS first\nRUN echo f > /f\nFROM {busybox}\nARG VERSION=1\nENV COLOR=red\n"
                "COPY --from=first /f /f\nWORKDIR /work\nRUN touch before\nUSER 7:8\n"
                "RUN echo $VERSION > /tmp/left; echo said; exit 3\nRUN echo never\n"
            ),
        }
    )
    return git


def kept(werf: Werf, docker: services.Docker) -> list[list[str]]:
    """What a build could leave behind: containers, images, volumes; snapshots, temporary files, processes' mounts."""
    lists = (("ps", "-a", "-q"), ("images", "-a", "-q", "--no-trunc"), ("volume", "ls", "-q"))
    folders = [folder for folder in (werf.root / "tmp", *werf.root.glob("snapshots/*")) if folder.is_dir()]
    return [
        *(sorted(docker.run(*words).stdout.split()) for words in lists),
        sorted(str(path) for folder in folders for path in folder.iterdir() if path.name != "l"),
        [line for line in Path("/proc/mounts").read_text().splitlines() if str(werf.root) in line],
    ]


def on_terminal(werf: Werf, project: GitRepository, *argv: str) -> Terminal:
    return Terminal([*werf.command, "build", *argv], env=werf.env, cwd=project.path)


def test_a_command_that_fails(on: Werf, docker: services.Docker, project: GitRepository) -> None:
    machine.run(*on.command, "build", "bad", check=False, env=on.env, cwd=project.path)  # what is cached, is now
    before = kept(on, docker)
    with on_terminal(on, project, "--introspect-error", "--introspect-before-error", "bad") as terminal:
        terminal.expect(TITLE.format("before"))
        terminal.expect(r"\$ ")
        terminal.ask("echo $COLOR-$VERSION $(pwd) $(id -u):$(id -g) $(ls . /tmp)", "red-1 /work 7:8 .: before /tmp:")
        terminal.ask("stty size", "40 120")
        terminal.ask("sleep 100000 & echo; jobs", r"\[1\]\+ +Running")
        terminal.type("exit\n")
        terminal.expect(TITLE.format("after"))
        terminal.expect(r"\$ ")
        terminal.ask("echo $COLOR-$VERSION $(pwd) $(id -u) $(cat /tmp/left)", "red-1 /work 7 1")
        terminal.resize(30, 90)
        terminal.ask('until [ "$(stty size)" = "30 90" ]; do sleep 1; done; stty size', "30 90")
        terminal.ask("sh -c 'echo now; exec sleep 100000'", "now")  # a program that the shell waits for already
        terminal.type("\x03")
        terminal.ask("echo $?; echo changed > /tmp/left", "130")
        terminal.type("exit 9\n")
        terminal.expect("introspection: the shell has ended with status 9")
        assert terminal.wait() == 1
        assert terminal.settings == terminal.before
        assert "image bad, stage dockerfile: " in terminal.shown
        assert "exit code 3" in terminal.shown
    assert kept(on, docker) == before


def test_after_stages(on: Werf, docker: services.Docker, project: GitRepository) -> None:
    for number in (1, 2):  # built, and found
        with on_terminal(
            on, project, "--introspect-stage", "good/dockerfile", "--introspect-stage", "group/other/dockerfile",
            "good", "group/other",
        ) as terminal:  # fmt: skip
            terminal.expect("introspection: the image after stage good/dockerfile")
            terminal.expect("# ")
            terminal.ask("echo $A $(cat /ok); rm /ok", "b ok")
            terminal.type("exit 4\n")
            terminal.expect("introspection: the image after stage group/other/dockerfile")
            terminal.expect(r"\$ ")
            terminal.ask("echo $(pwd) $(id -u):$(id -g)", "/w 7:8")
            terminal.expect(r"\$ ")  # before, the terminal itself would take it
            terminal.type("\x04")  # Ctrl-D
            assert terminal.wait() == 0
            assert "group/other shop:" in terminal.shown
        if number == 1:
            before = kept(on, docker)
    assert kept(on, docker) == before


@pytest.mark.parametrize("ending", ["hang up", "SIGTERM", "SIGKILL"])
def test_an_end_from_outside(ending: str, on: Werf, docker: services.Docker, project: GitRepository) -> None:
    machine.run(*on.command, "build", "bad", check=False, env=on.env, cwd=project.path)
    before = kept(on, docker)
    seconds = str(
        2_000_000 + os.getpid() % 100_000 * 10 + BACKENDS.index(on.env.get("WERF_DOCKER_BUILDER", "embedded"))
    )
    with on_terminal(on, project, "--introspect-error", "bad") as terminal:
        terminal.expect(TITLE.format("after"))
        terminal.expect(r"\$ ")
        terminal.ask(f"sleep {seconds} & sleep 1; echo", "")
        wait_for(lambda: sleeps(seconds))
        if ending == "hang up":
            terminal.hang_up()
            assert terminal.wait() == 128 + signal.SIGHUP
        else:
            terminal.process.send_signal(getattr(signal, ending))
            assert terminal.wait() == (128 + signal.SIGTERM if ending == "SIGTERM" else -signal.SIGKILL)
            if ending == "SIGTERM":
                assert terminal.settings == terminal.before
    if ending == "SIGKILL" and "WERF_DOCKER_BUILDER" in on.env:
        # by its label cleanups of the machine know whose container it was
        left = docker.run("ps", "-q", "--filter", "label=werf-builder").stdout.split()
        assert len(left) == 1
        docker.run("rm", "-f", *left)
    wait_for(lambda: not sleeps(seconds))
    if ending != "SIGKILL":
        assert kept(on, docker) == before
    # the store can be used
    done = machine.run(*on.command, "build", "good", env=on.env, cwd=project.path)
    assert "good shop:" in done.stdout
    assert kept(on, docker)[0] == before[0]


def wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.2)


def sleeps(seconds: str) -> bool:
    """Whether a process sleeps that long."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[-3:-1] == [b"sleep", seconds.encode()]:
                return True
        except OSError:
            continue
    return False


def test_an_image_without_a_shell(on: Werf, tmp_path: Path, docker: services.Docker) -> None:
    git = GitRepository(tmp_path / "bare")
    git.commit({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    with on_terminal(on, git, "--introspect-stage", "dockerfile") as terminal:
        assert terminal.wait() == 0
        assert "no introspection of stage ~/dockerfile: there is no shell in it (looked for bash, sh)" in terminal.shown
    assert docker.run("ps", "-a", "-q").stdout == ""


def test_what_is_not_there(on: Werf, project: GitRepository) -> None:
    done = machine.run(
        *on.command, "build", "--introspect-stage", "god/dockerfile", check=False, env=on.env, cwd=project.path
    )
    assert done.returncode == 2
    assert "there is no image god\nHint: did you mean good? the images: good, group/other, bad" in done.stderr


def test_without_a_terminal_it_is_left_out(on: Werf, project: GitRepository) -> None:
    env = {**on.env, "WERF_INTROSPECT_ERROR": "1", "WERF_INTROSPECT_STAGE_1": "dockerfile"}
    done = machine.run(*on.command, "build", "good", env=env, cwd=project.path)
    assert "Warning: --introspect-error: left out, for there is no terminal" in done.stderr
    assert "Warning: --introspect-stage: left out, for there is no terminal" in done.stderr
    assert "introspection:" not in done.stderr
