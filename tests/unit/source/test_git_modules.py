from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pywerf.source.git_modules import read_modules


def test_a_file() -> None:
    text = """
# comment
[core]
    path = not/this
[submodule "lib \\"x\\""]
\tpath = libs/x/
\turl = "https://host/x.git" ; comment
\tbranch = main
[Submodule "two"]
\tURL = ../two#2.git
\tpath = "a b"
[submodule "two"]
\turl = \\
../two.git  # comment
[submodule "no path"]
\turl = ../three.git
"""
    assert read_modules(text) == [("libs/x", "https://host/x.git"), ("a b", "../two.git")]


@given(st.text(alphabet='[]submodle "=\\\n#;path url', max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    assert all(isinstance(url, str) for _, url in read_modules(text))
