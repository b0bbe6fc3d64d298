"""The instructions of a Dockerfile as typed values; variables in them stand as written until `expand_instruction`."""

from __future__ import annotations

from typing import Literal

import msgspec

from pywerf.errors import SourceExcerpt
from pywerf.frontend.dockerfile.ast import Heredoc
from pywerf.frontend.dockerfile.gotext import SPACES
from pywerf.graph.source_range import SourceRange
from pywerf.oci.config import Healthcheck as HealthcheckConfig

__all__ = [
    "Add",
    "Arg",
    "ArgPair",
    "Cmd",
    "Command",
    "Copy",
    "Device",
    "Entrypoint",
    "Env",
    "Expose",
    "From",
    "Healthcheck",
    "InlineSource",
    "KeyValue",
    "Label",
    "Maintainer",
    "Onbuild",
    "Run",
    "RunMount",
    "Shell",
    "Stage",
    "Stopsignal",
    "User",
    "Volume",
    "Workdir",
]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What all instructions have: the word as written, the logical line, the place, the comments directly above."""

    keyword: str
    code: str
    source: SourceExcerpt
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The instruction's name in upper case."""
        return self.keyword.upper()

    @property
    def range(self) -> SourceRange:
        """The lines as a graph's vertex keeps them."""
        return SourceRange(self.source.file, self.source.first, self.source.last)


class KeyValue(msgspec.Struct, frozen=True):
    """One pair of ENV or LABEL; `legacy`: written as `KEY value`."""

    key: str
    value: str
    legacy: bool = False


class ArgPair(msgspec.Struct, frozen=True):
    """One name of ARG; `value` None: no default. `comment` is its description (`# NAME description`)."""

    key: str
    value: str | None = None
    comment: str = ""


class InlineSource(msgspec.Struct, frozen=True):
    """A here-document as a source of COPY or ADD: a file `name` with `content`, whose variables `expand`."""

    name: str
    content: str
    expand: bool = True


class RunMount(msgspec.Struct, frozen=True):
    """One `RUN --mount`. `id` and `source` are "" when not given; numbers None when not given; `size` in bytes, 0: any.

    `raw` is the flag's value as written.
    """

    type: Literal["bind", "cache", "tmpfs", "secret", "ssh"] = "bind"
    id: str = ""
    target: str = ""
    source: str = ""
    from_: str = ""
    readonly: bool = True
    sharing: Literal["", "shared", "private", "locked"] = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    required: bool = False
    env: str = ""
    size: int = 0
    raw: str = ""


class Device(msgspec.Struct, frozen=True):
    """One `RUN --device`: the name of a CDI device; not `required`: left out where there is no such device."""

    name: str
    required: bool = False


class From(Command, frozen=True, kw_only=True):
    """FROM. `alias` is in lower case, `as_word` and `alias_word` as written; all "" without `AS`.

    `after` are stages that have to be built before (buildah's `FROM --after=STAGE`).
    """

    image: str
    platform: str = ""
    alias: str = ""
    as_word: str = ""
    alias_word: str = ""
    after: tuple[str, ...] = ()


class Arg(Command, frozen=True, kw_only=True):
    """ARG."""

    pairs: tuple[ArgPair, ...]


class Env(Command, frozen=True, kw_only=True):
    """ENV."""

    pairs: tuple[KeyValue, ...]


class Label(Command, frozen=True, kw_only=True):
    """LABEL."""

    pairs: tuple[KeyValue, ...]


class _CommandLine(Command, frozen=True, kw_only=True):
    """A command: `argv` in exec form (JSON), `line` for the shell in shell form."""

    form: Literal["exec", "shell"]
    argv: tuple[str, ...] = ()
    line: str = ""


class Run(_CommandLine, frozen=True, kw_only=True):
    """RUN. `mounts` are only as good as their values have no variables: `expand_instruction` makes them exact."""

    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[RunMount, ...] = ()
    network: Literal["default", "none", "host"] = "default"
    security: Literal["sandbox", "insecure"] = "sandbox"
    devices: tuple[Device, ...] = ()
    flags_used: tuple[str, ...] = ()

    @property
    def is_script(self) -> bool:
        """Whether the line is nothing but one here-document: then its content is the script."""
        from pywerf.frontend.dockerfile.lexer import heredoc_of_word

        return bool(self.heredocs) and heredoc_of_word(self.line) is not None

    @property
    def script_file(self) -> tuple[str, str] | None:
        """(name, content) of the file that is to be run when the script begins with `#!`, else None."""
        if self.is_script and self.heredocs[0].text.startswith("#!"):
            return self.heredocs[0].name, self.heredocs[0].text
        return None

    @property
    def shell_line(self) -> str:
        """What the shell gets: the line, the script, or the line with the here-documents behind it."""
        if not self.heredocs:
            return self.line
        if self.is_script:
            return self.heredocs[0].text
        return self.line + "".join([f"\n{heredoc.content}{heredoc.name}" for heredoc in self.heredocs])

    @property
    def summary(self) -> str:
        """The instruction in one line, as progress shows it: a script's first line stands in brackets."""
        if not self.is_script:
            return self.code
        first, more, _ = self.heredocs[0].content.strip(SPACES).replace("\r\n", "\n").partition("\n")
        return f"{self.code} ({first}{'...' if more else ''})"


class Cmd(_CommandLine, frozen=True, kw_only=True):
    """CMD."""


class Entrypoint(_CommandLine, frozen=True, kw_only=True):
    """ENTRYPOINT."""


class Shell(Command, frozen=True, kw_only=True):
    """SHELL."""

    argv: tuple[str, ...]


class _CopyLike(Command, frozen=True, kw_only=True):
    """COPY and ADD. `inline` are sources that stand in the Dockerfile; `chmod` is octal or symbolic."""

    sources: tuple[str, ...]
    dest: str
    inline: tuple[InlineSource, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


class Copy(_CopyLike, frozen=True, kw_only=True):
    """COPY. `from_` is a stage's name or number, a context or an image; "" is the build context."""

    from_: str = ""
    parents: bool = False


class Add(_CopyLike, frozen=True, kw_only=True):
    """ADD. `keep_git_dir` and `unpack` are None when not given."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


class User(Command, frozen=True, kw_only=True):
    """USER: `user[:group]`, names or numbers."""

    user: str


class Workdir(Command, frozen=True, kw_only=True):
    """WORKDIR."""

    path: str


class Volume(Command, frozen=True, kw_only=True):
    """VOLUME."""

    paths: tuple[str, ...]


class Expose(Command, frozen=True, kw_only=True):
    """EXPOSE. As written (sorted), and after `expand_instruction` each `PORT/PROTOCOL`, ranges spelled out."""

    ports: tuple[str, ...]


class Stopsignal(Command, frozen=True, kw_only=True):
    """STOPSIGNAL: a name with or without `SIG`, or a number."""

    signal: str


class Healthcheck(Command, frozen=True, kw_only=True):
    """HEALTHCHECK, already as the image's config wants it."""

    config: HealthcheckConfig


class Onbuild(Command, frozen=True, kw_only=True):
    """ONBUILD; `expression` is the instruction that waits, with its here-documents, as the image's config keeps it."""

    expression: str


class Maintainer(Command, frozen=True, kw_only=True):
    """MAINTAINER."""

    maintainer: str


class Stage(msgspec.Struct, frozen=True):
    """A build stage: number `index` from 0; `description` is the comment above FROM that begins with its name."""

    index: int
    base: From
    commands: tuple[Command, ...] = ()
    description: str = ""

    @property
    def name(self) -> str:
        """The name behind `AS`, in lower case, or ""."""
        return self.base.alias

    @property
    def range(self) -> SourceRange:
        """From FROM to the last instruction."""
        last = self.commands[-1].source.last if self.commands else self.base.source.last
        return SourceRange(self.base.source.file, self.base.source.first, last)
