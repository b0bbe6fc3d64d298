"""A layer of a remote cache that has not been needed yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pywerf.errors import RegistryNotFound
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.image_io import ImageSource

if TYPE_CHECKING:
    from pywerf.build.session import Session

__all__ = ["CachedLayer"]


class CachedLayer:
    """A LazyLayer in `source`. `on_verified` and `on_refused` are told what became of it."""

    def __init__(
        self,
        session: Session,
        name: str,
        source: ImageSource,
        layer: Descriptor,
        *,
        on_verified: Callable[[], object],
        on_refused: Callable[[Exception], object],
    ) -> None:
        self._session = session
        self._name = name
        self.source = source
        self.layer = layer
        self._on_verified = on_verified
        self._on_refused = on_refused

    def chunks(self) -> Iterator[bytes]:
        """See LazyLayer. Shown as a step of its own."""
        blobs = self._session.store.blobs
        if blobs.touch(self.layer.digest, self.layer.size):
            yield from blobs.chunks(self.layer.digest)
            return
        reporter = self._session.reporter
        step = self._session.next_step()
        reporter.step_started(step, f"[internal] fetch {self.layer.digest.short} from the cache {self._name}")
        current = 0
        try:
            with blobs.writer() as writer:
                for chunk in self.source.blob(self.layer):
                    writer.write(chunk)
                    current += len(chunk)
                    reporter.step_progress(step, self.layer.digest.short, current, self.layer.size)
                    yield chunk
                writer.commit(self.layer.digest)
        except GeneratorExit:
            reporter.step_finished(step, "cancelled")
            raise
        except Exception:
            reporter.step_finished(step, "cancelled")  # no failure of the build: it goes on without this cache
            raise
        reporter.step_finished(step, "done")

    def ensure(self) -> None:
        """Ask the registry for the layer, or take it from its folder. Raises what the place raises."""
        from pywerf.registry.docker_registry import RegistrySource

        if self._session.store.blobs.touch(self.layer.digest, self.layer.size):
            return
        source = self.source
        if isinstance(source, RegistrySource):
            size = source.client.find_blob(source.reference.repository, self.layer.digest)
            if size is None or size not in (-1, self.layer.size):
                raise RegistryNotFound(f"the cache {self._name} has lost the layer {self.layer.digest}")
            return
        for _ in self.chunks():
            pass

    def verified(self) -> None:
        """See LazyLayer."""
        self._on_verified()

    def refuse(self, error: Exception) -> None:
        """See LazyLayer."""
        self._on_refused(error)
