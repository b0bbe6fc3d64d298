"""A set of templates that see each other's definitions, with `include` and `tpl` to run one from another."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from pywerf.config.template.execute import Template, Tree, parse_trees
from pywerf.config.template.functions import BUILTINS
from pywerf.config.template.values import Func, FunctionError
from pywerf.errors import TemplateError

__all__ = ["TemplateSet"]

# Templates that include each other: less than Python's own stack holds.
MAX_INCLUDES = 40


class TemplateSet:
    """Templates by name. `functions` come beside those of Go, later ones first; `include` and `tpl` are made here.

    Not for use by several threads at once.
    """

    def __init__(self, *functions: Mapping[str, Func]) -> None:
        self._trees: dict[str, Tree] = {}
        self._depth = 0
        own = {
            "include": Func("include", self.include, ("string", "any")),
            "tpl": Func("tpl", self.tpl, ("string", "any")),
        }
        self._functions: Mapping[str, Func] = _Chained(BUILTINS, *functions, own)

    def add(self, name: str, text: str) -> None:
        """Parse a template. Of definitions with one name the later counts, unless it is empty. Raises TemplateError."""
        for each, tree in parse_trees(text, name, self._functions).items():
            if each not in self._trees or not tree.empty:
                self._trees[each] = tree

    def execute(self, name: str, data: Any) -> str:
        """The text that a template makes of `data`. Raises TemplateError."""
        if name not in self._trees:
            raise TemplateError(f'template: no template "{name}" associated with template')
        return Template(name, self._functions, self._trees).execute(data)

    def text_of(self, name: str) -> str:
        """The text of the template that a name is defined in; "" when there is none."""
        tree = self._trees.get(name)
        return "" if tree is None else tree.text

    def include(self, name: str, data: Any) -> str:
        """What the function `include` gives. Raises FunctionError."""
        if name not in self._trees:
            raise FunctionError(f'no template "{name}" is defined')
        return self._nested(name, lambda: self.execute(name, data))

    def tpl(self, text: str, data: Any) -> str:
        """What the function `tpl` gives. Raises FunctionError."""
        name = f"tpl-{zlib.adler32(text.encode('utf-8', 'surrogateescape'))}"

        def run() -> str:
            trees = dict(self._trees)
            trees.update(parse_trees(text, name, self._functions))
            # what is defined in the text is seen by what it includes, and gone afterwards
            before, self._trees = self._trees, trees
            try:
                return self.execute(name, data)
            finally:
                self._trees = before

        return self._nested(name, run)

    def _nested(self, name: str, run: Any) -> str:
        if self._depth >= MAX_INCLUDES:
            raise FunctionError(f"more than {MAX_INCLUDES} templates in each other at {name}")
        self._depth += 1
        try:
            return str(run())
        except TemplateError as error:
            raise FunctionError(error.message) from error
        finally:
            self._depth -= 1


class _Chained(Mapping[str, Func]):
    """Several mappings as one, the later ones first; nothing is loaded before it is asked for."""

    def __init__(self, *parts: Mapping[str, Func]) -> None:
        self._parts = tuple(reversed(parts))
        self._names = frozenset(name for part in parts for name in part)

    def __getitem__(self, name: str) -> Func:
        for part in self._parts:
            if name in part:
                return part[name]
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
