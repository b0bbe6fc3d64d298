"""Chooses images by the patterns of a command line: Go's filepath.Match, `!` takes away."""

from __future__ import annotations

from collections.abc import Sequence

from pywerf.config.werf_yaml.model import ProjectConfig
from pywerf.errors import PatternError, UsageError
from pywerf.source.patterns import match

__all__ = ["select_images", "select_names"]

MAX_PATTERN = 100
_FORBIDDEN = "&|$"


def select_images(config: ProjectConfig, patterns: Sequence[str] = (), *, final_only: bool = False) -> tuple[str, ...]:
    """The names of images that patterns choose, in the order of werf.yaml; no pattern: all.

    What an including pattern names literally stays, whatever is excluded. Raises UsageError for a pattern that is
    none, or that matches nothing.
    """
    names = [image.name for image in config.images if image.final or not final_only]
    try:
        return select_names(names, patterns)
    except UsageError as error:
        if not final_only:
            raise
        select_names([image.name for image in config.images], patterns)  # raises what all images do not help against
        raise UsageError(
            f"{error.message} that is final", hint="--final-images-only=false takes the others, too"
        ) from error


def select_names(names: Sequence[str], patterns: Sequence[str] = ()) -> tuple[str, ...]:
    """Those of `names` that patterns choose, in their order. Raises UsageError as `select_images` does."""
    for pattern in patterns:
        _check(pattern)
    including = [pattern for pattern in patterns if not pattern.startswith("!")]
    excluding = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    literal = {_name(pattern) for pattern in including}
    chosen: set[str] = set() if including else set(names)
    for pattern in including:
        chosen.update(_matching(pattern, names))
    for pattern in excluding:
        chosen.difference_update(name for name in _matching(pattern, names, shown=f"!{pattern}") if name not in literal)
    return tuple(name for name in names if name in chosen)


def _name(pattern: str) -> str:
    """What a pattern stands for as a name: `~` is the nameless image."""
    return "" if pattern == "~" else pattern


def _matching(pattern: str, names: Sequence[str], shown: str = "") -> list[str]:
    wanted = _name(pattern)
    try:
        found = [name for name in names if name == wanted or (wanted and name and match(pattern, name))]
    except PatternError as error:
        raise UsageError(f"{shown or pattern}: {error.message}") from error
    if not found:
        from difflib import get_close_matches

        known = [name for name in names if name]
        near = get_close_matches(pattern, known, 1, 0.6)
        raise UsageError(
            f'no image matches "{shown or pattern}"',
            hint=f"did you mean {near[0]}?" if near else f"the images are {', '.join(known) or '~'}",
        )
    return found


def _check(pattern: str) -> None:
    text = pattern.removeprefix("!")
    if not text:
        raise UsageError(f'"{pattern}" is no pattern of images')
    if "**" in text:
        raise UsageError(f"{pattern}: recursive glob (**) is not supported", hint="* matches no slash")
    if len(text) > MAX_PATTERN:
        raise UsageError(f"a pattern of images has at most {MAX_PATTERN} characters, this one {len(text)}")
    for sign in _FORBIDDEN:
        if sign in text:
            raise UsageError(f"{pattern}: {sign} is not allowed in a pattern of images")
