"""One run of the command line: its global flags, its reporter, the way to its session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import msgspec

from pywerf.build.options import EngineOptions, RegistryOptions
from pywerf.cli.declare import BOOL, WHOLE, Choice, FlagSpec
from pywerf.errors import ImageNotFound, UsageError
from pywerf.report.verbosity import ProgressMode, Verbosity

if TYPE_CHECKING:
    import click

    from pywerf.backend.shells import State
    from pywerf.build.session import Session
    from pywerf.oci.platform import Platform
    from pywerf.report.events import Reporter
    from pywerf.store.images import ImageRecord

__all__ = [
    "Invocation",
    "engine_flags",
    "further_log_flags",
    "invocation",
    "log_flags",
    "log_time_flags",
    "plain_log_flags",
    "platform_image",
    "progress_flags",
    "split_name",
]

F = TypeVar("F", bound=Callable[..., Any])

# buildah's --log-level to ours; buildah's own default `warn` tells as little as our normal view.
_LOG_LEVELS: dict[str, Verbosity] = {
    "trace": "debug",
    "debug": "debug",
    "info": "verbose",
    "warn": "normal",
    "warning": "normal",
    "error": "quiet",
    "fatal": "quiet",
    "panic": "quiet",
}


RFC_3339 = "2006-01-02T15:04:05Z07:00"
"""The default of `--log-time-format`, in Go's manner."""


class Invocation:
    """What all commands of one run share; click keeps it as the context's `obj`.

    `session_class` is the class of the engine's sessions, or None for pywerf's own. `settings` are
    the global flags by name. `secrets` are texts that must not be printed, whatever happens.
    """

    def __init__(self, session_class: Any = None) -> None:
        self.session_class = session_class
        self.settings: dict[str, Any] = {}
        self.from_command_line: set[str] = set()
        self.secrets: list[str] = []
        self.failure_code: int | None = None
        self.passes_status = False

    def set(self, name: str, value: Any, *, given: bool) -> None:
        """Keep a global flag: the command line (`given`) beats variables, the innermost command beats its groups."""
        if given:
            self.settings[name] = value
            self.from_command_line.add(name)
        elif name not in self.from_command_line:
            self.settings[name] = value

    def setting(self, name: str, default: str = "") -> str:
        """A global flag's value as text, or `default`."""
        value = self.settings.get(name)
        return default if value in (None, "") else str(value)

    @property
    def verbosity(self) -> Verbosity:
        """What `--log-*` and `--log-level` come to; the loudest of the werf flags wins."""
        levels: tuple[Verbosity, ...] = ("debug", "verbose", "quiet")
        for level in levels:
            if self.settings.get(f"log_{level}") or self.settings.get(f"plain_{level}"):
                return level
        return _LOG_LEVELS[self.setting("log_level", "warn")]

    @property
    def color(self) -> bool | None:
        """True, False, or None: as the terminal has it."""
        return {"on": True, "off": False}.get(self.setting("log_color_mode", "auto"))

    def _stamp(self) -> Callable[[], str] | None:
        """What gives each line its time, with `--log-time`."""
        if not self.settings.get("log_time"):
            return None
        from datetime import datetime

        from pywerf.config.template.sprig.go_time import format_time

        layout = self.setting("log_time_format", RFC_3339)
        return lambda: format_time(layout, datetime.now().astimezone(), 0)

    @property
    def engine(self) -> EngineOptions:
        """The engine's options from the global flags."""
        return EngineOptions(
            root=self.setting("root"),
            mode=self.setting("buildah_mode"),
            storage_driver=self.setting("storage_driver"),
            storage_opts=tuple(self.settings.get("storage_opt") or ()),
            ulimits=tuple(self.settings.get("buildah_ulimit") or ()),
            runtime=self.setting("runtime"),
            runtime_flags=tuple(self.settings.get("runtime_flag") or ()),
            keep_bundles=self.verbosity == "debug",
        )

    @contextmanager
    def reporter(
        self,
        *,
        quiet: bool = False,
        logfile: str = "",
        split: Sequence[Platform] | None = None,
        prompts: bool = False,
        trace: str = "",
    ) -> Iterator[Reporter]:
        """The view that the flags ask for, closed at the end. It writes to stderr, or adds to `logfile`.

        With `split` (the platforms that are known) what belongs to a platform goes to a file of its own beside it.
        With `prompts` a command may ask for something on the terminal: its question is shown before its line ends.
        `trace` names a file for the time line, as well.
        """
        from pywerf.report.views import make_reporter

        mode = cast(ProgressMode, "quiet" if quiet else self.setting("progress", "auto"))
        prompts = prompts and sys.stdin.isatty()
        with ExitStack() as files:

            def to(path: str) -> Reporter:
                stream: TextIO = files.enter_context(_log(path)) if path else sys.stderr
                return make_reporter(
                    mode, stream, self.verbosity, color=self.color, stamp=self._stamp(), prompts=prompts
                )

            view = to(logfile)
            if split is not None:
                from pywerf.report.split import SplitReporter

                view = SplitReporter(view, lambda platform: to(split_name(logfile, platform)), split)
            if trace:
                from pywerf.report.trace import TraceReporter

                view = TraceReporter(view, trace)
            try:
                yield view
            finally:
                view.close()

    @contextmanager
    def session(
        self,
        reporter: Reporter | None = None,
        *,
        registry: RegistryOptions | None = None,
        isolation: str = "",
        introspect: tuple[State, ...] = (),
    ) -> Iterator[Session]:
        """An open session of the engine. Without a reporter: a view that tells warnings only."""
        session_class: type[Session] | None = self.session_class
        if session_class is None:
            if sys.platform != "linux":  # the engine's modules cannot even be imported there
                from pywerf.isolation.ladder import check_platform

                check_platform(sys.platform)
            from pywerf.build.session import Session

            session_class = Session
        options = self.engine
        if registry is not None:
            options = msgspec.structs.replace(options, registry=registry)
        if isolation or introspect:
            options = msgspec.structs.replace(options, isolation=isolation, introspect=introspect)
        if reporter is not None:
            with session_class.open(options, reporter) as session:
                yield session
            return
        with self.reporter(quiet=True) as own, session_class.open(options, own) as session:
            yield session


def split_name(logfile: str, platform: Platform) -> str:
    """The log of one platform, as buildah calls it."""
    return f"{logfile}_{platform.os}_{platform.architecture}"


def _log(path: str) -> TextIO:
    try:
        return open(path, "a", encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"--logfile {path}: {error.strerror}") from error


def invocation(ctx: click.Context) -> Invocation:
    """The run that `ctx` belongs to."""
    found = ctx.find_object(Invocation)
    if found is None:
        raise RuntimeError("the command line was started without an Invocation")
    return found


def platform_image(session: Session, name: str) -> ImageRecord:
    """The image of a name; of a manifest list the image for this machine. Raises ImageNotFound."""
    record = session.find_image(name)
    if not record.is_index:
        return record
    chosen = session.store.images.get(session.image_manifest(record).config.digest)
    if chosen is None:
        raise ImageNotFound(name, hint="it is a manifest list, and its image for this machine is not here")
    return chosen


def _global(*declarations: str, **attrs: Any) -> Callable[[F], F]:
    return FlagSpec(declarations, shared=True, **attrs)


def _all_of(flags: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    def add(function: F) -> F:
        for one in reversed(flags):
            function = one(function)
        return function

    return add


def log_flags(function: F) -> F:
    """`--log-quiet`, `--log-verbose`, `--log-debug`, `--log-color-mode`, and buildah's `--log-level`."""
    boolean: dict[str, Any] = {"type": BOOL, "bare": "true", "metavar": "", "default": None}
    return _all_of(
        [
            _global("--log-quiet", help="Tell warnings and errors only.", env=("WERF_QUIET",), **boolean),
            _global("--log-verbose", help="Tell more.", env=("WERF_VERBOSE",), **boolean),
            _global(
                "--log-debug", help="Tell everything; errors with their traceback.", env=("WERF_DEBUG",), **boolean
            ),
            _global(
                "--log-color-mode",
                type=Choice(["auto", "on", "off"]),
                help="Colours: auto (on a terminal), on or off.",
            ),
            _global(
                "--log-level",
                type=Choice(list(_LOG_LEVELS)),
                metavar="LEVEL",
                help="trace, debug, info, warn, error, fatal or panic, as buildah has them.",
            ),
        ]
    )(function)


def plain_log_flags(function: F) -> F:
    """`--quiet`, `--verbose`, `--debug`: other names of `--log-…` for commands of projects."""
    boolean: dict[str, Any] = {"type": BOOL, "bare": "true", "metavar": "", "default": None, "hidden": True}
    levels = ("quiet", "verbose", "debug")
    return _all_of([_global(f"--{level}", f"plain_{level}", **boolean) for level in levels])(function)


def log_time_flags(function: F) -> F:
    """`--log-time`, `--log-time-format`."""
    return _all_of(
        [
            _global("--log-time", type=BOOL, bare="true", metavar="", default=None, help="Begin lines with the time."),
            _global("--log-time-format", metavar="LAYOUT", help=f"Go's layout of the time ({RFC_3339})."),
        ]
    )(function)


def further_log_flags(function: F) -> F:
    """What upstream's commands take beside `log_flags`. Boxes and width concern builds alone, so help hides them."""
    return _all_of(
        [
            log_time_flags,
            plain_log_flags,
            _global("--log-pretty", type=BOOL, bare="true", metavar="", default=None, hidden=True),
            _global("--log-terminal-width", type=WHOLE, default=None, hidden=True),
        ]
    )(function)


def engine_flags(function: F) -> F:
    """Where the store is and how the engine works: `--root`, `--storage-driver`, `--buildah-*`."""
    return _all_of(
        [
            _global("--root", metavar="DIR", env=("WERF_BUILDAH_ROOT",), help="Directory of the store."),
            _global(
                "--storage-driver",
                "--buildah-storage-driver",
                metavar="DRIVER",
                env=("WERF_BUILDAH_STORAGE_DRIVER",),
                help="Storage driver: overlay or vfs.",
            ),
            _global(
                "--storage-opt",
                metavar="KEY=VALUE",
                multiple=True,
                env=("WERF_BUILDAH_STORAGE_OPT",),
                help="overlay.mount_program=PATH: mount overlay by fuse-overlayfs.",
            ),
            _global("--buildah-mode", metavar="MODE", help="docker, auto, native-chroot or native-rootless."),
            _global(
                "--runtime",
                metavar="NAME|PATH",
                env=("WERF_BUILDAH_RUNTIME", "BUILDAH_RUNTIME"),
                help="OCI runtime of mode native-rootless: crun, runc, kata-runtime or runsc.",
            ),
            _global(
                "--runtime-flag",
                metavar="FLAG",
                multiple=True,
                help="Flag for the OCI runtime, with or without dashes.",
            ),
            _global(
                "--buildah-ulimit",
                metavar="TYPE:SOFT[:HARD]",
                multiple=True,
                help="Limits of all build containers.",
            ),
        ]
    )(log_flags(function))


def progress_flags(function: F) -> F:
    """`--progress`, for commands that take their time."""
    return _global(
        "--progress",
        type=Choice(["auto", "plain", "tty", "quiet", "rawjson"]),
        metavar="MODE",
        env=("BUILDKIT_PROGRESS",),
        help="auto, plain, tty, quiet or rawjson.",
    )(function)
