"""Reads build reports, as `--use-build-report` does: images that an earlier build made, instead of a build."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from pywerf.build.project.report import ENV_FIELDS
from pywerf.config.werf_yaml.model import shown_name
from pywerf.errors import BuildError

__all__ = ["ReportedImage", "ReportedStage", "read_report"]


class ReportedStage(msgspec.Struct, frozen=True):
    """A stage of an image in a report."""

    name: str = msgspec.field(name="Name", default="")
    image_name: str = msgspec.field(name="DockerImageName", default="")
    image_id: str = msgspec.field(name="DockerImageID", default="")


class ReportedImage(msgspec.Struct, frozen=True):
    """An image of a report. `reference` is `REPO:TAG`, `digest` that of its manifest (empty: a local image)."""

    name: str = msgspec.field(name="WerfImageName", default="")
    reference: str = msgspec.field(name="DockerImageName", default="")
    repo: str = msgspec.field(name="DockerRepo", default="")
    tag: str = msgspec.field(name="DockerTag", default="")
    image_id: str = msgspec.field(name="DockerImageID", default="")
    digest: str = msgspec.field(name="DockerImageDigest", default="")
    final: bool = msgspec.field(name="Final", default=True)
    stages: tuple[ReportedStage, ...] = msgspec.field(name="Stages", default=())


class _Report(msgspec.Struct, frozen=True):
    images: dict[str, ReportedImage] = msgspec.field(name="Images", default={})


_NEEDED = (
    ("WerfImageName", "name"),
    ("DockerImageName", "reference"),
    ("DockerRepo", "repo"),
    ("DockerTag", "tag"),
    ("DockerImageID", "image_id"),
)
_NEEDED_OF_STAGES = (("Name", "name"), ("DockerImageName", "image_name"), ("DockerImageID", "image_id"))


def read_report(path: str) -> dict[str, ReportedImage]:
    """The images of a report by their names. Raises BuildError for a report that is none, or lacks something."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise BuildError(
            f"--build-report-path {path}: {(error.strerror or str(error)).lower()}",
            hint="werf build --save-build-report writes it",
        ) from error
    images = _from_env(path, data) if path.endswith(".env") else _from_json(path, data)
    if not images:
        raise BuildError(f"{path}: the report has no image")
    for name, image in images.items():
        _check(path, name, image)
    return images


def _from_json(path: str, data: bytes) -> dict[str, ReportedImage]:
    try:
        return msgspec.json.decode(data, type=_Report).images
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BuildError(f"{_place(path, data)}: not a build report: {error}") from error


def _place(path: str, data: bytes) -> str:
    """The path, with the line where the text stops being JSON."""
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return f"{path}:{error.lineno}"
    except (ValueError, RecursionError):
        pass
    return path


def _from_env(path: str, data: bytes) -> dict[str, ReportedImage]:
    records: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        found = _split(name)
        if not equals or found is None:
            raise BuildError(
                f"{path}:{number}: not a line of a build report: {text}",
                hint="each is WERF_<IMAGE>_<FIELD>=VALUE, as werf build --save-build-report writes it",
            )
        prefix, field = found
        record = records.setdefault(prefix, {"Final": True})
        if field == "Final":
            if value not in ("true", "false"):
                raise BuildError(f"{path}:{number}: {name} is neither true nor false: {value}")
            record[field] = value == "true"
        else:
            record[field] = value
    images: dict[str, ReportedImage] = {}
    for prefix, record in records.items():
        image = msgspec.convert(record, ReportedImage)
        images[image.name or prefix.removeprefix("WERF_").rstrip("_").lower()] = image
    return images


def _split(variable: str) -> tuple[str, str] | None:
    """The prefix of an image and the field that a variable is."""
    if not variable.startswith("WERF_"):
        return None
    for suffix, field in ENV_FIELDS:
        if variable == f"WERF_{suffix}" or variable.endswith(f"_{suffix}"):
            return variable[: -len(suffix)], field
    return None


def _check(path: str, name: str, image: ReportedImage) -> None:
    where = f"{path}: image {shown_name(name)}"
    for field, attribute in _NEEDED:
        # the nameless image of a project has no name to be empty
        if not getattr(image, attribute) and (name or field != "WerfImageName"):
            raise BuildError(f"{where}: {field} is empty")
    for number, stage in enumerate(image.stages, 1):
        for field, attribute in _NEEDED_OF_STAGES:
            if not getattr(stage, attribute):
                raise BuildError(f"{where}: {field} of stage {stage.name or number} is empty")
