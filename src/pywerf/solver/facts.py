"""What is written down of a step beside its cache key, so that it can be told later why a key was another one.

Values of variables whose names promise a secret are kept as digests only, passwords in URLs not at all; what
RUN --mount=type=secret brings is no part of an op in the first place.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pywerf.graph.op import CopyOp, ExecMount, ExecOp, MkdirOp, Owner
from pywerf.graph.vertex import Vertex
from pywerf.util.secret_names import hide_passwords, promises_secret

__all__ = ["SECRET", "facts_of"]

SECRET = "secret:"  # what the digest of a value that is not to be shown begins with


def facts_of(vertex: Vertex, salt: str) -> dict[str, Any]:
    """`name` of the step and of the one it stands on (`on`), `salt`, and what was asked (`op`): text by subject.

    In `op`, `env` maps the names of variables to values, `args` lists those of them that are ARGs, and `inline` maps
    the names of files in the Dockerfile to digests.
    """
    below = vertex.inputs[0] if vertex.inputs else None
    facts: dict[str, Any] = {"name": hide_passwords(vertex.name), "op": _op(vertex)}
    if below is not None:
        facts["on"] = hide_passwords(below.name)
    if salt:
        facts["salt"] = salt
    return facts


def _op(vertex: Vertex) -> dict[str, Any]:
    op = vertex.op
    if isinstance(op, ExecOp):
        return _without_empty(
            {
                "command": hide_passwords(_words(op.argv)),
                "env": {name: _shown(name, value) for name, _, value in (item.partition("=") for item in op.env)},
                "args": list(vertex.args),
                "WORKDIR": op.cwd,
                "USER": op.user,
                "network": op.network,
                "security": "insecure" if op.insecure else "",
                "mounts": [_mount(mount) for mount in op.mounts],
                "hosts": list(op.add_hosts),
                "inline": {} if op.script is None else {op.script.name: _digest(op.script.data)},
            }
        )
    if isinstance(op, CopyOp):
        return _without_empty(
            {
                "sources": [hide_passwords(source) for source in op.sources],
                "destination": op.dest + ("/" if op.dest_is_dir and op.dest != "/" else ""),
                "--chown": _owner(op.owner),
                "--chmod": op.chmod,
                "--link": "true" if op.link else "",
                "--parents": "true" if op.parents else "",
                "--exclude": list(op.exclude),
                "unpacking": "true" if op.unpack else "",
                "inline": {file.name: _digest(file.data) for file in op.files},
            }
        )
    if isinstance(op, MkdirOp):
        return _without_empty({"WORKDIR": op.path, "USER": _owner(op.owner)})
    return {}


def _without_empty(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value}


def _words(argv: tuple[str, ...]) -> str:
    """A command as the user wrote it: without the shell in front of it."""
    if len(argv) == 3 and argv[1] == "-c":
        return argv[2]
    return " ".join(argv)


def _shown(name: str, value: str) -> str:
    return (
        SECRET + _digest(value.encode("utf-8", "surrogateescape")) if promises_secret(name) else hide_passwords(value)
    )


def _owner(owner: Owner | None) -> str:
    if owner is None:
        return ""
    return f"{owner.user}:{owner.group}" if owner.group else owner.user


def _mount(mount: ExecMount) -> str:
    """The mount in the words of --mount, without what is the default."""
    parts = [f"type={mount.type}", f"target={mount.target}"]
    parts += [f"source={mount.source}"] if mount.source else []
    parts += [f"id={mount.id}"] if mount.id else []
    parts += [f"sharing={mount.sharing}"] if mount.sharing != "shared" else []
    parts += ["ro"] if mount.read_only else []
    for name in ("env", "mode", "uid", "gid", "size"):
        value = getattr(mount, name)
        if value not in ("", None, 0):
            parts.append(f"{name}={value:o}" if name == "mode" else f"{name}={value}")
    return ",".join(parts)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
