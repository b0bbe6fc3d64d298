"""What commands ask of a backend, which is the Docker daemon or the embedded engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from pywerf.graph.source_range import SourceRange
from pywerf.oci.config import ContainerConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform
from pywerf.util.filetree import FileTree

__all__ = [
    "Backend",
    "ConfigRewriter",
    "DockerfileBuild",
    "DockerfileBuilder",
    "DockerfileStep",
    "ImageDetails",
    "ImageStore",
    "ImageSummary",
    "ImageTransfer",
    "Pruned",
    "Secret",
    "Shell",
    "ShellOpener",
    "Stage",
    "StageMount",
    "StageRunner",
]


class Secret(msgspec.Struct, frozen=True):
    """A secret of `RUN --mount=type=secret,id=ID`: the content of a file, or of a variable of this process."""

    id: str
    path: str = ""
    env: str = ""


class DockerfileStep(msgspec.Struct, frozen=True):
    """An instruction of a Dockerfile, by which a builder's words about a step are brought back to its lines.

    `stage` is the number of its stage (from 0; -1: before the first FROM), `stage_name` what builders call that one.
    """

    keyword: str
    stage: int
    stage_name: str
    source: SourceRange
    lines: tuple[str, ...] = ()


class DockerfileBuild(msgspec.Struct, frozen=True):
    """A Dockerfile to be built. `context` is without what an ignore file leaves out; None: there is none.

    `name` is what messages call the Dockerfile, `steps` are its instructions in order.
    `secrets` are read when a step wants them; `ssh` are agents as `--ssh` has them (see backend/ssh_agents.py).
    `platforms` empty: the backend's own. `pull`: ask the registry for newer base images. `network` empty: the
    backend's own. `checks`: the embedded engine tells what the build checks find.
    """

    dockerfile: bytes
    name: str = "Dockerfile"
    context: FileTree | None = None
    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[str, ...] = ()
    add_hosts: tuple[str, ...] = ()
    network: str = ""
    platforms: tuple[Platform, ...] = ()
    no_cache: bool = False
    pull: bool = False
    squash: bool = False
    cache_from: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: tuple[str, ...] = ()
    steps: tuple[DockerfileStep, ...] = ()
    checks: bool = True


class ImageSummary(msgspec.Struct, frozen=True):
    """An image of a backend's store: its id there, full names, when it was made (RFC 3339), bytes.

    The id is the digest of its config; a Docker daemon with containerd's image store has that of its manifest.
    """

    id: Digest
    names: tuple[str, ...]
    created: str = ""
    size: int = 0


class ImageDetails(msgspec.Struct, frozen=True):
    """All that a backend knows of an image."""

    id: Digest
    names: tuple[str, ...]
    platform: Platform
    config: ContainerConfig
    diff_ids: tuple[Digest, ...] = ()
    created: str = ""
    author: str = ""
    size: int = 0


class Pruned(msgspec.Struct, frozen=True):
    """What a prune removed: ids of images, and bytes."""

    images: tuple[str, ...] = ()
    size: int = 0


class StageMount(msgspec.Struct, frozen=True):
    """A file or folder of the machine that a stage sees at `target`; nothing of it is in the image."""

    source: str
    target: str
    read_only: bool = False


class Stage(msgspec.Struct, frozen=True):
    """A command on top of an image that the backend has, and what the image is that comes of it.

    `argv` is run as it is, whatever entrypoint the image has; a script is ("/bin/sh", "-ec", SCRIPT). `env`, `user`,
    `workdir` (empty: the image's own) and the rest up to `add_hosts` are the run's alone. `network`: host, none, or
    empty for the backend's own. `config` is that of the new image, None: as the image below it; `labels` are added.
    `name` is what messages call the stage.
    """

    image: str
    argv: tuple[str, ...]
    name: str = "stage"
    env: Mapping[str, str] = {}
    user: str = ""
    workdir: str = ""
    mounts: tuple[StageMount, ...] = ()
    network: str = ""
    add_hosts: tuple[str, ...] = ()
    config: ContainerConfig | None = None
    labels: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()


class StageRunner(Protocol):
    """Runs commands and commits what they have changed."""

    def run(self, stage: Stage) -> Digest:
        """Run the stage and commit it as an image; its id. Runs each time: nothing is looked up in a cache.

        One that fails or is interrupted tags nothing and leaves nothing behind. Raises ImageNotFound, ContainerFailed
        for a command that fails, UsageError for one that is none, and any other WerfError.
        """


class Shell(msgspec.Struct, frozen=True):
    """A shell in a container of an image that the backend has, on the terminal of this process.

    `title` says what it shows, `then` what comes after it. `words` are a SHELL instead of the image's own, () none.
    `network` is the backend's own when empty; user, variables and working directory are the image's.
    """

    image: str
    title: str
    then: str
    words: tuple[str, ...] | None = None
    network: str = ""
    add_hosts: tuple[str, ...] = ()
    platform: Platform | None = None


class ShellOpener(Protocol):
    """Opens shells for people who want to see what there is."""

    def open(self, shell: Shell) -> None:
        """Open it and wait for its end, whatever its status. What is changed in it goes nowhere, and nothing is

        left behind. On the main thread only. Raises ShellMissing for an image without one, ImageNotFound, UsageError
        without a terminal, and any other WerfError.
        """


class DockerfileBuilder(Protocol):
    """Builds Dockerfiles."""

    def build(self, build: DockerfileBuild) -> Digest:
        """Build and tag the image; its id. A build that fails or is interrupted tags nothing and leaves nothing

        behind. Raises ContainerFailed for a RUN, and any other WerfError.
        """


class ImageStore(Protocol):
    """The images that a backend keeps. Names are taken as users write them, and told in full."""

    def images(self) -> list[ImageSummary]:
        """All images, those without a name, too; not the intermediate ones of builds."""

    def inspect(self, name: str) -> ImageDetails:
        """One image by name or id. Raises ImageNotFound."""

    def tag(self, name: str, tags: Sequence[str]) -> None:
        """Give an image further names, taken from whoever has them. Idempotent. Raises ImageNotFound."""

    def join(self, images: Sequence[str], tags: Sequence[str]) -> Digest | None:
        """Join images, one a platform, in an index with the labels of the first, and give it names; its id. Idempotent.

        None where the backend keeps no indexes. Raises ImageNotFound.
        """

    def remove(self, names: Sequence[str], *, force: bool = False) -> None:
        """Take names away; with its last name, or by its id, the image goes. Raises ImageNotFound, ImageInUse."""

    def prune(self, *, all: bool = False) -> Pruned:
        """Remove images without a name that nothing needs; with `all` those with a name and the build cache, too."""


class ImageTransfer(Protocol):
    """Brings images in and out."""

    def pull(self, name: str, *, platform: Platform | None = None) -> Digest:
        """Bring an image from its registry; its id. Raises RegistryError and its kinds."""

    def push(self, name: str, destination: str = "") -> Digest:
        """Send an image (an index with all its images) to a registry, as `destination` or by its own name.

        Returns the digest of the manifest there.
        """

    def save(self, name: str, path: str) -> None:
        """Write an image to a Docker archive, that appears as a whole. Raises ImageNotFound, StoreError."""

    def load(self, path: str) -> list[Digest]:
        """Bring the images of a Docker archive, under the names that it tells. Raises ArchiveError, StoreError."""


class ConfigRewriter(Protocol):
    """Gives images another config."""

    def rewrite(self, image: str, change: Callable[[bytes], bytes], *, tags: Sequence[str]) -> Digest:
        """Make of an image (of each platform's) one with the config that `change` makes of its own; its id.

        `tags` are taken from whoever has them; the image below stays, with its other names. The same change makes the
        same image. No layer is copied. One that fails or is interrupted tags nothing. Raises ImageNotFound.
        """


class Backend(Protocol):
    """One of the two."""

    @property
    def name(self) -> str:
        """docker or buildah."""

    @property
    def line(self) -> str:
        """What builds and why: who builds tells it, once, before anything else."""

    @property
    def builder(self) -> DockerfileBuilder:
        """What builds Dockerfiles."""

    @property
    def stages(self) -> StageRunner:
        """What runs commands on top of images."""

    @property
    def shells(self) -> ShellOpener:
        """What opens shells in images."""

    @property
    def configs(self) -> ConfigRewriter:
        """What changes the configs of images."""

    @property
    def images(self) -> ImageStore:
        """The images that are kept."""

    @property
    def transfer(self) -> ImageTransfer:
        """The way in and out."""

    def stop(self) -> None:
        """Give up what other threads are doing with the backend: builds and stages end with BuildStopped, soon.

        What begins later does not begin. Idempotent.
        """
