"""The work of a build: what each of its images needs, and the steps of all of them, solved at once by one engine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.backend.buildah.assemble import Assembled, assemble
from pywerf.backend.buildah.engine import Engine
from pywerf.backend.buildah.ref import Ref
from pywerf.build.bases import Bases
from pywerf.build.checks import warnings_of
from pywerf.build.container_defaults import container_defaults, resolver
from pywerf.build.contexts import Contexts
from pywerf.build.options import BuildOptions
from pywerf.build.resolver import BuildResolver
from pywerf.errors import IsolationError, WerfError
from pywerf.frontend.dockerfile.convert import Converter, Settings
from pywerf.graph.image_plan import ImagePlan
from pywerf.graph.vertex import Vertex
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform
from pywerf.solver.cache import CachingExecutor
from pywerf.solver.scheduler import solve

if TYPE_CHECKING:
    from pywerf.backend.buildah.volumes import Volume
    from pywerf.build.remote.work import RemoteWork
    from pywerf.build.session import Session
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.isolation.hooks import Hook
    from pywerf.solver.turns import Turns
    from pywerf.store.images import ImageRecord

__all__ = ["OneImage", "Work", "given_build_args", "hooks_of"]

_JOBS = 4  # commands wait for networks and disks as often as they compute


class OneImage:
    """The image of one Dockerfile for one platform."""

    plan: ImagePlan
    warnings: tuple[str, ...]

    def __init__(self, session: Session, options: BuildOptions, contexts: Contexts, bases: Bases) -> None:
        self.session = session
        self.options = options
        self.contexts = contexts
        self.bases = bases
        self.time = BuildTimes(options)

    def make_plan(self, dockerfile: Dockerfile, data: bytes, platform: Platform, *, many: bool) -> None:
        """Find out what is to be done. `many`: for other platforms as well, so that steps are named after this one."""
        options = self.options
        settings = Settings(
            target=options.target,
            base=options.base,
            platform=platform,
            build_args=given_build_args(options),
            labels=options.labels,
            env=tuple(_given(options.env).items()),
            unset_env=options.unset_env,
            inherit_labels=options.inherit_labels,
            unset_labels=options.unset_labels,
            inherit_annotations=options.inherit_annotations,
            unset_annotations=options.unset_annotations,
            network=options.network,
            add_hosts=options.add_hosts,
            hidden_env=_host_proxies() if options.http_proxy else (),
            no_cache=options.no_cache,
            no_cache_filter=options.no_cache_filter,
            name_platform=many,
            allow=frozenset(options.allow),
        )
        keep_git_dir = settings.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "").lower() in ("1", "true")
        resolver = BuildResolver(self.session, self.contexts, self.bases, keep_git_dir=keep_git_dir)
        self.plan = Converter(dockerfile, settings, resolver).convert()
        self.time.take(self.plan.epoch)
        self.warnings = ()
        if options.checks:
            self.warnings = warnings_of(
                self.session, dockerfile, data, self.plan, self.contexts, resolver, options, settings.build_args
            )

    def assemble(self, ref: Ref | None, refs: dict[str, Ref], remote: RemoteWork | None) -> Assembled:
        """The image on top of `ref`; `refs` are the results of all steps by definition."""
        plan = self.plan
        options, memo = self.options, self.session.store.memo

        def when(draft: bytes) -> str:
            if self.time.fixed:
                return self.time.fixed
            key = str(Digest.of(draft))
            known = memo.get("created", key)
            if known is not None and not options.no_cache:
                now = known.decode()
            else:
                now = (remote.created(key) if remote is not None else "") or self.time.now()
                memo.put("created", key, now.encode())
            if remote is not None:
                remote.made(key, now)
            return now

        annotations = {**plan.annotations, **dict(options.annotations)}
        if remote is not None:
            annotations |= remote.annotations(ref)
        image = assemble(
            plan,
            ref,
            refs,
            image_format=options.image_format,
            annotations=annotations,
            when=when,
            step_time=self.time.fixed,
            omit_history=options.omit_history,
            os_version=options.os_version,
            os_features=options.os_features,
        )
        if options.squash and ref is not None:
            from pywerf.build.squash import squash

            image = squash(self.session, image, ref, _base_layers(plan), options)
        return image


def _base_layers(plan: ImagePlan) -> int:
    return 0 if plan.base is None else len(plan.base.diff_ids)


class BuildTimes:
    """The times of a build: now, or what --timestamp or SOURCE_DATE_EPOCH say."""

    def __init__(self, options: BuildOptions) -> None:
        seconds = options.timestamp if options.timestamp is not None else options.source_date_epoch
        self.fixed = "" if seconds is None else _rfc3339(seconds, 0)
        self._flag = options.timestamp is not None

    def take(self, epoch: int | None) -> None:
        """The Dockerfile's SOURCE_DATE_EPOCH, which counts where no --timestamp was given."""
        if epoch is not None and not self._flag:
            self.fixed = _rfc3339(epoch, 0)

    def now(self) -> str:
        """An RFC 3339 time."""
        if self.fixed:
            return self.fixed
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        return _rfc3339(seconds, nanoseconds)


def _rfc3339(seconds: int, nanoseconds: int) -> str:
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def given_build_args(options: BuildOptions) -> dict[str, str]:
    """`--build-arg`; SOURCE_DATE_EPOCH is one, however it was given (as with buildx)."""
    given = _given(options.build_args)
    if options.source_date_epoch is not None:
        given.setdefault("SOURCE_DATE_EPOCH", str(options.source_date_epoch))
    return given


def _given(pairs: tuple[tuple[str, str | None], ...]) -> dict[str, str]:
    """Flags KEY=VALUE, and KEY alone: from the environment, when it is there."""
    out: dict[str, str] = {}
    for key, value in pairs:
        found = os.environ.get(key) if value is None else value
        if found is not None:
            out[key] = found
    return out


def _host_proxies() -> tuple[str, ...]:
    """The proxy variables of this process: commands see them, nothing else does (buildah's --http-proxy)."""
    from pywerf.frontend.dockerfile.args import PROXY_ARGS

    return tuple(f"{name}={os.environ[name]}" for name in PROXY_ARGS if name in os.environ)


class Work:
    """What has to be done for the images of a build, of all platforms at once."""

    def __init__(
        self,
        session: Session,
        options: BuildOptions,
        contexts: Contexts,
        bases: Bases,
        dockerfile: Dockerfile,
        filename: str,
        remote: RemoteWork | None,
        hooks: tuple[Hook, ...],
    ) -> None:
        self.session = session
        self.options = options
        self.remote = remote
        self.dockerfile = dockerfile
        self.filename = filename
        self.vertices: list[Vertex] = []
        times = BuildTimes(options)
        self.engine = Engine(
            session.store,
            session.snapshots,
            session.isolation,
            session.reporter,
            open_files=lambda op: contexts.open(op, filename),
            base=bases.ref,
            defaults=container_defaults(
                options.container,
                ulimits=(*session.options.ulimits, *options.ulimits),
                cap_add=options.cap_add,
                cap_drop=options.cap_drop,
                shm_size=options.shm_size,
                hooks=hooks,
                volumes=bool(options.volumes),
            ),
            volumes=_volumes(options.volumes),
            resolver=resolver(options.container),
            groups=options.container.groups,
            clamp=options.clamp,
            epoch=options.source_date_epoch,
            created=times.now,
            secrets=contexts.grants.secret,
            ssh=contexts.grants.agent,
            cache_mounts=None if remote is None else remote.cache_mounts,
            stdin=_stdin(session, options),
            keep_failed=bool(session.options.introspect),
        )
        salt = "" if options.clamp is None else f"clamp {options.clamp}"
        self._turns: Turns | None = None
        self._lock = threading.Lock()
        self.executor: CachingExecutor[object] = CachingExecutor(
            self.engine,  # type: ignore[arg-type]  # Result is the engine's own union
            session.store.cache,
            session.reporter,
            salt=salt,
            use=options.layers and not options.no_cache and options.cache_ttl != 0,
            max_age=options.cache_ttl,
            turns=self._take_turns,
            memo=session.store.memo,
            remote=None if remote is None else remote.results(self.engine, salt),  # type: ignore[arg-type]  # as above
        )
        self.refs: dict[str, Ref] = {}

    def run(self, images: Sequence[OneImage]) -> list[ImageRecord]:
        """Solve the plans, assemble the images, store them without names."""
        session, options, executor = self.session, self.options, self.executor
        plans = [image.plan for image in images]
        self.vertices = _in_order([plan.vertex for plan in plans])
        for vertex in self.vertices:
            executor.number(vertex, session.next_step())
        try:
            with session.stopping.during(self._cancel):
                refs = solve(
                    [plan.vertex for plan in plans],
                    self._step,
                    jobs=_jobs(options),
                    cancel=self._cancel,
                )
            records = []
            if self.remote is not None:
                executor.finish()
                self.remote.check(refs)
            for image, ref in zip(images, refs, strict=True):
                assert ref is None or isinstance(ref, Ref)
                made = image.assemble(ref, self.refs, self.remote)
                manifest = made.manifest
                records.append((manifest.to_json(), manifest.media_type, made.config_bytes, (), made.size))
            executor.finish()
        except Exception as error:
            executor.settle()  # the next try finds what was finished
            try:
                if self.engine.failed is not None:
                    from pywerf.build.introspection import look_into_failure

                    look_into_failure(session, self.engine, error)
            finally:
                self.engine.close()
            raise
        self.engine.close()
        stored = [session.store.images.put(*record) for record in records]
        if options.compress_layers:
            from pywerf.build.compressed_layers import compress_layers

            bases = [0 if plan.base is None else len(plan.base.diff_ids) for plan in plans]
            stored = [compress_layers(session, *one) for one in zip(stored, bases, strict=True)]
        return stored

    def _step(self, vertex: Vertex, inputs: tuple[object | None, ...]) -> object:
        try:
            result = self.executor(vertex, inputs)
        except WerfError as error:
            if error.source is None and vertex.source is not None:
                error.source = self.dockerfile.excerpt(vertex.source.first, vertex.source.last)
            raise
        if isinstance(result, Ref):
            self.refs[vertex.definition] = result
        return result

    def _take_turns(self) -> Turns:
        from pywerf.solver.turns import Turns

        with self._lock:
            if self._turns is None:
                self._turns = Turns(self.session.store.step_locks(), self.session.reporter)
            return self._turns

    def _cancel(self) -> None:
        self._take_turns().cancel()
        self.engine.cancel()


def _in_order(targets: Sequence[Vertex | None]) -> list[Vertex]:
    """The vertices with a name, each once, before those that need them."""
    seen: set[str] = set()
    order: list[Vertex] = []

    stack = [(last, False) for last in reversed(targets) if last is not None]
    while stack:
        vertex, done = stack.pop()
        if done:
            order.append(vertex)
        elif vertex.definition not in seen:
            seen.add(vertex.definition)
            stack.append((vertex, True))
            stack.extend((item, False) for item in reversed(vertex.inputs) if item is not None)
    return [vertex for vertex in order if vertex.name]


def _jobs(options: BuildOptions) -> int:
    if options.stdin and not options.jobs:
        return 1  # so that steps read in the order in which they stand
    return options.jobs or max(_JOBS, os.cpu_count() or 1)


def _stdin(session: Session, options: BuildOptions) -> int | None:
    """The descriptor that RUN reads from; None: nothing. Steps at once would take the lines from one another."""
    if not options.stdin:
        return None
    if options.jobs > 1:
        session.reporter.message("warning", f"--stdin: with --jobs {options.jobs} steps read from /dev/null")
        return None
    return 0


def hooks_of(session: Session, options: BuildOptions) -> tuple[Hook, ...]:
    """The OCI hooks that the flags name. Raises UsageError, IsolationError where nothing runs them."""
    if not options.hooks_dirs:
        return ()
    from pywerf.isolation.hooks import read_hooks

    if session.choice.runtime is None:
        raise IsolationError(
            "--hooks-dir: chroot isolation runs no hooks, which are an OCI runtime's", hint="--isolation oci does"
        )
    return read_hooks(options.hooks_dirs)


def _volumes(flags: tuple[str, ...]) -> tuple[Volume, ...]:
    if not flags:
        return ()
    from pywerf.build.volumes import parse_volume

    return tuple(parse_volume(flag) for flag in flags)
