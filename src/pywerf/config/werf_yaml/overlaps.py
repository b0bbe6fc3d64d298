"""Destinations of a Stapel image that overlap: what one mapping brings, another that lies around it leaves out."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from msgspec.structs import replace

from pywerf.config.werf_yaml.documents import Section
from pywerf.config.werf_yaml.model import GitMapping, ImageImport

__all__ = ["without_overlaps"]

Mapping = GitMapping | ImageImport


def without_overlaps(
    git: Sequence[tuple[Section, GitMapping]], imports: Sequence[tuple[Section, ImageImport]]
) -> tuple[tuple[GitMapping, ...], tuple[ImageImport, ...]]:
    """The mappings and imports without the paths that others bring. Raises ConfigError where two bring the same."""
    sections = [*(section for section, _ in git), *(section for section, _ in imports)]
    found: list[Mapping] = [*(value for _, value in git), *(value for _, value in imports)]
    for later in range(len(found)):
        for earlier in range(later):
            outer, inner = earlier, later
            if not _contains(found[outer].to, found[inner].to):
                outer, inner = later, earlier
            if _contains(found[outer].to, found[inner].to):
                _check(sections, found, outer, inner)
                found[outer] = _excluding(found[outer], found[inner])
    mappings = tuple(item for item in found if isinstance(item, GitMapping))
    return mappings, tuple(item for item in found if isinstance(item, ImageImport))


def _targets(mapping: Mapping) -> tuple[str, ...]:
    """The places that a mapping brings; none for all of `/`."""
    if mapping.include_paths:
        return tuple(posixpath.join(mapping.to, path) for path in mapping.include_paths)
    return () if mapping.to == "/" else (mapping.to,)


def _check(sections: Sequence[Section], found: Sequence[Mapping], outer: int, inner: int) -> None:
    one, other = found[outer], found[inner]
    everything = one.to == other.to == "/" and not one.include_paths and not other.include_paths
    common = set(_targets(one)) & set(_targets(other))
    if not everything and not common:
        return
    first, second = sorted((outer, inner))
    sections[second].fail_at(
        sections[second].node,
        f"conflict between imports: {sections[first].path} (line {sections[first].line}) brings "
        f"{'/' if everything else sorted(common)[0]}, too",
        hint="bring it once, or leave it out of one of them with excludePaths",
    )


def _excluding(outer: Mapping, inner: Mapping) -> Mapping:
    kept = [*_targets(outer), *(posixpath.join(outer.to, path) for path in outer.exclude_paths)]
    more = [
        posixpath.relpath(target, outer.to)
        for target in _targets(inner)
        if not any(_contains(target, path) for path in kept)
    ]
    return replace(outer, exclude_paths=(*outer.exclude_paths, *dict.fromkeys(more))) if more else outer


def _contains(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
