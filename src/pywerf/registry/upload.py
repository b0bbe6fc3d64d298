"""Blobs on their way out: mounts, single requests, and chunked uploads of what is still being made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlencode

import msgspec

from pywerf.errors import DigestMismatch, RegistryError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks
from pywerf.registry.responses import release
from pywerf.registry.retry import Broken
from pywerf.registry.session import Answer, RegistrySession
from pywerf.registry.verify import exactly, skipping

__all__ = ["Target", "known", "mount", "stream"]

MAX_CHUNK = 64 << 20


class Target(msgspec.Struct, frozen=True):
    """Where blobs go: the paths of a repository's uploads (with slash) and blobs, the scopes, a name for messages."""

    uploads: str
    blobs: str
    scopes: tuple[str, ...]
    what: str


def mount(session: RegistrySession, target: Target, digest: Digest, from_repository: str) -> bool:
    """Try a cross-repository mount; an upload that the registry begins instead is given up. False: send the blob."""
    query = urlencode({"mount": str(digest), "from": from_repository})
    try:
        answer = session.request(
            "POST", f"{target.uploads}?{query}", scopes=target.scopes, what=target.what, body=b"", expect=(201, 202)
        )
    except RegistryError as error:
        # the other repository may be out of our reach, or the registry without mounts: the blob is sent then,
        # and if it is our own repository that we may not write to, that will say so
        if error.status is not None and 400 <= error.status < 500 and error.status != 429:
            return False
        raise
    release(answer.response)
    if answer.status == 201:
        return True
    _give_up(session, target, _location(answer, target))
    return False


def known(session: RegistrySession, target: Target, descriptor: Descriptor, chunks: BlobChunks) -> None:
    """POST, then one PUT with the whole blob. After a failure it goes on where the registry says that it stopped."""
    patience = session.patience()
    location, start = "", 0
    size = descriptor.size
    while True:
        try:
            if not location:
                location = _location(_begin(session, target), target)
            _put(session, target, location, descriptor.digest, start, size, _body(chunks, start, size, target.what))
            return
        except Broken as broken:
            failure = broken
        except Exception:
            if location:
                _give_up(session, target, location)
            raise
        if start and not failure.transient:
            # what an earlier attempt left there may be damaged: once more from the beginning
            failure.transient = True
            _give_up(session, target, location)
            location, start = "", 0
        elif failure.error.code == "DIGEST_INVALID":
            raise DigestMismatch(target.what, str(descriptor.digest), "content of another digest") from failure.error
        patience.wait_after(failure)
        if location:
            if _landed(session, target, descriptor.digest):
                return
            location, start = _progress(session, target, location) or ("", 0)
            if not 0 < start < size:
                location, start = "", 0


def stream(session: RegistrySession, target: Target, chunks: Iterable[bytes]) -> tuple[Digest, int]:
    """POST, a PATCH for each `chunk_size` bytes, PUT. One piece is kept in memory, to be sent again if need be."""
    state = hashlib.sha256()
    sent = filled = 0
    pieces: list[bytes] = []
    location = ""
    limit = session.settings.chunk_size
    try:
        for chunk in chunks:
            state.update(chunk)
            pieces.append(chunk)
            filled += len(chunk)
            if filled >= limit:
                if not location:
                    location, limit = _open(session, target, limit)
                    if filled < limit:
                        continue
                location = _send(session, target, location, pieces, filled, sent, None)
                sent += filled
                pieces, filled = [], 0
        if not location:
            location, _ = _open(session, target, limit)
        digest = Digest.sha256(state.hexdigest())
        _send(session, target, location, pieces, filled, sent, digest)
    except Exception:
        if location:
            _give_up(session, target, location)
        raise
    return digest, sent + filled


def attempt(session: RegistrySession, target: Target) -> None:
    """Begin an upload and end it without a blob: whether it is allowed. Raises RegistryError where it is not."""
    location, _ = _open(session, target, 0)
    _give_up(session, target, location)


def _open(session: RegistrySession, target: Target, limit: int) -> tuple[str, int]:
    """Begin an upload: its location, and the size of its pieces (some registries have a minimum)."""
    patience = session.patience()
    while True:
        try:
            answer = _begin(session, target)
        except Broken as broken:
            patience.wait_after(broken)
            continue
        minimum = answer.header("OCI-Chunk-Min-Length")
        if minimum.isdigit():
            limit = max(limit, min(int(minimum), MAX_CHUNK))
        return _location(answer, target), limit


def _send(
    session: RegistrySession,
    target: Target,
    location: str,
    pieces: list[bytes],
    filled: int,
    sent: int,
    digest: Digest | None,
) -> str:
    """Send one piece that begins at byte `sent`, the last one with the digest; the upload's next location."""
    patience = session.patience()
    offset = 0
    while True:
        body = _pieces(pieces, offset)
        try:
            if digest is not None:
                _put(session, target, location, digest, sent + offset, sent + filled, body)
                return ""
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(filled - offset),
                "Content-Range": f"{sent + offset}-{sent + filled - 1}",
            }
            answer = session.attempt(
                "PATCH",
                location,
                scopes=target.scopes,
                what=target.what,
                headers=headers,
                body=body,
                expect=(201, 202, 204),
            )
            release(answer.response)
            return _location(answer, target)
        except Broken as broken:
            if broken.error.status == 416:  # out of step with the registry: it says where it is
                broken.transient = True
            patience.wait_after(broken)
            if digest is not None and _landed(session, target, digest):
                return ""
            there = _progress(session, target, location)
            if there is not None and there[1] == sent == 0:
                # nothing is there, or one byte: registries say "0-0" of both; a new upload is surely empty
                _give_up(session, target, there[0])
                location, _ = _open(session, target, 0)
                offset = 0
                continue
            if there is None or not sent <= there[1] <= sent + filled:
                raise RegistryError(
                    f"{target.what}: the registry has lost the upload after {sent} bytes",
                    hint="try again; a load balancer before several registries must keep uploads together",
                ) from broken.error
            location, offset = there[0], there[1] - sent
            if offset == filled and digest is None:
                return location


def _begin(session: RegistrySession, target: Target) -> Answer:
    answer = session.attempt("POST", target.uploads, scopes=target.scopes, what=target.what, body=b"", expect=(202,))
    release(answer.response)
    return answer


def _put(
    session: RegistrySession,
    target: Target,
    location: str,
    digest: Digest,
    start: int,
    size: int,
    body: Callable[[], Iterator[bytes]],
) -> None:
    """The request that ends an upload, with its bytes from `start` to `size`."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - start)}
    if 0 < start < size:
        headers["Content-Range"] = f"{start}-{size - 1}"
    url = location + ("&" if "?" in location else "?") + urlencode({"digest": str(digest)})
    answer = session.attempt(
        "PUT",
        url,
        scopes=target.scopes,
        what=target.what,
        headers=headers,
        body=body if start < size else b"",
        expect=(200, 201, 204),
    )
    release(answer.response)


def _progress(session: RegistrySession, target: Target, location: str) -> tuple[str, int] | None:
    """Where an upload goes on and how many bytes it has; None when the registry does not know it any more."""
    try:
        answer = session.request("GET", location, scopes=target.scopes, what=target.what, expect=(200, 202, 204))
    except RegistryError:
        return None
    release(answer.response)
    last = answer.header("Range").removeprefix("bytes=").partition("-")[2]
    # "0-0" is what registries say of an empty upload, too
    count = int(last) + 1 if last.isdigit() and int(last) > 0 else 0
    following = answer.header("Location")
    return (answer.link(following) if following else location), count


def _landed(session: RegistrySession, target: Target, digest: Digest) -> bool:
    """Whether the blob is there already: the answer to its last request may be all that was lost."""
    try:
        answer = session.request(
            "HEAD", f"{target.blobs}{digest}", scopes=target.scopes, what=target.what, expect=(200, 404)
        )
    except RegistryError:
        return False  # not known; then it is sent again, which does no harm
    release(answer.response)
    return answer.status == 200


def _give_up(session: RegistrySession, target: Target, location: str) -> None:
    """Tell the registry that an upload will not go on. It would find out by itself: failure does not matter."""
    try:
        answer = session.attempt("DELETE", location, scopes=target.scopes, what=target.what, expect=range(200, 600))
    except (Broken, RegistryError):
        return
    release(answer.response)


def _location(answer: Answer, target: Target) -> str:
    location = answer.header("Location")
    if not location:
        raise RegistryError(f"{target.what}: the registry does not say where to send the blob (no Location)")
    return answer.link(location)


def _body(chunks: BlobChunks, start: int, size: int, what: str) -> Callable[[], Iterator[bytes]]:
    return lambda: skipping(exactly(chunks(), size, what), start)


def _pieces(pieces: list[bytes], offset: int) -> Callable[[], Iterator[bytes]]:
    return lambda: skipping(pieces, offset)
