"""What digests take of base images: asked for once, from the backend or a registry, and remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.dockerfile_digest import BaseConfig
from pywerf.build.project.memo import FileMemo
from pywerf.build.project.storage.model import StageId
from pywerf.errors import RegistryError, WerfError
from pywerf.oci.config import ImageConfig
from pywerf.oci.document import json_decoder
from pywerf.oci.platform import Platform
from pywerf.oci.reference import Reference

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend, ImageDetails
    from pywerf.registry.access import RegistryAccess

__all__ = ["BaseConfigs"]

DAY = 24 * 3600.0


class _Known(msgspec.Struct, frozen=True):
    """What was found out of a base image, and when (seconds since 1970)."""

    config: BaseConfig
    seen: float


class _KnownDigest(msgspec.Struct, frozen=True):
    """The digest of a base image, and when it was found out."""

    digest: str
    seen: float


class BaseConfigs:
    """Configs of base images by name and platform. Safe between threads.

    A name that cannot change its meaning (a stage's, one with a digest) is asked for once, any other once a day, and
    once in a run when `fresh`. `opened` gives the backend if it is open already, `backend` opens it: only when no
    registry has the image.
    """

    def __init__(
        self,
        home: str,
        access: Callable[[], RegistryAccess],
        *,
        opened: Callable[[], Backend | None],
        backend: Callable[[], Backend],
        fresh: bool = False,
    ) -> None:
        self._memo = FileMemo(home, "bases/1")
        self._digests = FileMemo(home, "base-digests/1")
        self._access = access
        self._opened = opened
        self._backend = backend
        self._fresh = fresh
        self._lock = threading.Lock()
        self._found: dict[tuple[str, Platform], BaseConfig] = {}
        self._found_digests: dict[tuple[str, Platform], str] = {}

    def __call__(self, name: str, platform: Platform) -> BaseConfig:
        """The config of an image. Raises RegistryError or what the backend raises."""
        with self._lock:
            known = self._found.get((name, platform))
            if known is None:
                known = self._found[name, platform] = self._remembered(name, platform)
            return known

    def digest(self, name: str, platform: Platform) -> str:
        """The digest of an image's manifest in its registry; where no registry has it, its id here.

        A name that cannot change its meaning is its own digest: nobody is asked. Raises as a call does.
        """
        if _is_fixed(name):
            return name.rpartition("@")[2] if "@" in name else name.rpartition(":")[2]
        with self._lock:
            known = self._found_digests.get((name, platform))
            if known is None:
                known = self._found_digests[name, platform] = self._remembered_digest(name, platform)
            return known

    def _remembered_digest(self, name: str, platform: Platform) -> str:
        key = f"{platform} {name}"
        known: _KnownDigest | None = None
        kept = self._digests.get(key)
        if kept is not None:
            try:
                known = json_decoder(_KnownDigest).decode(kept)
            except (msgspec.DecodeError, UnicodeDecodeError):
                known = None
        if known is not None and not self._fresh and abs(time.time() - known.seen) < DAY:
            return known.digest
        from pywerf.registry.copy import select_manifest

        try:
            found = str(select_manifest(self._access().source(Reference.parse(name)), platform)[0])
        except WerfError:
            if known is not None and not self._fresh:
                return known.digest
            local = _inspected(self._backend(), name, platform)
            if local is None:
                raise
            return str(local.id)
        self._digests.put(key, msgspec.json.encode(_KnownDigest(found, time.time())))
        return found

    def _remembered(self, name: str, platform: Platform) -> BaseConfig:
        key = f"{platform} {name}"
        kept = self._memo.get(key)
        known: _Known | None = None
        if kept is not None:
            try:
                known = json_decoder(_Known).decode(kept)
            except (msgspec.DecodeError, UnicodeDecodeError):
                known = None
        if known is not None and (_is_fixed(name) or (not self._fresh and abs(time.time() - known.seen) < DAY)):
            return known.config
        try:
            found = self._asked(name, platform, known)
        except WerfError:
            if known is None or self._fresh:
                raise
            return known.config  # better than nothing
        self._memo.put(key, msgspec.json.encode(_Known(found, time.time())))
        return found

    def _asked(self, name: str, platform: Platform, known: _Known | None) -> BaseConfig:
        opened = self._opened()
        local = None if opened is None else _local(opened, name, platform)
        if local is not None and not self._fresh:
            return local
        try:
            return self._remote(name, platform)
        except WerfError as error:
            if known is not None and not self._fresh:
                raise
            local = local or _local(self._backend(), name, platform)
            if local is not None:
                return local
            if not isinstance(error, RegistryError):
                raise
            self._backend().transfer.pull(name, platform=platform)  # it may know a way that we do not
            found = _local(self._backend(), name, platform)
            if found is None:
                raise
            return found

    def _remote(self, name: str, platform: Platform) -> BaseConfig:
        from pywerf.registry.copy import select_manifest

        source = self._access().source(Reference.parse(name))
        _, _, _, manifest = select_manifest(source, platform)
        config = ImageConfig.from_json(b"".join(source.blob(manifest.config)), name).config
        return BaseConfig(config.env, config.onbuild)


def _local(backend: Backend, name: str, platform: Platform) -> BaseConfig | None:
    found = _inspected(backend, name, platform)
    return None if found is None else BaseConfig(found.config.env, found.config.onbuild)


def _inspected(backend: Backend, name: str, platform: Platform) -> ImageDetails | None:
    """An image that the backend has for a platform."""
    try:
        found = backend.images.inspect(name)
    except WerfError:
        return None
    return found if found.platform.satisfies(platform) else None


def _is_fixed(name: str) -> bool:
    return "@" in name or StageId.parse(name.rpartition(":")[2]) is not None
