"""Images in and out of the daemon: pull, push, archives."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.errors import explain
from pywerf.backend.docker.images import DockerImages, daemon_name, split_tag
from pywerf.backend.docker.progress import Steps
from pywerf.backend.docker.stream import events
from pywerf.errors import BuildError, ImageNotFound, StoreError
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

__all__ = ["DockerTransfer"]

_CHUNK = 1 << 20
_PUSHED = re.compile(r"\S+: digest: (sha256:[0-9a-f]{64}) size: ")  # all that containerd's image store tells of it
_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)")


class DockerTransfer:
    """ImageTransfer of a daemon."""

    def __init__(self, daemon: Daemon, images: DockerImages, steps: Steps) -> None:
        self._daemon = daemon
        self._images = images
        self._steps = steps

    def pull(self, name: str, *, platform: Platform | None = None) -> Digest:
        """ImageTransfer."""
        repository, tag = split_tag(name)
        words = f"pulling {name}"
        with self._daemon.translated(words, image=name):
            stream = self._daemon.api.pull(
                repository, tag, stream=True, decode=True, platform=None if platform is None else str(platform)
            )
            self._follow(stream, words, name)
        return self._images.inspect(name).id

    def push(self, name: str, destination: str = "") -> Digest:
        """ImageTransfer. A name that the image has only for this is taken away again."""
        target = daemon_name(destination or name)
        own = self._images.inspect(name)
        before = {daemon_name(known) for known in own.names}
        lent = target not in before
        replaced = self._id_of(target) if lent else None
        if lent:
            self._images.tag(name, [target])
        words = f"pushing {target}"
        try:
            repository, tag = split_tag(target)
            with self._daemon.translated(words, image=target):
                found = self._follow(self._daemon.api.push(repository, tag, stream=True, decode=True), words, target)
        finally:
            if lent:
                self._images.remove([target])
                if replaced is not None:
                    self._images.tag(str(replaced), [target])
        if found is None:
            raise BuildError(f"{words}: the daemon did not tell the digest")
        return found

    def _id_of(self, name: str) -> Digest | None:
        try:
            return self._images.inspect(name).id
        except ImageNotFound:
            return None

    def save(self, name: str, path: str) -> None:
        """ImageTransfer. The archive is written beside its place, and renamed when it is whole."""
        from http.client import HTTPException

        self._images.inspect(name)
        what = f"saving {name}"
        asked = urlencode({"names": daemon_name(name)})
        partial = f"{path}.{os.getpid()}.partial"
        connection = self._daemon.connection()
        try:
            connection.request("GET", self._daemon.path(f"/images/get?{asked}"))
            response = connection.getresponse()
            if response.status != 200:
                raise self._daemon.refused(response.status, response.read(1 << 16), what, image=name)
            with open(partial, "wb") as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
            os.rename(partial, path)
        except HTTPException as error:
            raise BuildError(f"{what}: the daemon broke off: {error}") from error
        except OSError as error:
            raise StoreError(f"{what}: {path}: {(error.strerror or str(error)).lower()}") from error
        finally:
            connection.close()
            if os.path.exists(partial):
                os.unlink(partial)

    def load(self, path: str) -> list[Digest]:
        """ImageTransfer."""
        what = f"loading {path}"
        found: list[Digest] = []
        headers = {"Content-Type": "application/x-tar"}
        with closing(events(self._daemon, "/images/load?quiet=1", _pieces(path), headers, what)) as stream:
            for event in stream:
                if event.get("error"):
                    raise explain(str(event["error"]), what=what)
                match = _LOADED.search(str(event.get("stream") or ""))
                if match is not None:
                    found.append(self._images.inspect(match[1]).id)
        if not found:
            raise StoreError(f"{path}: there is no image in it")
        return found

    def _follow(self, stream: Iterable[dict[str, Any]], words: str, image: str) -> Digest | None:
        """Tell the transfer of layers; the digest that a push tells at its end."""
        digest: Digest | None = None
        steps = self._steps.fresh()
        steps.start(words, words)
        try:
            for event in stream:
                if event.get("error"):
                    raise explain(str(event["error"]), what=words, image=image)
                aux = event.get("aux")
                if isinstance(aux, dict) and aux.get("Digest"):
                    digest = Digest.parse(str(aux["Digest"]))
                pushed = _PUSHED.match(str(event.get("status") or ""))
                if pushed is not None:
                    digest = Digest.parse(pushed[1])
                detail = event.get("progressDetail") or {}
                if detail.get("current"):
                    what = f"{event.get('id', '')} {str(event.get('status', '')).lower()}".strip()
                    steps.progress(words, what, int(detail["current"]), int(detail.get("total") or 0))
        except BaseException as error:
            steps.finish(words, "failed", error=str(error))
            raise
        steps.finish(words, "done")
        return digest


def _pieces(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise StoreError(f"{path}: {(error.strerror or str(error)).lower()}") from error
