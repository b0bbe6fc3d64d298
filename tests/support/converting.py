"""What tests of Dockerfiles as graphs share: a world outside without a network, and ways to look at a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pywerf.errors import RegistryNotFound
from pywerf.frontend.dockerfile.convert import BaseImage
from pywerf.graph.image_plan import ImagePlan
from pywerf.graph.op import ContextOp, HttpOp, ImageOp
from pywerf.graph.vertex import Vertex
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Convert = Callable[..., ImagePlan]


class FakeResolver:
    """Images by name (with their configs), named contexts, and a record of what was asked. Of `missing` are none."""

    def __init__(self) -> None:
        self.configs: dict[str, ContainerConfig] = {}
        self.contexts: dict[str, ContextOp | BaseImage] = {}
        self.times: dict[str, int | None] = {}
        self.asked: list[tuple[str, str]] = []
        self.missing: set[str] = set()

    def image(self, name: str, platform: Platform) -> BaseImage:
        self.asked.append((name, platform.architecture))
        if name.startswith("missing") or name in self.missing:
            raise RegistryNotFound(f"{name}: not found", status=404)
        config = self.configs.get(name, ContainerConfig(env=(PATH,)))
        digest = Digest.of(f"{name} {platform}".encode())
        return BaseImage(ImageOp(name, digest, (digest,)), ImageConfig(platform, config, (digest,)))

    def context(self, name: str, platform: Platform) -> ContextOp | BaseImage | None:
        return self.contexts.get(name)

    def context_names(self) -> Collection[str]:
        return self.contexts.keys()

    def remote(self, url: str, keep_git_dir: bool | None, checksum: str) -> ContextOp | HttpOp | None:
        if url.endswith(".git"):
            return ContextOp(f"{url} keep={keep_git_dir} checksum={checksum}")
        return HttpOp(url, checksum) if url.startswith("https://") else None

    def modified(self, op: ContextOp | HttpOp) -> int | None:
        return self.times.get(op.url if isinstance(op, HttpOp) else op.name)


def chain(plan: ImagePlan) -> list[Vertex]:
    """The steps of the file system, from the base on."""
    found = []
    vertex = plan.vertex
    while vertex is not None:
        found.append(vertex)
        vertex = vertex.inputs[0] if vertex.inputs else None
    return found[::-1]


def ops(plan: ImagePlan) -> list[Any]:
    return [vertex.op for vertex in chain(plan)]


def last(plan: ImagePlan) -> Any:
    assert plan.vertex is not None
    return plan.vertex.op
