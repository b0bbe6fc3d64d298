"""Images of a project that can be run: they are built, or taken of a report, and the backend has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from pywerf.cli.project_build import chosen_options, opened_project, reported_images
from pywerf.errors import ImageNotFound, UsageError
from pywerf.oci.platform import Platform, host_platform

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.report_file import ReportedImage
    from pywerf.build.project.results import BuiltImage, BuiltPlatform
    from pywerf.build.session import Session
    from pywerf.cli.invocation import Invocation
    from pywerf.util.events import Reporter

__all__ = ["Choose", "Ready", "Select", "known_images", "only_image", "platform_to_run", "ready_images"]


class Select(Protocol):
    """The images that patterns choose of those that there are, which are a project's or a report's."""

    def __call__(self, patterns: Sequence[str] = (), *, final_only: bool = False) -> Sequence[str]:
        """The names, in their order; no pattern: all. Raises UsageError."""
        ...


Choose = Callable[[Select], Sequence[str]]
"""Says which images are meant, by their names."""


def only_image(select: Select, name: str) -> str:
    """The one image that is meant: the one of that name or pattern, or of no name the only final one.

    Raises UsageError.
    """
    found = select((name,)) if name else select(final_only=True)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError("there is no final image", hint="name the image")
    from pywerf.config.werf_yaml.model import shown_name

    raise UsageError(
        "there are several images, and one has to be chosen", hint=f"name one of {', '.join(map(shown_name, found))}"
    )


class Ready:
    """An image that can be run: its name in the backend, and the embedded engine's session (None: Docker has it).

    An ordinary user's session is in a user namespace that a process enters once: there is no second one.
    """

    def __init__(self, name: str, reference: str, backend: Backend) -> None:
        self.name = name
        self.reference = reference
        self.session: Session | None = None
        if backend.name != "docker":
            from pywerf.build.embedded import EmbeddedBackend

            assert isinstance(backend, EmbeddedBackend)
            self.session = backend.session


def known_images(flags: Mapping[str, Any], reporter: Reporter) -> Select:
    """The images that there are, where none is built or run."""
    if flags["use_build_report"]:
        return _select(_reported(flags))
    from pywerf.build.project.project import open_project

    return open_project(chosen_options(flags), reporter).images


@contextmanager
def ready_images(
    run: Invocation, flags: dict[str, Any], choose: Choose, reporter: Reporter
) -> Iterator[tuple[Ready, ...]]:
    """Have the chosen images in the backend, which is open as long as the body runs."""
    if flags["use_build_report"]:
        with _of_report(run, flags, choose, reporter) as ready:
            yield ready
        return
    with opened_project(run, flags, reporter) as opened:
        names = choose(opened.project.images)
        built = {image.name: image for image in (opened.build(names) if names else ())}
        chosen = [(name, platform_to_run(built[name], host_platform())) for name in names]
        backend = opened.backend()
        fetch = opened.repos.main.fetch
        yield tuple(Ready(name, fetch(one.last.id, backend), backend) for name, one in chosen)


def platform_to_run(image: BuiltImage, here: Platform) -> BuiltPlatform:
    """The image's only platform, or this machine's of several. Raises UsageError."""
    by_name = {one.platform: one for one in image.platforms}
    if len(by_name) == 1:
        return image.platforms[0]
    if str(here) not in by_name:
        raise UsageError(
            f"image {image.name} is for {' and '.join(by_name)}, none of which is this machine's",
            hint="choose one with --platform",
        )
    return by_name[str(here)]


@contextmanager
def _of_report(
    run: Invocation, flags: dict[str, Any], choose: Choose, reporter: Reporter
) -> Iterator[tuple[Ready, ...]]:
    from pywerf.build.backends import open_backend
    from pywerf.cli.repo_flags import registry_options

    found = _reported(flags)
    images = [found[name] for name in choose(_select(found))]
    engine = replace(run.engine, registry=registry_options(flags))
    with open_backend(engine, reporter) as backend:
        for image in images:
            try:
                backend.images.inspect(image.reference)
            except ImageNotFound:
                if not image.digest:
                    raise
                backend.transfer.pull(image.reference)
        yield tuple(Ready(image.name, image.reference, backend) for image in images)


def _reported(flags: Mapping[str, Any]) -> dict[str, ReportedImage]:
    return {image.name: image for image in reported_images(flags, (), final_only=False)}


def _select(found: Mapping[str, ReportedImage]) -> Select:
    """The images of a report."""
    from pywerf.build.project.selection import select_names

    def select(patterns: Sequence[str] = (), *, final_only: bool = False) -> Sequence[str]:
        return select_names([name for name, image in found.items() if image.final or not final_only], patterns)

    return select
