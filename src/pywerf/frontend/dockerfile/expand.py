"""Shell words: quotes, escapes and `${…}`, as BuildKit's Dockerfile front end reads them (frontend/dockerfile/shell).

    $v ${v}  ${v:-x} ${v-x}  ${v:+x} ${v+x}  ${v:?x} ${v?x}  ${v#p} ${v##p} ${v%p} ${v%%p}  ${v/p/r} ${v//p/r}

It is close to POSIX sh, with habits of its own: an escape before an ordinary character goes away outside of quotes
and stays inside of double quotes, and one at the very end is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.gotext import SPACES, quote
from pywerf.frontend.dockerfile.patterns import parse_pattern, replace, trim_prefix, trim_suffix

__all__ = ["Expander", "Lookup", "process_word", "process_words"]

Lookup = Callable[[str], str | None] | Mapping[str, str]
"""Variables: a mapping, or a function that gives None for what is not set."""

_SPECIAL_PARAMETERS = "@*#?-$!0"
MAX_DEPTH = 100


def process_word(word: str, lookup: Lookup, escape: str = "\\") -> str:
    """`word` with its variables replaced and its quotes removed. Raises DockerfileError in BuildKit's words."""
    return Expander(lookup, escape).word(word)


def process_words(word: str, lookup: Lookup, escape: str = "\\") -> list[str]:
    """As `process_word`, then split at blanks that are not quoted; empty words are left out."""
    return Expander(lookup, escape).words(word)


class Expander:
    """Expands words and remembers the variables it met: `matched` those that were set, `unmatched` the others.

    `raw_quotes` keeps quotes, `raw_escapes` keeps escapes (both still protect what they protect), `skip_quotes` takes
    quotes for ordinary characters (here-documents), `skip_unset` leaves a reference to an unset variable as it is.
    """

    __slots__ = ("_get", "escape", "matched", "raw_escapes", "raw_quotes", "skip_quotes", "skip_unset", "unmatched")

    def __init__(
        self,
        lookup: Lookup,
        escape: str = "\\",
        *,
        raw_quotes: bool = False,
        raw_escapes: bool = False,
        skip_quotes: bool = False,
        skip_unset: bool = False,
    ) -> None:
        self._get: Callable[[str], str | None] = lookup.get if isinstance(lookup, Mapping) else lookup
        self.escape = escape
        self.raw_quotes = raw_quotes
        self.raw_escapes = raw_escapes
        self.skip_quotes = skip_quotes
        self.skip_unset = skip_unset
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def word(self, word: str) -> str:
        """The expanded word. Raises DockerfileError, without a place."""
        if "$" not in word and self.escape not in word and (self.skip_quotes or not ("'" in word or '"' in word)):
            return word
        return "".join([text for text, _ in self._process(word)])

    def words(self, word: str) -> list[str]:
        """The expanded word, split at its unquoted blanks. Raises DockerfileError, without a place."""
        out: list[str] = []
        current = ""
        for text, protected in self._process(word):
            if protected:
                current += text
                continue
            for char in text:
                if char not in SPACES:
                    current += char
                elif current:
                    out.append(current)
                    current = ""
        if current:
            out.append(current)
        return out

    def value(self, name: str) -> str | None:
        """The variable's value, None when it is not set; the name is remembered."""
        value = self._get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value

    def _process(self, word: str) -> list[tuple[str, bool]]:
        try:
            return _Scanner(self, word).until("", self.raw_escapes)
        except DockerfileError as error:
            raise DockerfileError(f"failed to process {quote(word)}: {error.message}", hint=error.hint) from error


class _Scanner:
    """One pass over one word. A method that reads a piece begins at `position` and ends behind the piece."""

    __slots__ = ("depth", "end", "escape", "expander", "position", "raw_escapes", "special", "text")

    def __init__(self, expander: Expander, text: str) -> None:
        self.expander = expander
        self.text = text
        self.end = len(text)
        self.position = 0
        self.depth = 0
        self.escape = expander.escape
        self.raw_escapes = expander.raw_escapes
        self.special = "$" + self.escape + ("" if expander.skip_quotes else "'\"")

    def peek(self) -> str:
        return self.text[self.position] if self.position < self.end else ""

    def next(self) -> str:
        char = self.peek()
        self.position += 1 if char else 0
        return char

    def until(self, stop: str, raw_escapes: bool) -> list[tuple[str, bool]]:
        """The pieces up to `stop` (`""`: the end): text, and whether blanks in it are protected."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DockerfileError("syntax error: substitutions are nested too deeply")
        outer, self.raw_escapes = self.raw_escapes, raw_escapes
        try:
            return self._until(stop)
        finally:
            self.raw_escapes = outer
            self.depth -= 1

    def _until(self, stop: str) -> list[tuple[str, bool]]:
        pieces: list[tuple[str, bool]] = []
        text, special, escape = self.text, self.special + stop, self.escape
        while self.position < self.end:
            char = text[self.position]
            if char == stop:
                self.position += 1
                return pieces
            if char == "$":
                pieces.append((self.dollar(), False))
            elif char not in special:
                start = self.position
                while self.position < self.end and text[self.position] not in special:
                    self.position += 1
                pieces.append((text[start : self.position], False))
            elif char == escape:
                self.position += 1
                if self.raw_escapes:
                    pieces.append((char, True))
                if self.position == self.end:
                    break
                pieces.append((text[self.position], True))
                self.position += 1
            else:
                pieces.append((self.single_quoted() if char == "'" else self.double_quoted(), True))
        if stop:
            raise DockerfileError(f"unexpected end of statement while looking for matching {stop}")
        return pieces

    def single_quoted(self) -> str:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            self.position = self.end
            raise DockerfileError("unexpected end of statement while looking for matching single-quote")
        start, self.position = self.position, end + 1
        return self.text[start : end + 1] if self.expander.raw_quotes else self.text[start + 1 : end]

    def double_quoted(self) -> str:
        out = []
        opening = self.next()
        if self.expander.raw_quotes:
            out.append(opening)
        while True:
            char = self.peek()
            if not char:
                raise DockerfileError("unexpected end of statement while looking for matching double-quote")
            if char == "$":
                out.append(self.dollar())
                continue
            self.position += 1
            if char == '"':
                if self.expander.raw_quotes:
                    out.append(char)
                return "".join(out)
            if char == self.escape:
                if self.raw_escapes:
                    out.append(char)
                following = self.peek()
                if not following:
                    continue
                # Where escapes are kept, one that escapes nothing comes out doubled: as a pattern it then means itself.
                if following in ('"', "$", self.escape):
                    char = following
                    self.position += 1
            out.append(char)

    def dollar(self) -> str:
        """`$name` or `${…}`, replaced."""
        self.position += 1
        expander = self.expander
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            value = expander.value(name)
            if value is None:
                return "$" + name if expander.skip_unset else ""
            return value
        self.position += 1
        following = self.peek()
        if not following:
            raise DockerfileError("syntax error: missing '}'")
        if following in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        name = self.name()
        operator = self.next()
        if operator == "}":
            value = expander.value(name)
            if value is None:
                return f"${{{name}}}" if expander.skip_unset else ""
            return value
        if operator == "/":
            return self.substitution(name)
        colon = operator == ":"
        if colon:
            operator = self.next()
        if not operator:
            raise DockerfileError("syntax error: missing '}'")
        if not colon and operator not in "+-?#%":
            raise DockerfileError(f"unsupported modifier ({operator}) in substitution")
        word = self.operand("}", "syntax error: missing '}'", operator in "#%")
        return self.modified(name, colon, operator, word)

    def operand(self, stop: str, at_end: str, raw_escapes: bool) -> str:
        try:
            pieces = self.until(stop, raw_escapes)
        except DockerfileError:
            if self.position >= self.end:
                raise DockerfileError(at_end) from None
            raise
        return "".join([text for text, _ in pieces])

    def modified(self, name: str, colon: bool, operator: str, word: str) -> str:
        """`${name:-word}` and its kin; with `colon` an empty value counts as unset."""
        value = self.expander.value(name)
        if value is None and self.expander.skip_unset:
            return f"${{{name}{':' if colon else ''}{operator}{word}}}"
        missing = value is None or (colon and not value)
        if operator == "-":
            return word if missing else value or ""
        if operator == "+":
            return "" if missing else word
        if operator == "?":
            if missing:
                state = "unset" if value is None else "empty"
                raise DockerfileError(f"{name}: {word or f'is not allowed to be {state}'}")
            return value or ""
        if operator not in "#%":
            raise DockerfileError(f"unsupported modifier (:{operator}) in substitution")
        longest = word[:1] == operator
        try:
            pattern = parse_pattern(word[1:] if longest else word)
        except ValueError as error:
            raise DockerfileError(f"invalid pattern ({word}) in substitution: {error}") from error
        trim = trim_prefix if operator == "#" else trim_suffix
        return trim(value or "", pattern, longest)

    def substitution(self, name: str) -> str:
        """`${name/pattern/replacement}`, `${name//pattern/replacement}`, behind the first slash."""
        every = self.peek() == "/"
        if every:
            self.position += 1
        pattern = self.operand("/", "syntax error: missing '/' in ${}", True)
        replacement = self.operand("}", "syntax error: missing '}'", True)
        value = self.expander.value(name)
        if value is None:
            if self.expander.skip_unset:
                return f"${{{name}/{pattern}/{replacement}}}"
            value = ""
        try:
            return replace(value, parse_pattern(pattern), replacement, every)
        except ValueError as error:
            raise DockerfileError(f"invalid pattern ({pattern}) in substitution: {error}") from error

    def name(self) -> str:
        """A variable's name: letters, digits and `_`; digits alone; or one special parameter of POSIX sh."""
        text, start = self.text, self.position
        if start == self.end:
            return ""
        if text[start].isdecimal():
            while self.position < self.end and text[self.position].isdecimal():
                self.position += 1
        elif text[start] in _SPECIAL_PARAMETERS:
            self.position += 1
        else:
            while self.position < self.end:
                char = text[self.position]
                if not (char == "_" or char.isalpha() or char.isdecimal()):
                    break
                self.position += 1
        return text[start : self.position]
