"""Which OCI runtime is taken, and the words that start it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.runtimes import ADAPTERS, SEARCHED, Runtime, adapter_for, command_line, find_runtime


def found(*names: str) -> object:
    return lambda name: f"/usr/bin/{name}" if name in names else None


@pytest.mark.parametrize(
    ("installed", "taken"),
    [
        (("runsc", "runc", "crun"), "crun"),
        (("runsc", "runc"), "runc"),
        (("runsc", "kata"), "kata"),
        (("runsc", "kata", "kata-runtime"), "kata-runtime"),
        (("runsc",), "runsc"),
    ],
)
def test_the_first_that_is_installed(installed: tuple[str, ...], taken: str) -> None:
    assert find_runtime("", found(*installed)).name == taken  # type: ignore[arg-type]  # a plain object for brevity


def test_none_is_an_error_that_names_all() -> None:
    with pytest.raises(IsolationError) as caught:
        find_runtime("", lambda name: None)
    assert all(name in caught.value.message for name in SEARCHED)
    assert "apt-get install crun" in (caught.value.hint or "")


def test_by_name_and_by_path(tmp_path: Path) -> None:
    assert find_runtime("runsc", lambda name: f"/bin/{name}").adapter is ADAPTERS["runsc"]
    with pytest.raises(IsolationError, match="the OCI runtime youki is not installed"):
        find_runtime("youki", lambda name: None)
    program = tmp_path / "runsc-2024"
    with pytest.raises(IsolationError, match="is not there"):
        find_runtime(str(program), lambda name: None)
    program.write_text("")
    with pytest.raises(IsolationError, match="cannot be executed"):
        find_runtime(str(program), lambda name: None)
    program.chmod(0o755)
    assert find_runtime(str(program), lambda name: None) == Runtime(str(program), ADAPTERS["runsc"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/bin/crun", "crun"),
        ("crun-1.20", "crun"),
        ("/opt/crun.sh", "crun"),
        ("kata", "kata-runtime"),
        ("kata-runtime", "kata-runtime"),
        ("youki", ""),
        ("runcible", ""),
    ],
)
def test_an_adapter_is_known_by_the_programs_name(path: str, name: str) -> None:
    assert adapter_for(path).name == name


def test_command_lines() -> None:
    crun = find_runtime("crun", lambda name: f"/bin/{name}", ["debug", "--systemd-cgroup"])
    assert " ".join(command_line(crun, stage="/s", name="x")) == (
        "/bin/crun --cgroup-manager=disabled --root /s/state --log /s/log --log-format json --debug --systemd-cgroup"
        " run --detach --pid-file /s/pid x"
    )
    runc = find_runtime("runc", lambda name: f"/bin/{name}")
    assert " ".join(command_line(runc, stage="/s", name="x", terminal=True)) == (
        "/bin/runc --rootless=true --root /s/state --log /s/log --log-format json run --detach --console-socket console"
        " --pid-file /s/pid x"
    )


def test_the_command_line_of_kata() -> None:
    """Every flag is one that `kata-runtime --help` and `kata-runtime run --help` of Kata Containers 1 list."""
    before = {"--root", "--log", "--log-format", "--rootless", "--kata-config", "--systemd-cgroup"}
    after = {"--bundle", "--console", "--console-socket", "--pid-file", "--detach", "--no-pivot"}
    kata = find_runtime("kata", lambda name: f"/bin/{name}")
    words = command_line(kata, stage="/s", name="x", network="none", terminal=True)
    at = words.index("run")
    assert {word for word in words[:at] if word.startswith("-")} <= before
    assert {word for word in words[at:] if word.startswith("-")} <= after
    assert words[-1] == "x"
