"""How Go's fmt prints values: `print`, `println`, `printf`, and the value of an action."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pywerf.config.template.values import NO_VALUE, FunctionError, Struct, go_type, kind_of

if TYPE_CHECKING:
    import re

__all__ = ["go_float", "quote", "show", "sprint", "sprintf", "sprintln"]

# As in Go: a larger width or precision is a mistake, and would eat the memory.
MAX_WIDTH = 1_000_000


def show(value: Any, verb: str = "v", *, plus: bool = False, sharp: bool = False) -> str:
    """A value as `%v` prints it; `plus` and `sharp` as in `%+v` and `%#v`; `verb` goes down to what is in it."""
    if value is None or value is NO_VALUE:
        return "<nil>" if verb == "v" else f"%!{verb}(<nil>)"
    if isinstance(value, Struct):
        if value.string is not None and not sharp and verb in "vsqxX":
            return _scalar(value.string(), verb, sharp)
        inner = {name: show(item, verb, plus=plus, sharp=sharp) for name, item in value.fields.items()}
        if sharp:
            return f"{value.type_name}{{" + ", ".join(f"{name}:{text}" for name, text in inner.items()) + "}"
        return "{" + " ".join(f"{name}:{text}" if plus else text for name, text in inner.items()) + "}"
    if isinstance(value, Mapping):
        items = [
            show(key, verb, plus=plus, sharp=sharp) + ":" + show(value[key], verb, plus=plus, sharp=sharp)
            for key in sorted_keys(value)
        ]
        return f"{go_type(value)}{{" + ", ".join(items) + "}" if sharp else "map[" + " ".join(items) + "]"
    if isinstance(value, list | tuple):
        items = [show(item, verb, plus=plus, sharp=sharp) for item in value]
        return f"{go_type(value)}{{" + ", ".join(items) + "}" if sharp else "[" + " ".join(items) + "]"
    return _scalar(value, verb, sharp)


def sorted_keys(value: Mapping[Any, Any]) -> list[Any]:
    """Keys in the order in which fmt prints and `range` visits them: numbers before strings."""
    return sorted(value, key=lambda key: (isinstance(key, str), key))


def sprint(*values: Any) -> str:
    """fmt.Sprint: a space between two values when neither is a string."""
    out = ""
    for n, value in enumerate(values):
        if n and not isinstance(value, str) and not isinstance(values[n - 1], str):
            out += " "
        out += show(value)
    return out


def sprintln(*values: Any) -> str:
    """fmt.Sprintln: spaces between all values, a newline at the end."""
    return " ".join(map(show, values)) + "\n"


def go_float(value: float, verb: str = "g", precision: int = -1, *, sharp: bool = False) -> str:
    """A float as strconv.FormatFloat has it; precision -1 is the shortest that reads back the same."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if precision >= 0:
        return f"{value:{'#' if sharp else ''}.{precision}{verb}}"
    digits, exponent = _shortest(value)
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if verb in "gG":
        # %v and %g take the exponent form from 21 digits on.
        if -4 <= exponent < 21:
            return sign + _fixed(digits, exponent)
        return sign + _scientific(digits, exponent, "E" if verb == "G" else "e")
    if verb in "eE":
        return sign + _scientific(digits, exponent, verb)
    return sign + _fixed(digits, exponent)


def quote(text: str) -> str:
    """A string as strconv.Quote has it."""
    out = ['"']
    escapes = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r"}
    escapes |= {"\t": "\\t", "\v": "\\v"}
    for character in text:
        if character in escapes:
            out.append(escapes[character])
        elif character.isprintable():
            out.append(character)
        else:
            code = ord(character)
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out) + '"'


def sprintf(pattern: str, *values: Any) -> str:
    """fmt.Sprintf with its verbs, flags, widths, precisions, `*` and explicit argument indexes."""
    out: list[str] = []
    position = 0
    argument = 0
    reordered = False

    def take(index: str | None) -> Any:
        nonlocal argument, reordered
        if index:
            reordered = True
            argument = int(index) - 1
        argument += 1
        return values[argument - 1] if 0 <= argument - 1 < len(values) else _MISSING

    for found in _directive().finditer(pattern):
        out.append(pattern[position : found.start()])
        position = found.end()
        verb = found["verb"]
        if not verb:
            out.append("%!(NOVERB)")
            continue
        if verb == "%":
            out.append("%")
            continue
        flags = found["flags"]
        sizes: list[int | None] = []
        for name in ("width", "precision"):
            given = found[name]
            if found[f"{name}_star"]:
                size = take(found[f"{name}_index"])
                if not isinstance(size, int) or isinstance(size, bool) or abs(size) > MAX_WIDTH:
                    out.append("%!(BADWIDTH)" if len(sizes) == 0 else "%!(BADPREC)")
                    size = None
                sizes.append(size)
            else:
                # A dot alone is the precision 0; no digits before it are no width.
                sizes.append(int(given or 0) if given or (given == "" and name == "precision") else None)
        if any(size is not None and abs(size) > MAX_WIDTH for size in sizes):
            raise FunctionError("printf: width or precision is too large")
        value = take(found["index"])
        if value is _MISSING:
            out.append(f"%!{verb}(BADINDEX)" if found["index"] else f"%!{verb}(MISSING)")
            continue
        if sizes[0] is not None and sizes[0] < 0:
            flags, sizes[0] = flags + "-", -sizes[0]
        out.append(_directed(value, verb, flags, sizes[0], sizes[1]))
    out.append(pattern[position:])
    if not reordered and argument < len(values):
        rest = ", ".join(
            "<nil>" if value is None or value is NO_VALUE else f"{go_type(value)}={show(value)}"
            for value in values[argument:]
        )
        out.append(f"%!(EXTRA {rest})")
    return "".join(out)


_MISSING = object()


@functools.cache
def _directive() -> re.Pattern[str]:
    import re

    index = r"(?:\[(?P<{}>[0-9]{{1,6}})\])?"
    size = r"(?:{index}(?P<{name}_star>\*)|(?P<{name}>[0-9]{{0,9}}))"
    return re.compile(
        r"%(?P<flags>[-+# 0]*)"
        + size.format(index=index.format("width_index"), name="width")
        + r"(?:\."
        + size.format(index=index.format("precision_index"), name="precision")
        + r")?"
        + index.format("index")
        + r"(?P<verb>.)?",
        re.DOTALL,
    )


def _directed(value: Any, verb: str, flags: str, width: int | None, precision: int | None) -> str:
    """One directive: the text of the value, padded to the width."""
    sharp = "#" in flags
    zero = "0" in flags and "-" not in flags
    if verb == "T":
        text = go_type(value)
    elif verb == "w" and value is not None:  # it is for errors only
        return f"%!w({go_type(value)}={_directed(value, 'v', flags, width, precision)})"
    elif isinstance(value, list | tuple | Mapping | Struct) and not (isinstance(value, Struct) and value.string):
        # Width and precision belong to each element.
        return _composite(value, verb, flags, width, precision)
    else:
        if isinstance(value, Struct) and value.string is not None:
            value = value.string()
        if not _fits(value, verb):
            if value is None or value is NO_VALUE:
                return f"%!{verb}(<nil>)"
            shown = _directed(value, "v", flags.replace("#", ""), width, precision)
            return f"%!{verb}({go_type(value)}={shown})"
        text = _formatted(value, verb, flags, precision)
    if width is None or len(text) >= width:
        return text
    if "-" in flags:
        return text.ljust(width)
    if zero and kind_of(value) in ("int", "float64") and verb not in "cqU" and text[-1:].isalnum():
        sign = text[0] if text[0] in "+- " else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    zeros = zero and kind_of(value) in ("string", "bool") and not sharp
    return text.rjust(width, "0" if zeros else " ")


_VERBS = {
    "bool": "vt",
    "int": "vdboxXOUcq",
    "float64": "vbeEfFgGxX",
    "complex128": "vbeEfFgGxX",
    "string": "vsqxX",
    "func": "vp",
    "nil": "v",
}


def _fits(value: Any, verb: str) -> bool:
    """Whether fmt has such a verb for the kind of value."""
    return verb in _VERBS.get(kind_of(value), verb)


def _composite(value: Any, verb: str, flags: str, width: int | None, precision: int | None) -> str:
    if "#" in flags and verb == "v":
        return show(value, sharp=True)

    def inner(item: Any) -> str:
        if item is None:
            return "<nil>"
        return _directed(item, verb, flags, width, precision)

    if isinstance(value, Struct):
        plus = "+" in flags and verb == "v"
        return (
            "{"
            + " ".join(f"{name}:{inner(item)}" if plus else inner(item) for name, item in value.fields.items())
            + "}"
        )
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{inner(key)}:{inner(value[key])}" for key in sorted_keys(value)) + "]"
    return "[" + " ".join(map(inner, value)) + "]"


def _formatted(value: Any, verb: str, flags: str, precision: int | None) -> str:
    """A single value without padding."""
    sharp = "#" in flags
    # With v, a plus asks for the names of fields, not for a sign.
    sign = "+" if "+" in flags and verb != "v" else " " if " " in flags else ""
    kind = kind_of(value)
    if kind == "int" and verb in "vdboxXOU":
        text = _integer(value, verb, sharp and verb != "v")
        digits = text.lstrip("-")
        if precision is not None and verb in "vd":
            digits = digits.rjust(precision, "0")
        return ("-" if value < 0 else sign if verb != "U" else "") + digits
    if kind == "float64" and verb in "veEfFgG":
        style = {"v": "g", "F": "f"}.get(verb, verb)
        if precision is None and style in "eEf":
            precision = 6
        text = go_float(value, style, -1 if precision is None else precision, sharp=sharp)
        return text if text[0] in "+-" else sign + text
    if kind == "float64" and verb in "xXb":
        text = _in_base_two(value, verb, precision)
        return text if text[0] in "+-" else sign + text
    if kind in ("int", "string") and verb == "q" and "+" in flags:
        text = _scalar(value if precision is None or kind == "int" else value[:precision], verb, sharp)
        return _in_ascii(text)
    if kind == "complex128" and verb in "veEfFgG":
        parts = [_formatted(part, verb, "", precision) for part in (value.real, value.imag)]
        return f"({parts[0]}{'' if parts[1][0] in '+-' else '+'}{parts[1]}i)"
    if kind == "string" and precision is not None and verb in "vsqxX":
        value = value[:precision]
    return _scalar(value, verb, sharp, spaced=" " in flags)


def _integer(value: int, verb: str, sharp: bool) -> str:
    if verb == "U":
        return f"U+{value:04X}" + (f" '{chr(value)}'" if sharp and 0 <= value <= 0x10FFFF else "")
    if verb == "O":
        return f"0o{abs(value):o}"
    if verb in "vd":
        return str(abs(value))
    prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}[verb] if sharp else ""
    digits = format(abs(value), verb)
    return digits if prefix == digits[0] == "0" else prefix + digits


def _scalar(value: Any, verb: str, sharp: bool = False, *, spaced: bool = False) -> str:
    """A value that has no parts, by its verb; a verb that does not fit is shown as Go shows it."""
    kind = kind_of(value)
    if kind == "bool" and verb in "vt":
        return "true" if value else "false"
    if kind == "int":
        if verb in "vdboxXOU":
            return ("-" if value < 0 else "") + _integer(value, verb, sharp)
        if verb in "cq":
            value = value if 0 <= value < 0xD800 or 0xE000 <= value <= 0x10FFFF else 0xFFFD
            return chr(value) if verb == "c" else "'" + quote(chr(value))[1:-1].replace('\\"', '"') + "'"
    if kind == "float64" and verb in "veEfFgG":
        return go_float(value, "g" if verb == "v" else verb)
    if kind == "complex128" and verb in "veEfFgG":
        return _formatted(value, verb, "", None)
    if kind == "func" and verb == "v":
        return "func"
    if kind == "string":
        if verb in "vs":
            return quote(value) if sharp and verb == "v" else str(value)
        if verb == "q":
            return f"`{value}`" if sharp and "`" not in value and _raw_quotable(value) else quote(value)
        if verb in "xX":
            digits = value.encode().hex(" ") if spaced else value.encode().hex()
            return ("0x" if sharp else "") + str(digits.upper() if verb == "X" else digits)
    if kind == "nil":
        return "<nil>" if verb == "v" else f"%!{verb}(<nil>)"
    return f"%!{verb}({go_type(value)}={show(value)})"


def _in_base_two(value: float, verb: str, precision: int | None) -> str:
    """`%x` (a mantissa in hexadecimal digits) and `%b` (one without a fraction)."""
    if math.isnan(value) or math.isinf(value):
        return go_float(value)
    if verb == "b":
        mantissa, exponent = math.frexp(abs(value))
        whole = "-" if math.copysign(1.0, value) < 0 else ""
        return f"{whole}{int(mantissa * 2**53)}p{exponent - 53 if value else -1074:+d}"
    digits, _, power = value.hex().partition("p")
    head, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0")
    exponent = int(power)
    if precision is not None:
        scaled = round(int(head[-1] + value.hex().partition(".")[2].partition("p")[0], 16) / 16 ** (13 - precision))
        top, fraction = divmod(scaled, 16**precision)[0], f"{scaled % 16**precision:x}".rjust(precision, "0")
        if top == 2:  # rounded up to the next power
            top, exponent = 1, exponent + 1
        head, fraction = head[:-1] + str(top), fraction if precision else ""
    text = f"{head}{'.' if fraction else ''}{fraction}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return text.upper() if verb == "X" else text


def _in_ascii(text: str) -> str:
    """A quoted text with escapes for all that is not ASCII."""
    return "".join(
        sign if sign < "\x80" else f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
        for sign in text
    )


def _raw_quotable(text: str) -> bool:
    return all(character.isprintable() or character == "\t" for character in text)


def _shortest(value: float) -> tuple[str, int]:
    """The shortest digits that read back as `value`, and the decimal exponent of the first one."""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits.strip("0"):
        return "0", 0
    power = int(exponent or 0) + len(whole) - 1
    leading = len(whole + fraction) - len(digits)
    return digits.rstrip("0"), power - leading


def _fixed(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return whole + ("." + digits[exponent + 1 :] if len(digits) > exponent + 1 else "")


def _scientific(digits: str, exponent: int, letter: str) -> str:
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}{letter}{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def joined(values: Sequence[Any]) -> str:
    """What `html`, `js` and `urlquery` escape: all values as `print` joins them, nil as an action prints it."""
    return sprint(*("<no value>" if value is None or value is NO_VALUE else value for value in values))
