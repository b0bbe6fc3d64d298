"""The example of docs/dockerfile.md does what it says, and the page names every rule and instruction."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from pywerf.frontend.dockerfile.rules import RULES

PAGE = Path(__file__).resolve().parents[4] / "docs" / "dockerfile.md"


def block(text: str, language: str) -> str:
    return text.split(f"```{language}\n")[1].split("```")[0]


def test_the_example_prints_what_the_page_says() -> None:
    text = PAGE.read_text()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block(text, "python"), str(PAGE), "exec"), {"__name__": "example"})
    assert out.getvalue() == block(text, "text")


def test_every_rule_is_on_the_page() -> None:
    rows = PAGE.read_text()
    for name, rule in RULES.items():
        assert f"| `{name}`{' (experimental)' if rule.experimental else ''} |" in rows
