"""Which backend builds: what WERF_BUILDAH_MODE says, or Docker when its daemon answers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pywerf.errors import RegistryError

__all__ = ["Selected", "select_backend"]


class Selected(msgspec.Struct, frozen=True):
    """`docker`, or the embedded engine in `mode`; `line` is what has to be said of the choice, or empty."""

    docker: bool
    mode: str = ""
    line: str = ""


def select_backend(mode: str, environ: Mapping[str, str]) -> Selected:
    """Choose by the mode (`--buildah-mode` or its variable). A daemon is asked only when that decides something.

    Raises RegistryError when the mode is `docker` and there is no daemon. Unknown modes are the engine's to refuse.
    """
    if mode not in ("", "docker"):
        return Selected(False, mode)
    from pywerf.backend.docker.daemon import probe

    missing = probe(environ)
    if missing is None:
        return Selected(True)
    if mode == "docker":
        own = f"{missing.hint}; " if missing.hint else ""
        raise RegistryError(missing.message, hint=f"{own}WERF_BUILDAH_MODE=auto needs no daemon") from missing
    return Selected(False, "auto", f"no Docker daemon ({missing.message}): building with the embedded engine")
