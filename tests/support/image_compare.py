"""Two exported images compared: every file of the flattened root file system, every field of the config.

An image is read from an OCI layout (a folder or an archive) or a Docker archive with nothing of pywerf: Python's
tarfile, gzip, hashlib. Reading checks digests and sizes on the way, so that a damaged export fails by itself.
"""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
CONFIG_FIELDS = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir"),
    *("Labels", "StopSignal", "Healthcheck", "OnBuild", "Shell"),
)
IMAGE_FIELDS = ("architecture", "os", "variant", "author")
TOOL_LABELS = ("io.buildah.version",)


@dataclass
class Image:
    """A flattened image. `files` maps a path to its fields; hard links share a `link` value."""

    files: dict[str, dict[str, Any]]
    config: dict[str, Any]
    layers: int
    history: list[dict[str, Any]] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(self.__dict__)

    @classmethod
    def from_json(cls, text: str) -> Image:
        return cls(**json.loads(text))


class Damaged(AssertionError):
    """The exported image contradicts itself."""


class _Blobs:
    """Named members of a folder or a tar archive."""

    def __init__(self, path: Path) -> None:
        self.folder = path if path.is_dir() else None
        self.tar = None if path.is_dir() else tarfile.open(path)  # noqa: SIM115  # closed by close()
        self.names = {} if self.tar is None else {info.name.removeprefix("./"): info for info in self.tar.getmembers()}

    def __contains__(self, name: str) -> bool:
        return (self.folder / name).exists() if self.folder else name in self.names

    def open(self, name: str) -> io.BufferedIOBase:
        if self.folder:
            return open(self.folder / name, "rb")  # the caller closes it
        assert self.tar is not None
        info = self.names[name]
        while info.issym() or info.islnk():  # Docker archives link equal layers
            parent = name.rpartition("/")[0] if info.issym() else ""
            parts: list[str] = []
            for part in f"{parent}/{info.linkname}".split("/"):
                if part == "..":
                    parts.pop()
                elif part:
                    parts.append(part)
            name = "/".join(parts)
            info = self.names[name]
        found = self.tar.extractfile(info)
        if found is None:
            raise Damaged(f"{name} is no file")
        return found  # type: ignore[return-value]

    def read(self, name: str) -> bytes:
        with self.open(name) as content:
            return content.read()

    def close(self) -> None:
        if self.tar:
            self.tar.close()


class _Hashing(io.RawIOBase):
    """A reader that knows the digest of what went through it."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.source.read(len(buffer))
        self.digest.update(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> str:
        while self.read(1 << 20):
            pass
        return f"sha256:{self.digest.hexdigest()}"


def decompressed(raw: Any) -> Any:
    """The stream behind gzip, zstd or nothing."""
    buffered = io.BufferedReader(raw, 1 << 16)
    magic = buffered.peek(4)[:4]
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=buffered)
    if magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True)
    return buffered


def read_image(path: Path) -> Image:
    """The image in an OCI layout or archive, or in a Docker archive, with every digest checked."""
    blobs = _Blobs(path)
    try:
        if "index.json" in blobs:
            return _read_oci(blobs)
        if "manifest.json" in blobs:
            return _read_docker(blobs)
        raise Damaged(f"{path}: neither an OCI layout nor a Docker archive")
    finally:
        blobs.close()


def _blob(descriptor: dict[str, Any]) -> str:
    return "blobs/" + descriptor["digest"].replace(":", "/")


def _checked(blobs: _Blobs, descriptor: dict[str, Any]) -> bytes:
    data = blobs.read(_blob(descriptor))
    if len(data) != descriptor["size"] or f"sha256:{hashlib.sha256(data).hexdigest()}" != descriptor["digest"]:
        raise Damaged(f"{descriptor['digest']}: content of another digest or size")
    return data


def _read_oci(blobs: _Blobs) -> Image:
    manifest = json.loads(blobs.read("index.json"))
    while "manifests" in manifest:
        if len(manifest["manifests"]) != 1:
            raise Damaged(f"{len(manifest['manifests'])} manifests where one was exported")
        manifest = json.loads(_checked(blobs, manifest["manifests"][0]))
    config = json.loads(_checked(blobs, manifest["config"]))
    tree = _Tree()
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(manifest["layers"]):
        raise Damaged(f"{len(diff_ids)} diff_ids for {len(manifest['layers'])} layers")
    for descriptor, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        with blobs.open(_blob(descriptor)) as stored:
            packed = _Hashing(stored)
            _apply(tree, packed, diff_id)
            if packed.finish() != descriptor["digest"]:
                raise Damaged(f"layer {descriptor['digest']}: content of another digest")
    return _image(tree, config, manifest.get("annotations") or {})


def _read_docker(blobs: _Blobs) -> Image:
    entries = json.loads(blobs.read("manifest.json"))
    if len(entries) != 1:
        raise Damaged(f"{len(entries)} images where one was exported")
    config = json.loads(blobs.read(entries[0]["Config"]))
    tree = _Tree()
    for name, diff_id in zip(entries[0]["Layers"], config["rootfs"]["diff_ids"], strict=True):
        with blobs.open(name) as stored:
            _apply(tree, _Hashing(stored), diff_id)
    return _image(tree, config, {})


def _image(tree: _Tree, config: dict[str, Any], annotations: dict[str, str]) -> Image:
    history = config.get("history") or []
    layers = len(config["rootfs"]["diff_ids"])
    filled = sum(not entry.get("empty_layer") for entry in history)
    if history and filled != layers:
        raise Damaged(f"the history tells of {filled} layers, there are {layers}")
    return Image(tree.flat(), config, layers, history, annotations)


class _Tree:
    """A root file system as the layers make it. An inode is a dict, shared by its hard links."""

    def __init__(self) -> None:
        self.inodes: dict[str, dict[str, Any]] = {}

    def remove(self, path: str, *, below_only: bool = False) -> None:
        for name in [name for name in self.inodes if name.startswith(f"{path}/" if path else "")]:
            del self.inodes[name]
        if not below_only:
            self.inodes.pop(path, None)

    def flat(self) -> dict[str, dict[str, Any]]:
        names: dict[int, list[str]] = {}
        for path in sorted(self.inodes):
            names.setdefault(id(self.inodes[path]), []).append(path)
        return {
            path: {**inode, "links": names[id(inode)] if len(names[id(inode)]) > 1 else []}
            for path, inode in sorted(self.inodes.items())
        }


def _apply(tree: _Tree, packed: _Hashing, diff_id: str) -> None:
    """One layer onto the tree (OCI image-spec, layer.md): whiteouts hide lower layers only."""
    plain = _Hashing(decompressed(packed))
    upper: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=io.BufferedReader(plain, 1 << 16), mode="r|") as tar:
        for info in tar:
            path = info.name.strip("/").removeprefix("./")
            path = "" if path == "." else path
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                tree.remove(folder, below_only=True)
            elif name.startswith(".wh..wh."):
                continue  # aufs' own files
            elif name.startswith(".wh."):
                tree.remove(f"{folder}/{name[4:]}".lstrip("/"))
            elif info.type == tarfile.LNKTYPE:
                target = info.linkname.strip("/").removeprefix("./")
                inode = upper.get(target) or tree.inodes.get(target)
                if inode is None:
                    raise Damaged(f"hard link {path} -> {target}: no such file")
                upper[path] = inode
            else:
                upper[path] = _inode(tar, info)
    if plain.finish() != diff_id:
        raise Damaged(f"layer with diff_id {diff_id}: its tar has another digest")
    for path, inode in upper.items():
        if inode["kind"] != "dir" and tree.inodes.get(path, inode)["kind"] == "dir":
            tree.remove(path)
        tree.inodes[path] = inode


def _inode(tar: tarfile.TarFile, info: tarfile.TarInfo) -> dict[str, Any]:
    kind = KINDS.get(info.type)
    if kind is None:
        raise Damaged(f"{info.name}: unknown type {info.type!r}")
    inode: dict[str, Any] = {
        "kind": kind,
        "mode": f"{info.mode & 0o7777:04o}",
        "uid": info.uid,
        "gid": info.gid,
        "mtime": int(info.mtime),
        "xattrs": {
            key[len("SCHILY.xattr.") :]: value.encode("utf-8", "surrogateescape").hex()
            for key, value in sorted(info.pax_headers.items())
            if key.startswith("SCHILY.xattr.")
        },
    }
    if kind == "file":
        digest = hashlib.sha256()
        content = tar.extractfile(info)
        assert content is not None
        while data := content.read(1 << 20):
            digest.update(data)
        inode["size"] = info.size
        inode["sha256"] = digest.hexdigest()
    elif kind == "symlink":
        inode["target"] = info.linkname
        del inode["mode"]  # a symlink has none: tools write 0777 or what lstat says
    elif kind in ("char", "block"):
        inode["device"] = f"{info.devmajor}:{info.devminor}"
    return inode


@dataclass(frozen=True)
class Allowed:
    """A difference that is known, with its reason: `path` is a glob of files, or `config.FIELD`.

    `field` is a glob of a file's fields, or `only ours`, `only theirs` for a file that the other image lacks.
    """

    path: str
    field: str = "*"
    reason: str = ""

    def covers(self, path: str, name: str) -> bool:
        return fnmatch.fnmatchcase(path, self.path) and fnmatch.fnmatchcase(name, self.field)


def differences(
    ours: Image,
    theirs: Image,
    allowed: Iterable[Allowed] = (),
    *,
    fields: Callable[[str], bool] = lambda name: name != "mtime",
) -> list[str]:
    """What is not the same, one line each; empty when the images are equal but for what is allowed."""
    allowed = tuple(allowed)
    found = []
    for path in sorted(ours.files.keys() | theirs.files.keys()):
        if path == "":
            continue  # the root directory: most tools leave it out
        mine, judge = ours.files.get(path), theirs.files.get(path)
        if mine is None or judge is None:
            side, text = ("only theirs", "only in the judge's image") if mine is None else ("only ours", "only in ours")
            found.append((path, side, f"{path}: {text}"))
            continue
        for name in sorted(mine.keys() | judge.keys()):
            if fields(name) and mine.get(name) != judge.get(name):
                found.append((path, name, f"{path}: {name} {mine.get(name)!r}, judge {judge.get(name)!r}"))
    for name, mine, judge in config_pairs(ours, theirs):
        if mine != judge:
            found.append((f"config.{name}", "*", f"config.{name}: {mine!r}, judge {judge!r}"))
    return [text for path, name, text in found if not any(rule.covers(path, name) for rule in allowed)]


def config_pairs(ours: Image, theirs: Image) -> list[tuple[str, Any, Any]]:
    """(field, ours, theirs) of everything in the image config that a container's run depends on."""
    pairs: list[tuple[str, Any, Any]] = [
        (name, ours.config.get(name) or "", theirs.config.get(name) or "") for name in IMAGE_FIELDS
    ]
    mine, judge = ours.config.get("config") or {}, theirs.config.get("config") or {}
    return pairs + [(name, _normal(name, mine.get(name)), _normal(name, judge.get(name))) for name in CONFIG_FIELDS]


def _normal(name: str, value: Any) -> Any:
    if name == "Labels" and value:
        value = {key: text for key, text in value.items() if key not in TOOL_LABELS}
    if name == "Env" and value:
        return sorted(value)  # the order of variables means nothing
    if name == "Healthcheck" and value:
        return {key: number for key, number in value.items() if number}
    return value or None  # absent, null, "" and [] are the same
