"""`imageSpec`: reading it, and joining the global one of `build` with an image's own."""

from __future__ import annotations

import msgspec

from pywerf.config.werf_yaml.documents import Section
from pywerf.config.werf_yaml.model import Healthcheck, ImageSpec
from pywerf.util.go_duration import parse_duration

__all__ = ["merge_image_specs", "read_image_spec"]


def read_image_spec(section: Section) -> ImageSpec:
    """`imageSpec` of an image; the global one has a part of its keys."""
    config = section.section("config")
    spec = ImageSpec(author=section.optional_text("author"), clear_history=section.flag("clearHistory"))
    if config is None:
        return spec
    config.flag("clearWerfLabels")
    for key in ("removeEnv", "removeLabels"):
        for pattern in config.strings(key):
            _check_pattern(config, key, pattern)
    health = config.section("healthcheck")
    return msgspec.structs.replace(
        spec,
        cmd=config.optional_strings("cmd"),
        entrypoint=config.optional_strings("entrypoint"),
        env=config.pairs("env"),
        expose=config.optional_strings("expose"),
        volumes=config.strings("volumes"),
        healthcheck=None if health is None else _healthcheck(health),
        labels=config.pairs("labels"),
        stop_signal=config.optional_text("stopSignal"),
        user=config.optional_text("user"),
        working_dir=config.optional_text("workingDir"),
        remove_env=config.strings("removeEnv"),
        remove_labels=config.strings("removeLabels"),
        remove_volumes=config.strings("removeVolumes"),
        clear_cmd=config.flag("clearCmd"),
        clear_entrypoint=config.flag("clearEntrypoint"),
        clear_user=config.flag("clearUser"),
        clear_working_dir=config.flag("clearWorkingDir"),
        keep_essential_werf_labels=config.flag("keepEssentialWerfLabels"),
    )


def merge_image_specs(common: ImageSpec | None, own: ImageSpec | None) -> ImageSpec | None:
    """The global spec under an image's own: what the image says wins, lists of removals are united."""
    if common is None or own is None:
        return own if common is None else common
    labels = {**dict(common.labels), **dict(own.labels)}
    return msgspec.structs.replace(
        own,
        author=common.author if own.author is None else own.author,
        clear_history=common.clear_history or own.clear_history,
        labels=tuple(labels.items()),
        remove_labels=tuple(dict.fromkeys((*common.remove_labels, *own.remove_labels))),
        keep_essential_werf_labels=common.keep_essential_werf_labels or own.keep_essential_werf_labels,
    )


def _healthcheck(section: Section) -> Healthcheck:
    test = section.strings("test")
    if not test:
        section.fail("test", "is required", hint="a list as in a Dockerfile: [CMD, curl, -f, http://localhost/]")
    return Healthcheck(
        test,
        _seconds(section, "interval"),
        _seconds(section, "timeout"),
        _seconds(section, "startPeriod"),
        section.number("retries", 0, least=0) if section.has("retries") else None,
    )


def _seconds(section: Section, key: str) -> int | None:
    """Whole seconds, as a number or as `30s`."""
    text = section.text(key)
    if not text:
        return None
    try:
        nanoseconds = int(text) * 1_000_000_000 if text.isdecimal() else parse_duration(text)
    except ValueError:
        nanoseconds = -1
    if nanoseconds < 0 or nanoseconds % 1_000_000_000:
        section.fail(key, f"{text} is not a whole number of seconds", hint="write 30 or 30s")
    return nanoseconds // 1_000_000_000


def _check_pattern(section: Section, key: str, pattern: str) -> None:
    import re

    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        try:
            re.compile(pattern[1:-1])
        except re.error as error:
            section.fail(key, f"{pattern} is not a regular expression: {error}")
