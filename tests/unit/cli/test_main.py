"""Exit codes, messages, signals and start-up of the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf import __version__
from pywerf.errors import (
    BuildError,
    ContainerFailed,
    DockerfileError,
    ImageNotFound,
    Interrupted,
    SourceExcerpt,
    UsageError,
)

Werf = Callable[..., Any]

EXCERPT = SourceExcerpt("Dockerfile", 6, 7, ("FROM scratch", "COPPY a b"), column=0, width=4)


def _modules_after(*words: str) -> set[str]:
    """The modules that are loaded when `werf WORDS` has ended."""
    script = (
        "import sys\n"
        "from pywerf.cli.main import run\n"
        f"code = run({list(words)!r})\n"
        "sys.stderr.write('\\n'.join(sys.modules))\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split("\n"))


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["version"]])
def test_version_loads_nothing(words: list[str], werf: Werf) -> None:
    assert __version__ in werf(*words).out
    loaded = _modules_after(*words)
    assert "pywerf.cli.main" in loaded
    assert not loaded & {"click", "msgspec", "re", "dataclasses", "typing", "json", "pywerf.errors"}


def test_help_of_build_loads_no_engine() -> None:
    loaded = _modules_after("buildah", "build", "--help")
    assert "click" in loaded
    assert not loaded & {"rich", "urllib3", "docker", "pygit2", "sqlite3", "subprocess", "pywerf.build.session"}


# What a build that finds everything in its cache has no use for, by the beginning of the name: start-up is most of it.
HEAVY = (
    *("click", "inspect", "ast", "rich", "urllib3", "docker", "pygit2", "requests", "ssl", "subprocess", "shutil"),
    *("tempfile", "logging", "pathlib", "argparse", "difflib", "tarfile", "ctypes", "isal", "zstandard", "http"),
    *("concurrent", "multiprocessing", "asyncio", "dataclasses", "traceback", "typing_extensions"),
    *("pywerf.cli.flags", "pywerf.cli.lazy", "pywerf.registry", "pywerf.layer", "pywerf.build.remote"),
    *("pywerf.isolation.chroot", "pywerf.isolation.launcher", "pywerf.linux.child", "pywerf.linux.syscalls"),
    *("pywerf.source.git", "pywerf.source.http", "pywerf.solver.turns", "pywerf.store.gc", "pywerf.report.tty"),
)
# What it takes to enter a user namespace, which everybody but root does at the start.
ENTERING = {"ctypes", "pywerf.linux.syscalls", "subprocess", "shutil"}
# pywerf's own modules, of which each takes its tenths of a millisecond: join small ones rather than raise this.
MOST_MODULES = 130


def test_a_cached_build_loads_little(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /\nENV A=b\n")
    (tmp_path / "file").write_text("content")
    words = ["buildah", "build", "--root", f"{tmp_path}/root", "-t", "a:1", str(tmp_path)]
    for _ in range(2):  # the first makes the store, and the second writes down there what this machine can do
        _modules_after(*words)
    loaded = _modules_after(*words)
    assert "pywerf.build.build_images" in loaded
    heavy = set(HEAVY) - (set() if os.geteuid() == 0 else ENTERING)
    assert not [name for name in loaded if any(name == part or name.startswith(part + ".") for part in heavy)]
    assert len([name for name in loaded if name.startswith("pywerf")]) <= MOST_MODULES


def test_a_cached_build_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /\nENV A=b\n")
    (tmp_path / "file").write_text("content")
    words = ["buildah", "build", "--root", f"{tmp_path}/root", "-t", "a:1", str(tmp_path)]

    def files() -> dict[str, tuple[int, bytes]]:
        found = [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
        # A blob's time is when a command last wanted it; locks are files without content.
        return {
            str(path): (0 if "blobs" in path.parts else path.stat().st_mtime_ns, path.read_bytes()) for path in found
        }

    for _ in range(2):
        _modules_after(*words)
    before = files()
    assert any(name.endswith("db.sqlite") for name in before)
    _modules_after(*words)
    assert files() == before


@pytest.mark.parametrize("words", [["images"], ["images", "--json"], ["info"], ["prune"]], ids=" ".join)
def test_commands_on_the_store_load_no_click(words: list[str], tmp_path: Path) -> None:
    loaded = _modules_after("buildah", *words, "--root", f"{tmp_path}/root", "--buildah-storage-driver", "vfs")
    assert not loaded & {"click", "rich", "urllib3", "docker", "pywerf.cli.flags"}


def test_failures_load_no_click(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pywerf.cli.main import run\n"
        f"code = run(['buildah', 'rmi', '--root', {str(tmp_path / 'root')!r}, 'nothing'])\n"
        "sys.exit(0 if code == 125 and 'click' not in sys.modules else 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, "nothing: image not known" in done.stderr) == (0, True), done.stderr


def test_lists_of_commands_load_no_command() -> None:
    loaded = _modules_after("buildah", "--help")
    assert not [name for name in loaded if name.startswith("pywerf.cli.buildah.")]


@pytest.mark.parametrize("words", [[], ["buildah"], ["--help"], ["buildah", "--help"]])
def test_groups_show_their_commands(words: list[str], werf: Werf) -> None:
    done = werf(*words)
    assert done.code == 0
    assert "Commands:" in done.out


BUILDAH = (
    "build", "bud", "build-using-dockerfile", "history", "images", "info", "inspect", "login", "logout", "prune",
    "pull", "push", "rmi", "tag", "untag", "version",
)  # fmt: skip
COMMANDS = [["run"], ["version"], ["completion"], *(["buildah", name] for name in BUILDAH)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(words: list[str], werf: Werf) -> None:
    done = werf(*words, "--help")
    assert done.code == 0
    assert done.out.startswith("Usage: werf ")
    assert done.out == werf(*words, "-h").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["bogus"], 'unknown command "bogus" for "werf"'),
        (["converge"], "nothing is deployed to Kubernetes here"),
        (["buildah", "render"], "see --help for the commands"),
        (["buildah", "imagse"], "did you mean images?"),
        (["buildah", "images", "--quite"], "did you mean --quiet?"),
        (["buildah", "images", "-z"], "unknown shorthand flag: -z in -z"),
        (["buildah", "images", "a", "b"], "unexpected extra argument"),
        (["buildah", "tag", "a"], "missing argument"),
        (["buildah", "build", "--target"], "requires an argument"),
        (["buildah", "build", "-f"], "flag needs an argument: -f"),
        (["buildah", "build", "--layers=perhaps"], "neither true nor false"),
        (["buildah", "build", "--sign-by=x"], "--sign-by is not supported: pywerf makes no signatures"),
        (["buildah", "--log-level", "loud", "images"], "--log-level"),
    ],
)
def test_wrong_usage_ends_with_2(words: list[str], said: str, werf: Werf) -> None:
    done = werf(*words)
    assert done.code == 2
    assert done.err.startswith("Error: ")
    assert said in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BuildError("no"), 125),
        (ImageNotFound("x"), 125),
        (UsageError("no"), 2),
        (ContainerFailed("RUN false: exit code 3", status=3), 3),
        (ContainerFailed("lost", status=300), 125),
        (OSError(28, "No space left on device", "/x"), 125),
        (RuntimeError("what?"), 125),
        (Interrupted(15), 143),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: value if isinstance(value, int) else type(value).__name__,
)
def test_exit_codes_of_a_build(error: BaseException, code: int, werf: Werf, session: Any) -> None:
    session.fail = error
    assert werf("buildah", "build").code == code


def test_run_fails_with_1_and_passes_the_status_on(werf: Werf, session: Any) -> None:
    session.status = 42
    assert werf("run", "app").code == 42
    session.fail = BuildError("no")
    assert werf("run", "app").code == 1


def test_an_error_shows_lines_caret_and_hint(werf: Werf, session: Any) -> None:
    session.fail = DockerfileError('unknown instruction "COPPY"', source=EXCERPT, hint="did you mean COPY?")
    assert werf("buildah", "build").err.split("\n") == [
        'Error: Dockerfile:6: unknown instruction "COPPY"',
        "",
        "   6 | FROM scratch",
        "     | ^^^^",
        "   7 | COPPY a b",
        "",
        "Hint: did you mean COPY?",
        "",
    ]


def test_messages_cannot_steer_the_terminal(werf: Werf, session: Any) -> None:
    session.fail = BuildError("a\x1b]0;title\x07b\x1b[2Jc")
    assert "\x1b" not in werf("buildah", "build").err


def test_color_is_for_who_asks(werf: Werf, session: Any) -> None:
    session.fail = BuildError("no")
    assert werf("buildah", "build", "--log-color-mode=on").err.startswith("\x1b[31;1mError:")


def test_a_defect_is_short_unless_debugging(werf: Werf, session: Any) -> None:
    session.fail = RuntimeError("the password is hunter2")
    short = werf("buildah", "pull", "--creds", "joe:hunter2", "app").err
    assert "internal error: RuntimeError at " in short
    assert "Traceback" not in short
    assert "hunter2" not in short
    long = werf("buildah", "pull", "--creds", "joe:hunter2", "--log-debug", "app").err
    assert "Traceback (most recent call last)" in long
    assert "the password is ***" in long
    assert "hunter2" not in long


def test_passwords_in_urls_are_hidden(werf: Werf, session: Any) -> None:
    session.fail = BuildError("cannot clone https://joe:hunter2@example.org/x.git")
    assert "https://***@example.org/x.git" in werf("buildah", "build").err


SLOW_SESSION = """
import sys, time
from pywerf.cli.main import main
import pywerf.cli.main as cli

class Slow:
    @classmethod
    def open(cls, options, reporter):
        return cls()
    def __enter__(self):
        return self
    def __exit__(self, *_):
        print("cleaned up", flush=True)
    def build(self, options):
        print("building", flush=True)
        time.sleep(60)

sys.exit(cli.run(["buildah", "build"], session_class=Slow))
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_cleanly(signum: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SESSION], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    process.send_signal(signum)
    out, err = process.communicate(timeout=30)
    assert out == "cleaned up\n"
    assert "Traceback" not in err
    assert process.returncode == 128 + signum


def test_a_terminal_that_hung_up_changes_no_exit_code() -> None:
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SESSION], stdout=subprocess.PIPE, stderr=slave, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    os.close(master)  # whatever is written from now on fails with EIO
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=30)
    os.close(slave)
    assert out == "cleaned up\n"
    assert process.returncode == 128 + signal.SIGHUP


def test_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "pywerf", "buildah", "build", "--help"],
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b""
    assert done.returncode == 128 + signal.SIGPIPE


def test_completion_scripts(werf: Werf) -> None:
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert "_WERF_COMPLETE" in werf("completion", shell).out
        assert werf("completion", "--shell", shell).out == werf("completion", shell).out
    assert werf("completion", "tcsh").code == 2
