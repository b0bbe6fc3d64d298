"""Flags as pflag reads them, and the variables that stand for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import pytest

from pywerf.cli.flags import BOOL, Command, Size, flag, switch
from pywerf.cli.invocation import Invocation
from pywerf.errors import UsageError


@click.command("probe", cls=Command, unsupported=("--sign-by",))
@switch("--layers", default=True)
@switch("--quiet", "-q")
@switch("--all", "-a", "all_")
@flag("--file", "-f", "files", multiple=True)
@flag("--build-arg", "build_args", multiple=True)
@flag("--build-arg-file")
@flag("--cap-add", multiple=True, split=True)
@flag("--env", "env", multiple=True, own_scalar=False)
@flag("--pull", bare="true")
@flag("--format", "format_", default="oci", env=("PROBE_FORMAT",))
@flag("--secret", "secrets", multiple=True, not_env=("WERF_SECRET_KEY",))
@click.argument("rest", nargs=-1)
def probe(**values: Any) -> dict[str, Any]:
    return values


def parse(*words: str) -> dict[str, Any]:
    """The values of the parameters for a command line."""
    values: dict[str, Any] = probe.main(list(words), standalone_mode=False, obj=Invocation())
    return values


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ([], "layers", True),
        (["--layers=false"], "layers", False),
        (["--layers=0"], "layers", False),
        (["--quiet"], "quiet", True),
        (["--quiet=no"], "quiet", False),
        (["-q"], "quiet", True),
        (["-q=false"], "quiet", False),
        (["-aq"], "all_", True),
        (["-qfx"], "files", ("x",)),
        (["-f=x"], "files", ("x",)),
        (["-f", "x", "-fy", "--file", "z", "--file=w"], "files", ("x", "y", "z", "w")),
        (["-f", "-"], "files", ("-",)),
        (["--pull", "."], "pull", "true"),
        (["--pull", "."], "rest", (".",)),
        (["--pull=never", "."], "pull", "never"),
        (["--quiet", "."], "rest", (".",)),
        (["--file", "--quiet"], "files", ("--quiet",)),
        (["--file", "--quiet"], "quiet", False),
        (["--", "--quiet", "-f"], "rest", ("--quiet", "-f")),
        ([".", "--quiet"], "quiet", True),
        (["--cap-add", "a,b", "--cap-add=c"], "cap_add", ("a", "b", "c")),
        (["-"], "rest", ("-",)),
    ],
)
def test_reading(words: list[str], name: str, value: object) -> None:
    assert parse(*words)[name] == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fil", "x"], "unknown flag: --fil"),
        (["-qx"], "unknown shorthand flag: -x in -qx"),
        (["--sign-by=1"], "--sign-by is not supported: pywerf makes no signatures"),
        (["-qf"], "flag needs an argument: -f"),
    ],
)
def test_refusing(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(*words)


@pytest.mark.parametrize(
    ("word", "value"),
    [("1", True), ("true", True), ("Yes", True), ("T", True), ("0", False), ("FALSE", False), ("no", False)],
)
def test_booleans(word: str, value: bool) -> None:
    assert BOOL.read(word) is value


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("0", 0),
        ("64", 64),
        ("64b", 64),
        ("1k", 1024),
        ("65536k", 64 << 20),
        ("2M", 2 << 20),
        ("1gb", 1 << 30),
        ("1GiB", 1 << 30),
    ],
)
def test_sizes(word: str, value: int) -> None:
    assert Size().read(word) == value


@pytest.mark.parametrize("word", ["", "k", "-1", "1.5g", "1x", "1kk", "0x10"])
def test_bad_sizes(word: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        Size().read(word)


@pytest.mark.parametrize(
    ("variables", "words", "name", "value"),
    [
        ({"WERF_QUIET": "yes"}, [], "quiet", True),
        ({"WERF_QUIET": "yes"}, ["--quiet=false"], "quiet", False),
        ({"WERF_LAYERS": "0"}, [], "layers", False),
        ({"WERF_LAYERS": ""}, [], "layers", True),
        ({"WERF_FORMAT": "docker"}, [], "format_", "docker"),
        ({"PROBE_FORMAT": "docker"}, [], "format_", "docker"),
        ({"WERF_FORMAT": "oci", "PROBE_FORMAT": "docker"}, [], "format_", "oci"),
        ({"WERF_FORMAT": "docker"}, ["--format=oci"], "format_", "oci"),
        ({"WERF_FILE_2": "b", "WERF_FILE_1": "a", "WERF_FILE_X": "c"}, ["-f", "d"], "files", ("a", "b", "c", "d")),
        ({"WERF_FILE_1": "a"}, [], "files", ("a",)),
        ({"WERF_FILE": "z", "WERF_FILE_1": "a"}, ["-f", "d"], "files", ("z", "a", "d")),
        ({"WERF_CAP_ADD_1": "a,b"}, ["--cap-add", "c"], "cap_add", ("a", "b", "c")),
        # A flag whose name begins with that of a repeatable one keeps its own variables.
        ({"WERF_BUILD_ARG_FILE": "f", "WERF_BUILD_ARG_1": "A=b"}, [], "build_args", ("A=b",)),
        ({"WERF_BUILD_ARG_FILE": "f"}, [], "build_arg_file", "f"),
        # WERF_ENV names the environment of a project.
        ({"WERF_ENV": "production"}, [], "env", ()),
        ({"WERF_ENV_1": "A=b"}, [], "env", ("A=b",)),
        # The key of other secrets is no value of --secret.
        ({"WERF_SECRET_KEY": "hush", "WERF_SECRET_1": "id=a"}, [], "secrets", ("id=a",)),
    ],
)
def test_variables(
    variables: dict[str, str], words: list[str], name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, content in variables.items():
        monkeypatch.setenv(variable, content)
    assert parse(*words)[name] == value


@pytest.mark.parametrize(
    ("words", "variables", "root"),
    [
        (["buildah", "--root", "/a", "tag", "x", "y"], {}, "/a"),
        (["buildah", "tag", "--root", "/b", "x", "y"], {}, "/b"),
        (["--root", "/c", "buildah", "tag", "x", "y"], {}, "/c"),
        (["buildah", "--root", "/a", "tag", "--root", "/b", "x", "y"], {}, "/b"),
        (["buildah", "tag", "x", "y"], {"WERF_BUILDAH_ROOT": "/d"}, "/d"),
        (["buildah", "tag", "x", "y"], {"WERF_ROOT": "/e"}, "/e"),
        (["buildah", "--root", "/a", "tag", "x", "y"], {"WERF_BUILDAH_ROOT": "/d"}, "/a"),
    ],
)
def test_global_flags_stand_anywhere(
    words: list[str],
    variables: dict[str, str],
    root: str,
    werf: Callable[..., Any],
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, content in variables.items():
        monkeypatch.setenv(variable, content)
    assert werf(*words).code == 0
    assert session.options.root == root


def test_engine_flags_become_options(werf: Callable[..., Any], session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WERF_BUILDAH_MODE", "native-chroot")
    monkeypatch.setenv("WERF_BUILDAH_ULIMIT", "nofile:10:20,core:0")
    werf("buildah", "tag", "--storage-driver", "vfs", "x", "y")
    options = session.options
    assert (options.mode, options.storage_driver) == ("native-chroot", "vfs")
    assert options.ulimits == ("nofile:10:20,core:0",)  # taken apart where items are counted
