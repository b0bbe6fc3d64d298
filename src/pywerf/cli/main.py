"""The `werf` command: finds the sub-command's module, runs it, and is the only place that prints errors.

Exit codes: 0 success; 1 failure; 2 wrong usage; 128 + N after signal N; `werf buildah` fails with 125,
and with the status of the RUN that failed, as buildah does; `werf run` passes on the container's status.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Any, NoReturn

    from pywerf.cli.invocation import Invocation

__all__ = ["main", "run"]


def main() -> None:
    """Entry point of the console script. Does not return."""
    import gc

    # Start-up makes many objects that last, and next to no garbage: looking for it every 700 of them is a waste.
    gc.set_threshold(50_000, 20, 20)
    _leave_at_once(run(sys.argv[1:]))


def _import_msgspec() -> None:
    """Import it without `typing_extensions`, which it prefers to `typing` where it is installed.

    That loads `inspect` and `ast`, a tenth of a cached build, for nothing that Python 3.11 has not.
    """
    if "msgspec" in sys.modules or "typing_extensions" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    modules["typing_extensions"] = None  # makes its import fail
    try:
        import msgspec  # noqa: F401
    finally:
        del modules["typing_extensions"]


def run(args: Sequence[str], *, session_class: Any = None) -> int:
    """Run the command line `args` and return its exit code; errors are printed on stderr.

    `session_class` stands in for the engine's Session (`open` is called on it); None: the engine's own.
    """
    # Asking for the version must not cost the import of click, nor of anything else.
    if len(args) == 1 and args[0] in ("--version", "-v", "version"):
        from pywerf import __version__

        return _guarded(lambda: print(f"werf version {__version__}" if args[0] != "version" else __version__) or 0)
    return _guarded(lambda: _run_command(list(args), session_class))


class _Stop(KeyboardInterrupt):
    """A signal that asks to stop, raised in the main thread; no `except Exception` eats a KeyboardInterrupt."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


def _run_command(args: list[str], session_class: Any) -> int:
    import os

    _import_msgspec()
    from pywerf.cli.app import app
    from pywerf.cli.direct import read
    from pywerf.cli.invocation import Invocation

    invocation = Invocation(session_class)
    with _Signals():
        try:
            if "WERF_ENABLE_PROCESS_EXTERMINATOR" in os.environ:
                from pywerf.cli.exterminator import end_with_parent

                end_with_parent(os.environ)
            call = None if "_WERF_COMPLETE" in os.environ else read(app, args, os.environ)
            result = _run_by_click(args, invocation) if call is None else call(invocation)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            return _failed(error, invocation)
    return result if isinstance(result, int) else 0


def _run_by_click(args: list[str], invocation: Invocation) -> Any:
    """The slow way, which has help, completion, and a message for everything that can be wrong."""
    import os

    from pywerf.cli.app import app
    from pywerf.cli.lazy import as_click_group

    root = as_click_group(app)
    if "_WERF_COMPLETE" in os.environ:
        from pywerf.cli.powershell import add_powershell

        add_powershell()
        root.main(args, prog_name="werf", complete_var="_WERF_COMPLETE", obj=invocation)
    # Not root.main(): it turns KeyboardInterrupt and broken pipes into failures of its own.
    with root.make_context("werf", args, obj=invocation) as context:
        return root.invoke(context)


def _failed(error: BaseException, invocation: Invocation) -> int:
    """Print `error` and say which exit code it means."""
    from pywerf.cli.failures import exit_code, explain, hide_secrets
    from pywerf.errors import ContainerFailed, Interrupted
    from pywerf.report.views import wants_color

    if isinstance(error, KeyboardInterrupt | Interrupted):
        signum = getattr(error, "signum", 2)
        _say("interrupted" if signum == 2 else f"stopped by signal {signum}")
        return 128 + int(signum)
    if "click" in sys.modules:  # else nothing can be click's
        import click

        if isinstance(error, click.exceptions.Exit):
            return error.exit_code
        if isinstance(error, click.Abort):
            _say("aborted")
            return 1
    if invocation.verbosity == "debug":
        import traceback

        _say(hide_secrets("".join(traceback.format_exception(error)), invocation.secrets))
    color = invocation.color if invocation.color is not None else wants_color(sys.stderr)
    if not (isinstance(error, ContainerFailed) and not error.message):
        _say(explain(error, color=color, secrets=invocation.secrets))
    return exit_code(error, failure=invocation.failure_code, passes_status=invocation.passes_status)


def _say(text: str) -> None:
    """Print it on stderr; a terminal that hung up hears nothing, and that is no other failure."""
    import errno

    try:
        print(text, file=sys.stderr)
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def _guarded(body: Callable[[], int]) -> int:
    """Run `body`; end quietly when nobody reads our output any more."""
    try:
        code = body()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        import os

        # The interpreter flushes stdout once more at its end; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13


class _Signals:
    """SIGTERM and SIGHUP stop as Ctrl-C does: by an exception in the main thread, so that all is cleaned up.

    The second signal ends the process at once. Outside of the main thread nothing is changed.
    """

    def __enter__(self) -> None:
        import signal
        import threading

        self._old: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self._old[signum] = signal.signal(signum, self._stop)

    def __exit__(self, *_: object) -> None:
        import signal

        for signum, handler in self._old.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        import signal

        for known in self._old:
            signal.signal(known, signal.SIG_DFL)
        raise _Stop(signum)


def _leave_at_once(code: int) -> NoReturn:
    """End without taking the interpreter apart, which takes longer than many a command, and without waiting for

    worker threads: what was to be finished or cleaned up has been when `run` returns.
    """
    import os

    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads: there is nothing left to tell
    os._exit(code)
