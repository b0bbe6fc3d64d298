"""The embedded engine as a backend: the contract of backend/contract.py on top of a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pywerf.backend.contract import DockerfileBuild, ImageDetails, ImageSummary, Pruned, Secret, Shell, Stage
from pywerf.build.contexts import Given
from pywerf.build.names import full_name, local_candidates
from pywerf.build.options import BuildOptions
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, parse_manifest
from pywerf.oci.media_types import DOCKER_MANIFEST, ImageFormat
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.store.images import ImageRecord

__all__ = ["EmbeddedBackend"]


class EmbeddedBackend:
    """Backend of an open session."""

    name = "buildah"

    def __init__(self, session: Session) -> None:
        self.session = session
        self.line = session.choice.line
        self.builder = _Builder(session)
        self.configs = _Configs(session)
        self.stages = _Stages(session)
        self.shells = _Shells(session)
        self.images = _Images(session)
        self.transfer = _Transfer(session)

    def stop(self) -> None:
        """Backend."""
        self.session.stopping.stop()


class _Builder:
    """DockerfileBuilder."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def build(self, build: DockerfileBuild) -> Digest:
        """DockerfileBuilder."""
        options = BuildOptions(
            tags=build.tags,
            build_args=tuple(build.build_args.items()),
            target=build.target,
            labels=tuple(build.labels.items()),
            add_hosts=build.add_hosts,
            no_cache=build.no_cache,
            cache_from=build.cache_from,
            squash=build.squash,
            pull="newer" if build.pull else "missing",
            platforms=build.platforms,
            network="" if build.network == "default" else build.network,
            secrets=tuple(map(_flag, build.secrets)),
            ssh=build.ssh,
            shm_size=build.shm_size,
            ulimits=build.ulimits,
            checks=build.checks,
        )
        return self._session.build(options, Given(build.dockerfile, build.name, build.context)).image_id


def _flag(secret: Secret) -> str:
    return f"id={secret.id},src={secret.path}" if secret.path else f"id={secret.id},env={secret.env or secret.id}"


class _Stages:
    """StageRunner."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, stage: Stage) -> Digest:
        """StageRunner."""
        from pywerf.build.run_stage import run_stage

        return run_stage(self._session, stage)


class _Shells:
    """ShellOpener."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(self, shell: Shell) -> None:
        """ShellOpener."""
        from pywerf.build.introspection import open_shell

        open_shell(self._session, shell)


class _Configs:
    """ConfigRewriter."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rewrite(self, image: str, change: Callable[[bytes], bytes], *, tags: Sequence[str]) -> Digest:
        """ConfigRewriter."""
        session = self._session
        record = session.find_image(image)
        with session.working():
            made = self._image(record, change) if not record.is_index else self._index(record, change)
            session.tag(str(made.id), tags)
        return made.id

    def _image(self, record: ImageRecord, change: Callable[[bytes], bytes]) -> ImageRecord:
        store = self._session.store
        manifest = self._session.image_manifest(record)
        config = change(store.blobs.read(manifest.config.digest))
        descriptor = replace(manifest.config, digest=Digest.of(config), size=len(config))
        changed = replace(manifest, config=descriptor)
        return store.images.put(changed.to_json(), changed.media_type, config, (), record.size)

    def _index(self, record: ImageRecord, change: Callable[[bytes], bytes]) -> ImageRecord:
        store = self._session.store
        index = parse_manifest(store.blobs.read(record.manifest_digest), record.media_type)
        assert isinstance(index, Index)
        entries = []
        for entry in index.manifests:
            image = store.images.by_manifest(entry.digest)
            if image is not None:
                made = self._image(image, change)
                size = len(store.blobs.read(made.manifest_digest))
                entry = replace(entry, digest=made.manifest_digest, size=size)
            entries.append(entry)
        return store.images.put_index(
            replace(index, manifests=tuple(entries)).to_json(), record.media_type, (), record.size
        )


class _Images:
    """ImageStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def images(self) -> list[ImageSummary]:
        """ImageStore."""
        return [
            ImageSummary(record.id, tuple(record.names), record.created, record.size)
            for record in self._session.store.images.list()
        ]

    def inspect(self, name: str) -> ImageDetails:
        """ImageStore."""
        record = self._session.find_image(name)
        config = self._session.image_config(record)
        return ImageDetails(
            record.id,
            tuple(record.names),
            config.platform,
            config.config,
            config.diff_ids,
            config.created,
            config.author,
            record.size,
        )

    def tag(self, name: str, tags: Sequence[str]) -> None:
        """ImageStore."""
        self._session.tag(name, tags)

    def join(self, images: Sequence[str], tags: Sequence[str]) -> Digest | None:
        """ImageStore."""
        from pywerf.build.platforms import make_index

        session = self._session
        records = [session.find_image(image) for image in images]
        built = [(session.image_config(record).platform, record) for record in records]
        kind: ImageFormat = "docker" if records[0].media_type == DOCKER_MANIFEST else "oci"
        with session.working():
            made = make_index(session, built, [full_name(tag) for tag in tags], kind, labels=records[0].labels)
        return made.id

    def remove(self, names: Sequence[str], *, force: bool = False) -> None:
        """ImageStore."""
        self._session.remove(names, force=force)

    def prune(self, *, all: bool = False) -> Pruned:
        """ImageStore."""
        before = {str(image.id) for image in self.images()}
        report = self._session.prune(all=all)
        gone = before - {str(image.id) for image in self.images()}
        return Pruned(tuple(sorted(gone)), report.bytes)


class _Transfer:
    """ImageTransfer."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pull(self, name: str, *, platform: Platform | None = None) -> Digest:
        """ImageTransfer."""
        return self._session.pull(name, platform=platform).id

    def push(self, name: str, destination: str = "") -> Digest:
        """ImageTransfer."""
        return self._session.push(name, f"docker://{destination}" if destination else "", all=True)

    def save(self, name: str, path: str) -> None:
        """ImageTransfer."""
        record = self._session.find_image(name)
        own = next((full for full in local_candidates(name) if full in record.names), "")
        self._session.push(name, f"docker-archive:{path}{':' if own else ''}{own}")

    def load(self, path: str) -> list[Digest]:
        """ImageTransfer."""
        return [self._session.pull(f"docker-archive:{path}").id]
