"""The filters of `images`: `key=value` and `key!=value`, all of which an image must pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pywerf.cli.declare import BOOL
from pywerf.cli.tables import parse_time
from pywerf.errors import UsageError
from pywerf.oci.reference import Reference
from pywerf.store.images import ImageRecord

__all__ = ["moment", "select"]

Filter = Callable[[ImageRecord], bool]

_KEYS = ("before", "dangling", "id", "intermediate", "label", "readonly", "reference", "since", "until")


def select(
    records: Sequence[ImageRecord], filters: Sequence[str], find: Callable[[str], ImageRecord]
) -> list[ImageRecord]:
    """The records that pass every filter. Raises UsageError, and ImageNotFound for before and since."""
    tests = [_test(text, find) for text in filters]
    return [record for record in records if all(test(record) for test in tests)]


def _test(text: str, find: Callable[[str], ImageRecord]) -> Filter:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--filter {text}: expected KEY=VALUE or KEY!=VALUE")
    wanted = not key.endswith("!")
    test = _positive(key.removesuffix("!"), value, find)
    return lambda record: test(record) == wanted


def _positive(key: str, value: str, find: Callable[[str], ImageRecord]) -> Filter:
    if key in ("before", "since"):
        edge = parse_time(find(value).created) or 0.0
        if key == "before":
            return lambda record: (parse_time(record.created) or 0.0) < edge
        return lambda record: (parse_time(record.created) or 0.0) > edge
    if key == "until":
        latest = moment(value)
        return lambda record: (parse_time(record.created) or 0.0) < latest
    if key in ("dangling", "readonly", "intermediate"):
        flag = _boolean(key, value)
        if key == "dangling":
            return lambda record: (not record.names) == flag
        # The store has neither read-only nor intermediate images.
        return lambda record: not flag
    if key == "label":
        name, equals, wanted = value.partition("=")
        return lambda record: name in record.labels and (not equals or record.labels[name] == wanted)
    if key == "id":
        prefix = value.removeprefix("sha256:")
        return lambda record: record.id.hex.startswith(prefix)
    if key == "reference":
        return lambda record: any(_fits(name, value) for name in record.names)
    raise UsageError(f'unsupported image filter "{key}"', hint=f"the filters are {', '.join(_KEYS)}")


def _boolean(key: str, value: str) -> bool:
    try:
        return BOOL.read(value)
    except ValueError as error:
        raise UsageError(f"--filter {key}={value}: {error}") from error


def moment(value: str) -> float:
    """A time as RFC 3339, as seconds since the epoch, or as a duration before now (`24h`)."""
    import re
    import time

    if value.isdecimal():
        return float(value)
    parts = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", value)
    if parts and value:
        amounts = [int(part or 0) for part in parts.groups()]
        return time.time() - sum(amount * unit for amount, unit in zip(amounts, (86400, 3600, 60, 1), strict=True))
    moment = parse_time(value)
    if moment is None:
        raise UsageError(f"--filter until={value}: not a time", hint="write 2024-05-01T12:00:00Z, or 24h")
    return moment


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern, whole or by any of its shorter spellings (as `reference` filters do)."""
    from fnmatch import fnmatchcase

    reference = Reference.parse(name)
    repository = reference.name
    spellings = {name, repository, reference.familiar, reference.familiar.rpartition(":")[0] or reference.familiar}
    while "/" in repository:
        repository = repository.partition("/")[2]
        spellings.update((repository, f"{repository}:{reference.tag}" if reference.tag else repository))
    return any(fnmatchcase(spelling, pattern) for spelling in spellings)
