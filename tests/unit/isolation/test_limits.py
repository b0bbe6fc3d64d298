"""Ulimits: both ways of writing, every error with its item, and what the host allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidValue, IsolationError
from pywerf.isolation.limits import TYPES, LimitFacts, check_limits, limit_facts, parse_ulimits
from pywerf.isolation.spec import Rlimit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["nofile:1024:4096"], (Rlimit("nofile", 1024, 4096),)),
        (["nofile=1024:4096"], (Rlimit("nofile", 1024, 4096),)),
        (["core=0"], (Rlimit("core", 0, 0),)),
        (["core:-1"], (Rlimit("core", -1, -1),)),
        (["stack:8388608:unlimited,nproc=100"], (Rlimit("stack", 8388608, -1), Rlimit("nproc", 100, 100))),
        (["cpu:1", "rss:2"], (Rlimit("cpu", 1, 1), Rlimit("rss", 2, 2))),
        (["cpu:1 , rss:2"], (Rlimit("cpu", 1, 1), Rlimit("rss", 2, 2))),
        ([], ()),
    ],
)
def test_both_syntaxes(values: list[str], expected: tuple[Rlimit, ...]) -> None:
    assert parse_ulimits(values) == expected


def test_all_fifteen_types_are_known() -> None:
    assert len(TYPES) == 15
    parsed = parse_ulimits([",".join(f"{name}:7:9" for name in TYPES)])
    assert [limit.type for limit in parsed] == list(TYPES)


@pytest.mark.parametrize(
    ("values", "position", "reason"),
    [
        (["nofiles:1"], 1, 'unknown type "nofiles"'),
        (["as:1"], 1, 'unknown type "as"'),
        (["nofile:1,core:1,nofile:2"], 3, "nofile is already given by item 1"),
        (["nofile:1", "nofile:2"], 2, "nofile is already given by item 1"),
        (["nofile:1:2:3"], 1, "more than a soft and a hard limit"),
        (["nofile:1,,core:1"], 2, "it is empty"),
        ([""], 1, "it is empty"),
        (["nofile:1,"], 2, "it is empty"),
        (["nofile:2:1"], 1, "the soft limit is above the hard limit"),
        (["nofile:-1:1"], 1, "the soft limit is above the hard limit"),
        (["nofile"], 1, "the limit is missing"),
        (["nofile:"], 1, "the limit is missing"),
        (["nofile:1:"], 1, '"" is neither'),
        (["nofile:-2"], 1, '"-2" is neither'),
        (["nofile:1k"], 1, '"1k" is neither'),
        (["nofile:²"], 1, '"²" is neither'),
        ([f"fsize:{2**64 - 1}"], 1, "is too large"),
        (["fsize:" + "9" * 5000], 1, "is too large"),
    ],
)
def test_errors_name_item_position_and_types(values: list[str], position: int, reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_ulimits(values)
    assert caught.value.message.startswith(f"ulimit item {position} ")
    assert reason in caught.value.message
    assert all(name in (caught.value.hint or "") for name in TYPES)


@given(st.lists(st.text(alphabet="nofile:=,-0123456789 unlimited", max_size=30), max_size=4))
def test_any_text_parses_or_is_refused(values: list[str]) -> None:
    try:
        limits = parse_ulimits(values)
    except InvalidValue:
        return
    assert len({limit.type for limit in limits}) == len(limits)
    for limit in limits:
        assert limit.hard == -1 or 0 <= limit.soft <= limit.hard


FACTS = LimitFacts(dict.fromkeys(TYPES, (10, 100)) | {"core": (0, -1)}, may_raise=False, max_open_files=1000)


@pytest.mark.parametrize("limit", [Rlimit("nproc", 100, 100), Rlimit("nproc", 5, 7), Rlimit("core", -1, -1)])
def test_limits_within_the_present_ones_pass(limit: Rlimit) -> None:
    check_limits([limit], FACTS)


@pytest.mark.parametrize(("wanted", "shown"), [(101, "101"), (-1, "unlimited")])
def test_a_hard_limit_above_the_present_one_is_refused(wanted: int, shown: str) -> None:
    with pytest.raises(IsolationError, match=rf"ulimit stack: the hard limit {shown} is above the present one, 100"):
        check_limits([Rlimit("cpu", 1, 1), Rlimit("stack", 5, wanted)], FACTS)


def test_who_may_raise_may_raise() -> None:
    check_limits([Rlimit("stack", 5, -1)], LimitFacts(FACTS.present, may_raise=True, max_open_files=1000))


def test_nofile_never_passes_the_kernels_maximum() -> None:
    facts = LimitFacts(FACTS.present, may_raise=True, max_open_files=1000)
    check_limits([Rlimit("nofile", 5, 1000)], facts)
    for wanted in (1001, -1):
        with pytest.raises(IsolationError, match="above the kernel's 1000"):
            check_limits([Rlimit("nofile", 5, wanted)], facts)


def test_facts_are_this_processs_own() -> None:
    import resource

    facts = limit_facts()
    assert facts.present["nofile"] == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert len(facts.present) == 16
