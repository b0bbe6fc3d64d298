"""Dockerfiles named .in go through the C preprocessor, as buildah sends them (`#include`, `--cpp-flag`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from pywerf.errors import ContextError

__all__ = ["preprocess"]

_FLAGS = "BUILDAH_CPPFLAGS"


def preprocess(data: bytes, path: str, folder: str, flags: Sequence[str], warn: Callable[[str], None]) -> bytes:
    """What cpp(1) makes of a Dockerfile; files that it includes are looked for in `folder`.

    What cpp complains about is warned of and does not end the build: to it every comment (`# …`) of an included file
    is a wrong directive. Raises ContextError when there is no cpp, or nothing came of it.
    """
    import subprocess

    words = ["cpp", "-E", "-iquote", folder, "-traditional", "-undef", "-"]
    words += [*os.environ.get(_FLAGS, "").split(), *flags]
    try:
        done = subprocess.run(words, input=data, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ContextError(f"{path}: Dockerfiles named .in need cpp", hint="apt-get install cpp") from error
    except OSError as error:
        raise ContextError(f"{path}: cpp: {error.strerror}") from error
    said = done.stderr.decode("utf-8", "replace").strip()
    if not done.stdout:
        raise ContextError(f"{path}: cpp made nothing of it (status {done.returncode}): {said or 'it did not say why'}")
    if said:
        warn(f"{path}: cpp: {said}")
    return done.stdout
