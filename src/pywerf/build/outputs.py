"""`--output`: the result as files, as an archive, or in a registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.backend.buildah.copy_plan import CopyPlan
from pywerf.backend.buildah.copy_write import write_plan
from pywerf.backend.buildah.empty_tree import EmptyTree
from pywerf.backend.buildah.export_tree import export_tree
from pywerf.build.names import full_name
from pywerf.build.options import BuildOptions, Output
from pywerf.errors import BuildError, UsageError
from pywerf.layer.tar_write import TarWriter
from pywerf.oci.media_types import Compression

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.store.images import ImageRecord
    from pywerf.util.filetree import FileTree

__all__ = ["check_output", "output_compression", "write_output"]

_TYPES = ("oci", "docker", "tar", "local", "registry", "image")
_NEED_DEST = ("oci", "docker", "tar", "local")


def check_output(output: Output, tags: Sequence[str]) -> None:
    """Refuse what cannot be written, before anything is built; `tags` are the image's names. Raises UsageError."""
    if output.type not in _TYPES:
        raise UsageError(f"--output type={output.type}: unknown type", hint=f"known are {', '.join(_TYPES)}")
    if output.type in _NEED_DEST and not output.dest:
        raise UsageError(f"--output type={output.type}: dest is missing", hint=f"type={output.type},dest=PATH")
    if output.type == "local" and output.dest == "-":
        raise UsageError("--output type=local,dest=-: a folder is needed", hint="type=tar,dest=- writes to stdout")
    output_compression(output)
    if output.type in ("registry", "image"):
        names = _names(output, tags)
        for name in names:
            full_name(name)
        if not names and _is_sent(output):
            raise UsageError(
                f"--output type={output.type}: no name", hint="type=registry,name=REGISTRY/NAME:TAG, or --tag"
            )


def write_output(session: Session, record: ImageRecord, output: Output, options: BuildOptions) -> None:
    """Write one output. Raises BuildError, RegistryError."""
    if output.type == "local":
        tree = _tree(session, record)
        try:
            os.makedirs(output.dest, exist_ok=True)
            export_tree(tree, "", output.dest, owners=_is_root())
        except OSError as error:
            raise BuildError(f"{error.filename or output.dest}: {error.strerror}") from error
    elif output.type == "tar":
        _write_tar(_tree(session, record), output.dest, options.clamp)
    elif output.type in ("oci", "docker"):
        _write_archive(session, record, output, options)
    else:
        _push(session, record, output, options)


def _is_root() -> bool:
    """Whether files may belong to anybody: the root of a namespace that we made ourselves is an ordinary user."""
    from pywerf.linux.userns import entered

    return os.geteuid() == 0 and not entered()


def _tree(session: Session, record: ImageRecord) -> FileTree:
    if record.is_index:
        raise BuildError(
            "an image of several platforms cannot be written as one file system",
            hint="give one --platform, or use --output type=oci",
        )
    bases = session.bases("never")
    found = bases.of_record(record, None)
    assert found is not None
    bases.add(found)
    tree = session.snapshots.tree(bases.ref(found.op))
    return EmptyTree() if tree is None else tree


def _write_tar(tree: FileTree, dest: str, clamp: int | None) -> None:
    from pywerf.util.filetree import walk

    plan = CopyPlan(None, owner=None, mode=None, made_ns=0)
    plan.copy_directory(tree, "", walk(tree, ""), "")
    if dest == "-":
        writer = TarWriter(sys.stdout.buffer.write, clamp=clamp)
        write_plan(plan, writer, None)
        writer.close()
        sys.stdout.buffer.flush()
        return
    new = f"{dest}.{os.getpid()}.tmp"
    try:
        with open(new, "wb") as file:
            writer = TarWriter(file.write, clamp=clamp)
            write_plan(plan, writer, None)
            writer.close()
        os.replace(new, dest)
    except OSError as error:
        raise BuildError(f"{dest}: {error.strerror}") from error
    finally:
        if os.path.exists(new):
            os.unlink(new)


def _write_archive(session: Session, record: ImageRecord, output: Output, options: BuildOptions) -> None:
    """An OCI or docker archive; `tar=false` makes an OCI layout in a folder instead."""
    from pywerf.oci.reference import Reference

    name = output.attributes.get("name") or (options.tags[0] if options.tags else "")
    if output.type == "oci" and output.attributes.get("tar", "true").lower() in ("false", "0"):
        destination = f"oci:{output.dest}"
    else:
        kind = "oci-archive" if output.type == "oci" else "docker-archive"
        destination = f"{kind}:{_path(session, output.dest)}"
    if name:
        reference = Reference.parse(name).tagged()
        destination += f":{reference.tag if output.type == 'oci' else reference}"
    session.push(str(record.id), destination, compression=output_compression(output), all=record.is_index)
    if output.dest == "-":
        with open(_path(session, "-"), "rb") as file:
            while chunk := file.read(1 << 20):
                sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        os.unlink(_path(session, "-"))


def _path(session: Session, dest: str) -> str:
    """Where an archive is written: for stdout a scratch file first, since an archive's index comes last."""
    return dest if dest != "-" else os.path.join(session.store.root, "tmp", f"stdout-{os.getpid()}.tar")


def _push(session: Session, record: ImageRecord, output: Output, options: BuildOptions) -> None:
    for name in _names(output, options.tags):
        if name not in options.tags:
            session.tag(str(record.id), [name])
        if _is_sent(output):
            session.push(
                str(record.id), f"docker://{name}", compression=output_compression(output), all=record.is_index
            )


def _names(output: Output, tags: Sequence[str]) -> list[str]:
    given = output.attributes.get("name") or output.dest
    return given.split(",") if given else list(tags)


def _is_sent(output: Output) -> bool:
    return output.type == "registry" or output.attributes.get("push", "false").lower() in ("true", "1")


def output_compression(output: Output) -> Compression:
    """How layers are compressed for an output. Raises UsageError."""
    known: dict[str, Compression] = {"uncompressed": "none", "none": "none", "gzip": "gzip", "zstd": "zstd"}
    given = output.attributes.get("compression", "gzip")
    if given not in known:
        raise UsageError(f"--output compression={given}: unknown", hint="known are uncompressed, gzip and zstd")
    return known[given]
