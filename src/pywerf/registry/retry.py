"""When a request is made again, and how long is waited before that."""

from __future__ import annotations

import time
from collections.abc import Callable

from pywerf.errors import RegistryError

__all__ = ["Broken", "Patience", "is_transient", "retry_after"]

MAX_WAIT = 60.0


class Broken(Exception):
    """An attempt that failed; never leaves this package.

    `error` is what the caller is told when nobody tries again; `transient` whether another attempt may
    help; `wait` what the server asked for, in seconds; `certificate` whether the server's certificate
    was refused (then plain HTTP is not tried either).
    """

    def __init__(
        self, error: RegistryError, *, transient: bool, wait: float | None = None, certificate: bool = False
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.transient = transient
        self.wait = wait
        self.certificate = certificate


def is_transient(status: int) -> bool:
    """Whether an HTTP status may be gone a moment later."""
    return status in (408, 429) or (status >= 500 and status not in (501, 505))


def retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110, 10.2.3), or None; never negative."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(min(int(value.strip()[:9]), 10**6))
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


class Patience:
    """Counts the attempts of one job, and sleeps between them: exponential back-off with jitter, or `delay` seconds."""

    __slots__ = ("_backoff", "_delay", "_left", "_retries", "_sleep", "_used")

    def __init__(
        self,
        retries: int,
        backoff: float,
        sleep: Callable[[float], None] = time.sleep,
        *,
        delay: float | None = None,
    ) -> None:
        self._sleep = sleep
        self._delay = delay
        self._retries = retries
        self._left = retries
        self._used = 0
        self._backoff = backoff

    def wait_after(self, broken: Broken) -> None:
        """Sleep before the next attempt, or raise the error when there is none."""
        if not broken.transient or self._left <= 0:
            raise broken.error from broken.__cause__
        if broken.wait is not None and broken.wait > MAX_WAIT:
            raise broken.error from broken
        self._left -= 1
        if self._delay is not None:
            self._sleep(max(self._delay, broken.wait or 0.0))
            return
        import random

        wait = self._backoff * 2.0**self._used
        self._used = min(self._used + 1, 10)
        wait *= random.uniform(0.75, 1.25)  # so that many builds do not come back at the same moment
        if broken.wait is not None:
            wait = max(wait, broken.wait)
        self._sleep(min(wait, MAX_WAIT))

    def progressed(self) -> None:
        """Something was achieved since the last failure: the count starts anew."""
        self._left = self._retries
        self._used = 0
