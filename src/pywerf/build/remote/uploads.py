"""Sends layers while the build goes on: as soon as a step's layer is known, to every place that will want it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pywerf.backend.buildah.assemble import layer_descriptor
from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.build.bases import Found
from pywerf.build.remote.lazy import CachedLayer
from pywerf.errors import RegistryNotFound
from pywerf.oci import media_types
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageSource
from pywerf.oci.manifest import Manifest
from pywerf.oci.platform import host_platform
from pywerf.util.promise import run_in_thread

if TYPE_CHECKING:
    from pywerf.build.bases import Bases
    from pywerf.build.session import Session

__all__ = ["LayerUploads", "Target", "found_of_ref"]

_AT_ONCE = 2


class Target:
    """A place that layers are sent to. `sent` has what they came to there, by diff_id; `errors` what went wrong.

    `open` makes the destination when the first layer comes, and the function that sends one layer of an image.
    It may set `on_close`, which is called once, when no more layers come, with whether all went well.
    """

    def __init__(self, open: Callable[[], Callable[[Found, int], Descriptor]]) -> None:
        self._open = open
        self._push: Callable[[Found, int], Descriptor] | None = None
        self._lock = threading.Lock()
        self.sent: dict[Digest, Descriptor] = {}
        self.errors: list[Exception] = []
        self.on_close: Callable[[bool], object] | None = None

    def close(self, *, given_up: bool = False) -> None:
        """No more layers come. Idempotent."""
        closing, self.on_close = self.on_close, None
        if closing is not None:
            closing(not given_up and not self.errors)

    def send(self, found: Found, index: int) -> None:
        """Send one layer; after the first error nothing more."""
        diff_id = found.config.diff_ids[index]
        if self.errors or diff_id in self.sent:
            return
        try:
            with self._lock:
                if self._push is None:
                    self._push = self._open()
            self.sent[diff_id] = self._push(found, index)
        except Exception as error:  # raised, or told, when the build is over
            self.errors.append(error)


class LayerUploads:
    """The work of sending: some layers at once, one layer to its targets one after the other.

    So the second place gets a layer in the form that the first one got, and can take it over from there.
    """

    def __init__(self, session: Session, base: Callable[[], Bases]) -> None:
        self._session = session
        self._bases = base
        self._waiting: deque[tuple[Ref, tuple[Target, ...]]] = deque()
        self._lock = threading.Lock()
        self._workers = 0
        self._idle = threading.Condition(self._lock)
        self._seen: set[tuple[Digest | None, int]] = set()
        self._stopped = False

    def offer(self, ref: Ref, targets: tuple[Target, ...]) -> None:
        """Send the layer of a ref, whose digest is known, to these targets. Returns at once."""
        chain = ref.chain_id
        with self._lock:
            targets = tuple(target for target in targets if (chain, id(target)) not in self._seen)
            if not targets or self._stopped:
                return
            self._seen.update((chain, id(target)) for target in targets)
            self._waiting.append((ref, targets))
            if self._workers < _AT_ONCE:
                self._workers += 1
                run_in_thread(self._work, "upload")

    def finish(self) -> None:
        """Wait until all that was offered has been sent, or failed to be."""
        with self._idle:
            while self._workers:
                self._idle.wait()

    def stop(self) -> None:
        """Forget what waits; what is on its way ends in its own time."""
        with self._lock:
            self._stopped = True
            self._waiting.clear()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._workers -= 1
                    self._idle.notify_all()
                    return
                ref, targets = self._waiting.popleft()
            try:
                found = found_of_ref(ref, self._source(ref))
            except Exception as error:
                for target in targets:
                    target.errors.append(error)
                continue
            for target in targets:
                target.send(found, len(found.manifest.layers) - 1)

    def _source(self, ref: Ref) -> ImageSource:
        return _Sources(ref, self._bases)


class _Sources:
    """An ImageSource for layers that are not here: of remote caches, and of base images."""

    def __init__(self, ref: Ref, bases: Callable[[], Bases]) -> None:
        self._lazy = {
            layer.lazy.layer.digest: layer.lazy for layer in ref.layers() if isinstance(layer.lazy, CachedLayer)
        }
        self._bases = bases

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        raise RegistryNotFound("only layers are known")

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        lazy = self._lazy.get(descriptor.digest)
        return self._bases().origins.blob(descriptor) if lazy is None else lazy.source.blob(descriptor)


def found_of_ref(ref: Ref, source: ImageSource | None = None) -> Found:
    """A file system as an image: what a push needs to send its layers, the top one last."""
    infos: list[LayerInfo] = [layer.info.result() for layer in ref.layers()]
    config = ImageConfig(platform=host_platform(), diff_ids=tuple(info.diff_id for info in infos))
    data = config.to_json()
    manifest = Manifest(
        media_types.OCI_MANIFEST,
        Descriptor(media_types.OCI_CONFIG, Digest.of(data), len(data)),
        tuple(layer_descriptor(info, "oci") for info in infos),
    )
    return Found("the build", manifest, b"", config, data, source=source)
