"""The Dockerfile language.

    from pywerf.frontend.dockerfile import parse

    for node in parse(open("Dockerfile", "rb").read()).nodes: ...

Names are loaded when they are first used: what a command does not need costs it nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pywerf.frontend.dockerfile.ast import Dockerfile, Heredoc, Node, dump, to_text
    from pywerf.frontend.dockerfile.expand import process_word, process_words
    from pywerf.frontend.dockerfile.instructions import parse_instructions
    from pywerf.frontend.dockerfile.parser import parse

__all__ = [
    "Dockerfile",
    "Heredoc",
    "Node",
    "dump",
    "parse",
    "parse_instructions",
    "process_word",
    "process_words",
    "to_text",
]

_HOMES = {
    "Dockerfile": "ast",
    "Heredoc": "ast",
    "Node": "ast",
    "dump": "ast",
    "parse": "parser",
    "parse_instructions": "instructions",
    "process_word": "expand",
    "process_words": "expand",
    "to_text": "ast",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
