"""What lies outside of a Dockerfile, as its frontend asks for it: images, named contexts, sources of ADD."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from pywerf.build.bases import Bases, Found
from pywerf.build.contexts import Contexts, context_name
from pywerf.errors import UsageError
from pywerf.frontend.dockerfile.convert import BaseImage
from pywerf.graph.op import ContextOp, HttpOp
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.build.session import Session

__all__ = ["BuildResolver"]

_IMAGE = "docker-image://"
_LAYOUT = "oci-layout://"


class BuildResolver:
    """The frontend's Resolver for one build."""

    def __init__(self, session: Session, contexts: Contexts, bases: Bases, *, keep_git_dir: bool = False) -> None:
        self._session = session
        self._contexts = contexts
        self._bases = bases
        self._keep_git_dir = keep_git_dir

    def image(self, name: str, platform: Platform) -> BaseImage:
        """See Resolver."""
        return _base_image(self._bases.find(name, platform))

    def context(self, name: str, platform: Platform) -> ContextOp | BaseImage | None:
        """See Resolver."""
        key = context_name(name)
        where = self._contexts.named.get(key)
        if where is None:
            return None
        for prefix in (_IMAGE, "container-image://", "docker://"):
            if where.startswith(prefix):
                return self.image(where.removeprefix(prefix), platform)
        if where.startswith(_LAYOUT):
            return self._layout(where.removeprefix(_LAYOUT), platform)
        return ContextOp(key)

    def _layout(self, where: str, platform: Platform) -> BaseImage:
        from pywerf.build.bases import found_of
        from pywerf.registry.pull import resolve_image

        path, _, digest = where.partition("@")
        folder, colon, tag = path.rpartition(":")
        if not colon or "/" in tag:
            folder, tag = path, ""
        if not os.path.isfile(os.path.join(folder, "index.json")):
            raise UsageError(
                f"--build-context …={_LAYOUT}{where}: {folder} is no OCI layout: it has no index.json",
                hint=f"write {_LAYOUT}FOLDER[:TAG][@DIGEST]",
            )
        name = f"oci:{folder}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
        found: Found = found_of(resolve_image(name, self._session.registries(), platform), name)
        self._bases.add(found)
        return _base_image(found)

    def context_names(self) -> Collection[str]:
        """See Resolver."""
        return self._contexts.named.keys()

    def remote(self, url: str, keep_git_dir: bool | None, checksum: str) -> ContextOp | HttpOp | None:
        """See Resolver. The wishes of ADD's flags stand in the URL of a git repository afterwards."""
        from pywerf.source.git_url import is_git_url, is_http_url, with_wishes

        if is_git_url(url):
            keep = self._keep_git_dir or None if keep_git_dir is None else keep_git_dir
            return ContextOp(with_wishes(url, keep_git_dir=keep, checksum=checksum))
        if is_http_url(url):
            from pywerf.oci.digest import Digest

            return HttpOp(url, str(Digest.parse(checksum)) if checksum else "")
        return None

    def modified(self, op: ContextOp | HttpOp) -> int | None:
        """See Resolver."""
        return self._contexts.modified(op)


def _base_image(found: Found) -> BaseImage:
    annotations = found.manifest.annotations
    if annotations:
        from pywerf.build.remote.document import ANNOTATION

        # the records of its own layers are no property of the images that are built on it
        annotations = {key: value for key, value in annotations.items() if key != ANNOTATION}
    return BaseImage(found.op, found.config, annotations)
