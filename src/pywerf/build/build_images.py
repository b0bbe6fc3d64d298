"""`werf buildah build`: from options to tagged images."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.buildah.assemble import Assembled, assemble
from pywerf.backend.buildah.engine import Engine
from pywerf.backend.buildah.ref import Ref
from pywerf.build.bases import Bases
from pywerf.build.checks import warnings_of
from pywerf.build.container_defaults import container_defaults, resolver
from pywerf.build.contexts import Contexts, Given, parse_named
from pywerf.build.grants import Grants
from pywerf.build.names import full_name
from pywerf.build.options import BuildOptions, Output
from pywerf.build.resolver import BuildResolver
from pywerf.errors import BuildError, WerfError
from pywerf.frontend.dockerfile.convert import Converter, Settings
from pywerf.frontend.dockerfile.parser import parse
from pywerf.graph.image_plan import ImagePlan
from pywerf.graph.vertex import Vertex
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform, host_platform
from pywerf.solver.cache import CachingExecutor
from pywerf.solver.scheduler import solve

if TYPE_CHECKING:
    from pywerf.backend.buildah.volumes import Volume
    from pywerf.build.remote.work import RemoteWork
    from pywerf.build.session import Session
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.solver.turns import Turns
    from pywerf.store.images import ImageRecord

__all__ = ["BuildResult", "build", "given_build_args"]

_JOBS = 4  # commands wait for networks and disks as often as they compute


class BuildResult(msgspec.Struct, frozen=True):
    """`image_id` is the config's digest (of several platforms: the index's); `names` are full references."""

    image_id: Digest
    manifest_digest: Digest
    names: tuple[str, ...]
    platforms: tuple[Platform, ...] = ()
    build_id: str = ""


def build(session: Session, options: BuildOptions, given: Given | None = None) -> BuildResult:
    """Build, store, tag; write --iidfile and --output. Raises WerfError; a build that fails tags nothing.

    `given` stands for the context and the Dockerfile that the options would name.
    """
    began = time.time()
    names = tuple(full_name(tag) for tag in options.tags)
    joins = _list_name(session, options)
    outputs = _checked_outputs(options)
    remote = _remote(session, options)
    with ExitStack() as stack:
        named = parse_named(options.build_contexts)
        grants = Grants(options.secrets, options.ssh)
        contexts = Contexts(session.store, stack, options.context, named, options.ignorefile, given, grants)
        data, filename = contexts.dockerfiles(options.files)
        dockerfile = parse(data, filename)
        bases = session.bases(options.pull)
        platforms = _platforms(session, options, contexts, bases, dockerfile)
        images = [_OneImage(session, options, contexts, bases) for _ in platforms]
        for image, platform in zip(images, platforms, strict=True):
            image.make_plan(dockerfile, data, platform, many=len(platforms) > 1)
        if remote is not None:
            remote.begin([image.plan for image in images], bases)
        while True:
            work = _Work(session, options, contexts, bases, dockerfile, filename, remote)
            try:
                records = work.run(images)
                break
            except Exception as error:
                if remote is not None and remote.try_again():
                    continue
                if remote is not None:
                    remote.close()
                contexts.finish()
                _write_log(session, options, work, began, (), error=error)
                raise
        built = list(zip(platforms, records, strict=True))
        contexts.finish()
    for line in dict.fromkeys(line for image in images for line in image.warnings):
        session.reporter.message("warning", line)
    record = _store_names(session, options, built, names, joins)
    build_id = _write_log(session, options, work, began, (record, *records), names)
    if options.iidfile:
        _write_file(options.iidfile, str(record.id))
    if remote is not None:
        remote.pushed()
    for output in outputs:
        from pywerf.build.outputs import write_output

        write_output(session, record, output, options)
    if remote is not None:
        remote.finish()
    result = BuildResult(record.id, record.manifest_digest, names, tuple(platform for platform, _ in built), build_id)
    if options.metadata_file:
        from pywerf.build.metadata import write_metadata

        write_metadata(session, options.metadata_file, record, result)
    return result


class _OneImage:
    """The image of one Dockerfile for one platform."""

    plan: ImagePlan
    warnings: tuple[str, ...]

    def __init__(self, session: Session, options: BuildOptions, contexts: Contexts, bases: Bases) -> None:
        self.session = session
        self.options = options
        self.contexts = contexts
        self.bases = bases
        self.time = _Times(options)

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


class _Work:
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
    ) -> None:
        self.session = session
        self.options = options
        self.remote = remote
        self.dockerfile = dockerfile
        self.filename = filename
        self.vertices: list[Vertex] = []
        times = _Times(options)
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
            ),
            volumes=_volumes(options.volumes),
            resolver=resolver(options.container),
            clamp=options.clamp,
            epoch=options.source_date_epoch,
            created=times.now,
            secrets=contexts.grants.secret,
            ssh=contexts.grants.agent,
            cache_mounts=None if remote is None else remote.cache_mounts,
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

    def run(self, images: Sequence[_OneImage]) -> list[ImageRecord]:
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
                    jobs=options.jobs or max(_JOBS, os.cpu_count() or 1),
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
        return [session.store.images.put(*record) for record in records]

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


def _write_log(
    session: Session,
    options: BuildOptions,
    work: _Work,
    began: float,
    records: Sequence[ImageRecord],
    names: tuple[str, ...] = (),
    *,
    error: Exception | None = None,
) -> str:
    """Write the build down, and explain it if that was asked for; the id under which it is remembered.

    One in which nothing was done, as in the one before it, is not written down again: it costs one look.
    """
    memo = session.store.memo
    context = os.path.realpath(options.context) if os.path.isdir(options.context) else options.context
    images = tuple(str(record.id) for record in records)
    if work.executor.worked or error is not None:
        signature = f"w{os.urandom(8).hex()}"
    else:
        said = "\0".join((context, work.filename, options.target, *images, *names))
        signature = f"c{hashlib.sha256(said.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
        for last in memo.keys("build", 1):
            if last.endswith(signature) and not options.explain:
                return last
    from pywerf.build.build_log import LoggedBuild, new_id, put, steps_of
    from pywerf.util.secret_names import hide_passwords

    logged = LoggedBuild(
        new_id(signature),
        began,
        time.time() - began,
        work.filename,
        hide_passwords(context),
        options.target,
        images[0] if images else "",
        images[1:] if len(images) > 2 else (),
        names,
        "" if error is None else hide_passwords(str(error)),
        steps_of(work.vertices, work.executor),
    )
    put(session.store, logged)
    if options.explain:
        from pywerf.build.explain import explain, lines

        for line in lines(explain(session.store, logged)):
            session.reporter.message("info", line)
    return logged.id


class _Times:
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


def _base_layers(plan: ImagePlan) -> int:
    return 0 if plan.base is None else len(plan.base.diff_ids)


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


def _volumes(flags: tuple[str, ...]) -> tuple[Volume, ...]:
    if not flags:
        return ()
    from pywerf.build.volumes import parse_volume

    return tuple(parse_volume(flag) for flag in flags)


def _remote(session: Session, options: BuildOptions) -> RemoteWork | None:
    """What is done with remote caches and registries; nothing of it is loaded when no flag asks for it."""
    if not (
        options.cache_from or options.cache_to or any(out.type in ("registry", "image") for out in options.outputs)
    ):
        return None
    from pywerf.build.remote.work import remote_work

    return remote_work(session, options)


def _checked_outputs(options: BuildOptions) -> tuple[Output, ...]:
    if not options.outputs:
        return ()
    from pywerf.build.outputs import check_output

    for output in options.outputs:
        check_output(output, options.tags)
    return options.outputs


def _store_names(
    session: Session,
    options: BuildOptions,
    built: list[tuple[Platform, ImageRecord]],
    names: tuple[str, ...],
    joins: str,
) -> ImageRecord:
    """Name the image, or the index of several; `joins` is a list that they are added to."""
    images = session.store.images
    if joins:
        from pywerf.build.manifest_list import add_to_list

        joined = add_to_list(session, joins, built, options.image_format)
        if len(built) > 1 and not names:
            return joined
    if len(built) == 1:
        record = built[0][1]
        for name in names:
            images.tag(record.id, name)
        return record
    from pywerf.build.platforms import make_index

    return make_index(session, built, names, options.image_format)


def _list_name(session: Session, options: BuildOptions) -> str:
    if not options.manifest:
        return ""
    from pywerf.build.manifest_list import list_name

    return list_name(session, options.manifest)


def _platforms(
    session: Session, options: BuildOptions, contexts: Contexts, bases: Bases, dockerfile: Dockerfile
) -> tuple[Platform, ...]:
    if not options.all_platforms:
        return options.platforms or (host_platform(),)
    from pywerf.build.all_platforms import all_platforms

    settings = Settings(target=options.target, base=options.base, build_args=given_build_args(options))
    converter = Converter(dockerfile, settings, BuildResolver(session, contexts, bases))
    return all_platforms(session, converter.base_images(), options.pull)


def _write_file(path: str, text: str) -> None:
    new = f"{path}.{os.getpid()}.tmp"
    try:
        with open(new, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(new, path)
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}") from error
