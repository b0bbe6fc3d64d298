"""Archives of images whose layers the daemon has: configs and manifests, and layers that are named and not in them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import IO, Any

from msgspec.structs import replace

from pywerf.errors import ArchiveError
from pywerf.oci import media_types
from pywerf.oci.config import History
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.platform import Platform

__all__ = ["docker_archive", "history_of", "image_in", "oci_archive"]

_DOCUMENT = 4 << 20  # bytes: no manifest, index or config is larger
_LAYERED = ("RUN ", "COPY ", "ADD ", "/bin/sh -c #(nop) COPY", "/bin/sh -c #(nop) ADD")


def docker_archive(config: bytes, layers: Sequence[Digest]) -> bytes:
    """An archive of Docker's own format, of an image without a name: what a daemon with graph drivers takes."""
    name = f"{Digest.of(config).hex}.json"
    entry = {"Config": name, "RepoTags": None, "Layers": [f"{id.hex}/layer.tar" for id in layers]}
    return _tar({name: config, "manifest.json": json.dumps([entry]).encode()})


def oci_archive(manifest: Manifest, config: bytes) -> bytes:
    """An OCI archive of an image without a name: what a daemon with containerd's image store takes."""
    data = manifest.to_json()
    entry = Descriptor(manifest.media_type, Digest.of(data), len(data))
    return _tar(
        {
            _blob(Digest.of(config)): config,
            _blob(entry.digest): data,
            "index.json": Index(media_types.OCI_INDEX, (entry,)).to_json(),
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        }
    )


def image_in(archive: IO[bytes], platform: Platform) -> tuple[Manifest, bytes]:
    """The manifest and the config of the one image in an OCI archive, which is read to its end, and kept nowhere.

    An image of several platforms may have those that the daemon lacks listed. Raises ArchiveError.
    """
    documents: dict[str, bytes] = {}
    from tarfile import TarError
    from tarfile import open as open_tar

    try:
        with open_tar(fileobj=archive, mode="r|") as tar:
            for member in tar:
                if member.isreg() and member.size <= _DOCUMENT:
                    file = tar.extractfile(member)
                    data = b"" if file is None else file.read()
                    if data[:1] in (b"{", b"["):
                        documents[member.name] = data
    except TarError as error:
        raise ArchiveError(f"what the daemon saves is no archive: {error}") from error
    top = parse_manifest(documents.get("index.json", b"{}"), media_types.OCI_INDEX)
    found = _find(top, documents, platform)
    if found is None:
        raise ArchiveError(f"what the daemon saves has no image for {platform} in it")
    return found


def _find(node: Index | Manifest, documents: Mapping[str, bytes], platform: Platform) -> tuple[Manifest, bytes] | None:
    if isinstance(node, Manifest):
        config = documents.get(_blob(node.config.digest))
        return None if config is None else (node, config)
    for entry in node.manifests:
        data = documents.get(_blob(entry.digest))
        if data is None or (entry.platform is not None and not entry.platform.satisfies(platform)):
            continue
        found = _find(parse_manifest(data, entry.media_type), documents, platform)
        if found is not None:
            return found
    return None


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _tar(files: Mapping[str, bytes]) -> bytes:
    from tarfile import TarFile, TarInfo

    out = BytesIO()
    with TarFile(fileobj=out, mode="w") as archive:
        for path, data in files.items():
            info = TarInfo(path)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
    return out.getvalue()


def history_of(listed: Sequence[dict[str, Any]], layers: int, last: str = "") -> tuple[History, ...]:
    """The history from the API's list, the latest first; `last` is what the latest layer was made by, when given.

    The API does not tell which lines have a layer: those with a size have, and of the others as many as are missing,
    commands before what only changes the config. Empty when no reading fits: a config need not have a history.
    """
    lines = list(reversed(listed))
    full = [int(line.get("Size") or 0) > 0 for line in lines]
    missing = layers - sum(full)
    empty = [index for index, has in enumerate(full) if not has]
    empty.sort(key=lambda index: (_rank(str(lines[index].get("CreatedBy"))), index))
    if not 0 <= missing <= len(empty):
        return ()
    for index in empty[:missing]:
        full[index] = True
    made = [
        History(
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(line.get("Created") or 0))),
            str(line.get("CreatedBy") or ""),
            comment=str(line.get("Comment") or ""),
            empty_layer=not has,
        )
        for line, has in zip(lines, full, strict=True)
    ]
    if made and last:
        made[-1] = replace(made[-1], created_by=last)
    return tuple(made)


def _rank(created_by: str) -> int:
    """How surely a line without bytes has a layer: commands and copies, then WORKDIR, then what changes the config."""
    if created_by.startswith(_LAYERED) or ("#(nop)" not in created_by and " -c " in created_by):
        return 0
    if created_by.removeprefix("/bin/sh -c #(nop) ").startswith("WORKDIR"):
        return 1
    return 3 if "#(nop)" in created_by or created_by.partition(" ")[0].isupper() else 2
