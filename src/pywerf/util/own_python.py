"""How processes of this Python interpreter are started that load nothing but the standard library and this package."""

from __future__ import annotations

import os
import sys

__all__ = ["command", "environment"]


def command(code: str, *arguments: str | bytes) -> list[str | bytes]:
    """The words for posix_spawn(3) of `sys.executable`. The code finds `arguments` from sys.argv[2] on."""
    packages = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = f"import sys; sys.path.append(sys.argv[1]); {code}"
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", code, packages, *arguments]


def environment(*names: str) -> dict[str, str]:
    """The variables of that name, with what finds a shared libpython: nothing else concerns such a process."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH", *names) if name in os.environ}
