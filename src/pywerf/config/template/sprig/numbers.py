"""sprig's arithmetic: whole numbers of 64 bits, and decimals for what has a fraction."""

from __future__ import annotations

import math
from typing import Any

from pywerf.config.template.printing import show
from pywerf.config.template.sprig.convert import define, to_float, to_int, wrap
from pywerf.config.template.values import FunctionError

__all__ = ["FUNCTIONS"]

MAX_ITEMS = 1_000_000


def _atoi(text: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else 0


def _until_step(start: int, stop: int, step: int) -> list[int]:
    if (stop < start and step >= 0) or (stop >= start and step <= 0):
        return []
    steps = range(start, stop, step)
    if len(steps) > MAX_ITEMS:
        raise FunctionError(f"more than {MAX_ITEMS} numbers")
    return list(steps)


def _until(count: int) -> list[int]:
    return _until_step(0, count, 1 if count >= 0 else -1)


def _seq(*params: int) -> str:
    if len(params) == 1:
        step = 1 if params[0] >= 1 else -1
        found = _until_step(1, params[0] + step, step)
    elif len(params) == 2:
        step = 1 if params[1] >= params[0] else -1
        found = _until_step(params[0], params[1] + step, step)
    elif len(params) == 3:
        start, step, end = params
        if end < start and step > 0:
            return ""
        found = _until_step(start, end + (1 if end >= start else -1), step)
    else:
        return ""
    return " ".join(map(str, found))


def _divided(first: int, second: int, rest: bool) -> int:
    if second == 0:
        raise FunctionError("integer divide by zero")
    quotient = abs(first) // abs(second)
    quotient = -quotient if (first < 0) != (second < 0) else quotient
    return wrap(first - quotient * second if rest else quotient)


def _mul(first: Any, *others: Any) -> int:
    result = to_int(first)
    for other in others:
        result = wrap(result * to_int(other))
    return result


def _decimals(operation: str) -> Any:
    def run(first: Any, *others: Any) -> float:
        from decimal import Context, Decimal, DecimalException

        context = Context(prec=400)
        try:
            result = Decimal(repr(to_float(first)))
            for other in others:
                number = Decimal(repr(to_float(other)))
                if operation == "divide":
                    if number == 0:
                        raise FunctionError("decimal division by 0")
                    result = context.quantize(context.divide(result, number), Decimal("1e-16"))
                else:
                    result = getattr(context, operation)(result, number)
            return float(result)
        except DecimalException as error:
            raise FunctionError("the numbers are too large") from error

    return run


def _extreme(choose: Any, read: Any) -> Any:
    return lambda first, *others: choose([read(first), *map(read, others)])


def _round(value: Any, places: Any, *on: float) -> float:
    number, power = to_float(value), 10.0 ** max(-300.0, min(300.0, to_float(places)))
    shifted = number * power
    if not math.isfinite(shifted):
        return number
    fraction = math.modf(shifted)[0]
    whole = math.ceil(shifted) if fraction >= (on[0] if on else 0.5) else math.floor(shifted)
    return float(whole / power)


def _whole(function: Any) -> Any:
    def run(value: Any) -> float:
        number = to_float(value)
        return float(function(number)) if math.isfinite(number) else number

    return run


def _to_decimal(value: Any) -> int:
    try:
        return to_int(int(show(value), 8))
    except ValueError:
        return 0


def _rand_int(least: int, most: int) -> int:
    import secrets

    if most <= least:
        raise FunctionError("invalid argument to Intn")
    return least + secrets.randbelow(most - least)


FUNCTIONS = dict(
    (
        define("atoi", _atoi, "string"),
        define("int", to_int, "any"),
        define("int64", to_int, "any"),
        define("float64", to_float, "any"),
        define("toDecimal", _to_decimal, "any"),
        define("until", _until, "int"),
        define("untilStep", _until_step, "int", "int", "int"),
        define("seq", _seq, "int", variadic=True),
        define("add1", lambda value: wrap(to_int(value) + 1), "any"),
        define("add", lambda *values: wrap(sum(map(to_int, values))), "any", variadic=True),
        define("sub", lambda first, second: wrap(to_int(first) - to_int(second)), "any", "any"),
        define("div", lambda first, second: _divided(to_int(first), to_int(second), False), "any", "any"),
        define("mod", lambda first, second: _divided(to_int(first), to_int(second), True), "any", "any"),
        define("mul", _mul, "any", "any", variadic=True),
        define("add1f", lambda value: _decimals("add")(value, 1), "any"),
        define("addf", lambda *values: _decimals("add")(0, *values), "any", variadic=True),
        define("subf", _decimals("subtract"), "any", "any", variadic=True),
        define("divf", _decimals("divide"), "any", "any", variadic=True),
        define("mulf", _decimals("multiply"), "any", "any", variadic=True),
        define("biggest", _extreme(max, to_int), "any", "any", variadic=True),
        define("max", _extreme(max, to_int), "any", "any", variadic=True),
        define("min", _extreme(min, to_int), "any", "any", variadic=True),
        define("maxf", _extreme(max, to_float), "any", "any", variadic=True),
        define("minf", _extreme(min, to_float), "any", "any", variadic=True),
        define("ceil", _whole(math.ceil), "any"),
        define("floor", _whole(math.floor), "any"),
        define("round", _round, "any", "any", "float64", variadic=True),
        define("randInt", _rand_int, "int", "int"),
    )
)
