"""Blobs on their way in: verified while they stream, resumed where a connection broke."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pywerf.errors import RegistryError
from pywerf.oci.descriptor import Descriptor
from pywerf.registry.http import body_chunks
from pywerf.registry.retry import Broken
from pywerf.registry.session import Answer, RegistrySession
from pywerf.registry.verify import closing, skipping, verified

__all__ = ["blob"]

# So many bytes since the last failure are progress: a connection that breaks all the time still gets there.
PROGRESS = 64 << 10


def blob(
    session: RegistrySession, path: str, descriptor: Descriptor, *, scopes: Iterable[str], what: str
) -> Iterator[bytes]:
    """Chunks of the blob at `path`. Nothing is asked for before the first one is."""
    return verified(_resumed(session, path, descriptor.size, tuple(scopes), what), descriptor, what)


def _resumed(session: RegistrySession, path: str, size: int, scopes: tuple[str, ...], what: str) -> Iterator[bytes]:
    patience = session.patience()
    done = 0
    since = 0
    while True:
        try:
            rest = _rest(session, path, done, size, scopes, what)
            with closing(rest):
                for chunk in rest:
                    done += len(chunk)
                    since += len(chunk)
                    yield chunk
            return
        except Broken as broken:
            if since >= PROGRESS:
                patience.progressed()
            since = 0
            patience.wait_after(broken)


def _rest(
    session: RegistrySession, path: str, done: int, size: int, scopes: tuple[str, ...], what: str
) -> Iterator[bytes]:
    """The blob from byte `done` on. A server that knows no ranges sends it whole: then its beginning is dropped."""
    headers = {"Range": f"bytes={done}-"} if done else {}
    expect = (200, 206) if done else (200,)
    answer = session.attempt("GET", path, scopes=scopes, what=what, headers=headers, expect=expect)
    chunks = body_chunks(answer.response, what, answer.url)
    total = done
    if answer.status == 206:
        _check_range(answer, done, what)
    else:
        chunks = skipping(chunks, done)
    with closing(chunks):
        for chunk in chunks:
            total += len(chunk)
            yield chunk
    if total < size and not answer.header("Content-Length"):
        # the only sign of a broken connection, when the length was not announced
        raise Broken(RegistryError(f"{what}: {session.host} closed the connection too early"), transient=True)


def _check_range(answer: Answer, start: int, what: str) -> None:
    unit, _, rest = answer.header("Content-Range").partition(" ")
    if unit != "bytes" or rest.partition("-")[0].strip() != str(start):
        answer.response.close()
        raise Broken(RegistryError(f"{what}: the registry sent another range than asked for"), transient=False)
