"""What a frontend hands over for one image: the file system's vertex, the config, and the steps of its history."""

from __future__ import annotations

import msgspec

from pywerf.graph.vertex import Vertex
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.platform import Platform

__all__ = ["HistoryStep", "ImagePlan"]


class HistoryStep(msgspec.Struct, frozen=True):
    """One instruction in the history. `vertex` is None where it only changed the config."""

    created_by: str
    vertex: Vertex | None = None


class ImagePlan(msgspec.Struct, frozen=True):
    """An image to be. `vertex` None is an empty file system; `base` the image that it stands on, None for scratch.

    `epoch` (seconds since 1970) is the time that the Dockerfile wants for the image, None for the present.
    `annotations` are those that the image has from its base.
    """

    vertex: Vertex | None
    config: ContainerConfig
    platform: Platform
    base: ImageConfig | None = None
    steps: tuple[HistoryStep, ...] = ()
    author: str = ""
    stage: str = ""
    epoch: int | None = None
    annotations: dict[str, str] = {}
