"""Stages in one file: an OCI image layout in a tar, whose images are called by the tags of the stages.

Beside the layout there is a document with the project's name and the records. skopeo and its kin can read an archive as
`oci-archive:PATH:TAG`. What it says is checked before anything of it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

import msgspec

from pywerf.build.project.storage.model import StageId
from pywerf.build.project.storage.records import CustomTag, ImageMetadata, ImportMetadata, ManagedImage, is_record
from pywerf.build.stages.contents import Contents
from pywerf.config.werf_yaml.meta import check_project_name
from pywerf.errors import ArchiveError
from pywerf.oci.document import json_decoder
from pywerf.registry.copy import Progress, copy_image
from pywerf.registry.oci_archive import ArchiveLayout, LayoutArchive
from pywerf.registry.once import BlobsOnTheirWay, OnceDestination
from pywerf.registry.tar_index import TarIndex
from pywerf.registry.tar_writer import FileTarWriter, gzip_tar_writer
from pywerf.util.slug import is_docker_tag

if TYPE_CHECKING:
    from pywerf.build.stages.places import Image
    from pywerf.oci.descriptor import Descriptor

__all__ = ["ArchiveOrigin", "ArchiveTarget"]

DOCUMENT = "werf-stages.json"
VERSION = 1
MAX_DOCUMENT = 64 << 20  # some hundred thousand records
_UPSTREAM = "stages"  # the folder that archives of upstream's begin with


class _Document(msgspec.Struct, frozen=True):
    """The document: tags as they are in a repository; `imports` are id, source stage and checksum."""

    version: int
    project: str
    managed: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    imports: tuple[tuple[str, str, str], ...] = ()
    custom: dict[str, str] = {}


class ArchiveOrigin:
    """An archive to copy from. `close` it. Raises ArchiveError, RegistryNotFound, StoreError."""

    def __init__(self, path: str) -> None:
        self.name = f"archive:{path}"
        index = TarIndex.open(path, self.name)
        try:
            self.contents, self._entries = self._read(index)
        except BaseException:
            index.close()
            raise

    def image(self, stage: StageId) -> Image:
        """Origin: the image of a stage. Nothing of it can be mounted."""
        return self._layout.source(self._entries[stage]), ()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._layout.close()

    def _read(self, index: TarIndex) -> tuple[Contents, dict[StageId, Descriptor]]:
        if DOCUMENT not in index:
            hint = "an archive of stages is made by werf stages copy --to archive:PATH"
            if index.has_folder(_UPSTREAM):
                hint = "it may be one of upstream's werf: that has a format, and digests, of its own"
            raise ArchiveError(f"{self.name}: no archive of stages ({DOCUMENT} is not in it)", hint=hint)
        self._layout = ArchiveLayout(index, self.name)
        try:
            document = json_decoder(_Document).decode(index.small(DOCUMENT, MAX_DOCUMENT))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ArchiveError(f"{self.name}: {DOCUMENT}: {error}") from error
        if document.version != VERSION:
            raise ArchiveError(f"{self.name}: it has version {document.version} of the format, known is {VERSION}")
        why = check_project_name(document.project)
        if why:
            self._fail(f"the project {document.project!r}", why)
        entries: dict[StageId, Descriptor] = {}
        for name, entry in self._layout.names().items():
            stage = StageId.parse(name)
            if stage is None:
                self._fail(f"the image {name!r}", "it is not called as stages are")
            entries[stage] = entry
        return self._contents(document, entries), entries

    def _contents(self, document: _Document, stages: dict[StageId, Descriptor]) -> Contents:
        managed = [ManagedImage(name) for name in document.managed]
        metadata = [self._metadata(tag) for tag in document.metadata]
        imports = [ImportMetadata(id, self._stage(source), checksum) for id, source, checksum in document.imports]
        custom = [CustomTag(name, self._stage(stage)) for name, stage in document.custom.items()]
        for tag in [record.tag for record in metadata] + [record.tag for record in imports]:
            if not is_docker_tag(tag):
                self._fail(f"the record {tag!r}", "that is no tag")
        for one in custom:
            if not is_docker_tag(one.name) or is_record(one.name) or StageId.parse(one.name) is not None:
                self._fail(f"the custom tag {one.name!r}", "that is not the name of one")
        found = Contents(
            document.project,
            tuple(sorted(stages, key=lambda stage: (stage.is_index, stage.timestamp, stage.digest))),
            tuple(managed),
            tuple(metadata),
            tuple(imports),
            tuple(custom),
        )
        named = {one.stage for one in metadata} | {one.stage for one in custom} | {one.source for one in imports}
        for stage in sorted(named - stages.keys()):
            self._fail(f"a record of the stage {stage}", "that stage is not in the archive")
        return found

    def _metadata(self, tag: str) -> ImageMetadata:
        record = ImageMetadata.of(tag)
        if record is None or record.tag != tag:
            self._fail(f"the record {tag!r}", "it is none of an image at a commit")
        return record

    def _stage(self, tag: str) -> StageId:
        stage = StageId.parse(tag)
        if stage is None:
            self._fail(f"the stage {tag!r}", "that is no stage's name")
        return stage

    def _fail(self, what: str, why: str) -> NoReturn:
        raise ArchiveError(f"{self.name}: {what}: {why}")


class ArchiveTarget:
    """A new archive, which is there when `finish` has returned; its name says whether gzip compresses it."""

    def __init__(self, path: str) -> None:
        self.name = f"archive:{path}"
        packed = path.endswith((".gz", ".tgz"))
        self._archive = LayoutArchive(gzip_tar_writer(path) if packed else FileTarWriter(path, self.name), self.name)
        self._blobs = BlobsOnTheirWay()

    def there(self, stages: Sequence[StageId]) -> dict[StageId, str]:
        """Target: it is new."""
        return {}

    def take(self, stage: StageId, open_image: Callable[[], Image], progress: Progress, stop: threading.Event) -> bool:
        """Target: write a stage."""
        source, _ = open_image()
        destination = OnceDestination(self._archive.destination(str(stage)), self._blobs, stop)
        copy_image(source, destination, all_platforms=True, progress=progress)
        return True

    def finish(self, contents: Contents, jobs: int) -> int:
        """Target: write the document, and give the archive its name."""
        document = _Document(
            VERSION,
            contents.project,
            tuple(record.name for record in contents.managed),
            tuple(record.tag for record in contents.metadata),
            tuple((record.id, str(record.source), record.checksum) for record in contents.imports),
            {record.name: str(record.stage) for record in contents.custom},
        )
        data = msgspec.json.encode(document)
        if len(data) > MAX_DOCUMENT:
            raise ArchiveError(f"{self.name}: {len(contents.metadata)} records are too many for one archive")
        self._archive.put_file(DOCUMENT, data)
        self._archive.finish()
        return len(contents.managed) + len(contents.metadata) + len(contents.imports) + len(contents.custom)

    def abandon(self) -> None:
        """Target: leave nothing behind."""
        self._archive.abandon()
