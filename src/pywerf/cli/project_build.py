"""What the commands share that build a project's images and then do something with them: flags, and the build."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pywerf.cli.declare import WHOLE, Choice, flag, switch
from pywerf.cli.introspection_flags import introspected_stages, introspected_states
from pywerf.cli.invocation import log_time_flags, plain_log_flags
from pywerf.cli.project_flags import project_options
from pywerf.cli.repo_flags import registry_access, registry_options, repo_options
from pywerf.cli.values import platforms
from pywerf.cli.vendor_flags import check_registry_kinds, vendor_flags_of_builds, vendor_secrets
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.backend.shells import State
    from pywerf.build.backends import LazyBackend
    from pywerf.build.project.operations import Operations
    from pywerf.build.project.options import ProjectOptions
    from pywerf.build.project.project import Project
    from pywerf.build.project.report_file import ReportedImage
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.results import BuiltImage
    from pywerf.cli.invocation import Invocation
    from pywerf.registry.access import RegistryAccess
    from pywerf.util.events import Reporter

__all__ = [
    "OpenedProject",
    "build_flags",
    "built_with_report",
    "chosen_options",
    "opened_project",
    "report_path_flag",
    "reported_images",
    "use_report_flags",
]

_TRUE = ("1", "true")

F = TypeVar("F", bound=Callable[..., Any])

_BUILD_FLAGS: tuple[Callable[[Any], Any], ...] = (
    flag(
        "--platform", multiple=True, split=True, metavar="OS/ARCH[/VARIANT]", help="Platform instead of this machine's."
    ),
    flag(
        "--docker-builder",
        type=Choice(("auto", "buildkit", "classic")),
        default="auto",
        metavar="NAME",
        help="The Docker daemon's builder: buildkit or classic (auto: DOCKER_BUILDKIT, else BuildKit).",
    ),
    flag("--parallel-tasks-limit", type=WHOLE, default=5, metavar="N", help="Images at the same time (0: no limit)."),
    flag("--ssh-key", "ssh_keys", multiple=True, metavar="FILE", help="Key for RUN --mount=type=ssh."),
    switch(
        *("--check-built-images", "--require-built-images", "-Z", "check_built_images"),
        help="Build nothing: fail when a stage is missing.",
    ),
    switch("--virtual-merge", help="The commit is a merge that CI has made to try a branch."),
    switch("--skip-image-spec-stage", hidden=True),
    switch("--log-pretty", default=True, help="Boxes around what is told of an image (true by default)."),
    flag(
        "--log-terminal-width",
        type=WHOLE,
        default=-1,
        metavar="N",
        help="Fold what is told of images (-1: as the terminal).",
    ),
    log_time_flags,
    plain_log_flags,
    vendor_flags_of_builds,
    # Of the deployment that upstream's build shares these with; jobs set their variables for all commands.
    flag("--kube-config", hidden=True),
    flag("--kube-config-base64", hidden=True),
    flag("--kube-context", hidden=True),
    switch("--insecure-helm-dependencies", hidden=True),
)


def build_flags(function: F) -> F:
    """What all of them take; beside it each has `--parallel`, and what names images."""
    for one in reversed(_BUILD_FLAGS):
        function = one(function)
    return function


def report_path_flag(function: F) -> F:
    """`--build-report-path`."""
    return flag("--build-report-path", metavar="FILE", help="File of the report: .json (the default) or .env.")(
        function
    )


def use_report_flags(function: F) -> F:
    """`--use-build-report` and `--build-report-path`."""
    return switch("--use-build-report", help="Take images of a report instead of building them.")(
        report_path_flag(function)
    )


class OpenedProject:
    """A project with all that its images are built by. Nothing is asked of backend or registry before it is needed."""

    def __init__(
        self,
        run: Invocation,
        flags: Mapping[str, Any],
        project: Project,
        backend: LazyBackend,
        repos: Repos,
        access: Callable[[], RegistryAccess],
        reporter: Reporter,
        operations: Operations | None,
        states: tuple[State, ...] = (),
    ) -> None:
        self.invocation = run
        self.flags = flags
        self.project = project
        self.backend = backend
        self.repos = repos
        self.access = access
        self.reporter = reporter
        self._operations = operations
        self.states = states

    def build(self, names: Sequence[str]) -> list[BuiltImage]:
        """Build these images, and what they need; the result has all of them."""
        from pywerf.build.project.building import build_project
        from pywerf.build.project.options import ImageBuildOptions

        flags = self.flags
        stages, terminal = introspected_stages(flags, self.reporter) if "introspect_stages" in flags else ((), False)
        width = flags["log_terminal_width"]
        if width < -1:
            raise UsageError(f"--log-terminal-width {width}: a width, or -1 for that of the terminal")
        options = ImageBuildOptions(
            parallel=flags["parallel"] and not terminal and not self.states,
            limit=flags["parallel_tasks_limit"],
            network=flags["backend_network"],
            ssh=_agents(flags),
            no_cache=flags.get("no_cache", False),
            pull=flags.get("pull", False) is True,  # of `werf run` it says when its own image is pulled
            cache_from=tuple(flags.get("cache_from", ())),
            check_built=flags["check_built_images"],
            skip_image_spec=flags["skip_image_spec_stage"],
            custom_tags=tuple(flags.get("custom_tags", ())),
            pretty=flags["log_pretty"],
            width=_terminal_width() if width == -1 else width,
            introspect=stages,
            terminal=terminal,
        )
        return build_project(self.project, self.backend, self.repos, names, options, self.reporter)

    @property
    def backend_name(self) -> str:
        """docker or buildah: what builds, or would build."""
        if self.backend.opened is not None:
            return self.backend.opened.name
        from pywerf.backend.select import select_backend

        return "docker" if select_backend(self.invocation.engine.mode, os.environ).docker else "buildah"

    def report(self, path: str, names: Sequence[str], built: Sequence[BuiltImage]) -> None:
        """Write the report of the images that were asked for."""
        from pywerf.build.project.report import write_report
        from pywerf.linux.facts import in_container

        chosen = set(names)
        further: dict[str, object] = {}
        if self._operations is not None:
            from pywerf.build.project.operations import stage_cache

            further = {"Operations": self._operations.statistics(), "StageCache": stage_cache(built)}
        write_report(
            path,
            [image for image in built if image.name in chosen],
            {"Backend": self.backend_name, "InContainer": in_container()},
            by_platform=os.environ.get("WERF_ENABLE_REPORT_BY_PLATFORM", "") in _TRUE,
            further=further,
        )


def chosen_options(flags: Mapping[str, Any]) -> ProjectOptions:
    """The options of the project that the flags name."""
    return project_options(flags, tuple(map(str, platforms(flags["platform"], "", "", ""))))


@contextmanager
def opened_project(run: Invocation, flags: Mapping[str, Any], reporter: Reporter) -> Iterator[OpenedProject]:
    """The project that the flags name. Values of secrets are from now on kept out of all output."""
    from pywerf.build.project.find import find_project

    options = chosen_options(flags)
    git = find_project(options)  # a large work tree is looked at by other processes from now on
    from pywerf.build.project.repos import Repos

    check_registry_kinds(flags)
    run.secrets.extend(vendor_secrets(flags))
    registry = registry_options(flags)
    repositories = repo_options(flags)

    @functools.cache
    def access() -> RegistryAccess:
        return stack.enter_context(closing(registry_access(registry)))

    def make() -> AbstractContextManager[Backend]:
        run.secrets.extend(secret_texts(project))
        told: Reporter = reporter
        if run.secrets:
            from pywerf.report.masked import MaskedReporter

            told = MaskedReporter(reporter, run.secrets)
        if begun is not None:
            begun.repository.wait()  # with another thread no user namespace can be entered
        backend = open_backend(engine, told, docker_builder=flags["docker_builder"])
        if operations is None:
            return backend
        from pywerf.build.project.operations import measured

        return measured(backend, operations)

    with ExitStack() as stack:
        begun = Repos.begin(repositories, access)  # and the registry asked by a thread
        _load()
        from pywerf.build.backends import LazyBackend, open_backend
        from pywerf.build.project.image_secrets import secret_texts
        from pywerf.build.project.project import open_project
        from pywerf.report.blocks import BlockReporter
        from pywerf.report.plain import PlainReporter

        if isinstance(reporter, PlainReporter):
            reporter = BlockReporter(reporter)
        project = open_project(options, reporter, git)
        run.secrets.extend(
            secret.value for image in project.config.images for secret in image.secrets if secret.value is not None
        )
        states = introspected_states(flags, reporter) if "introspect_error" in flags else ()
        engine = msgspec.structs.replace(run.engine, registry=registry, introspect=states)
        operations = None
        if run.verbosity == "debug" and flags.get("save_build_report"):
            from pywerf.build.project.operations import Operations

            operations = Operations()
        backend = stack.enter_context(LazyBackend(make))
        repos = stack.enter_context(
            Repos.open(
                repositories,
                project.config.meta.project,
                access=access,
                backend=backend,
                reporter=reporter,
                begun=begun,
            )
        )
        yield OpenedProject(run, flags, project, backend, repos, access, reporter, operations, states)


def _load() -> None:
    """Import what a build needs later on, while others work; then the first look at the work tree waits for them."""
    import yaml  # noqa: F401

    import pywerf.build.project.building
    import pywerf.build.project.image_context
    import pywerf.build.project.rendering  # noqa: F401


def built_with_report(opened: OpenedProject, names: Sequence[str]) -> list[BuiltImage]:
    """Build these images, and what they need, and write the report of them if `--save-build-report` is said."""
    if not opened.flags["save_build_report"]:
        return opened.build(names)
    from pywerf.build.project.report import check_report, report_path

    path = report_path(opened.flags["build_report_path"])
    check_report(path, names)
    built = opened.build(names)
    opened.report(path, names, built)
    return built


def reported_images(flags: Mapping[str, Any], names: Sequence[str], *, final_only: bool) -> list[ReportedImage]:
    """The images of the report that names and patterns choose. Raises UsageError, BuildError."""
    from pywerf.build.project.report import report_path
    from pywerf.build.project.report_file import read_report
    from pywerf.build.project.selection import select_names

    if not flags["build_report_path"]:
        raise UsageError(
            "--use-build-report needs --build-report-path", hint="it names the file that a build has written"
        )
    images = read_report(report_path(flags["build_report_path"]))
    there = [name for name, image in images.items() if image.final or not final_only]
    return [images[name] for name in select_names(there, names)]


def _terminal_width() -> int:
    """How wide the terminal is that is told of images; 0, lines of any length, when it is a file or a pipe."""
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        return 0


def _agents(flags: Mapping[str, Any]) -> tuple[str, ...]:
    """What `--mount=type=ssh` gets: named keys, or the agent of the user if there is one."""
    if flags.get("ssh"):
        return tuple(flags["ssh"])
    if flags["ssh_keys"]:
        return ("default=" + ",".join(os.path.expanduser(key) for key in flags["ssh_keys"]),)
    return ("default",) if os.environ.get("SSH_AUTH_SOCK") else ()
