"""The build checks around a build: warnings while it is made, and `--check` or `--call` instead of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.contexts import Contexts, parse_named
from pywerf.build.grants import Grants
from pywerf.build.resolver import BuildResolver
from pywerf.errors import WerfError
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.platform import Platform, host_platform

if TYPE_CHECKING:
    from pywerf.build.options import BuildOptions
    from pywerf.build.session import Session
    from pywerf.frontend.dockerfile.analysis import Subject
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.frontend.dockerfile.check import CallResult
    from pywerf.frontend.dockerfile.convert import Resolver
    from pywerf.graph.image_plan import ImagePlan
    from pywerf.oci.config import ImageConfig

__all__ = ["call", "warnings_of"]


def warnings_of(
    session: Session,
    dockerfile: Dockerfile,
    data: bytes,
    plan: ImagePlan,
    contexts: Contexts,
    resolver: Resolver,
    options: BuildOptions,
    build_args: dict[str, str],
) -> tuple[str, ...]:
    """What the checks have to say, a line each, as BuildKit shows it during a build.

    Remembered by all that it depends on, so that an unchanged Dockerfile is not looked at again. Raises
    DockerfileError where `# check=error=true` makes warnings errors.
    """
    vertex = "" if plan.vertex is None else plan.vertex.definition
    said = repr((data, sorted(build_args.items()), options.target, str(plan.platform), vertex))
    key = hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()
    kept = session.store.memo.get("checks", key)
    if kept is not None:
        return msgspec.json.decode(kept, type=tuple[str, ...])
    from pywerf.frontend.dockerfile.lint import check

    report = check(dockerfile, _subject(contexts, options, build_args, plan.platform, _configs(resolver)))
    if report.violation is not None:
        raise report.violation
    lines = tuple(warning.summary for warning in report.warnings)
    session.store.memo.put("checks", key, msgspec.json.encode(lines))
    return lines


def call(session: Session, options: BuildOptions, method: str, build_args: dict[str, str]) -> CallResult:
    """What `--call METHOD` prints: check, outline or targets, with `,format=json` for JSON. Raises WerfError."""
    from pywerf.frontend.dockerfile import check

    with ExitStack() as stack:
        named = parse_named(options.build_contexts)
        grants = Grants(options.secrets, options.ssh)
        contexts = Contexts(
            session.store,
            stack,
            options.context,
            named,
            options.ignorefile,
            grants=grants,
            cpp_flags=options.cpp_flags,
            warn=partial(session.reporter.message, "warning"),
        )
        data, filename = contexts.dockerfiles(options.files)
        resolver = BuildResolver(session, contexts, session.bases(options.pull))
        platform = options.platforms[0] if options.platforms else host_platform()
        subject = _subject(contexts, options, build_args, platform, _configs(resolver))
        return check.call(method, parse(data, filename), subject)


def _subject(
    contexts: Contexts,
    options: BuildOptions,
    build_args: dict[str, str],
    platform: Platform,
    base_image: Callable[[str, Platform], ImageConfig | None],
) -> Subject:
    from pywerf.frontend.dockerfile.analysis import Subject

    return Subject(
        build_args,
        options.target,
        host_platform(),
        platform,
        base_image,
        contexts.ignored_paths(options.files[0] if len(options.files) == 1 else ""),
        contexts=frozenset(contexts.named),
    )


def _configs(resolver: Resolver) -> Callable[[str, Platform], ImageConfig | None]:
    def config(name: str, platform: Platform) -> ImageConfig | None:
        from pywerf.frontend.dockerfile.convert import BaseImage

        try:
            found = resolver.context(name, platform) or resolver.image(name, platform)
        except WerfError:
            return None  # a check does not need the image: it says less without it
        return found.config if isinstance(found, BaseImage) else None

    return config
