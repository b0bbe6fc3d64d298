"""Which names of variables promise a secret, so that their values are shown nowhere; and passwords in URLs."""

from __future__ import annotations

import functools
import re

__all__ = ["hide_passwords", "promises_secret"]


def promises_secret(name: str) -> bool:
    """Whether a part of the name is a word for secrets (`GIT_TOKEN`), and none takes it back (`PUBLIC_KEY`)."""
    return bool(_secret_name().search(name)) and not _harmless_name().search(name)


@functools.cache
def _secret_name() -> re.Pattern[str]:
    words = "apikey|auth|credentials?|key|password|pword|passwd|secret|token"
    return re.compile(rf"(?:_|^)(?:{words})(?:_|$)", re.I)


@functools.cache
def _harmless_name() -> re.Pattern[str]:
    return re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.I)


def hide_passwords(text: str) -> str:
    """`text` without the passwords of its URLs (`https://user:***@host/`)."""
    if "@" not in text or "://" not in text:
        return text
    return re.sub(r"(?<=://)([^/\s@:]*):[^/\s@]*@", r"\1:***@", text)
