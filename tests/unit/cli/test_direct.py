"""Command lines that are read without click say what click says they say."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pywerf.cli import buildah
from pywerf.cli.app import app
from pywerf.cli.buildah import build
from pywerf.cli.declare import BOOL, COUNT, SIZE, Choice, Declared, DeclaredGroup, FlagSpec, load_command
from pywerf.cli.direct import read
from pywerf.cli.invocation import Invocation
from pywerf.cli.lazy import as_click_group
from pywerf.errors import UsageError

Outcome = tuple[dict[str, Any], dict[str, Any], int | None]  # flags, shared flags, the code of failures

_taken: list[Outcome] = []


def _body(run: Invocation, /, **values: Any) -> int:
    _taken.append((values, run.settings, run.failure_code))
    return 7


@pytest.fixture(scope="module")
def root() -> Iterator[DeclaredGroup]:
    """The real groups and the real flags of `build`, with a body that only takes notes."""
    known = build.command
    module = types.ModuleType("probe_build")
    module.command = Declared("build", _body, known.params, known.unsupported)  # type: ignore[attr-defined]
    groups = types.ModuleType("probe_buildah")
    group = buildah.command
    groups.command = DeclaredGroup(  # type: ignore[attr-defined]
        "buildah", group.body, group.params, {"build": ("probe_build", "")}, group.aliases
    )
    sys.modules.update(probe_build=module, probe_buildah=groups)
    yield DeclaredGroup("werf", app.body, app.params, {"buildah": ("probe_buildah", "")}, {})
    del sys.modules["probe_build"], sys.modules["probe_buildah"]


def directly(root: DeclaredGroup, args: Sequence[str], environ: Mapping[str, str]) -> Outcome | None:
    """What direct.py makes of a command line; None when it leaves it to click."""
    call = read(root, args, environ)
    if call is None:
        return None
    _taken.clear()
    assert call(Invocation()) == 7
    return _taken.pop()


def by_click(root: DeclaredGroup, args: Sequence[str]) -> Outcome | None:
    """What click makes of it; None when it is wrong."""
    _taken.clear()
    command = as_click_group(root)
    try:
        with command.make_context("werf", list(args), obj=Invocation()) as context:
            command.invoke(context)
    except (click.ClickException, UsageError, click.exceptions.Exit):
        return None
    return _taken.pop() if _taken else None


REGULAR: list[list[str]] = [
    [],
    ["."],
    ["-t", "app:1", "."],
    ["-tapp:1", "--tag=b", "-f", "-", "ctx"],
    ["--root", "/x", "--network", "host", "--no-cache", "--layers=false", "-q", "."],
    ["--build-arg", "A=b", "--build-arg=C", "--cap-add", "a,b", "--timestamp", "0", "--jobs=3", "-qt", "x"],
    ["--pull", ".", "--progress=plain", "--isolation", "chroot", "--log-level", "debug", "--tls-verify=false"],
    ["--file", "--quiet"],
    ["-q=false", "-"],
    ["--shm-size", "64m", "--buildah-ulimit", "nofile=1:2,core=0"],
]


@pytest.mark.parametrize("args", REGULAR, ids=" ".join)
def test_what_is_right_needs_no_click(args: list[str], root: DeclaredGroup) -> None:
    words = ["buildah", "--storage-driver", "vfs", "bud", *args]
    found = directly(root, words, {})
    assert found is not None
    assert found == by_click(root, words)
    assert found[2] == 125


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--bogus"],
        ["--memory-of-it=1g"],
        ["-t"],
        ["--tag"],
        ["-z"],
        ["a", "b"],
        ["--", "."],
        ["--layers=perhaps"],
        ["--timestamp=-1"],
        ["--jobs", "many"],
        ["--shm-size=1x"],
        ["--isolation=none"],
        ["--log-level", "loud"],
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_left_to_click(args: list[str], root: DeclaredGroup) -> None:
    assert directly(root, ["buildah", "build", *args], {}) is None


@pytest.mark.parametrize(
    "words", [[], ["--version"], ["buildah"], ["buildah", "--version"], ["buildah", "--help"], ["bogus"], ["run", "x"]]
)
def test_groups_alone_and_unknown_commands_are_left_to_click(words: list[str], root: DeclaredGroup) -> None:
    assert directly(root, words, {}) is None


_FLAGS = sorted({name for param in build.command.params for name in getattr(param, "names", ())})
_VALUES = st.sampled_from(
    [
        "",
        "x",
        "a=b",
        "a,b,,c",
        "-",
        "--",
        "--quiet",
        "-q",
        "0",
        "7",
        "-1",
        "64m",
        "true",
        "no",
        "chroot",
        "plain",
        "=",
        "debug",
    ]
)


def _good_words(spec: FlagSpec) -> st.SearchStrategy[str]:
    """The flag as it should be written."""
    kind = spec.type
    values = _VALUES
    if kind is BOOL:
        values = st.sampled_from(["true", "no", "0"])
    elif kind in (COUNT, SIZE):
        values = st.sampled_from(["0", "7", "07"])
    elif isinstance(kind, Choice):
        values = st.sampled_from(kind.words)
    written = st.builds("{}={}".format, st.sampled_from(spec.names), values)
    return written if spec.bare is None else st.one_of(st.sampled_from(spec.names), written)


_GOOD = st.one_of([_good_words(param) for param in build.command.params if isinstance(param, FlagSpec)])
_ENGINE = st.one_of([_good_words(param) for param in buildah.command.params if param.shared])
_ANY = st.one_of(
    st.sampled_from(_FLAGS),
    st.builds("{}={}".format, st.sampled_from(_FLAGS), _VALUES),
    st.builds("-{}{}".format, st.sampled_from("qtfvwzoq"), _VALUES),
    st.builds("-q{}".format, st.sampled_from(["t", "q", "tx", "f=x", "=true", "z", "h"])),
    _VALUES,
)
_VARIABLES = st.dictionaries(
    st.one_of(
        st.sampled_from(["WERF_" + name.strip("-").replace("-", "_").upper() for name in _FLAGS]),
        st.sampled_from(["WERF_TAG_1", "WERF_TAG_X", "WERF_CAP_ADD_2", "WERF_CACHE_FROM_1", "WERF_NO_CACHE_FILTER_1"]),
        st.sampled_from(["BUILDAH_LAYERS", "SOURCE_DATE_EPOCH", "WERF_DEBUG", "WERF_BUILDAH_ROOT", "WERF_SECRET_KEY"]),
        st.sampled_from(["WERF_VERSION", "WERF_ENV", "WERF_CONTEXT"]),
    ),
    _VALUES,
    max_size=4,
)


@given(
    before=st.lists(_ENGINE, max_size=2),
    words=st.one_of(st.lists(_GOOD, max_size=8), st.lists(st.one_of(_GOOD, _GOOD, _ANY), max_size=5)),
    variables=_VARIABLES,
)
@example(before=["--root", "/a"], words=["--root", "/b"], variables={"WERF_ROOT": "/c"})
@example(before=[], words=["--tag", "x"], variables={"WERF_TAG_1": "a", "WERF_TAG": "b"})
@example(before=[], words=[], variables={"WERF_NO_CACHE_FILTER_1": "a,b"})
def test_whatever_is_read_is_what_click_reads(
    before: list[str], words: list[str], variables: dict[str, str], root: DeclaredGroup
) -> None:
    args = ["buildah", *before, "build", *words]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        found = directly(root, args, variables)
        if found is not None:
            assert found == by_click(root, args)


def test_words_that_must_be_there_are() -> None:
    from pywerf.cli.buildah import tag

    module = types.ModuleType("probe_tag")
    module.command = Declared("tag", _body, tag.command.params)  # type: ignore[attr-defined]
    sys.modules["probe_tag"] = module
    group = DeclaredGroup("werf", lambda run, **values: None, (), {"tag": ("probe_tag", "")}, {})
    try:
        for words in ([], ["image"]):
            assert read(group, ["tag", *words], {}) is None
            with pytest.raises(click.MissingParameter):
                as_click_group(group).main(["tag", *words], obj=Invocation(), standalone_mode=False)
        for words in (["image", "a"], ["image", "a", "b"]):
            found = directly(group, ["tag", *words], {})
            assert found is not None
            assert found == by_click(group, ["tag", *words])
            assert found[0]["names"] == tuple(words[1:])
    finally:
        del sys.modules["probe_tag"]


def test_words_that_are_left_are_one_value() -> None:
    from pywerf.cli import build as project_build

    def body(run: Invocation, /, **values: Any) -> int:
        _taken.append((values, {}, None))
        return 0

    module = types.ModuleType("probe_project_build")
    module.command = Declared("build", body, project_build.command.params)  # type: ignore[attr-defined]
    sys.modules["probe_project_build"] = module
    group = DeclaredGroup("werf", lambda run, **values: None, (), {"build": ("probe_project_build", "")}, {})
    try:
        for words in ([], ["a"], ["a", "!b", "c*"]):
            call = read(group, ["build", "--parallel-tasks-limit=-1", *words], {})
            assert call is not None
            call(Invocation())
            values = _taken.pop()[0]
            assert values["images"] == tuple(words)
            assert values["parallel_tasks_limit"] == -1
        assert read(group, ["build", "--parallel-tasks-limit=x"], {}) is None
        assert read(group, ["build", "--docker-builder=x"], {}) is None
    finally:
        del sys.modules["probe_project_build"]


def commands(group: DeclaredGroup, before: str = "") -> Iterator[tuple[str, object]]:
    """All commands by their words."""
    for name, (module, _) in group.table.items():
        command = load_command(module)
        if isinstance(command, DeclaredGroup):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def test_click_reads_those_alone_that_need_it() -> None:
    others = {name for name, command in commands(app) if not isinstance(command, Declared)}
    # what follows is another program's; scripts that are click's own
    passed_on = {"run", "buildah unshare", *(f"compose {name}" for name in ("config", "run", "up", "down"))}
    assert others == {*passed_on, "completion"}
