"""One command's hold on the engine: store, snapshot driver, isolation, registries, wired here and nowhere else."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from pywerf.build.names import full_name, local_candidates
from pywerf.build.options import BuildOptions, ContainerOptions, EngineOptions, PullPolicy
from pywerf.build.rungs import choose_rung
from pywerf.errors import ImageNotFound, StoreError, UsageError
from pywerf.oci.config import ImageConfig
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.media_types import Compression, ImageFormat
from pywerf.oci.platform import Platform
from pywerf.store.store import Store
from pywerf.util.home import default_root
from pywerf.util.stop_switch import StopSwitch

if TYPE_CHECKING:
    from pywerf.backend.buildah.snapshots import Snapshots
    from pywerf.build.bases import Bases
    from pywerf.build.build_images import BuildResult
    from pywerf.build.contexts import Given
    from pywerf.build.fetch import LayerFetcher
    from pywerf.build.remove import RemovedEvent
    from pywerf.isolation.ladder import Choice
    from pywerf.isolation.spec import Isolation
    from pywerf.oci.digest import Digest
    from pywerf.registry.access import RegistryAccess
    from pywerf.store.gc import GcReport
    from pywerf.store.images import ImageRecord
    from pywerf.util.events import Reporter

__all__ = ["WORK", "Session"]

WORK = ("session", "work")
"""The lease that every command holds while it works in a store, and that a collector has to wait for."""

_ORDINARY = ContainerOptions()
_MOUNT_PROGRAM = ("mount_program", "overlay.mount_program", "overlay2.mount_program")
_DRIVERS = ("", "auto", "default", "overlay", "vfs")


class Session:
    """A context manager. What costs time (isolation, registries) is made when it is first used."""

    def __init__(self, options: EngineOptions, reporter: Reporter) -> None:
        self.options = options
        self.reporter = reporter
        self._stack = ExitStack()
        self._check_driver()
        root = options.root or default_root()  # of the user who called: afterwards this process may be another one
        self.choice: Choice = choose_rung(options, root)
        self.store = self._stack.enter_context(Store.open(root))
        if self.choice.runtime is not None and self.choice.rung == 1:
            from pywerf.build.own_users import with_ids

            self.choice = with_ids(self.choice, self.store, options)
        self._snapshots: Snapshots | None = None
        self._isolation: Isolation | None = None
        self._isolation_lock = threading.Lock()
        self._registries: RegistryAccess | None = None
        self.stopping = StopSwitch()
        self._steps = itertools.count(1)

    @classmethod
    def open(cls, options: EngineOptions, reporter: Reporter) -> Session:
        """Open the store that the options name, on the rung that their mode comes to.

        Raises UsageError for unknown modes and drivers, IsolationError for a mode that cannot work, StoreError.
        """
        return cls(options, reporter)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _check_driver(self) -> None:
        mount_program(self.options.storage_opts)
        driver = self.options.storage_driver
        if driver not in _DRIVERS:
            raise UsageError(
                f"unknown storage driver {driver!r}",
                hint="WERF_BUILDAH_STORAGE_DRIVER and --storage-driver take overlay or vfs",
            )

    # the parts

    @property
    def snapshots(self) -> Snapshots:
        """The snapshot driver with its store; without containers there are no snapshots, but files all the same."""
        if self._snapshots is None and not self.choice.has_containers:
            from pywerf.build.drivers import without_snapshots

            self._snapshots = without_snapshots(self.store, self.options.storage_driver)
        if self._snapshots is None:
            from pywerf.backend.buildah.snapshots import Snapshots
            from pywerf.build.drivers import choose_driver

            driver = choose_driver(
                self.store,
                self.options.storage_driver,
                self.reporter,
                mounts=self.choice.has_mounts,
                program=mount_program(self.options.storage_opts),
            )
            self._snapshots = Snapshots(self.store, driver)
        return self._snapshots

    def isolation(self) -> Isolation:
        """What runs containers; it is started at the first call, from whichever thread. Raises IsolationError."""
        with self._isolation_lock:
            if self._isolation is None:
                from pywerf.build.drivers import choose_isolation

                self._isolation = choose_isolation(self.choice, self.reporter, keep_bundles=self.options.keep_bundles)
                self._stack.callback(self._isolation.close)
            return self._isolation

    def registries(self) -> RegistryAccess:
        """The way to all registries."""
        if self._registries is None:
            from pywerf.registry.access import RegistryAccess
            from pywerf.registry.settings import RegistrySettings

            given = self.options.registry
            settings = RegistrySettings(
                tls_verify=given.tls_verify,
                authfile=given.authfile,
                creds=given.creds,
                cert_dir=given.cert_dir,
                retries=given.retries,
                delay=given.retry_delay,
                mirrors=given.mirrors,
            )
            self._registries = RegistryAccess(settings)
            self._stack.callback(self._registries.close)
        return self._registries

    def next_step(self) -> int:
        """A number for a step that nobody has had yet."""
        return next(self._steps)

    def fetcher(self) -> LayerFetcher:
        """What brings layers from registries."""
        from pywerf.build.fetch import LayerFetcher

        return LayerFetcher(self.store, self.snapshots, self.reporter, self.next_step)

    def bases(self, policy: PullPolicy) -> Bases:
        """Base images under a pull policy."""
        from pywerf.build.bases import Bases

        return Bases(self.store, self.registries, self.fetcher(), policy)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While something is built, pulled or run here, nothing is collected in this store, by whatever process."""
        with self.store.lease(*WORK):
            yield

    # images

    def find_image(self, name: str) -> ImageRecord:
        """The image of a name (short ones as buildah resolves them) or of an id. Raises ImageNotFound."""
        try:
            return self.store.images.resolve_first(local_candidates(name))
        except ImageNotFound as error:
            raise ImageNotFound(name, hint="`werf buildah images` lists what is here") from error

    def image_manifest(self, record: ImageRecord) -> Manifest:
        """The manifest of an image; of an index that for this machine. Raises StoreError."""
        document = parse_manifest(self.store.blobs.read(record.manifest_digest), record.media_type)
        if isinstance(document, Index):
            from pywerf.oci.platform import host_platform

            chosen = document.select(host_platform()) or (document.manifests[0] if document.manifests else None)
            if chosen is None or self.store.blobs.has(chosen.digest) is None:
                raise StoreError(f"{record.id}: no image of this index is here")
            document = parse_manifest(self.store.blobs.read(chosen.digest), chosen.media_type)
        assert isinstance(document, Manifest)
        return document

    def image_config(self, record: ImageRecord) -> ImageConfig:
        """The config of an image. Raises StoreError, InvalidDocument."""
        return ImageConfig.from_json(self.store.blobs.read(self.image_manifest(record).config.digest))

    def tag(self, image: str, names: Sequence[str]) -> None:
        """Give an image further names, taken from whoever has them. Raises ImageNotFound, InvalidReference."""
        record = self.find_image(image)
        for name in [full_name(name) for name in names]:
            self.store.images.tag(record.id, name)

    def untag(self, image: str, names: Sequence[str]) -> None:
        """Take names (none given: all) from an image. Raises ImageNotFound."""
        record = self.find_image(image)
        wanted = [self._own_name(record, name) for name in names] if names else list(record.names)
        for name in wanted:
            self.store.images.untag(name)

    def _own_name(self, record: ImageRecord, name: str) -> str:
        for candidate in local_candidates(name):
            if candidate in record.names:
                return candidate
        raise ImageNotFound(name, hint=f"the image's names are {', '.join(record.names) or 'none'}")

    def remove(
        self, images: Sequence[str], *, force: bool = False, prune: bool = False, all: bool = False
    ) -> list[RemovedEvent]:
        """`rmi`: names go; with the last name, or by id, the image goes."""
        from pywerf.build.remove import remove_images

        return remove_images(self, images, force=force, prune=prune, everything=all)

    def prune(self, *, all: bool = False) -> GcReport:
        """Remove what nothing needs: orphans, and with `all` images without a name and the build cache."""
        from pywerf.build.remove import prune

        return prune(self, everything=all)

    # transfer

    def pull(
        self,
        name: str,
        *,
        policy: PullPolicy = "always",
        platform: Platform | None = None,
        all_tags: bool = False,
    ) -> ImageRecord:
        """Bring an image here, layers and all, from any transport."""
        from pywerf.build.transfer import pull

        with self.working():
            return pull(self, name, policy=policy, platform=platform, all_tags=all_tags)

    def push(
        self,
        image: str,
        destination: str = "",
        *,
        compression: Compression = "gzip",
        compression_level: int | None = None,
        image_format: ImageFormat | None = None,
        digestfile: str = "",
        all: bool = False,
    ) -> Digest:
        """Send an image to any transport (no destination: to the registry that its name tells); its digest there."""
        from pywerf.build.transfer import push

        with self.working():
            return push(
                self,
                image,
                destination,
                compression=compression,
                level=compression_level,
                image_format=image_format,
                digestfile=digestfile,
                everything=all,
            )

    # work

    def build(self, options: BuildOptions, given: Given | None = None) -> BuildResult:
        """Build the image (one a platform) of a Dockerfile; tag it, write it where it is wanted.

        `given` stands for the context and the Dockerfile that the options would name; its giver has told what builds.
        """
        from pywerf.build.build_images import build

        self._check_namespaces(options.container)
        if given is None:
            self.reporter.message("info", self.choice.line_for(options.container.namespaces))
        with self.working():
            return build(self, options, given)

    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        *,
        env: Sequence[str] = (),
        volumes: Sequence[str] = (),
        user: str = "",
        workdir: str = "",
        entrypoint: Sequence[str] | None = None,
        network: str = "",
        terminal: bool = False,
        interactive: bool = False,
        cap_add: Sequence[str] = (),
        cap_drop: Sequence[str] = (),
        privileged: bool = False,
        add_hosts: Sequence[str] = (),
        read_only: bool = False,
        pull: PullPolicy = "missing",
        ulimits: Sequence[str] = (),
        shm_size: int = 0,
        hostname: str = "",
        container: ContainerOptions = _ORDINARY,
    ) -> int:
        """Run a container of an image on this terminal, and throw its files away; its exit status."""
        from pywerf.build.run_image import RunOptions, run_image

        self._check_namespaces(container)
        with self.working():
            return run_image(
                self,
                image,
                RunOptions(
                    command=tuple(command),
                    env=tuple(env),
                    volumes=tuple(volumes),
                    user=user,
                    workdir=workdir,
                    entrypoint=None if entrypoint is None else tuple(entrypoint),
                    network=network,
                    terminal=terminal,
                    interactive=interactive,
                    cap_add=tuple(cap_add),
                    cap_drop=tuple(cap_drop),
                    privileged=privileged,
                    add_hosts=tuple(add_hosts),
                    read_only=read_only,
                    pull=pull,
                    ulimits=tuple(ulimits),
                    shm_size=shm_size,
                    hostname=hostname,
                    container=container,
                ),
            )

    def _check_namespaces(self, container: ContainerOptions) -> None:
        if container.namespaces.own_user:
            from pywerf.build.own_users import check_user_namespace

            check_user_namespace(self.choice, container.namespaces)

    def info(self) -> dict[str, object]:
        """What `werf buildah info` shows: the host, the store, and how containers are run."""
        from pywerf.build.info import info

        return info(self)


def mount_program(options: Sequence[str]) -> str:
    """The fuse-overlayfs that `--storage-opt mount_program=PATH` names; empty: none. Raises UsageError."""
    program = ""
    for option in options:
        key, _, value = option.partition("=")
        if key not in _MOUNT_PROGRAM or not value.startswith("/"):
            raise UsageError(
                f"--storage-opt {option}: unknown option"
                if key not in _MOUNT_PROGRAM
                else f"--storage-opt {option}: not an absolute path",
                hint="overlay.mount_program=/usr/bin/fuse-overlayfs is known",
            )
        program = value
    return program
