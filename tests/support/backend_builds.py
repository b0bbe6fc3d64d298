"""Builds that are given to a backend itself, without a command around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pywerf.backend.contract import Backend, DockerfileBuild
from pywerf.build.dockerfile_build import open_build
from support.builds import write


def build_of(folder: Path, dockerfile: str, files: dict[str, Any] | None = None, **options: Any) -> DockerfileBuild:
    """A build in a folder of its own."""
    write(folder, {"Dockerfile": dockerfile, **(files or {})})
    build = open_build(str(folder), str(folder / "Dockerfile"))
    return msgspec.structs.replace(build, network="host", **options)


def names(backend: Backend) -> set[str]:
    """The last parts of all names that the backend keeps."""
    return {name.rpartition("/")[2] for image in backend.images.images() for name in image.names}
