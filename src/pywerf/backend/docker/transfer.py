"""Images in and out of the daemon: pull, push, archives."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any
from urllib.parse import urlencode

from pywerf.backend.contract import ImageDetails
from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.errors import explain
from pywerf.backend.docker.images import DockerImages, daemon_name, split_tag
from pywerf.backend.docker.progress import Steps
from pywerf.backend.docker.recast import Recaster
from pywerf.backend.docker.stream import events
from pywerf.backend.docker.to_its_end import to_its_end
from pywerf.errors import BuildError, ImageNotFound, StoreError
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

__all__ = ["DockerTransfer"]

_CHUNK = 1 << 20
_SETTLE = 5  # tenths of a second that a push may take to stop
_PUSHED = re.compile(r"\S+: digest: (sha256:[0-9a-f]{64}) size: ")
_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)")


class DockerTransfer:
    """ImageTransfer of a daemon."""

    def __init__(self, daemon: Daemon, images: DockerImages, recaster: Recaster, steps: Steps) -> None:
        self._daemon = daemon
        self._images = images
        self._recaster = recaster
        self._steps = steps

    def pull(self, name: str, *, platform: Platform | None = None) -> Digest:
        """ImageTransfer."""
        repository, tag = split_tag(name)
        asked = {"fromImage": repository, "tag": tag, **({} if platform is None else {"platform": str(platform)})}
        self._follow(f"/images/create?{urlencode(asked)}", f"pulling {name}", name)
        return self._images.inspect(name).id

    def push(self, name: str, destination: str = "") -> Digest:
        """ImageTransfer. A name that the image has only for this is taken away again."""
        target = daemon_name(destination or name)
        own = self._images.inspect(name)
        words = f"pushing {target}"
        with ExitStack() as stack:
            if target not in {daemon_name(known) for known in own.names}:
                stack.enter_context(self._lent(target, own, words))
            repository, tag = split_tag(target)
            found = self._follow(f"/images/{repository}/push?{urlencode({'tag': tag})}", words, target)
        if found is None:
            raise BuildError(f"{words}: the daemon did not tell the digest")
        return found

    @contextmanager
    def _lent(self, target: str, image: ImageDetails, words: str) -> Iterator[None]:
        """A name that an image has within; whoever had it before gets it back."""
        replaced = self._images.holder(target)
        try:
            to_its_end(lambda: self._images.tag(str(image.id), [target]))
            yield
        except BaseException:
            self._take_back(target, image, words, replaced)
            # a push that was given up may be noted in the daemon a moment later
            repository = target.rpartition(":")[0]
            for _ in range(_SETTLE):
                time.sleep(0.1)
                self._images.forget_digests(str(image.id), repository)
            raise
        self._take_back(target, image, words, replaced)

    def _take_back(self, target: str, image: ImageDetails, words: str, replaced: Digest | None) -> None:
        if replaced is not None:
            self._images.tag(str(replaced), [target])
            return
        if not image.names:
            # an image goes with its last name, unless another one takes that from it
            self._images.tag(str(self._recaster.empty(image.platform, words)), [target])
        with suppress(ImageNotFound):
            self._images.remove([target])

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

    def _follow(self, path: str, words: str, image: str) -> Digest | None:
        """Ask for a transfer of layers and tell of it; the digest that a push tells at its end."""
        digest: Digest | None = None
        steps = self._steps.fresh()
        steps.start(words, words)
        try:
            with closing(events(self._daemon, path, None, self._daemon.registry_auth(image), words)) as stream:
                for event in stream:
                    if event.get("error"):
                        raise explain(str(event["error"]), what=words, image=image)
                    digest = _pushed(event) or digest
                    detail = event.get("progressDetail") or {}
                    if detail.get("current"):
                        what = f"{event.get('id', '')} {str(event.get('status', '')).lower()}".strip()
                        steps.progress(words, what, int(detail["current"]), int(detail.get("total") or 0))
        except BaseException as error:
            steps.finish(words, "failed", error=str(error))
            raise
        steps.finish(words, "done")
        return digest


def _pushed(event: Mapping[str, Any]) -> Digest | None:
    """The digest of the manifest, which a daemon tells apart, or (with containerd's image store) in its last line."""
    aux = event.get("aux")
    if isinstance(aux, dict) and aux.get("Digest"):
        return Digest.parse(str(aux["Digest"]))
    match = _PUSHED.match(str(event.get("status") or ""))
    return None if match is None else Digest.parse(match[1])


def _pieces(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise StoreError(f"{path}: {(error.strerror or str(error)).lower()}") from error
