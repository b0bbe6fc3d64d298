"""Scripts that set variables: whatever is in them, a shell sees the value and nothing else."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pywerf.build.ci_env import CiEnv, Section, Variable
from pywerf.cli.ci_shells import write_env_file, write_script
from pywerf.errors import UsageError

VALUES = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=40)


def env(*values: str) -> CiEnv:
    return CiEnv(None, (Section("Title", tuple(Variable(f"V{n}", value, "set") for n, value in enumerate(values))),))


@settings(max_examples=20)
@given(VALUES)
def test_sh_reads_any_value(values: list[str]) -> None:
    script = write_script(env(*values)) + "env -0\n"
    done = subprocess.run(
        ["sh", "-es"], input=script.encode(), env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    found = dict(item.split("=", 1) for item in done.stdout.decode().split("\0") if item)
    assert [found[f"V{number}"] for number in range(len(values))] == values


def test_sections_and_what_is_not_set() -> None:
    variables = (Variable("A", "1", "already"), Variable("B", "", "empty"), Variable("C", "3", "set"))
    made = CiEnv(None, (Section("One", variables), Section("Two", (Variable("D", "4", "set"),))))
    assert write_script(made) == (
        "# One\n# A is set already, and stays as it is\n# B has no value here\nexport C='3'\n\n# Two\nexport D='4'\n"
    )
    assert "rem B has no value here\n" in write_script(made, "cmdexe")
    assert "C=3\n" in write_env_file(made)


def test_powershell_doubles_every_quote() -> None:
    assert "$Env:V0 = 'it''s $(x) \u2019\u2019'\n" in write_script(env("it's $(x) \u2019"), "powershell")


def test_cmd_has_no_variables_in_values() -> None:
    assert 'set "V0=100%%PATH%% & x"\n' in write_script(env("100%PATH% & x"), "cmdexe")


@pytest.mark.parametrize("value", ["a\nb", "a\rb"])
def test_lines_that_do_not_fit(value: str) -> None:
    with pytest.raises(UsageError, match=r"V0 .*several lines"):
        write_env_file(env(value))
    with pytest.raises(UsageError, match=r"V0 .*several lines"):
        write_script(env(value), "cmdexe")


def test_quotes_cannot_be_written_for_cmd() -> None:
    with pytest.raises(UsageError, match="double quote"):
        write_script(env('a" & calc "'), "cmdexe")
