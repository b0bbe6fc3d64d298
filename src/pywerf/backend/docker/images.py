"""The daemon's images: list, inspect, tag, remove, prune."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pywerf.backend.contract import ImageDetails, ImageSummary, Pruned
from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.to_its_end import to_its_end
from pywerf.errors import ImageNotFound, InvalidReference, WerfError
from pywerf.oci.config import ImageConfig
from pywerf.oci.digest import Digest
from pywerf.oci.reference import Reference
from pywerf.registry.docker_archive import full_reference

__all__ = ["DockerImages", "daemon_name", "split_tag"]


def daemon_name(text: str) -> str:
    """A name as the daemon's API takes it: with its tag, without docker.io; ids stay. Raises InvalidReference."""
    if text.startswith("sha256:") or (len(text) in (12, 64) and not set(text) - set("0123456789abcdef")):
        return text
    return full_reference(text).familiar


class DockerImages:
    """ImageStore of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def images(self) -> list[ImageSummary]:
        """ImageStore."""
        with self._daemon.translated("images"):
            listed: list[dict[str, Any]] = self._daemon.api.images()
        return [
            ImageSummary(
                Digest.parse(str(item["Id"])),
                _full_names(item.get("RepoTags")),
                time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(item.get("Created") or 0))),
                int(item.get("Size") or 0),
            )
            for item in listed
        ]

    def inspect(self, name: str) -> ImageDetails:
        """ImageStore."""
        with self._daemon.translated(image=name):
            found: dict[str, Any] = self._daemon.api.inspect_image(daemon_name(name))  # type: ignore[no-untyped-call]  # incomplete stubs
        config = ImageConfig.from_json(
            json.dumps(
                {
                    "os": found.get("Os"),
                    "architecture": found.get("Architecture"),
                    "variant": found.get("Variant") or "",
                    "config": found.get("Config"),
                    "rootfs": {"diff_ids": (found.get("RootFS") or {}).get("Layers") or []},
                    "created": found.get("Created") or "",
                    "author": found.get("Author") or "",
                }
            ).encode(),
            name,
        )
        return ImageDetails(
            Digest.parse(str(found["Id"])),
            _full_names(found.get("RepoTags")),
            config.platform,
            config.config,
            config.diff_ids,
            config.created,
            config.author,
            int(found.get("Size") or 0),
        )

    def tag(self, name: str, tags: Sequence[str]) -> None:
        """ImageStore."""
        for reference in [full_reference(tag) for tag in tags]:
            if reference.digest is not None:
                raise InvalidReference(f"{reference}: a name that is given to an image cannot have a digest")
            repository, _, tag = reference.familiar.rpartition(":")
            with self._daemon.translated("tag", image=name):
                self._daemon.api.tag(daemon_name(name), repository, tag)

    def join(self, images: Sequence[str], tags: Sequence[str]) -> Digest | None:
        """ImageStore: the daemon's API makes no indexes."""
        return None

    def remove(self, names: Sequence[str], *, force: bool = False) -> None:
        """ImageStore."""
        for name in names:
            with self._daemon.translated(f"remove {name}", image=name):
                self._daemon.api.remove_image(daemon_name(name), force=force)

    def holder(self, name: str) -> Digest | None:
        """Who has a name."""
        try:
            return self.inspect(name).id
        except ImageNotFound:
            return None

    def name(self, id: Digest, tags: Sequence[str]) -> None:
        """Give an image all names; interrupted or failing, none: who had them before has them again."""
        before = [(tag, self.holder(tag)) for tag in tags]
        try:
            to_its_end(lambda: self.tag(str(id), tags))
        except BaseException:
            for tag, holder in before:
                with suppress(WerfError):
                    if holder is not None:
                        self.tag(str(holder), [tag])
                    else:
                        self.remove([tag])
            raise

    def drop(self, ids: Sequence[str]) -> None:
        """Remove those of our images that have got no name, also when interrupted meanwhile.

        Never raises an error of the daemon's.
        """

        def drop() -> None:
            for id in ids:
                with suppress(WerfError):
                    if not self.inspect(id).names:
                        self.remove([id])

        if ids:
            to_its_end(drop)

    def forget_digests(self, id: str, repository: str) -> None:
        """Remove the digests that an image has in a repository in which it has no name. Never raises the daemon's."""
        with suppress(WerfError), self._daemon.translated(image=id):
            found: dict[str, Any] = self._daemon.api.inspect_image(id)  # type: ignore[no-untyped-call]  # as above
            if repository in {str(tag).rpartition(":")[0] for tag in found.get("RepoTags") or ()}:
                return
            for digest in found.get("RepoDigests") or ():
                # what has no name at all would go with its last digest
                if str(digest).partition("@")[0] == repository and found.get("RepoTags"):
                    self._daemon.api.remove_image(str(digest), noprune=True)

    def prune(self, *, all: bool = False) -> Pruned:
        """ImageStore."""
        with self._daemon.translated("prune"):
            done: dict[str, Any] = self._daemon.api.prune_images({"dangling": not all})  # type: ignore[no-untyped-call]  # as above
            size = int(done.get("SpaceReclaimed") or 0)
            if all:
                size += int(self._daemon.api.prune_builds().get("SpaceReclaimed") or 0)
        gone = [str(item["Deleted"]) for item in done.get("ImagesDeleted") or [] if item.get("Deleted")]
        return Pruned(tuple(gone), size)


def _full_names(tags: object) -> tuple[str, ...]:
    names = []
    for tag in tags if isinstance(tags, list) else []:
        if "<none>" not in str(tag):
            try:
                names.append(str(full_reference(str(tag))))
            except InvalidReference:
                names.append(str(tag))
    return tuple(names)


def split_tag(name: str) -> tuple[str, str]:
    """(repository, tag or digest) of a name, as the API wants them apart. Raises InvalidReference."""
    reference = Reference.parse(name)
    if reference.digest is not None:
        return daemon_name(name).partition("@")[0], str(reference.digest)
    repository, _, tag = daemon_name(name).rpartition(":")
    return repository, tag
