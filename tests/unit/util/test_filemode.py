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
    "a=r",
    "u=rwx,g=rx,o=",
    "u+s",
    "g+s",
    "a+t",
    "o+t",
    "u+t",
    "ug=rw,o-rwx",
    "a+X",
    "a-x,u+X",
    "a-x,a+X",
    "u=rwX,go=rX",
    "g=u",
    "o=g",
    "g=u,u-w",
    "u+x-w",
    "a=",
    "o=t",
    "u-s,g-s",
    "go-rwxst",
    "uo+rw",
    "a=rwxst",
    "u=s",
    "+x",
    "-w",
    "=r",
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
