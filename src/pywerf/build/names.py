"""Names of images as users write them, and the full references under which the store keeps them."""

from __future__ import annotations

from pywerf.errors import InvalidReference
from pywerf.oci.reference import DEFAULT_REGISTRY, Reference

__all__ = ["LOCAL_HOST", "full_name", "local_candidates"]

LOCAL_HOST = "localhost"


def full_name(text: str) -> str:
    """What `-t` and `tag` name: `app` is `localhost/app:latest`, as buildah has it. Raises InvalidReference."""
    reference = Reference.parse(text.removeprefix("docker://"))
    if reference.digest is not None:
        raise InvalidReference(f"{text}: a name that is given to an image cannot have a digest")
    if not reference.host:
        reference = reference.with_host(LOCAL_HOST)
    return str(reference.tagged())


def local_candidates(text: str) -> list[str]:
    """The full names that a name may stand for in the store, in the order to try, and the text itself (an id)."""
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return [text]
    if reference.digest is not None:
        return [text, str(reference.digest)]
    if reference.host:
        return [str(reference.tagged())]
    tagged = reference.tagged()
    return [str(tagged.with_host(LOCAL_HOST)), str(tagged.with_host(DEFAULT_REGISTRY)), text]
