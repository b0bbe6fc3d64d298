"""What a build can be asked to do. An op is a pure value: equal ops mean equal work.

    source ops    ImageOp (a base image), ContextOp (files from outside), HttpOp
    exec op       ExecOp (a command in a container)
    file ops      CopyOp (COPY and ADD), MkdirOp (WORKDIR)

Config changes (ENV, LABEL …) are no ops: a frontend folds them into the image's config, so that they cost nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pywerf.oci.digest import Digest

__all__ = [
    "ContextOp",
    "CopyOp",
    "ExecMount",
    "ExecOp",
    "HttpOp",
    "ImageOp",
    "InlineFile",
    "MkdirOp",
    "Op",
    "Owner",
]


class ImageOp(msgspec.Struct, frozen=True, tag=True):
    """The root file system of an image; `diff_ids` name its content, `config` its config blob."""

    reference: str
    config: Digest
    diff_ids: tuple[Digest, ...]


class ContextOp(msgspec.Struct, frozen=True, tag=True):
    """Files that the session has opened under `name`: the build context, a named context, a git tree."""

    name: str


class HttpOp(msgspec.Struct, frozen=True, tag=True):
    """One file from a URL (ADD https://…). `checksum` is empty or the digest that it must have."""

    url: str
    checksum: str = ""


class Owner(msgspec.Struct, frozen=True):
    """`--chown` as written: names are looked up in the image's /etc/passwd and /etc/group; empty group: the user's."""

    user: str
    group: str = ""


class InlineFile(msgspec.Struct, frozen=True):
    """A file whose content stands in the Dockerfile (a heredoc)."""

    name: str
    data: bytes


class CopyOp(msgspec.Struct, frozen=True, tag=True):
    """COPY and ADD of one kind of source. inputs: (the file system copied into | None, the source).

    `dest` is absolute; `dest_is_dir` when it was written with a trailing slash. `unpack`: tar archives among the
    sources are unpacked (ADD). `keep_owner`: the owner of the source stays (COPY --from); else everything is root's.
    `chmod` is octal or symbolic text, or empty.
    """

    sources: tuple[str, ...]
    dest: str
    dest_is_dir: bool
    owner: Owner | None = None
    chmod: str = ""
    unpack: bool = False
    keep_owner: bool = False
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    files: tuple[InlineFile, ...] = ()
    rename: str = ""  # the name of the single source file (ADD of a URL)
    made_at: int | None = None  # the time of directories made and inline files (SOURCE_DATE_EPOCH); None: now


class MkdirOp(msgspec.Struct, frozen=True, tag=True):
    """WORKDIR: a directory with its parents, mode 0755; nothing when it is there. inputs: (file system | None,)."""

    path: str
    owner: Owner | None = None
    made_at: int | None = None


class ExecMount(msgspec.Struct, frozen=True):
    """RUN --mount. `input` is the index into the vertex's inputs of what `from` names, or -1."""

    type: Literal["bind", "cache", "tmpfs", "secret", "ssh"]
    target: str
    input: int = -1
    source: str = ""
    read_only: bool = False
    id: str = ""
    sharing: Literal["shared", "private", "locked"] = "shared"
    required: bool = False
    env: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0


class ExecOp(msgspec.Struct, frozen=True, tag=True):
    """A command in a container. inputs: (file system | None, then what mounts name).

    The proxy variables of a vertex are seen by the command, too, but are in no cache key. `devices` are CDI devices:
    (name, whether the step must fail without it).
    """

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    network: Literal["host", "none", "private"] = "host"
    insecure: bool = False
    mounts: tuple[ExecMount, ...] = ()
    add_hosts: tuple[str, ...] = ()
    script: InlineFile | None = None
    hostname: str = ""
    devices: tuple[tuple[str, bool], ...] = ()


Op = ImageOp | ContextOp | HttpOp | CopyOp | MkdirOp | ExecOp
