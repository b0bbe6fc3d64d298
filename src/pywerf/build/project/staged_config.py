"""Configs of staged images: instructions that touch no file, ONBUILD triggers, lines of the history."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.config_state import changed_config
from pywerf.oci.config import ImageConfig
from pywerf.oci.document import encode

if TYPE_CHECKING:
    from pywerf.build.project.staged_plan import Step

__all__ = ["apply_step", "finish_step", "without_triggers"]


def apply_step(config: bytes, step: Step, labels: Mapping[str, str], *, epoch: str = "") -> bytes:
    """The config (JSON) of an image after an instruction that only changes it; `labels` are added.

    `epoch`: SOURCE_DATE_EPOCH, which is the time of the change then.
    """
    document: dict[str, Any] = json.loads(config)
    own = replace(ImageConfig.from_json(config).config, onbuild=step.triggers)
    unknown = {key: value for key, value in (document.get("config") or {}).items() if key not in _KNOWN}
    if not isinstance(step.command, c.From):
        own, author, text = changed_config(own, step.command, cmd_is_own=step.cmd_is_own)
        if author:
            document["author"] = author
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(epoch) if epoch else None))
        document["created"] = now
        line = {"created": now, "created_by": text, "comment": "pywerf", "empty_layer": True}
        document["history"] = [*(document.get("history") or ()), line]
    own = replace(own, labels={**own.labels, **labels})
    document["config"] = {**unknown, **own.to_dict()}
    return encode(document)


def finish_step(config: bytes, step: Step) -> bytes:
    """The config of an image that was built of one instruction, as if the others had been built with it.

    It gets the triggers back, and its history is without the ARGs that were declared for the one instruction.
    """
    document: dict[str, Any] = json.loads(config)
    if step.triggers:
        document["config"] = {**(document.get("config") or {}), "OnBuild": list(step.triggers)}
    history = list(document.get("history") or ())
    if step.args:
        ours = [number for number, line in enumerate(history) if _is_arg(line)]
        if ours:
            del history[ours[-1]]
            document["history"] = history
    return encode(document)


def without_triggers(config: bytes, labels: Mapping[str, str]) -> bytes:
    """The config without its ONBUILD triggers, so that something can be built on it which they are not meant for."""
    document: dict[str, Any] = json.loads(config)
    inner = {key: value for key, value in (document.get("config") or {}).items() if key != "OnBuild"}
    inner["Labels"] = {**(inner.get("Labels") or {}), **labels}
    document["config"] = inner
    return encode(document)


def _is_arg(line: Mapping[str, Any]) -> bool:
    text = str(line.get("created_by") or "").rpartition("#(nop)")[2].strip()
    return text.startswith("ARG ") and bool(line.get("empty_layer"))


_KNOWN = frozenset(
    (
        *("ArgsEscaped", "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell"),
        *("StopSignal", "User", "Volumes", "WorkingDir"),
    )
)
"""The fields that ContainerConfig has: what it does not write is empty."""
