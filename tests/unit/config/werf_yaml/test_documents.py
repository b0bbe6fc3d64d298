"""YAML documents: how they are cut, and what a section accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.config.werf_yaml.documents import ANY, Section, read_documents
from pywerf.errors import ConfigError


def section(text: str) -> Section:
    (document,) = read_documents(text, "werf.yaml")
    return Section(document, document.root)


def test_documents_are_cut_at_three_hyphens_and_know_their_lines() -> None:
    documents = read_documents("a: 1\n--- # the next\nb: 2\n---   \n# nothing\n---\n\n---\nc: 3\n", "werf.yaml")
    assert [(document.first, document.text.strip()) for document in documents] == [
        (1, "a: 1"),
        (3, "b: 2"),
        (9, "c: 3"),
    ]
    assert [document.line_of(document.root) for document in documents] == [1, 3, 9]


def test_three_hyphens_inside_a_line_cut_nothing() -> None:
    documents = read_documents("a: x --- y\nb: |\n  ---\n", "werf.yaml")
    assert len(documents) == 1


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        ("a: 1\na: 2\n", "the key a is there twice", 2),
        ("a:\n  b: 1\n  b: 2\n", "the key a.b is there twice", 3),
        ("a: [1\n", "not YAML", 2),
        ("- a\n", "a map is expected, not a list", 1),
        ("a: \x01\n", "a character that YAML does not allow", 1),
        ("? [a]\n: 1\n", "a key must be a single value", 1),
        ("a: *nobody\n", "not YAML", 1),
    ],
)
def test_what_is_no_strict_yaml_is_refused_with_its_line(text: str, why: str, line: int) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        section(text).check_keys({"a": {"b": ANY}})
    assert caught.value.source is not None
    assert caught.value.source.first == line


def test_merged_keys_are_there_and_own_ones_win() -> None:
    found = section("base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3\n").section("mine")
    assert found is not None
    assert found.pairs("none") == ()
    assert (found.text("x"), found.text("y")) == ("1", "3")


def test_unknown_keys_are_told_together_with_suggestions() -> None:
    with pytest.raises(ConfigError) as caught:
        section("targt: x\nargs: {A: b}\nsecrets:\n- {idd: x}\n").check_keys(
            {"target": ANY, "args": ANY, "secrets": [{"id": ANY}]}
        )
    assert caught.value.message == (
        "unknown keys: targt (line 1; did you mean target?), secrets[0].idd (line 4; did you mean id?)"
    )


def test_texts_are_kept_as_they_are_written() -> None:
    found = section("a: 1.10\nb: yes\nc: ~\nd: 'x'\ne: 010\n")
    assert [found.text(key) for key in "abcde"] == ["1.10", "yes", "", "x", "010"]
    assert not found.has("c")
    assert found.text("c", "default") == "default"


@pytest.mark.parametrize(
    ("text", "read", "why"),
    [
        ("a: [1]", lambda s: s.text("a"), "a: a string is expected, not a list"),
        ("a: maybe", lambda s: s.flag("a"), "a: true or false is expected"),
        ("a: x", lambda s: s.number("a", 0), "a: a whole number is expected"),
        ("a: -1", lambda s: s.number("a", 0, least=0), "a: a whole number is expected, 0 or more"),
        ("a: {b: 1}", lambda s: s.strings("a"), "a: single string or array of strings expected"),
        ("a: [[b]]", lambda s: s.strings("a"), "a: single string or array of strings expected"),
        ("a: [b]", lambda s: s.pairs("a"), "a: a map is expected, not a list"),
        ("a: {b: 1}", lambda s: s.sections("a"), "a: a list is expected, not a map"),
        ("a: ''", lambda s: s.required("a"), "a must not be empty"),
        ("b: ''", lambda s: s.required("a"), "a is required"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, read: object, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(section(text))  # type: ignore[operator]
    assert caught.value.message == why


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text("ab:[]{}&*<-#'\"|>\n ", max_size=60))
def test_any_text_is_documents_or_a_config_error(text: str) -> None:
    try:
        for document in read_documents(text, "werf.yaml"):
            Section(document, document.root).check_keys({"a": ANY})
    except ConfigError:
        pass


def test_a_map_that_merges_itself_is_refused() -> None:
    with pytest.raises(ConfigError):
        section("a: &a\n  <<: *a\n  b: 1\n").section("a")


def test_deep_nesting_is_refused_and_shown_short() -> None:
    with pytest.raises(ConfigError, match="not YAML") as caught:
        section("a: " + "[" * 100_000)
    assert caught.value.source is not None
    assert max(map(len, caught.value.source.lines)) <= 200
