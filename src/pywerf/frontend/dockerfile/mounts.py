"""`RUN --mount=…` and `RUN --device=…`: CSV fields of `key=value`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.commands import Device, RunMount
from pywerf.frontend.dockerfile.gotext import csv_fields, parse_bool, parse_size, parse_uint, quote
from pywerf.util.suggest import did_you_mean

__all__ = ["parse_device", "parse_mount", "sketch_mount"]

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_KEYS = (
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "mode",
    "uid",
    "gid",
    "size",
    "env",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
)
# Words of buildah. Mounts live in the container's own mount namespace and there are no SELinux labels: they are
# checked, and change nothing.
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable")


def sketch_mount(raw: str) -> RunMount:
    """What can be said of a mount before its variables are known: `from_` is exact, the others where they can be.

    Raises DockerfileError for what is no CSV, and for a variable in `from`.
    """
    fields = _fields(raw, "mounts")
    origin = ""
    known: list[str] = []
    for field in fields:
        key, equals, value = field.partition("=")
        if key.lower() == "from" and equals:
            if "$" in value[:-1]:
                raise DockerfileError("'from' doesn't support variable expansion, define alias stage instead")
            origin = value
        if "$" not in value:
            known.append(field)
    try:
        mount = _mount(raw, known, lambda value: value)
    except DockerfileError:
        # Wrong values only matter where the stage is built: the exact reading complains then.
        return RunMount(from_=origin, raw=raw)
    return msgspec.structs.replace(mount, from_=origin)


def parse_mount(raw: str, expand: Callable[[str], str]) -> RunMount:
    """The mount that a flag asks for; `expand` gives its values. Raises DockerfileError."""
    mount = _mount(raw, _fields(raw, "mounts"), expand)
    _check(mount)
    return mount


def _fields(raw: str, what: str) -> list[str]:
    fields = csv_fields(raw)
    if fields is None:
        why = "a quoted field is malformed" if raw else "EOF"
        raise DockerfileError(f"failed to parse csv {what}: {why}")
    return fields


def _mount(raw: str, fields: list[str], expand: Callable[[str], str]) -> RunMount:
    found: dict[str, Any] = {}
    kind = "bind"
    for field in fields:
        written, equals, value = field.partition("=")
        key = written.lower()
        if not equals:
            if key in ("readonly", "ro"):
                found["readonly"] = True
            elif key in ("readwrite", "rw"):
                found["readonly"] = False
            elif key == "required":
                found["required"] = _only_for(key, kind, ("secret", "ssh"), True)
            elif key == "z":
                _only_for(written, kind, ("bind", "cache"), True)
            else:
                raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
            continue
        value = expand(value)
        if key == "type":
            kind = value.lower()
            if kind not in _TYPES:
                raise DockerfileError(
                    f"unsupported mount type {quote(value)}{did_you_mean(value, _TYPES)}",
                    hint="the types are " + ", ".join(_TYPES),
                )
        elif key == "from":
            if not value:
                raise DockerfileError("from= names nothing", hint="leave from= out for the build context")
            found["from_"] = value
        elif key in ("source", "src"):
            found["source"] = value
        elif key in ("target", "dst", "destination"):
            found["target"] = value
        elif key in ("readonly", "ro"):
            found["readonly"] = _bool(key, value)
        elif key in ("readwrite", "rw"):
            found["readonly"] = not _bool(key, value)
        elif key == "required":
            found["required"] = _only_for(key, kind, ("secret", "ssh"), _bool(key, value))
        elif key == "size":
            size = parse_size(value)
            _only_for(key, kind, ("tmpfs",), size)
            if size is None:
                raise DockerfileError(f"invalid value for {key}: {value}", hint="for instance size=64m")
            found["size"] = size
        elif key == "id":
            found["id"] = value
        elif key == "sharing":
            if value.lower() not in _SHARING:
                raise DockerfileError(
                    f"unsupported sharing value {quote(value)}{did_you_mean(value, _SHARING)}",
                    hint="the values are " + ", ".join(_SHARING),
                )
            found["sharing"] = value.lower()
        elif key == "env":
            found["env"] = _only_for(key, kind, ("secret",), value)
        elif key == "bind-propagation":
            _only_for(key, kind, ("bind",), value)
            if value not in _PROPAGATION:
                raise DockerfileError(f"invalid mount option {quote(value)} for {key}")
        elif key == "relabel":
            _only_for(key, kind, ("bind", "cache"), value)
            if value not in ("shared", "private"):
                raise DockerfileError(f"invalid value for {key}: {value}", hint="the values are shared, private")
        elif key in ("mode", "uid", "gid"):
            number = parse_uint(value, 8 if key == "mode" else 10, 32)
            if number is None:
                raise DockerfileError(f"invalid value {value} for {key}")
            found[key] = number
        else:
            raise DockerfileError(f"unexpected key '{key}' in '{field}'{did_you_mean(key, _KEYS)}")
    found.setdefault("readonly", kind not in ("cache", "tmpfs"))
    return RunMount(type=kind, raw=raw, **found)  # type: ignore[arg-type]  # keys were checked against the known ones


def _check(mount: RunMount) -> None:
    """The rules between the options."""
    if mount.type in ("bind", "tmpfs"):
        for key in ("mode", "uid", "gid"):
            if getattr(mount, key) is not None:
                raise DockerfileError(f"{key} not allowed for {quote(mount.type)} type mounts")
    if mount.type == "secret":
        if mount.from_:
            raise DockerfileError("secret mount should not have a from")
        if mount.sharing:
            raise DockerfileError("secret mount should not define sharing")
        if not (mount.source or mount.target or mount.id):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if mount.source and mount.id:
            raise DockerfileError("both source and id can't be set")
    if mount.sharing and mount.type != "cache":
        raise DockerfileError(f"invalid cache sharing set for {mount.type} mount")


def _only_for(key: str, kind: str, kinds: tuple[str, ...], value: Any) -> Any:
    if kind not in kinds:
        raise DockerfileError(
            f"unexpected key '{key}' for mount type '{kind}'", hint=f"'type' has to stand before '{key}'"
        )
    return value


def _bool(key: str, value: str) -> bool:
    found = parse_bool(value)
    if found is None:
        raise DockerfileError(f"invalid value for {key}: {value}", hint="write true or false")
    return found


def parse_device(raw: str) -> Device:
    """`[name=]NAME[,required[=BOOL]]`. Raises DockerfileError."""
    name = ""
    required = False
    for field in _fields(raw, "devices"):
        written, equals, value = field.partition("=")
        key = written.lower()
        if not equals:
            if key == "required":
                required = True
            elif name:
                raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
            else:
                name = field
        elif key == "name":
            if name:
                raise DockerfileError(f"device name already set to {name}")
            name = value
        elif key == "required":
            required = _bool(key, value)
        elif name:
            raise DockerfileError(f"unexpected key '{key}' in '{field}'{did_you_mean(key, ('name', 'required'))}")
        else:
            name = field
    return Device(name, required)
