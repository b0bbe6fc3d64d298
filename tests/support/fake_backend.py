"""A backend in memory: it notes what it is asked to build, and keeps images as names, ids and labels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pywerf.backend.contract import DockerfileBuild, ImageDetails, ImageSummary
from pywerf.errors import BuildError, ImageNotFound, RegistryNotFound
from pywerf.oci.config import ContainerConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform, host_platform

__all__ = ["FakeBackend"]


class FakeBuilder:
    """Notes builds by the Dockerfile's name, and `every` one in order.

    `fails` names those that end in an error, `barrier` is met in each.
    """

    def __init__(self, images: FakeImages) -> None:
        self.images = images
        self.builds: dict[str, DockerfileBuild] = {}
        self.order: list[str] = []
        self.every: list[DockerfileBuild] = []
        self.secrets: dict[str, bytes] = {}
        self.fails: set[str] = set()
        self.barrier: threading.Barrier | None = None
        self.before: Callable[[DockerfileBuild], None] = lambda build: None

    def build(self, build: DockerfileBuild) -> Digest:
        self.builds[build.name] = build
        self.order.append(build.name)
        self.every.append(build)
        for secret in build.secrets:
            if secret.path:
                with open(secret.path, "rb") as file:
                    self.secrets[secret.id] = file.read()
        if self.barrier is not None:
            self.barrier.wait(timeout=60)
        self.before(build)
        if build.name in self.fails:
            raise BuildError("it broke")
        return self.images.put(dict(build.labels), f"{build.dockerfile!r} {sorted(build.build_args.items())}")


class FakeImages:
    """ImageStore, as much of it as storage asks for; and ConfigRewriter."""

    def __init__(self) -> None:
        self.details: dict[str, ImageDetails] = {}
        self.names: dict[str, str] = {}

    def put(self, labels: dict[str, str], content: str) -> Digest:
        """An image with labels; its id."""
        id = Digest.of(f"{content} {sorted(labels.items())}".encode())
        config = ContainerConfig(labels=labels)
        details = ImageDetails(id, (), host_platform(), config, created="2024-01-31T12:00:00Z", size=2048)
        self.details[str(id)] = details
        return id

    def _id(self, name: str) -> str:
        for known in (name, f"localhost/{name}"):
            if known in self.names:
                return self.names[known]
        if name in self.details:
            return name
        raise ImageNotFound(name)

    def images(self) -> list[ImageSummary]:
        return [
            ImageSummary(details.id, tuple(name for name, other in self.names.items() if other == id))
            for id, details in self.details.items()
        ]

    def inspect(self, name: str) -> ImageDetails:
        id = self._id(name)
        names = tuple(known for known, other in self.names.items() if other == id)
        return msgspec.structs.replace(self.details[id], names=names)

    def tag(self, name: str, tags: Sequence[str]) -> None:
        id = self._id(name)
        for tag in tags:
            self.names[tag if "/" in tag else f"localhost/{tag}"] = id

    def join(self, images: Sequence[str], tags: Sequence[str]) -> Digest | None:
        return None

    def remove(self, names: Sequence[str], *, force: bool = False) -> None:
        for name in names:
            id = self._id(name)
            self.names.pop(name, None)
            self.names.pop(f"localhost/{name}", None)
            if id not in self.names.values():
                del self.details[id]

    def rewrite(self, image: str, change: Callable[[bytes], bytes], *, tags: Sequence[str]) -> Digest:
        old = self.inspect(image)
        config: Any = msgspec.json.decode(change(msgspec.json.encode({"config": old.config.to_dict()})))
        id = self.put(config["config"].get("Labels") or {}, f"changed {old.id} {config}")
        self.tag(str(id), tags)
        return id


class NoTransfer:
    """ImageTransfer that reaches no registry."""

    def pull(self, name: str, *, platform: Platform | None = None) -> Digest:
        raise RegistryNotFound(f"{name}: not found")


class FakeBackend:
    """Backend, without `stages`; nothing can be pulled."""

    name = "fake"
    line = "a fake builds"

    def __init__(self) -> None:
        self.images = FakeImages()
        self.builder = FakeBuilder(self.images)
        self.configs = self.images
        self.transfer = NoTransfer()
        self.stopped = threading.Event()

    def stop(self) -> None:
        self.stopped.set()
