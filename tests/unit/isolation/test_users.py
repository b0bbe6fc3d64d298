"""USER strings against passwd and group contents, as Docker resolves them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import IsolationError
from pywerf.isolation.users import User, find_group, find_user, resolve_user

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1::/usr/sbin:
broken line

app:x:1000:1001:App:/home/app:/bin/sh
7:x:70:70::/seven:
bad:x:nan:0::/:
nohome:x:50:51
"""
GROUP = b"""root:x:0:
staff:x:50:app,root
wheel:x:10:root, app
app:x:1001:
9:x:90:
nonum:x:z:app
short
"""


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", User(0, 0, (0, 50, 10), "/root", "root")),
        ("root", User(0, 0, (0, 50, 10), "/root", "root")),
        ("0", User(0, 0, (0, 50, 10), "/root", "root")),
        ("app", User(1000, 1001, (1001, 50, 10), "/home/app", "app")),
        ("1000", User(1000, 1001, (1001, 50, 10), "/home/app", "app")),
        ("app:staff", User(1000, 50, (50,), "/home/app", "app")),
        ("app:50", User(1000, 50, (50,), "/home/app", "app")),
        ("app:7777", User(1000, 7777, (7777,), "/home/app", "app")),
        ("12345", User(12345, 0, (0,), "/", "")),
        ("12345:10", User(12345, 10, (10,), "/", "")),
        ("7", User(70, 70, (70,), "/seven", "7")),
        ("nohome", User(50, 51, (51,), "/", "nohome")),
        ("app:9", User(1000, 90, (90,), "/home/app", "app")),
        (":staff", User(0, 50, (50,), "/root", "root")),
    ],
)
def test_resolves(user: str, expected: User) -> None:
    assert resolve_user(user, PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("x", "unable to find user x: no matching entries in passwd file"),
        ("bad", "unable to find user bad: no matching entries in passwd file"),
        ("app:x", "unable to find group x: no matching entries in group file"),
        ("app:nonum", "unable to find group nonum: no matching entries in group file"),
        ("2147483648", "2147483648: uids and gids must be in range 0-2147483647"),
        ("-1", "-1: uids and gids must be in range 0-2147483647"),
        ("0:4294967296", "4294967296: uids and gids must be in range 0-2147483647"),
    ],
)
def test_errors_are_dockers(user: str, message: str) -> None:
    with pytest.raises(IsolationError) as caught:
        resolve_user(user, PASSWD, GROUP)
    assert caught.value.message == message


def test_without_files_root_and_numbers_work() -> None:
    assert resolve_user("", b"", b"") == User(0, 0, (0,), "/", "")
    assert resolve_user("5:6", b"", b"") == User(5, 6, (6,), "/", "")
    assert find_user("8", b"") == 8
    assert find_group("8", b"") == 8


@given(st.text(max_size=20), st.binary(max_size=200), st.binary(max_size=200))
def test_hostile_files_never_crash(user: str, passwd: bytes, group: bytes) -> None:
    try:
        found = resolve_user(user, passwd, group)
    except IsolationError:
        return
    assert 0 <= found.uid < 2**32 - 1
    assert 0 <= found.gid < 2**32 - 1
    assert found.gid in found.groups
