"""Capability names and what --cap-add and --cap-drop make of the default set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidValue
from pywerf.linux import caps


@pytest.mark.parametrize("name", ["chown", "CHOWN", "cap_chown", "CAP_CHOWN", " Cap_Chown "])
def test_every_spelling_of_a_name_is_taken(name: str) -> None:
    assert caps.normalize(name) == "CAP_CHOWN"


def test_unknown_name_suggests_a_near_one() -> None:
    with pytest.raises(InvalidValue, match='unknown capability "sys_amdin"') as caught:
        caps.normalize("sys_amdin")
    assert caught.value.hint == "did you mean CAP_SYS_ADMIN?"


def test_default_set_is_dockers() -> None:
    # The mask that /proc/self/status shows in a plain docker run.
    assert caps.mask(caps.DOCKER_DEFAULT) == 0xA80425FB


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), set(caps.DOCKER_DEFAULT)),
        (("SYS_ADMIN",), (), {*caps.DOCKER_DEFAULT, "CAP_SYS_ADMIN"}),
        ((), ("CHOWN",), set(caps.DOCKER_DEFAULT) - {"CAP_CHOWN"}),
        ((), ("ALL",), set()),
        (("CHOWN",), ("all",), {"CAP_CHOWN"}),
        (("ALL",), (), set(caps.NAMES)),
        (("ALL",), ("SYS_ADMIN",), set(caps.NAMES) - {"CAP_SYS_ADMIN"}),
        (("ALL",), ("ALL",), set()),
    ],
)
def test_add_and_drop(add: tuple[str, ...], drop: tuple[str, ...], expected: set[str]) -> None:
    assert set(caps.select(add, drop)) == expected


def test_a_name_both_added_and_dropped_is_refused() -> None:
    with pytest.raises(InvalidValue, match="CAP_KILL is both added and dropped"):
        caps.select(["kill"], ["CAP_KILL"])


@given(st.sets(st.sampled_from(caps.NAMES)))
def test_mask_and_names_are_inverse(chosen: set[str]) -> None:
    assert caps.names(caps.mask(chosen)) == tuple(sorted(chosen))
