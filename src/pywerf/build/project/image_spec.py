"""`imageSpec`: an image's config as a project wants it. No layer is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pywerf.config.werf_yaml.model import Healthcheck, ImageSpec
from pywerf.oci.document import encode

__all__ = ["ALWAYS_REMOVED", "ESSENTIAL", "apply_image_spec"]

ALWAYS_REMOVED = frozenset(("WERF_COMMIT_HASH", "WERF_COMMIT_TIME_HUMAN", "WERF_COMMIT_TIME_UNIX"))
"""Variables of a build that never stay in an image."""

ESSENTIAL = frozenset(("werf", "werf-stage-content-digest", "werf.io/parent-stage-id", "werf-project-repo-commit"))
"""Labels that images are found by: `removeLabels` leaves them."""

_SECOND = 1_000_000_000
_NO_LABELS: Mapping[str, str] = {}


def apply_image_spec(
    config: bytes,
    spec: ImageSpec,
    *,
    image: str,
    project: str,
    warn: Callable[[str], None],
    essential: Mapping[str, str] = _NO_LABELS,
) -> bytes:
    """The config (JSON, OCI's or Docker's) with what `spec` says: removals first, then additions.

    `essential` are the labels by which the new image is found; those of them that `spec` removes stay away.

    `$NAME` and `${NAME}` in values of `env` stand for variables of the image as it was. Equal configs give equal bytes.
    """
    document: dict[str, Any] = json.loads(config)
    inner: dict[str, Any] = dict(document.get("config") or {})
    _env(inner, spec)
    _labels(inner, spec, image, project, warn, essential)
    _sets(inner, spec)
    _commands(inner, spec)
    for key, clear, value in (
        ("User", spec.clear_user, spec.user),
        ("WorkingDir", spec.clear_working_dir, spec.working_dir),
        ("StopSignal", False, spec.stop_signal),
    ):
        if clear:
            inner.pop(key, None)
        if value is not None:
            inner[key] = value
    if spec.healthcheck is not None:
        inner["Healthcheck"] = _healthcheck(spec.healthcheck)
    document["config"] = inner
    if spec.author is not None:
        document["author"] = spec.author
    if spec.clear_history:
        document["history"] = []
    return encode(document)


def _env(inner: dict[str, Any], spec: ImageSpec) -> None:
    old = dict(item.partition("=")[::2] for item in inner.get("Env") or ())
    removed = _matcher(spec.remove_env)
    kept = {name: value for name, value in old.items() if name not in ALWAYS_REMOVED and not removed(name)}
    kept.update((name, _expanded(value, old)) for name, value in spec.env)
    inner["Env"] = [f"{name}={value}" for name, value in kept.items()]


def _expanded(value: str, env: Mapping[str, str]) -> str:
    import re

    return re.sub(
        r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))",
        lambda found: env.get(found[1] or found[2], ""),
        value,
        flags=re.ASCII,
    )


def _labels(
    inner: dict[str, Any],
    spec: ImageSpec,
    image: str,
    project: str,
    warn: Callable[[str], None],
    essential: Mapping[str, str],
) -> None:
    old: dict[str, str] = dict(inner.get("Labels") or {})
    removed = _matcher(spec.remove_labels)
    kept: dict[str, str] = {}
    spared: list[str] = []
    for name, value in old.items():
        if not removed(name):
            kept[name] = value
        elif name in ESSENTIAL:
            kept[name] = value
            spared.append(name)
    if spared and not spec.keep_essential_werf_labels:
        warn(
            f"imageSpec.config.removeLabels: {', '.join(sorted(spared))} stay: images are found by them "
            "(keepEssentialWerfLabels: true says that this is known)"
        )

    def filled(text: str) -> str:
        return text.replace("%image%", image).replace("%project%", project)

    kept.update((filled(name), filled(value)) for name, value in spec.labels)
    kept.update((name, value) for name, value in essential.items() if name in ESSENTIAL or not removed(name))
    _put(inner, "Labels", dict(sorted(kept.items())))


def _sets(inner: dict[str, Any], spec: ImageSpec) -> None:
    volumes = {path for path in inner.get("Volumes") or {} if path not in spec.remove_volumes} | set(spec.volumes)
    _put(inner, "Volumes", {path: {} for path in sorted(volumes)})
    if spec.expose is not None:
        ports = {port if "/" in port else f"{port}/tcp" for port in spec.expose}
        _put(inner, "ExposedPorts", {port: {} for port in sorted(ports)})


def _commands(inner: dict[str, Any], spec: ImageSpec) -> None:
    if spec.clear_cmd or (spec.entrypoint is not None and spec.cmd is None):
        inner.pop("Cmd", None)
    if spec.clear_entrypoint:
        inner.pop("Entrypoint", None)
    if spec.cmd is not None:
        _put(inner, "Cmd", list(spec.cmd))
    if spec.entrypoint is not None:
        _put(inner, "Entrypoint", list(spec.entrypoint))


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    times = (("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.start_period))
    found: dict[str, Any] = {"Test": list(check.test)}
    found.update((name, seconds * _SECOND) for name, seconds in times if seconds is not None)
    if check.retries is not None:
        found["Retries"] = check.retries
    return found


def _put(inner: dict[str, Any], key: str, value: Any) -> None:
    """Set a field, or leave it out when it is empty."""
    if value:
        inner[key] = value
    else:
        inner.pop(key, None)


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test for names and `/regexes/`, which have to match the whole name."""
    import re

    names = {item for item in patterns if not _is_regex(item)}
    regexes = [re.compile(item[1:-1]) for item in patterns if _is_regex(item)]
    return lambda name: name in names or _any_matches(regexes, name)


def _any_matches(regexes: Iterable[Any], name: str) -> bool:
    return any(regex.fullmatch(name) is not None for regex in regexes)


def _is_regex(text: str) -> bool:
    return len(text) > 1 and text.startswith("/") and text.endswith("/")
