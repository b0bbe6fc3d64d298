"""Patterns of images on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.build.project.selection import select_images
from pywerf.config.werf_yaml.project import parse_config
from pywerf.errors import UsageError

NAMES = ("web", "web-old", "team/api", "team/worker", "tools")
TEXT = "project: p\nconfigVersion: 1\n" + "".join(
    f"---\nimage: {name}\ndockerfile: D\nfinal: {'false' if name == 'tools' else 'true'}\n" for name in NAMES
)
CONFIG = parse_config(TEXT)


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ((), NAMES),
        (("web",), ("web",)),
        (("web*",), ("web", "web-old")),
        (("*",), ("web", "web-old", "tools")),
        (("team/*",), ("team/api", "team/worker")),
        (("t?ols",), ("tools",)),
        (("[wt]*",), ("web", "web-old", "tools")),
        (("!web*",), ("team/api", "team/worker", "tools")),
        (("web*", "!web-old"), ("web",)),
        (("web-old", "!web*"), ("web-old",)),
        (("tools", "web"), ("web", "tools")),
    ],
)
def test_patterns_choose_in_the_order_of_the_file(patterns: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert select_images(CONFIG, patterns) == chosen


def test_final_images_only() -> None:
    assert select_images(CONFIG, final_only=True) == NAMES[:-1]
    with pytest.raises(UsageError, match='no image matches "tools" that is final') as caught:
        select_images(CONFIG, ("web", "tools"), final_only=True)
    assert "--final-images-only=false" in (caught.value.hint or "")
    with pytest.raises(UsageError, match=r'no image matches "tolls"$') as caught:
        select_images(CONFIG, ("tolls",), final_only=True)
    assert caught.value.hint == "did you mean tools?"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("nope", 'no image matches "nope"'),
        ("!nope", 'no image matches "!nope"'),
        ("**", "recursive glob"),
        ("a" * 101, "at most 100 characters"),
        ("a|b", "| is not allowed"),
        ("$x", "$ is not allowed"),
        ("", "is no pattern"),
        ("[", "["),
    ],
)
def test_what_is_no_pattern_or_matches_nothing_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_images(CONFIG, (pattern,))
    assert why in caught.value.message


def test_the_nameless_image_is_a_tilde() -> None:
    config = parse_config("project: p\nconfigVersion: 1\n---\nimage: ~\ndockerfile: D\n")
    assert select_images(config, ("~",)) == ("",)
    assert select_images(config) == ("",)


@given(st.lists(st.text("web*?[]!-\\/~", max_size=8), max_size=4))
def test_any_patterns_choose_or_are_a_usage_error(patterns: list[str]) -> None:
    try:
        found = select_images(CONFIG, patterns)
    except UsageError:
        return
    assert set(found) <= set(NAMES)
