"""sprig's functions of strings. Lengths and positions count bytes, as Go's do."""

from __future__ import annotations

from typing import Any

from pywerf.config.template.printing import quote, show
from pywerf.config.template.sprig.convert import check_length, define, to_string, to_strings
from pywerf.config.template.values import FunctionError

__all__ = ["FUNCTIONS"]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _abbreviate(text: str, offset: int, width: int) -> str:
    data = _bytes(text)
    if width < 4 or len(data) <= width:
        return text
    offset = min(offset, len(data))
    if len(data) - offset < width - 3:
        offset = len(data) - (width - 3)
    if offset <= 4:
        return _text(data[: width - 3]) + "..."
    if width < 7:
        return text
    if offset + width - 3 < len(data):
        return "..." + _abbreviate(_text(data[offset:]), 0, width - 3)
    return "..." + _text(data[len(data) - (width - 3) :])


def _abbrevboth(left: int, right: int, text: str) -> str:
    if right < 4 or (left > 0 and right < 7):
        return text
    return _abbreviate(text, left, right)


def _trunc(count: int, text: str) -> str:
    data = _bytes(text)
    if count < 0 and len(data) + count > 0:
        return _text(data[len(data) + count :])
    return _text(data[:count]) if 0 <= count < len(data) else text


def _substr(start: int, end: int, text: str) -> str:
    data = _bytes(text)
    if start < 0:
        return _text(data[: max(end, 0)]) if end >= 0 else _out_of_range(end)
    if end < 0 or end > len(data):
        return _text(data[start:]) if start <= len(data) else _out_of_range(start)
    return _text(data[start:end]) if start <= end else _out_of_range(start)


def _out_of_range(position: int) -> str:
    raise FunctionError(f"slice bounds out of range: {position}")


def _title(text: str) -> str:
    out: list[str] = []
    before = " "
    for sign in text:
        separator = not (before.isalnum() or before == "_") if before.isascii() else before.isspace()
        out.append(sign.title() if separator else sign)
        before = sign
    return "".join(out)


def _untitle(text: str) -> str:
    out: list[str] = []
    before = " "
    for sign in text:
        out.append(sign.lower() if before.isspace() else sign)
        before = sign
    return "".join(out)


def _repeat(count: int, text: str) -> str:
    if count < 0:
        raise FunctionError("strings: negative Repeat count")
    check_length(count * len(text))
    return text * count


def _swapcase(text: str) -> str:
    return "".join(sign.lower() if sign.isupper() or sign.istitle() else sign.upper() for sign in text)


def _initials(text: str) -> str:
    return "".join(word[0] for word in text.split())


def _words(text: str) -> list[str]:
    """The words that capitals, digits and separators make: HTTPServer, HTTP2XX, first_name."""
    words: list[str] = []
    word = ""
    for n, sign in enumerate(text):
        if sign in " _-." or sign.isspace():
            if word:
                words.append(word)
            word = ""
            continue
        if word and not (sign.isdigit() and word[0].isdigit()) and _begins_word(text, n):
            words.append(word)
            word = ""
        word += sign
    return [*words, word] if word else words


def _begins_word(text: str, n: int) -> bool:
    """Whether a letter or digit inside of a word begins the next one."""
    before, sign, after = text[n - 1], text[n], text[n + 1 : n + 2]
    if sign.isupper():
        return before.islower() or (before.isupper() and after.islower()) or (before.isdigit() and after.islower())
    if sign.isdigit() and not before.isdigit():
        rest = text[n:].lstrip("0123456789")
        # 4Floor: the digits end the word before; 2XX and 3rd: they begin one
        return rest[:1].islower() or (rest[:1].isupper() and not rest[1:2].islower())
    return False


def _joined_words(text: str, sign: str) -> str:
    """Words in lower case; separators at the ends stay, as many as there are."""
    body = text.strip(" _-")
    if not body:
        return sign * len(text)
    lead, tail = text[: text.index(body)], text[text.index(body) + len(body) :]
    return sign * len(lead) + sign.join(word.lower() for word in _words(body)) + sign * len(tail)


def _camelcase(text: str) -> str:
    """`http_server` to `HttpServer`: of separators in a row one goes, and those at the ends stay."""

    def separates(sign: str) -> bool:
        return sign in "-_" or sign.isspace()

    body = text.lstrip("-_ \t\n\r\v\f")
    out = [text[: len(text) - len(body)]]
    if not body:
        return text
    current = body[0].upper()
    for sign in body[1:]:
        before, current = current, sign
        if separates(current) and separates(before):
            out.append(before)
        elif separates(before):
            current = current.upper()
        else:
            current = current.lower()
            out.append(before)
    return "".join((*out, current))


def _wrap(width: int, newline: str, text: str, long_words: bool) -> str:
    if not text:
        return ""
    newline = newline or "\n"
    width = max(width, 1)
    out: list[str] = []
    offset = 0
    while len(text) - offset > width:
        if text[offset] == " ":
            offset += 1
            continue
        space = text.rfind(" ", offset, offset + width + 1)
        if space >= offset:
            out += (text[offset:space], newline)
            offset = space + 1
        elif long_words:
            out += (text[offset : offset + width], newline)
            offset += width
        else:
            space = text.find(" ", offset + width)
            if space < 0:
                break
            out += (text[offset:space], newline)
            offset = space + 1
        check_length(len(out) * len(newline))
    return "".join(out) + text[offset:]


def _quote(*values: Any) -> str:
    return " ".join(quote(to_string(value)) for value in values if value is not None)


def _squote(*values: Any) -> str:
    return " ".join(f"'{show(value)}'" for value in values if value is not None)


def _cat(*values: Any) -> str:
    present = [value for value in values if value is not None]
    return " ".join(map(show, present)).strip()


def _indent(count: int, text: str) -> str:
    pad = _repeat(count, " ")
    check_length(len(pad) * (1 + text.count("\n")))
    return pad + text.replace("\n", "\n" + pad)


def _replace(old: str, new: str, text: str) -> str:
    check_length(len(text) + (text.count(old) if old else len(text) + 1) * len(new))
    return text.replace(old, new)


def _split_map(separator: str, text: str, count: int = -1) -> dict[str, str]:
    return {f"_{n}": part for n, part in enumerate(_split(separator, text, count))}


def _split(separator: str, text: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if not separator:
        parts = list(text)
        return parts if count < 0 or len(parts) <= count else [*parts[: count - 1], "".join(parts[count - 1 :])]
    return text.split(separator, count - 1 if count > 0 else -1)


def _sort_alpha(value: Any) -> list[str]:
    return sorted(to_strings(value), key=_bytes) if isinstance(value, list | tuple) else [to_string(value)]


def _join(separator: str, value: Any) -> str:
    return separator.join(to_strings(value))


def _from_alphabet(alphabet: str) -> Any:
    def make(count: int) -> str:
        import secrets

        return "".join(secrets.choice(alphabet) for _ in range(check_length(max(count, 0))))

    return make


def _shuffle(text: str) -> str:
    import random

    return "".join(random.SystemRandom().sample(text, len(text)))


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_GO_SPACES = " \t\n\v\f\r\x85\xa0"

FUNCTIONS = dict(
    (
        define("hello", lambda: "Hello!"),
        define("abbrev", lambda width, text: _abbreviate(text, 0, width), "int", "string"),
        define("abbrevboth", _abbrevboth, "int", "int", "string"),
        define("trunc", _trunc, "int", "string"),
        define("trim", lambda text: text.strip(_GO_SPACES), "string"),
        define("upper", lambda text: text.upper(), "string"),
        define("lower", lambda text: text.lower(), "string"),
        define("title", _title, "string"),
        define("untitle", _untitle, "string"),
        define("substr", _substr, "int", "int", "string"),
        define("repeat", _repeat, "int", "string"),
        define("trimall", lambda signs, text: text.strip(signs) if signs else text, "string", "string"),
        define("trimAll", lambda signs, text: text.strip(signs) if signs else text, "string", "string"),
        define("trimSuffix", lambda end, text: text.removesuffix(end), "string", "string"),
        define("trimPrefix", lambda begin, text: text.removeprefix(begin), "string", "string"),
        define("nospace", lambda text: "".join(text.split()), "string"),
        define("initials", _initials, "string"),
        define("randAlphaNum", _from_alphabet(_LETTERS + _DIGITS), "int"),
        define("randAlpha", _from_alphabet(_LETTERS), "int"),
        define("randAscii", _from_alphabet("".join(map(chr, range(32, 127)))), "int"),
        define("randNumeric", _from_alphabet(_DIGITS), "int"),
        define("swapcase", _swapcase, "string"),
        define("shuffle", _shuffle, "string"),
        define("snakecase", lambda text: _joined_words(text, "_"), "string"),
        define("camelcase", _camelcase, "string"),
        define("kebabcase", lambda text: _joined_words(text, "-"), "string"),
        define("wrap", lambda width, text: _wrap(width, "", text, False), "int", "string"),
        define("wrapWith", lambda width, sign, text: _wrap(width, sign, text, True), "int", "string", "string"),
        define("contains", lambda part, text: part in text, "string", "string"),
        define("hasPrefix", lambda begin, text: text.startswith(begin), "string", "string"),
        define("hasSuffix", lambda end, text: text.endswith(end), "string", "string"),
        define("quote", _quote, "any", variadic=True),
        define("squote", _squote, "any", variadic=True),
        define("cat", _cat, "any", variadic=True),
        define("indent", _indent, "int", "string"),
        define("nindent", lambda count, text: "\n" + _indent(count, text), "int", "string"),
        define("replace", _replace, "string", "string", "string"),
        define("plural", _plural, "string", "string", "int"),
        define("toString", to_string, "any"),
        define("toStrings", to_strings, "any"),
        define("join", _join, "string", "any"),
        define("sortAlpha", _sort_alpha, "any"),
        define("split", _split_map, "string", "string"),
        define("splitList", _split, "string", "string"),
        define("splitn", lambda separator, count, text: _split_map(separator, text, count), "string", "int", "string"),
    )
)
