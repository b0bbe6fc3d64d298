"""The words that PowerShell's completion asks for."""

from __future__ import annotations

import pytest

from pywerf.cli.app import app
from pywerf.cli.lazy import as_click_group
from pywerf.cli.powershell import PowerShellComplete


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("werf\ncr\nlogi", "login\tLog in to REGISTRY"),
        ("werf\ncr\n", "login\tLog in to REGISTRY"),
        ("werf\nbuild\n--final", "--final-images-only\tOnly images"),
        ("werf\ncompletion\n--shell\npow", "powershell"),
    ],
)
def test_words(words: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    made = PowerShellComplete(as_click_group(app), {}, "werf", "_WERF_COMPLETE").complete()
    assert made.startswith(found)


def test_the_script_names_the_program_and_its_variable() -> None:
    script = PowerShellComplete(as_click_group(app), {}, "werf", "_WERF_COMPLETE").source()
    assert "-CommandName werf " in script
    assert "$env:_WERF_COMPLETE = 'powershell_complete'" in script
