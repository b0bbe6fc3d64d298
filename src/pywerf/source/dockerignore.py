"""Ignore files: which one counts for a build, how it is read, and what it leaves of a folder.

Precedence (BuildKit and buildah together): `--ignorefile`, `<Dockerfile>.dockerignore` beside the Dockerfile,
`.containerignore`, `.dockerignore` in the context's root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from pywerf.errors import ContextError
from pywerf.source.patterns import WHITESPACE, Pattern, PatternMatcher, clean

__all__ = ["IgnoreRules", "find_ignore_file", "load_rules", "read_patterns"]

NotIgnored = Callable[[str], bool]


def read_patterns(data: bytes) -> list[tuple[int, str]]:
    """The (line number, pattern) pairs of an ignore file (moby/patternmatcher, ignorefile.ReadAll).

    A `#` in the first column is a comment; a byte order mark is skipped; a leading `/` means nothing.
    """
    found: list[tuple[int, str]] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        line = raw.decode("utf-8", "surrogateescape")
        if line.startswith("#"):
            continue
        text = line.strip(WHITESPACE)
        if not text:
            continue
        sign = "!" if text.startswith("!") else ""
        text = text[len(sign) :].strip(WHITESPACE)
        if text:
            text = clean(text)
            if len(text) > 1 and text.startswith("/"):
                text = text[1:]
        found.append((number, sign + text))
    return found


def find_ignore_file(root: str, dockerfile: str = "", ignorefile: str = "") -> str | None:
    """The path of the ignore file of a build, or None.

    `root` is the context's folder, `dockerfile` the path of the Dockerfile in the file system ("" when it
    comes from elsewhere), `ignorefile` what `--ignorefile` named: it must exist, else ContextError.
    """
    if ignorefile:
        if not os.path.isfile(ignorefile):
            raise ContextError(f"{ignorefile}: no such ignore file", hint="it was named with --ignorefile")
        return ignorefile
    candidates = [f"{dockerfile}.containerignore", f"{dockerfile}.dockerignore"] if dockerfile else []
    candidates += [os.path.join(root, name) for name in (".containerignore", ".dockerignore")]
    return next((path for path in candidates if os.path.isfile(path)), None)


def load_rules(root: str, dockerfile: str = "", ignorefile: str = "") -> IgnoreRules | None:
    """The rules of the ignore file that counts, or None when there is none or nothing is in it.

    Raises PatternError with file and line, ContextError for a file that cannot be read.
    """
    path = find_ignore_file(root, dockerfile, ignorefile)
    if path is None:
        return None
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise ContextError(f"cannot read {path}: {error.strerror}") from error
    relative = os.path.relpath(path, root)
    return IgnoreRules.parse(data, path if relative.startswith("..") else relative)


class IgnoreRules:
    """What an ignore file leaves of a tree.

    A walk keeps one integer for each directory, its state: the index of the last pattern that matches it or
    a directory above it, -1 for none (the root). What a pattern says of a directory holds for all in it
    until a later pattern says otherwise. A directory that is left out and not entered is closed: nothing in it
    comes back, whatever a pattern says (the state `len(patterns)`, which no pattern is later than).
    """

    __slots__ = ("_closed", "_filters", "_longest", "matcher")

    def __init__(self, matcher: PatternMatcher) -> None:
        self.matcher = matcher
        self._closed = len(matcher.patterns)
        self._filters: dict[tuple[int, int], NotIgnored | None] = {}
        depths = [pattern.depth for pattern in matcher.patterns]
        self._longest = 0 if 0 in depths else max(depths, default=1)

    @classmethod
    def parse(cls, data: bytes, file: str = ".dockerignore") -> IgnoreRules | None:
        """The rules that an ignore file's content says; None for no pattern at all. Raises PatternError."""
        pairs = read_patterns(data)
        if not pairs:
            return None
        lines, patterns = zip(*pairs, strict=True)
        return cls(PatternMatcher(patterns, file=file, lines=lines))

    def ignored(self, path: str) -> bool:
        """Whether the path is left out (a directory may still have something in it that is not: see `enters`)."""
        return self.ignores(self.state_of(path))

    def state_of(self, path: str) -> int:
        """The state of a path."""
        state = -1
        end = path.find("/") if path else 0
        while end > 0 and state != self._closed:
            state = self.child_state(path[:end], state)
            end = path.find("/", end + 1)
        return self.child_state(path, state) if path else -1

    def child_state(self, path: str, parent_state: int) -> int:
        """The state of a path from that of the directory it is in."""
        patterns = self.matcher.patterns
        state = parent_state
        depth = path.count("/") + 1
        for index in range(len(patterns) - 1, parent_state, -1):
            pattern = patterns[index]
            if pattern.depth in (0, depth) and pattern.match(path):
                state = index
                break
        return self._closed if self.ignores(state) and not self.enters(path, state) else state

    def ignores(self, state: int) -> bool:
        """Whether a path of this state is left out itself."""
        return state == self._closed or (state >= 0 and not self.matcher.patterns[state].negated)

    def enters(self, path: str, state: int) -> bool:
        """Whether a directory that is left out is looked into: a later `!` pattern begins with its path.

        This is the text of the pattern, not what it matches (moby/go-archive, TarWithOptions; buildah does the same):
        `!a/b` opens `a`, `!**/b` and `!a*/b` open nothing that an earlier pattern closes.
        """
        patterns = self.matcher.patterns
        prefix = f"{path}/"
        return any(
            patterns[index].negated and f"{patterns[index].text}/".startswith(prefix)
            for index in range(state + 1, len(patterns))
        )

    def files(self, depth: int, state: int) -> NotIgnored | bool:
        """What holds for the non-directories in a directory of `depth` names and this state.

        True: all stay, False: none does; else a function that says whether a path stays.
        """
        depth = depth + 1 if not self._longest else min(depth + 1, self._longest + 1)
        key = (depth, state)
        if key not in self._filters:
            self._filters[key] = self._make_filter(depth, state)
        return self._filters[key] or not self.ignores(state)

    def _make_filter(self, depth: int, state: int) -> NotIgnored | None:
        stays = not self.ignores(state)
        later = [pattern for pattern in self.matcher.patterns[state + 1 :] if pattern.depth in (0, depth)]
        while later and later[0].negated == stays:
            later.pop(0)
        if not later:
            return None
        groups: list[list[Pattern]] = []
        for pattern in later:
            if groups and groups[-1][0].negated == pattern.negated:
                groups[-1].append(pattern)
            else:
                groups.append([pattern])
        if len(groups) == 1:
            test = _any_of(groups[0])
            return (lambda path: not test(path)) if stays else test
        tests = [(_any_of(group), group[0].negated) for group in reversed(groups)]

        def not_ignored(path: str) -> bool:
            for matches, negated in tests:
                if matches(path):
                    return negated
            return stays

        return not_ignored


def _any_of(patterns: Sequence[Pattern]) -> Callable[[str], bool]:
    """One test for many patterns: a set, one startswith, one endswith, one regular expression."""
    import re

    exact = {pattern.operand for pattern in patterns if pattern.kind == "exact"}
    prefixes = tuple(pattern.operand for pattern in patterns if pattern.kind == "prefix")
    suffixes = tuple(pattern.operand for pattern in patterns if pattern.kind == "suffix")
    endings = tuple(pattern.operand for pattern in patterns if pattern.kind == "ending")
    exact.update(suffix[1:] for suffix in suffixes if suffix.startswith("/"))
    tests: list[Callable[[str], object]] = []
    sources: list[str] = []
    for pattern in patterns:
        if pattern.kind == "regex":
            source = pattern.regex()
            if source is None:
                tests.append(pattern.match)
            else:
                sources.append(source)
    if sources:
        tests.append(re.compile("|".join(f"(?:{source})" for source in sources)).fullmatch)

    def test(path: str) -> bool:
        if path in exact or path.endswith(suffixes) or path.startswith(prefixes):
            return True
        if path.endswith(endings) and "\n" not in path[: path.rfind("/") + 1]:
            return True
        return any(one(path) for one in tests) if tests else False

    if not tests and not prefixes and not suffixes and not endings:
        return exact.__contains__
    if not tests and not prefixes and not exact:
        either = (*suffixes, *endings)
        return lambda path: path.endswith(either) and ("\n" not in path or test(path))
    if len(tests) == 1 and not (exact or prefixes or suffixes or endings):
        only = tests[0]
        return lambda path: bool(only(path))
    return test
