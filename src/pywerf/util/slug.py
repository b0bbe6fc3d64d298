"""Slugs: names made of any text that are valid as a tag, a project's name, a release or a namespace.

A text that is valid stays. Any other is mapped to lower-case ASCII, cut, and gets a hash of the whole
text, so that two texts that look alike keep different slugs.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from pywerf.util.murmur3 import murmur3_hex

__all__ = ["SLUG_KINDS", "SlugKind", "is_docker_tag", "slug", "slugify"]

SlugKind = Literal["docker-tag", "project", "helm-release", "kubernetes-namespace"]

_DOCKER_TAG = r"[\w][\w.-]*"
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# kind -> (what is valid, the most characters)
_KINDS: dict[SlugKind, tuple[str, int]] = {
    "docker-tag": (_DOCKER_TAG, 128),
    "project": (_DNS_LABEL, 50),
    "helm-release": (rf"{_DNS_LABEL}(\.{_DNS_LABEL})*", 53),
    "kubernetes-namespace": (_DNS_LABEL, 63),
}

SLUG_KINDS = tuple(_KINDS)

# What Unicode's decomposition does not say.
_LETTERS = {
    **dict.fromkeys("Ææ", "ae"),
    **dict.fromkeys("Œœ", "oe"),
    **dict.fromkeys("Þþ", "th"),
    **dict.fromkeys("ØøÐð", "o"),
    **dict.fromkeys("Łł", "l"),
    **dict.fromkeys("Đđ", "d"),
    **dict.fromkeys("Ħħ", "h"),
    **dict.fromkeys("Ŧŧ", "t"),
    "Ð": "d",
    "ß": "b",
    "ı": "l",
    "İ": "l",
    "ĸ": "k",
    "×": "x",
}
_CYRILLIC = "аa бb вv гg дd еye ёyo жzh зz иi йj кk лl мm нn оo пp рr сs тt уu фf хh цc чch шsh щshch ъ ыy ь эe юyu яya"
_LETTERS |= {letter[0]: letter[1:] for letter in _CYRILLIC.split()}
_DASHES = frozenset("&(){}[]-_,.;:=+<>~/ ")


def slugify(text: str) -> str:
    """Lower-case ASCII letters, digits and single dashes inside; what has no equivalent is dropped."""
    mapped = "".join(_map(character) for character in text)
    return re.sub("-+", "-", mapped).strip("-")


def slug(text: str, kind: SlugKind) -> str:
    """`text` itself where it is valid for its purpose, else a slug of it with a hash, within the purpose's length."""
    pattern, longest = _KINDS[kind]
    if not text or (len(text) <= longest and re.fullmatch(pattern, text, re.ASCII)):
        return text
    hashed = murmur3_hex(text)
    kept = slugify(text)[: longest - len(hashed) - 1]
    return f"{kept}-{hashed}" if kept else hashed


def is_docker_tag(text: str) -> bool:
    """Whether a registry takes `text` as a tag (distribution-spec, pulling manifests)."""
    return len(text) <= 128 and re.fullmatch(_DOCKER_TAG, text, re.ASCII) is not None


def _map(character: str) -> str:
    if character in _DASHES:
        return "-"
    found = _LETTERS.get(character)
    if found is None:
        found = _LETTERS.get(character.lower()) if not character.isascii() else None
    if found is not None:
        return found
    plain = unicodedata.normalize("NFKD", character)
    return "".join(
        "-" if part in _DASHES else part.lower()
        for part in plain
        if part in _DASHES or (part.isascii() and part.isalnum())
    )
