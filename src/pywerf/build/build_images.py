"""`werf buildah build`: from options to tagged images."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.bases import Bases
from pywerf.build.contexts import Contexts, Given, parse_named
from pywerf.build.grants import Grants
from pywerf.build.names import full_name
from pywerf.build.options import BuildOptions, Output
from pywerf.build.resolver import BuildResolver
from pywerf.build.work import OneImage, Work, given_build_args, hooks_of
from pywerf.errors import BuildError
from pywerf.frontend.dockerfile.convert import Converter, Settings
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform, host_platform

if TYPE_CHECKING:
    from pywerf.build.remote.work import RemoteWork
    from pywerf.build.session import Session
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.store.images import ImageRecord

__all__ = ["BuildResult", "build"]


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
        contexts = Contexts(
            *(session.store, stack, options.context, named, options.ignorefile, given, grants),
            cpp_flags=options.cpp_flags,
            warn=partial(session.reporter.message, "warning"),
        )
        data, filename = contexts.dockerfiles(options.files)
        dockerfile = parse(data, filename)
        bases = session.bases(options.pull)
        hooks = hooks_of(session, options)
        platforms = _platforms(session, options, contexts, bases, dockerfile)
        images = [OneImage(session, options, contexts, bases) for _ in platforms]
        for image, platform in zip(images, platforms, strict=True):
            image.make_plan(dockerfile, data, platform, many=len(platforms) > 1)
        if remote is not None:
            remote.begin([image.plan for image in images], bases)
        while True:
            work = Work(session, options, contexts, bases, dockerfile, filename, remote, hooks)
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


def _write_log(
    session: Session,
    options: BuildOptions,
    work: Work,
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
