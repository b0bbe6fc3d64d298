"""When images were last used by builds of projects, which neither backend knows of what a build has merely found.

used = LastUse(home)
used.note(image.hex)       # by builds
used.of(image.hex)         # by `werf host cleanup`: seconds since 1970
"""

from __future__ import annotations

import contextlib
import os
import time

__all__ = ["LastUse"]

_TOUCH_AFTER = 3600.0


class LastUse:
    """An empty file for each image below `HOME/local_cache/image-use`; its time is that of the use, to the hour.

    Any thread and any process may call. The files may be deleted at any time; where none can be written, none is.
    """

    def __init__(self, home: str) -> None:
        self._folder = os.path.join(home, "local_cache", "image-use")

    def note(self, image: str) -> None:
        """An image (its id in hexadecimal digits) is used now."""
        path = self._path(image)
        with contextlib.suppress(OSError):
            try:
                if os.stat(path).st_mtime < time.time() - _TOUCH_AFTER:
                    os.utime(path)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))

    def of(self, image: str) -> float:
        """When an image was used last; 0 when nothing is known."""
        try:
            return os.stat(self._path(image)).st_mtime
        except OSError:
            return 0.0

    def _path(self, image: str) -> str:
        digits = image.removeprefix("sha256:")
        return os.path.join(self._folder, digits[:2], digits)
