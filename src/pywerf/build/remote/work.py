"""Everything that a build does with remote caches, and with a registry that its image goes to: what the build calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.buildah.ref import Ref
from pywerf.build.remote.cache_mounts import CacheMounts, export_mounts
from pywerf.build.remote.document import ANNOTATION, CacheDocument, encode
from pywerf.build.remote.exports import CacheExport, open_export
from pywerf.build.remote.imports import RemoteCache, open_cache
from pywerf.build.remote.lazy import CachedLayer
from pywerf.build.remote.results import Results
from pywerf.build.remote.spec import CacheSpec, parse_from, parse_to
from pywerf.build.remote.uploads import LayerUploads, Target
from pywerf.errors import BuildError, RegistryNotFound, UsageError, WerfError
from pywerf.oci.reference import Reference

if TYPE_CHECKING:
    from pywerf.backend.buildah.cache_mounts import CacheWatcher
    from pywerf.backend.buildah.engine import Engine
    from pywerf.build.bases import Bases, Found
    from pywerf.build.options import BuildOptions, Output
    from pywerf.build.session import Session
    from pywerf.graph.image_plan import ImagePlan
    from pywerf.graph.vertex import Vertex
    from pywerf.oci.descriptor import Descriptor

__all__ = ["RemoteWork", "remote_work"]

_AT_ONCE = 4


def remote_work(session: Session, options: BuildOptions) -> RemoteWork | None:
    """What the flags ask for; None when they ask for nothing of the kind. Raises UsageError."""
    outputs = [output for output in options.outputs if _is_pushed(output)]
    if not (options.cache_from or options.cache_to or outputs):
        return None
    return RemoteWork(session, options, outputs)


class RemoteWork:
    """The remote side of one build. `begin`, then for each attempt `results` and `check`, then `finish`."""

    def __init__(self, session: Session, options: BuildOptions, outputs: Sequence[Output]) -> None:
        self._session = session
        self._options = options
        sources = [parse_from(text) for text in options.cache_from]
        targets = [parse_to(text) for text in options.cache_to]
        if (sources or targets) and not options.layers:
            raise UsageError("--cache-from and --cache-to need the results of steps", hint="leave --layers=false out")
        self._inline = any(spec.kind == "inline" for spec in targets)
        if self._inline and options.image_format == "docker":
            raise UsageError("--cache-to type=inline needs an OCI image", hint="leave --format docker out")
        if self._inline and options.squash:
            raise UsageError("--cache-to type=inline: a squashed image has no layers of steps", hint="leave one out")
        self._sources = [spec for spec in sources if spec.kind != "cache-mount"]
        self._mount_exports = [spec for spec in targets if spec.kind == "cache-mount"]
        self._mounts = CacheMounts(session, [spec for spec in sources if spec.kind == "cache-mount"])
        near = [Reference.parse(spec.ref) for spec in (*sources, *targets) if spec.ref]
        # of a squashed image the layers of steps are no part
        self._pushes = [] if options.squash else [_push_target(session, options, item, near) for item in outputs]
        near += [name for names in (_names(output, options) for output in outputs) for name in names]
        self._exports: list[CacheExport] = [
            open_export(session, spec, near) for spec in targets if spec.kind in ("registry", "local", "repository")
        ]
        self._caches: list[RemoteCache] = []
        self._plans: Sequence[ImagePlan] = ()
        self._chains: set[str] = set()
        self._bases: Bases | None = None
        self._uploads = LayerUploads(session, self._get_bases)
        self._results: Results | None = None
        self._images: dict[str, str] = {}
        self._disabled = 0

    def begin(self, plans: Sequence[ImagePlan], bases: Bases) -> None:
        """What is going to be built. The caches are read from now on, in the background."""
        self._bases = bases
        self._plans = plans
        platforms = [plan.platform for plan in plans]
        if not self._options.no_cache:
            self._caches = [open_cache(self._session, spec, platforms) for spec in self._sources]
        for plan in plans:
            self._chains |= _chain(plan)

    @property
    def cache_mounts(self) -> CacheWatcher | None:
        """What is told of cache mounts, and fills new ones; None: nothing is asked for."""
        return self._mounts if self._mounts.specs or self._mount_exports else None

    def results(self, engine: Engine, salt: str) -> Results:
        """What the solver asks, in one attempt to build."""
        wanted = self._exports or self._pushes or self._inline
        self._results = Results(
            self._session,
            engine,
            self._caches,
            salt=salt,
            max_age=self._options.cache_ttl,
            uploads=self._uploads,
            targets=self._targets if wanted else None,
        )
        return self._results

    def check(self, refs: Sequence[object]) -> None:
        """Make sure that the layers of the images, which nobody has read, can be had. Raises what says otherwise.

        Layers in a registry are asked for; those in a folder are taken into the store.
        """
        from pywerf.registry.parallel import run_all

        def ensure(lazy: CachedLayer) -> None:
            try:
                lazy.ensure()
            except WerfError as error:
                lazy.refuse(error)
                raise

        layers = [layer for ref in refs if isinstance(ref, Ref) for layer in ref.layers()]
        lazy = {layer.lazy.layer.digest: layer.lazy for layer in layers if isinstance(layer.lazy, CachedLayer)}
        run_all([lambda _, item=item: ensure(item) for item in lazy.values()], _AT_ONCE)  # type: ignore[misc]  # the default binds the loop's value

    def try_again(self) -> bool:
        """After a failure: whether a cache was found to be no good meanwhile, so that it may go without it."""
        disabled = sum(not cache.usable for cache in self._caches)
        again, self._disabled = disabled > self._disabled, disabled
        return again

    def created(self, draft: str) -> str:
        """When the image of a draft was first made, if a cache knows; else empty."""
        return "" if self._results is None else self._results.created(draft)

    def made(self, draft: str, created: str) -> None:
        """Note when the image of a draft was first made."""
        self._images[draft] = created

    def annotations(self, ref: Ref | None) -> dict[str, str]:
        """What an image has to carry: the records of its own layers (type=inline)."""
        if not self._inline or ref is None or self._results is None:
            return {}
        in_image = {id(item) for item in ref.stack()}
        records = [
            msgspec.structs.replace(offer.record, used=0)
            for offer in self._results.of(self._chains)
            if id(offer.ref) in in_image
        ]
        records.sort(key=lambda record: record.key)
        if not records:
            return {}
        return {ANNOTATION: encode(CacheDocument(1, records=tuple(records)))[1].decode()}

    def pushed(self) -> None:
        """Wait until the layers that the image's registry should have are there, before it is pushed."""
        if self._pushes:
            self._uploads.finish()
            for target in self._pushes:
                target.close()

    def finish(self) -> None:
        """Write the caches. Raises the first error that is not to be ignored."""
        self._uploads.finish()
        errors: list[WerfError] = []
        for export in self._exports:
            error = self._write(export)
            if error is not None:
                errors.append(error)
        for spec in self._mount_exports:
            try:
                export_mounts(self._session, spec, self._mounts, [plan.vertex for plan in self._plans])
            except WerfError as failure:
                error = self._failed(spec, failure)
                if error is not None:
                    errors.append(error)
        if errors:
            raise errors[0]

    def close(self) -> None:
        """The build has failed: send no more."""
        self._uploads.stop()
        for target in (*self._pushes, *(export.target for export in self._exports)):
            target.close(given_up=True)

    def _get_bases(self) -> Bases:
        assert self._bases is not None
        return self._bases

    def _targets(self, vertex: Vertex) -> tuple[Target, ...]:
        in_chain = vertex.definition in self._chains
        caches = (item.target for item in self._exports if in_chain or item.spec.mode == "max")
        return (*self._pushes, *caches) if in_chain else tuple(caches)

    def _write(self, export: CacheExport) -> WerfError | None:
        assert self._results is not None
        reporter = self._session.reporter
        step = self._session.next_step()
        reporter.step_started(step, f"exporting cache to {export.spec.name}")
        offers = self._results.of(None if export.spec.mode == "max" else self._chains)
        try:
            export.write([offer.record for offer in offers], self._images)
        except WerfError as failure:
            error = self._failed(export.spec, failure)
            reporter.step_finished(step, "failed" if error else "cancelled", error=str(failure) if error else "")
            return error
        reporter.step_finished(step, "done")
        return None

    def _failed(self, spec: CacheSpec, failure: WerfError) -> WerfError | None:
        if spec.ignore_error:
            self._session.reporter.message("warning", f"the cache {spec.name} was not written: {failure}")
            return None
        return BuildError(
            f"the cache {spec.name} was not written: {failure}",
            hint=failure.hint or "the image is built; ignore-error=true makes this a warning",
        )


def _chain(plan: ImagePlan) -> set[str]:
    """The definitions of the steps whose layers the image has."""
    found = set()
    vertex = plan.vertex
    while vertex is not None:
        found.add(vertex.definition)
        vertex = vertex.inputs[0] if vertex.inputs else None
    return found


def _is_pushed(output: Output) -> bool:
    return output.type == "registry" or (
        output.type == "image" and output.attributes.get("push", "").lower() in ("true", "1")
    )


def _names(output: Output, options: BuildOptions) -> list[Reference]:
    text = output.attributes.get("name") or output.dest
    names = text.split(",") if text else list(options.tags)
    return [Reference.parse(name.removeprefix("docker://")) for name in names]


def _push_target(session: Session, options: BuildOptions, output: Output, near: Sequence[Reference]) -> Target:
    """The registry that the image goes to. What goes wrong here is met again, and told, by the push itself."""

    def open() -> Callable[[Found, int], Descriptor]:
        from pywerf.build.outputs import output_compression
        from pywerf.build.transfer import layer_pusher
        from pywerf.registry.docker_archive import full_reference

        names = _names(output, options)
        if not names:
            raise RegistryNotFound("the image has no name to push it to")
        destination = session.registries().destination(full_reference(str(names[0])), near)
        step = session.next_step()
        session.reporter.step_started(step, f"pushing layers to {names[0]} as they are made")
        target.on_close = lambda done: session.reporter.step_finished(step, "done" if done else "cancelled")
        return layer_pusher(session, destination, compression=output_compression(output), level=None, step=step)

    target = Target(open)
    return target
