"""Go's text/template: lexer, parser, execution on plain values. Nothing of Python is in reach of a template.

    >>> from pywerf.config.template import parse_template
    >>> parse_template("{{range .names}}{{.}} {{end}}").execute({"names": ["a", "b"]})
    'a b '

Values are None, bool, int, float, complex, str, list or tuple, mappings, and the two of `values`:
Struct (named fields, unknown ones are errors) and Func (what `call` calls, and what functions are).
"""

from __future__ import annotations

from pywerf.config.template.execute import Template, parse_template
from pywerf.config.template.values import Func, Kind, Struct

__all__ = ["Func", "Kind", "Struct", "Template", "parse_template"]
