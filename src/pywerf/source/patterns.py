"""Patterns of .dockerignore, `--exclude` and COPY wildcards.

Two languages share one syntax of wildcards (Go, path/filepath#Match): `*` and `?` match no `/`,
`[a-z]` and `[^a-z]` are classes, `\\c` is the character c.

- `PatternMatcher` follows github.com/moby/patternmatcher: `**` crosses directories, `!` takes back what
  earlier patterns said, and what matches a directory matches all that is in it. What its regular expressions make
  of escaped letters and odd classes is in `moby_patterns`.
- `match` is Go's filepath.Match itself, and `glob` what BuildKit makes of it for COPY and ADD.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from pywerf.errors import PatternError
from pywerf.source.wildcards import (
    Token,
    clean,
    compile_tokens,
    parse,
    regex_source,
)
from pywerf.util.filetree import FileTree, join, resolve

__all__ = [
    "WHITESPACE",
    "Pattern",
    "PatternMatcher",
    "clean",
    "glob",
    "has_wildcard",
    "match",
    "matches_or_parent_matches",
]

# What Go's strings.TrimSpace takes away; str.strip() would take U+001C to U+001F too.
WHITESPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)

Kind = Literal["exact", "prefix", "suffix", "ending", "regex"]


class Pattern:
    """One pattern. `text` is cleaned and without its `!`; `match(path)` is about the path alone, not its parents.

    `kind` and `operand` say how it is matched: `exact` the path itself, `prefix` and `suffix` a string
    (a suffix that begins with `/` also matches the whole path), `ending` the end of the last name (`**/*.x`), `regex`
    by `match` only. `depth` is the number of names in all paths that can match, or 0 when it is open.
    """

    __slots__ = ("_branches", "depth", "kind", "line", "match", "negated", "operand", "text")

    def __init__(self, text: str, *, negated: bool, line: int = 0) -> None:
        """Raises ValueError for a pattern that cannot be."""
        from pywerf.source.moby_patterns import check, read_expression, translate  # a build without patterns spares it

        check(text)
        kind, expression = translate(text)
        self.text = text
        self.negated = negated
        self.line = line
        self.operand = ""
        self.depth = 0
        self._branches: tuple[tuple[Token, ...], ...] = ()
        self.match: Callable[[str], bool]
        self.kind: Kind
        if kind == "exact":
            self.kind, self.operand, self.depth = "exact", text, text.count("/") + 1
            self.match = text.__eq__
        elif kind == "suffix":
            self.kind, self.operand = "suffix", text[2:]
            self.match = _suffix_match(self.operand)
        elif kind == "prefix":
            self.kind, self.operand = "prefix", text[:-2]
            self.match = _prefix_match(self.operand)
        else:
            self.kind, self._branches = "regex", read_expression(expression)
            if [token[0] for token in self._branches[0]] == ["dirs", "star", "literal"] and len(self._branches) == 1:
                ending = self._branches[0][2][1]
                if "/" not in ending:
                    self.kind, self.operand = "ending", ending
            self.match = _ending_match(self.operand) if self.operand else _branches_match(self._branches)
            depths = {_depth(branch) for branch in self._branches}
            self.depth = depths.pop() if len(depths) == 1 else 0

    def regex(self) -> str | None:
        """Of kind `regex`: an expression's source for the whole path, or None when only `match` can tell."""
        sources = [regex_source(branch) for branch in self._branches]
        found = [source for source in sources if source is not None]
        return "|".join(found) if len(found) == len(sources) else None

    def __repr__(self) -> str:
        return f"Pattern({'!' if self.negated else ''}{self.text})"


def _suffix_match(suffix: str) -> Callable[[str], bool]:
    if not suffix.startswith("/"):
        return lambda path: path.endswith(suffix)
    whole = suffix[1:]
    return lambda path: path.endswith(suffix) or path == whole


def _ending_match(ending: str) -> Callable[[str], bool]:
    return lambda path: path.endswith(ending) and "\n" not in path[: path.rfind("/") + 1]


def _branches_match(branches: tuple[tuple[Token, ...], ...]) -> Callable[[str], bool]:
    tests = [compile_tokens(branch) for branch in branches]
    return tests[0] if len(tests) == 1 else lambda path: any(test(path) for test in tests)


def _depth(tokens: tuple[Token, ...]) -> int:
    names = 1
    for token in tokens:
        if token[0] in ("dirs", "rest", "anything", "repeat") or (token[0] == "class" and token[3]):
            return 0
        if token[0] == "literal":
            names += token[1].count("/")
    return names


def _prefix_match(prefix: str) -> Callable[[str], bool]:
    return lambda path: path.startswith(prefix)


class PatternMatcher:
    """A list of patterns where the last one that matches decides (moby/patternmatcher).

    `file` and `lines` (a line number for each pattern) are used in the messages of PatternError alone.
    Paths are relative, with `/` between names.
    """

    __slots__ = ("has_negation", "patterns")

    def __init__(self, patterns: Iterable[str], *, file: str = "", lines: Sequence[int] | None = None) -> None:
        found: list[Pattern] = []
        for number, written in enumerate(patterns):
            line = lines[number] if lines is not None else 0
            pattern = _read_pattern(written, file, line)
            if pattern is not None:
                found.append(pattern)
        self.patterns = tuple(found)
        self.has_negation = any(pattern.negated for pattern in found)

    def matches_exact(self, path: str) -> bool:
        """Whether the path itself is matched, whatever is said of its parents."""
        for pattern in reversed(self.patterns):
            if pattern.match(path):
                return not pattern.negated
        return False

    def matches_or_parent_matches(self, path: str) -> bool:
        """Whether the path, or one of the directories above it, is matched."""
        last = self.last_match(path)
        return last >= 0 and not self.patterns[last].negated

    def matches(self, path: str) -> bool:
        """As `matches_or_parent_matches`, with the one parent alone that has as many names as the pattern.

        This is what older dockers did (moby's deprecated Matches).
        """
        parent = _parent(path)
        parents = parent.split("/")
        matched = False
        for pattern in self.patterns:
            if pattern.negated != matched:
                continue
            hit = pattern.match(path)
            if not hit and parent != ".":
                names = pattern.text.count("/") + 1
                hit = names <= len(parents) and pattern.match("/".join(parents[:names]))
            if hit:
                matched = not pattern.negated
        return matched

    def last_match(self, path: str, above: int = -1) -> int:
        """The index of the last pattern that matches the path or a directory above it, or `above`.

        With `above` (the answer for the path's directory) the parents are not looked at again.
        """
        candidates = [path]
        if above < 0:
            parent = _parent(path)
            if parent != ".":
                names = parent.split("/")
                candidates.extend("/".join(names[:count]) for count in range(1, len(names) + 1))
        for index in range(len(self.patterns) - 1, above, -1):
            test = self.patterns[index].match
            for candidate in candidates:
                if test(candidate):
                    return index
        return above


def _parent(path: str) -> str:
    """Go's filepath.Dir."""
    return clean(path[: path.rfind("/") + 1])


def _read_pattern(written: str, file: str, line: int) -> Pattern | None:
    text = written.strip(WHITESPACE)
    if not text:
        return None
    text = clean(text)
    negated = text.startswith("!")
    if negated:
        text = text[1:]
    where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
    if not text:
        raise PatternError(f'{where}illegal exclusion pattern "!"', hint="a path or a pattern follows the `!`")
    try:
        return Pattern(text, negated=negated, line=line)
    except ValueError as error:
        raise PatternError(f'{where}invalid pattern "{written.strip(WHITESPACE)}": {error}', hint=_HINT) from error


_HINT: Final = "a character that means itself is written with a backslash before it: \\[ \\* \\? \\\\"


def matches_or_parent_matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether `path` (cleaned first; `.` never) is matched by a list of patterns."""
    matcher = PatternMatcher(patterns)
    path = clean(path)
    return path != "." and matcher.matches_or_parent_matches(path)


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Callable[[str], bool]:
    try:
        return compile_tokens(parse(pattern), leftmost=True)
    except ValueError as error:
        raise PatternError(f'invalid pattern "{pattern}": {error}', hint=_HINT) from error


def match(pattern: str, name: str) -> bool:
    """Go's filepath.Match: the whole name, `*` and `?` match no `/`. Raises PatternError."""
    return _compiled(pattern)(name)


def has_wildcard(text: str) -> bool:
    """Whether a COPY source is a pattern: an unescaped `*`, `?` or `[` (fsutil, containsWildcards)."""
    index = 0
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] in "*?[":
            return True
        index += 1
    return False


def glob(tree: FileTree, pattern: str) -> list[str]:
    """The paths that a COPY source stands for, in component order, as BuildKit expands them.

    Without a wildcard: the cleaned path itself, whether it exists or not (backslashes stay). Symlinks are
    followed before the first name that has a wildcard, none after it; a directory that matches stands for
    all that is in it. [] when nothing matches. Raises PatternError.
    """
    names = clean("/" + pattern)[1:].split("/")
    first = next((index for index, name in enumerate(names) if has_wildcard(name)), None)
    if first is None:
        return ["/".join(names)]
    rest = names[first:]
    test = _compiled("/".join(rest))
    base = resolve(tree, "/".join(names[:first]))
    node = tree.lstat(base)
    if node is None or node.kind != "dir":
        return []
    found: list[str] = []
    if any(token[0] == "class" and token[3] for token in parse("/".join(rest))):
        _glob_everywhere(tree, base, "", test, found)  # a class that matches `/`: names cannot be taken one by one
    else:
        _glob_names(tree, base, [_compiled(name) for name in rest], found)
    return found


def _glob_names(tree: FileTree, folder: str, tests: Sequence[Callable[[str], bool]], found: list[str]) -> None:
    test = tests[0]
    for node in tree.scandir(folder):
        if test(node.name):
            path = join(folder, node.name)
            if len(tests) == 1:
                found.append(path)
            elif node.kind == "dir":
                _glob_names(tree, path, tests[1:], found)


def _glob_everywhere(tree: FileTree, base: str, inside: str, test: Callable[[str], bool], found: list[str]) -> None:
    for node in tree.scandir(join(base, inside) if inside else base):
        path = join(inside, node.name)
        if test(path):
            found.append(join(base, path))
        elif node.kind == "dir":
            _glob_everywhere(tree, base, path, test, found)
