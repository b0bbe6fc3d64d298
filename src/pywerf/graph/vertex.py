"""The graph: a vertex is an op with the vertices that it works on, and the line it comes from."""

from __future__ import annotations

import hashlib

import msgspec

from pywerf.graph.op import Op
from pywerf.graph.source_range import SourceRange

__all__ = ["Vertex"]


class Vertex:
    """One node of the graph. Immutable; compared by `definition`.

    `definition` is the digest (hexadecimal) of the op and of its inputs' definitions: what was asked.
    `name` and `source` are for people and have no part in it. `ignore_cache`: --no-cache for this step.
    `args` are the names of the variables in a command's environment that are ARGs; `shell` is the SHELL that there is
    when it runs, if one was named.
    """

    __slots__ = (
        "_definition",
        "_op_digest",
        "args",
        "hidden_env",
        "ignore_cache",
        "inputs",
        "name",
        "op",
        "shell",
        "source",
    )

    def __init__(
        self,
        op: Op,
        inputs: tuple[Vertex | None, ...] = (),
        *,
        name: str = "",
        source: SourceRange | None = None,
        ignore_cache: bool = False,
        hidden_env: tuple[str, ...] = (),
        args: tuple[str, ...] = (),
        shell: tuple[str, ...] = (),
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.name = name
        self.source = source
        self.ignore_cache = ignore_cache
        self.hidden_env = hidden_env
        self.args = args
        self.shell = shell
        self._definition = ""
        self._op_digest = ""

    @property
    def op_digest(self) -> str:
        """The digest of the op alone, whatever it works on."""
        if not self._op_digest:
            try:
                encoded = msgspec.msgpack.encode(self.op)
            except UnicodeEncodeError:  # a name that is not UTF-8
                encoded = repr(self.op).encode()
            self._op_digest = hashlib.sha256(encoded).hexdigest()
        return self._op_digest

    @property
    def definition(self) -> str:
        """The digest of what was asked: this op on those inputs."""
        if not self._definition:
            stack = [self]  # no recursion: a Dockerfile may have more steps than Python has frames
            while stack:
                vertex = stack[-1]
                missing = [item for item in vertex.inputs if item is not None and not item._definition]
                if missing:
                    stack += missing
                    continue
                stack.pop()
                parts = [vertex.op_digest, *("-" if item is None else item._definition for item in vertex.inputs)]
                vertex._definition = hashlib.sha256(" ".join(parts).encode()).hexdigest()
        return self._definition

    def __repr__(self) -> str:
        return f"<Vertex {self.name or type(self.op).__name__}>"
