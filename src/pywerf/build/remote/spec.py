"""`--cache-from` and `--cache-to`: what is written there, as values. Nothing is looked at here."""

from __future__ import annotations

from typing import Literal, NoReturn

import msgspec

from pywerf.errors import InvalidReference, UsageError
from pywerf.oci.media_types import Compression
from pywerf.oci.reference import Reference

__all__ = ["ALL_MOUNTS", "CacheSpec", "Kind", "parse_from", "parse_to"]

Kind = Literal["repository", "registry", "local", "inline", "cache-mount"]
ALL_MOUNTS = "all"

_COMPRESSIONS: dict[str, Compression] = {"gzip": "gzip", "zstd": "zstd", "uncompressed": "none"}
_HOW = ("compression", "compression-level", "force-compression", "oci-mediatypes", "image-manifest", "ignore-error")
_TO = {
    "registry": ("ref", "mode", *_HOW),
    "local": ("dest", "mode", "tag", *_HOW),
    "inline": (),
    "cache-mount": ("id", "dest", "ref", "tag", *_HOW),
}
_FROM = {
    "registry": ("ref",),
    "local": ("src", "tag"),
    "cache-mount": ("id", "src", "ref", "tag"),
}
_ELSEWHERE = ("gha", "s3", "azblob")


class CacheSpec(msgspec.Struct, frozen=True):
    """One flag. `text` is it as written.

    `ref` is a reference in a registry (registry, cache-mount; of a repository: without a tag), or else `path` is the
    folder of an OCI layout and `tag` the name in it. `id`: of the cache mount, or `all`.
    """

    kind: Kind
    text: str
    ref: str = ""
    path: str = ""
    tag: str = ""
    mode: Literal["min", "max"] = "min"
    compression: Compression = "gzip"
    level: int | None = None
    ignore_error: bool = False
    id: str = ""

    @property
    def name(self) -> str:
        """The place, for messages."""
        return self.ref or (f"{self.path}:{self.tag}" if self.tag else self.path)


def parse_to(text: str) -> CacheSpec:
    """Read one `--cache-to`. Raises UsageError."""
    return _parse("--cache-to", text, _TO)


def parse_from(text: str) -> CacheSpec:
    """Read one `--cache-from`. Raises UsageError."""
    return _parse("--cache-from", text, _FROM)


def _parse(flag: str, text: str, known: dict[str, tuple[str, ...]]) -> CacheSpec:
    if "=" not in text:
        return _plain(flag, text)
    fields: dict[str, str] = {}
    for item in text.split(","):
        key, equals, value = item.partition("=")
        key = key.strip().lower()
        if not equals or not key:
            _wrong(flag, text, f"{item!r} is not KEY=VALUE")
        if key in fields:
            _wrong(flag, text, f"{key} is given twice")
        fields[key] = value
    kind = fields.pop("type", "")
    if kind in _ELSEWHERE:
        _wrong(flag, text, f"caches of type {kind} are not supported")
    if kind == "inline" and "inline" not in known:
        _wrong(flag, text, "an inline cache is read from its image", hint=f"{flag} type=registry,ref=IMAGE")
    if kind not in known:
        _wrong(flag, text, f"unknown type {kind!r}" if kind else "type is missing")
    for key in fields:
        if key not in known[kind]:
            takes = ", ".join(known[kind]) or "nothing else"
            _wrong(flag, text, f"{key} is not known here", hint=f"type={kind} takes {takes}")
    return _spec(flag, text, kind, fields)  # type: ignore[arg-type]  # it is one of the keys of `known`


def _plain(flag: str, text: str) -> CacheSpec:
    """buildah's form: a repository; with a tag it is one cache under that name, as in buildx."""
    reference = _reference(flag, text, text)
    kind: Kind = "registry" if reference.tag or reference.digest is not None else "repository"
    return CacheSpec(kind, text, ref=text, mode="max" if kind == "repository" else "min")


def _spec(flag: str, text: str, kind: Kind, fields: dict[str, str]) -> CacheSpec:
    ref, path = fields.get("ref", ""), fields.get("dest") or fields.get("src") or ""
    folder = "dest" if flag == "--cache-to" else "src"
    if kind == "registry" and not ref:
        _wrong(flag, text, "ref is missing", hint=f"{flag} type=registry,ref=REGISTRY/NAME:TAG")
    if kind == "local" and not path:
        _wrong(flag, text, f"{folder} is missing", hint=f"{flag} type=local,{folder}=DIR")
    if kind == "cache-mount":
        if not fields.get("id"):
            _wrong(flag, text, "id is missing", hint="the id of the mount (its target when it has none), or all")
        if bool(ref) == bool(path):
            _wrong(flag, text, f"either ref or {folder} is needed")
    if ref:
        _reference(flag, text, ref)
    mode = fields.get("mode", "min")
    if mode not in ("min", "max"):
        _wrong(flag, text, f"unknown mode {mode!r}", hint="the modes are min and max")
    compression = fields.get("compression", "gzip")
    if compression not in _COMPRESSIONS:
        _wrong(flag, text, f"unknown compression {compression!r}", hint=f"known are {', '.join(_COMPRESSIONS)}")
    level = fields.get("compression-level", "")
    if level and not level.isdecimal():
        _wrong(flag, text, f"compression-level {level!r} is not a number")
    for key in ("oci-mediatypes", "image-manifest"):
        if not _switch(flag, text, key, fields.get(key, "true")):
            _wrong(flag, text, f"{key}=false: a cache is always an OCI image manifest")
    if _switch(flag, text, "force-compression", fields.get("force-compression", "false")):
        _wrong(flag, text, "force-compression: layers keep the compression that they have")
    return CacheSpec(
        kind,
        text,
        ref=ref,
        path=path,
        tag=fields.get("tag", "" if ref else "mounts" if kind == "cache-mount" else "latest"),
        mode="max" if mode == "max" else "min",
        compression=_COMPRESSIONS[compression],
        level=int(level) if level else None,
        ignore_error=_switch(flag, text, "ignore-error", fields.get("ignore-error", "false")),
        id=fields.get("id", ""),
    )


def _reference(flag: str, text: str, ref: str) -> Reference:
    try:
        reference = Reference.parse(ref)
    except InvalidReference as error:
        _wrong(flag, text, error.message, hint=error.hint or "")
    if flag == "--cache-to" and reference.digest is not None:
        _wrong(flag, text, "a digest cannot be written to", hint="name a tag")
    return reference


def _switch(flag: str, text: str, key: str, value: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if value.lower() not in known:
        _wrong(flag, text, f"{key}: expected true or false, got {value!r}")
    return known[value.lower()]


def _wrong(flag: str, text: str, why: str, *, hint: str = "") -> NoReturn:
    raise UsageError(
        f"{flag} {text}: {why}", hint=hint or "a repository, or type=registry,ref=REF or type=local,dest=DIR|src=DIR"
    )
