from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidValue
from pywerf.util.filemode import parse_mode

SYMBOLIC = [
    "a+x",
    "a-w",
    "u+s",
    "g+s",
    "a+t",
    "a+X",
    "u+x-w",
    "u-s,g-s",
    "go-rwxst",
    "uo+rw",
    "a=rwxst",
    "u=s",
    "+x",
    "-w",
]
MODES = [0o644, 0o755, 0o600, 0o000, 0o777, 0o4711, 0o2750, 0o1777, 0o111, 0o7777]


@pytest.mark.parametrize("text", SYMBOLIC)
def test_as_chmod_has_it(text: str, tmp_path: Path) -> None:
    """GNU chmod(1) with an empty umask is the judge, for files and directories of many modes."""
    chmod = shutil.which("chmod")
    assert chmod is not None
    paths: list[tuple[Path, int, bool]] = []
    for mode in MODES:
        for is_dir in (False, True):
            path = tmp_path / f"{mode:o}-{is_dir}"
            path.mkdir() if is_dir else path.touch()
            path.chmod(mode)
            # a set-group-ID bit may be refused to who is not in the group: start from what is there
            paths.append((path, path.stat().st_mode & 0o7777, is_dir))
    subprocess.run([chmod, "--", text, *(str(path) for path, _, _ in paths)], check=True, umask=0)
    change = parse_mode(text)
    for path, before, is_dir in paths:
        after = path.stat().st_mode & 0o7777
        assert (oct(change(before, is_dir)), is_dir) == (oct(after), is_dir), f"{text} of {before:o}"
        path.chmod(0o700)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("a=rx", {0o1777: 0o1555, 0o2755: 0o555, 0o6711: 0o555}),
        ("u=rwX,go=rX", {0o4755: 0o755, 0o1777: 0o1755, 0o600: 0o644}),
        ("o=", {0o1777: 0o1770, 0o4755: 0o4750}),
        ("o=t", {0o644: 0o640, 0o1777: 0o1770}),
        ("o+t", {0o644: 0o644}),
        ("u+t", {0o644: 0o1644}),
        ("u=t", {0o644: 0o1044, 0o6711: 0o3011}),
        ("=t", {0o644: 0o1644, 0o6711: 0o7711}),
        ("u-t", {0o1777: 0o777}),
        ("o-t", {0o1777: 0o1777}),
        ("u=g", {0o4755: 0o4555, 0o6711: 0o6111}),
        ("=u", {0o1777: 0o1777, 0o6711: 0o6777}),
        ("g=ox", {0o644: 0o614, 0o2755: 0o715}),
        ("g=xo", {0o644: 0o644, 0o600: 0o600}),
        ("g=uX", {0o2755: 0o2775, 0o6711: 0o6771}),
        ("a=r", {0o2750: 0o444, 0o4711: 0o444, 0o1777: 0o1444}),
        ("a-x,a+X", {0o755: 0o755, 0o644: 0o644}),
        ("u+x,g+X", {0o600: 0o700}),
    ],
)
def test_as_buildkit_has_it(text: str, changes: dict[int, int]) -> None:
    """Where chmod(1) is otherwise: the modes of files that docker 28 copied with such a --chmod."""
    assert {before: oct(parse_mode(text)(before, False)) for before in changes} == {
        before: oct(after) for before, after in changes.items()
    }


@pytest.mark.parametrize("text", ["0", "7", "644", "0755", "4755", "7777", "0o644", "00000644"])
@pytest.mark.parametrize("is_dir", [False, True])
def test_numbers_are_the_whole_mode(text: str, is_dir: bool) -> None:
    assert parse_mode(text)(0o7123, is_dir) == int(text.removeprefix("0o"), 8)


@given(st.integers(0, 0o7777), st.integers(0, 0o7777), st.booleans())
def test_every_octal_mode(wanted: int, before: int, is_dir: bool) -> None:
    assert parse_mode(f"{wanted:o}")(before, is_dir) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        "789",
        "10000",
        "-1",
        "0x1f",
        "u",
        "rwx",
        "u=rw,",
        ",u=r",
        "u=rw,,g=r",
        "z+x",
        "u+q",
        "u==x,",
        "755 ",
        "x=u",
        "²",
    ],
)
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(InvalidValue, match="invalid mode") as caught:
        parse_mode(text)
    assert caught.value.hint


@given(st.text("ugoa+-=rwxXst,07", max_size=12), st.integers(0, 0o7777), st.booleans())
def test_nothing_but_permission_bits_comes_out(text: str, before: int, is_dir: bool) -> None:
    try:
        change = parse_mode(text)
    except InvalidValue:
        return
    assert 0 <= change(before, is_dir) <= 0o7777
