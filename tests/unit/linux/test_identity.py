"""Who processes believe themselves to be: the rules of setuid(2) and its kin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.linux.identity import (
    KEEP,
    Identities,
    Identity,
    after_exec,
    set_file_system,
    set_one,
    set_three,
    set_two,
)

ROOT = Identity.of(0, 0, (0,))
ZERO = (0, 0, 0, 0)
ids = st.integers(0, 4)
optional = st.one_of(ids, st.just(KEEP))
quads = st.tuples(ids, ids, ids, ids)


def test_root_becomes_anybody_with_all_its_ids() -> None:
    assert set_one(ZERO, 33, True) == (33, 33, 33, 33)
    assert set_three(ZERO, (1, 2, 3), True) == (1, 2, 3, 2)
    assert set_two(ZERO, 1, 2, True) == (1, 2, 2, 2)


def test_others_only_change_between_what_they_are() -> None:
    assert set_one((1, 2, 3, 2), 3, False) == (1, 3, 3, 3)
    for new in (0, 2, 4):
        with pytest.raises(PermissionError):
            set_one((1, 3, 3, 3), new, False)
    with pytest.raises(PermissionError):
        set_three((1, 1, 1, 1), (KEEP, 0, KEEP), False)
    with pytest.raises(PermissionError):
        set_two((1, 1, 1, 1), KEEP, 0, False)


def test_no_id_is_minus_one() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        set_one(ZERO, KEEP, True)


@given(quads, st.tuples(optional, optional, optional))
def test_nobody_without_privilege_gets_an_id_that_it_did_not_have(
    before: tuple[int, int, int, int], wanted: tuple[int, int, int]
) -> None:
    for change in (
        lambda: set_three(before, wanted, False),
        lambda: set_two(before, wanted[0], wanted[1], False),
        lambda: set_file_system(before, wanted[0], False),
    ):
        try:
            after = change()
        except PermissionError:
            continue
        assert set(after) <= set(before)


def test_what_may_not_be_the_file_system_id_is_ignored() -> None:
    assert set_file_system((1, 1, 1, 1), 0, False) == (1, 1, 1, 1)
    assert set_file_system(ZERO, 5, True) == (0, 0, 0, 5)
    assert set_file_system(ZERO, KEEP, True) == ZERO


def test_set_id_bits_of_a_program_count() -> None:
    user = Identity.of(1000, 1000, (1000, 27))
    sudo = after_exec(user, 0o4755, (0, 0))
    assert sudo.uids == (1000, 0, 0, 0)
    assert sudo.gids == (1000,) * 4
    assert sudo.privileged
    assert after_exec(user, 0o2755, (0, 42)).gids == (1000, 42, 42, 42)
    assert after_exec(user, 0o2744, (0, 42)).gids == (1000, 1000, 1000, 1000)  # mandatory locking's old mark
    assert after_exec(sudo.with_uids((1000, 1000, 0, 1000)), 0o755, (0, 0)).uids == (1000, 1000, 1000, 1000)


def test_groups_are_roots_to_set() -> None:
    assert ROOT.with_groups((2, 1)).groups == (1, 2)
    assert ROOT.with_groups((1, 2)).may_own(2)
    with pytest.raises(PermissionError):
        Identity.of(5, 5, ()).with_groups((0,))


def test_equal_identities_have_one_number() -> None:
    known = Identities(ROOT)
    assert known.one
    assert known.only_root
    user = Identity.of(33, 33, (33,))
    assert known.number(Identity.of(0, 0, (0,))) == 0
    assert known.number(user) == known.number(Identity.of(33, 33, (33,))) == 1
    assert known.get(1) is user
    assert not known.one
    for stray in (-50000, 7):
        assert known.get(stray) is ROOT
    assert not Identities(user).only_root
