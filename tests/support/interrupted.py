"""One call of a Docker backend in a process of its own, that can be interrupted: `python -m support.interrupted JSON`.

Writes `ready` when the call begins. Exit code 0: done; 130: interrupted; anything else: the trace is on stderr.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec

from pywerf.backend.contract import Backend, Stage
from pywerf.backend.docker.backend import DockerBackend
from support.recorder import Recorder

INTERRUPTED = 130


class Call(msgspec.Struct, frozen=True):
    """What is called (`stage`, `rewrite`, `push`, `save`, `pull`, `load`), with what, by which builder."""

    what: str
    builder: str
    image: str
    """The image that is rewritten, pushed, saved; or pulled."""
    destination: str = ""
    """Where to: a name of an image, or a file; for `load` the archive."""

    def run(self, host: str, config: str, seconds: float | None = None) -> tuple[int, float]:
        """The exit code and how long the call took; interrupted after `seconds`."""
        environ = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": config}
        argv = [sys.executable, "-m", "support.interrupted", json.dumps(msgspec.to_builtins(self))]
        tests = os.path.dirname(os.path.dirname(__file__))
        with subprocess.Popen(argv, env=environ, cwd=tests, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first == b"ready\n", f"{first!r}, {process.communicate()[1].decode()}"
            began = time.monotonic()
            if seconds is not None:
                try:
                    process.wait(seconds)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
            _, trace = process.communicate()
        assert process.returncode in (0, INTERRUPTED), f"{process.returncode}: {trace.decode()}"
        return process.returncode, time.monotonic() - began


def call(backend: Backend, wanted: Call) -> Callable[[], object]:
    """What is done."""
    image, destination = wanted.image, wanted.destination

    def stage() -> object:
        script = "dd if=/dev/urandom of=/b bs=1M count=20"
        return backend.stages.run(Stage(image, ("/bin/sh", "-c", script), network="host", tags=(destination,)))

    def rewrite() -> object:
        added = f"B{time.monotonic_ns()}=".encode()
        return backend.configs.rewrite(image, lambda data: data.replace(b"PATH=", added), tags=(destination,))

    return {
        "stage": stage,
        "rewrite": rewrite,
        "push": lambda: backend.transfer.push(image, destination),
        "save": lambda: backend.transfer.save(image, destination),
        "pull": lambda: backend.transfer.pull(image),
        "load": lambda: backend.transfer.load(destination),
    }[wanted.what]


def main() -> int:
    wanted = msgspec.json.decode(sys.argv[1], type=Call)
    with DockerBackend(dict(os.environ), Recorder(), builder=wanted.builder) as backend:
        work = call(backend, wanted)
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            print("ready", flush=True)
            work()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # done: too late
        except KeyboardInterrupt:
            return INTERRUPTED
    return 0


if __name__ == "__main__":
    # not sys.exit: where KeyboardInterrupt met code in a string (a named tuple's, at an import), CPython ends by SIGINT
    # although it was caught
    os._exit(main())
