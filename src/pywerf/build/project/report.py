"""The build report: which images a build came to, as a file for the steps after it.

JSON has everything (docs/reports.md); the env form has a few variables for each image. `report_file.py` reads both.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.build.project.results import BuiltImage, BuiltPlatform, BuiltStage
    from pywerf.build.project.storage.model import StageDescription

__all__ = ["DEFAULT_PATH", "ENV_FIELDS", "Runtime", "check_report", "env_prefix", "report_path", "write_report"]

DEFAULT_PATH = ".werf-build-report.json"

ENV_FIELDS = (
    ("DOCKER_IMAGE_NAME", "DockerImageName"),
    ("DOCKER_IMAGE_ID", "DockerImageID"),
    ("DOCKER_IMAGE_DIGEST", "DockerImageDigest"),
    ("DOCKER_REPO", "DockerRepo"),
    ("DOCKER_TAG", "DockerTag"),
    ("WERF_IMAGE_NAME", "WerfImageName"),
    ("FINAL", "Final"),
)
"""The variables of an image in the env form, and the fields of its record that they are."""

Runtime = Mapping[str, object]
"""`Backend` and `InContainer`."""


def report_path(path: str) -> str:
    """The file that `--build-report-path` means: `.json` or `.env`, without either `.json` is added.

    Raises UsageError for another extension.
    """
    path = path or DEFAULT_PATH
    _, dot, extension = os.path.basename(path).rpartition(".")
    if not dot:
        return f"{path}.json"
    if extension not in ("json", "env"):
        raise UsageError(
            f"--build-report-path {path}: .{extension} is no form of a report", hint="it is .json (the default) or .env"
        )
    return path


def env_prefix(image: str) -> str:
    """What the variables of an image begin with: `WERF_WEB_API_` for `web/api`; `WERF_` for the nameless image."""
    return "WERF_" + (re.sub(r"[/.-]", "_", image).upper() + "_" if image else "")


def check_report(path: str, images: Sequence[str]) -> None:
    """Raise UsageError, before anything is built, for a report that could not be written afterwards."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"--build-report-path {path}: there is no directory {folder}")
    if os.path.isdir(path):
        raise UsageError(f"--build-report-path {path}: it is a directory")
    if not path.endswith(".env"):
        return
    known: dict[str, str] = {}
    for image in images:
        other = known.setdefault(env_prefix(image), image)
        if other != image:
            raise UsageError(
                f"--build-report-path {path}: {other} and {image} have the same variables ({env_prefix(image)}…)",
                hint="write a .json report, which has them by their names",
            )


def write_report(
    path: str,
    images: Sequence[BuiltImage],
    runtime: Runtime,
    *,
    by_platform: bool = False,
    further: Mapping[str, object] | None = None,
) -> None:
    """Write the report of `images` to `path`: others see the old file or the new one, whole.

    `further` are the parts that only `--log-debug` has. Raises UsageError when it cannot be written.
    """
    images = sorted(images, key=lambda image: image.name)
    text = _env(images) if path.endswith(".env") else _json(images, runtime, by_platform, further or {})
    partial = ""
    try:
        import tempfile

        descriptor, partial = tempfile.mkstemp(prefix=".werf-report-", dir=os.path.dirname(path) or ".")
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o666 & ~_umask())
            file.write(text)
        os.replace(partial, path)
    except OSError as error:
        if partial:
            _remove(partial)
        raise UsageError(f"--build-report-path {path}: {(error.strerror or str(error)).lower()}") from error


def _json(images: Sequence[BuiltImage], runtime: Runtime, by_platform: bool, further: Mapping[str, object]) -> str:
    document: dict[str, Any] = {
        "Runtime": {"Backend": runtime["Backend"], "InContainer": runtime["InContainer"]},
        "Images": {image.name: record for image in images if (record := _image(image)) is not None},
        "ImagesByPlatform": {
            image.name: {one.platform: _of_platform(image, one) for one in image.platforms}
            for image in images
            if by_platform
        },
        **further,
    }
    return json.dumps(document, indent="\t", ensure_ascii=False) + "\n"


def _env(images: Sequence[BuiltImage]) -> str:
    lines: list[str] = []
    for image in images:
        record = _image(image)
        if record is not None:
            prefix = env_prefix(image.name)
            lines.extend(f"{prefix}{name}={_plain(record[field])}" for name, field in ENV_FIELDS)
    return "".join(f"{line}\n" for line in lines)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _image(image: BuiltImage) -> dict[str, Any] | None:
    """The record of an image; None for one of several platforms in a storage that has no index for it."""
    published = image.published
    if published is None:
        return None
    if len(image.platforms) == 1:
        return _of_platform(image, image.platforms[0])
    return _record(
        image,
        published,
        rebuilt=image.rebuilt,
        size=sum(one.published.size for one in image.platforms),
        seconds=sum(one.seconds for one in image.platforms),
        stages=[_stage(stage, f"{stage.name} ({one.platform})") for one in image.platforms for stage in one.stages],
    )


def _of_platform(image: BuiltImage, one: BuiltPlatform) -> dict[str, Any]:
    published = one.published
    return _record(
        image,
        published,
        kind=image.kind,
        platform=one.platform,
        rebuilt=one.rebuilt,
        size=published.size,
        seconds=one.seconds,
        commit=published.commit,
        stages=[_stage(stage, stage.name) for stage in one.stages],
    )


def _record(
    image: BuiltImage,
    published: StageDescription,
    *,
    kind: str = "",
    platform: str = "",
    rebuilt: bool,
    size: int,
    seconds: float,
    commit: str = "",
    stages: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "WerfImageName": image.name,
        "ConfigType": kind,
        "DockerRepo": published.repo,
        "DockerTag": published.tag,
        "DockerImageID": str(published.image_id),
        "DockerImageDigest": str(published.manifest or ""),
        "DockerImageName": published.name,
        "TargetPlatform": platform,
        "Rebuilt": rebuilt,
        "Final": image.final,
        "Size": size,
        "BuildTime": f"{seconds:.2f}",
        "Commit": commit,
        "Stages": stages,
    }


def _stage(stage: BuiltStage, name: str) -> dict[str, Any]:
    found = stage.description
    return {
        "Name": name,
        "DockerImageName": found.name,
        "DockerTag": found.tag,
        "DockerImageID": str(found.image_id),
        "DockerImageDigest": str(found.manifest or ""),
        "CreatedAt": found.created,
        "Size": found.size,
        "SourceType": stage.source,
        "BaseImagePulled": stage.base_pulled,
        "Rebuilt": stage.rebuilt,
        "BuildTime": f"{stage.seconds:.2f}",
        "Commit": found.commit,
    }


def _umask() -> int:
    """The process's mask; there is no way to ask for it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _remove(path: str) -> None:
    import contextlib

    with contextlib.suppress(OSError):
        os.unlink(path)
