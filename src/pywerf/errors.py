"""Every error that pywerf raises on purpose; only `cli/main.py` prints them or exits.

    WerfError                     exit code 1 unless said otherwise
    ├── UsageError                wrong flags or arguments (exit code 2)
    ├── Interrupted               SIGINT or SIGTERM (exit code 128 + signal number)
    ├── InvalidValue              a value that cannot be parsed
    │   ├── InvalidDigest
    │   ├── InvalidReference
    │   ├── InvalidPlatform
    │   └── InvalidDocument       a manifest, config or index that is not what it says
    ├── DockerfileError           anything wrong with a Dockerfile, at its line
    ├── ContextError              the build context: missing files, unreadable, outside
    ├── PatternError              a pattern of a .dockerignore or an --exclude
    ├── TemplateError             a Go template (`--format`, werf.yaml) that cannot be read or run
    ├── ConfigError               werf.yaml, werf-giterminism.yaml: what they say, at its line
    ├── GiterminismError          what would make a build depend on more than the commit
    ├── GitError                  the project's repository cannot be read as asked
    ├── ArchiveError              a tar archive that is damaged or hostile
    ├── DigestMismatch            content that is not what its digest says
    ├── RegistryError             a registry answered with an error, or not at all
    │   ├── RegistryUnauthorized
    │   ├── RegistryNotFound
    │   └── RegistryConfigError   registries.conf, auth.json
    ├── StoreError                the store on disk
    │   ├── ImageNotFound
    │   └── ImageInUse
    ├── SnapshotError             a snapshot cannot be made or mounted
    ├── LockError                 a lock service that does not answer, or refuses
    │   └── LockLost              a lock that is not ours any more
    ├── IsolationError            a container cannot be started as asked
    │   └── RuntimeFailed         an OCI runtime made no container
    ├── ContainerFailed           the command of a RUN, or of `werf run`, ended with a status that is not 0
    └── BuildError                a build that cannot go on, for a reason that is none of the above
        └── BuildStopped          a step that was given up because another one had failed

Foreign errors (OSError, urllib3, sqlite3, click) are translated at the border of the package that
meets them, with `from`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ArchiveError",
    "BuildError",
    "BuildStopped",
    "ConfigError",
    "ContainerFailed",
    "ContextError",
    "DigestMismatch",
    "DockerfileError",
    "GitError",
    "GiterminismError",
    "ImageInUse",
    "ImageNotFound",
    "Interrupted",
    "InvalidDigest",
    "InvalidDocument",
    "InvalidPlatform",
    "InvalidReference",
    "InvalidValue",
    "IsolationError",
    "LockError",
    "LockLost",
    "PatternError",
    "RegistryConfigError",
    "RegistryError",
    "RegistryNotFound",
    "RegistryUnauthorized",
    "RuntimeFailed",
    "SnapshotError",
    "SourceExcerpt",
    "StoreError",
    "TemplateError",
    "UsageError",
    "WerfError",
]


class SourceExcerpt(NamedTuple):
    """The place in a file that an error is about.

    `first` and `last` are line numbers from 1; `lines` is the text of those lines without line ends;
    `column` (from 0, in the first line) and `width` say where a caret goes, or None for no caret.
    """

    file: str
    first: int
    last: int
    lines: tuple[str, ...]
    column: int | None = None
    width: int = 1


class WerfError(Exception):
    """Base of all. `message` says what is wrong; `hint` the way out; `source` where it stands."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, source: SourceExcerpt | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.source = source

    def __str__(self) -> str:
        if self.source is None:
            return self.message
        return f"{self.source.file}:{self.source.first}: {self.message}"


class UsageError(WerfError):
    """The command line is wrong."""

    exit_code = 2


class Interrupted(WerfError):
    """A signal asked the command to stop."""

    def __init__(self, signum: int) -> None:
        super().__init__("interrupted")
        self.signum = signum
        self.exit_code = 128 + signum


class InvalidValue(WerfError):
    """A value that cannot be parsed."""


class InvalidDigest(InvalidValue):
    """Not `algorithm:hex` (OCI image-spec, descriptor.md#digests)."""


class InvalidReference(InvalidValue):
    """Not an image reference (the grammar of distribution/reference)."""


class InvalidPlatform(InvalidValue):
    """Not `os/arch[/variant]`."""


class InvalidDocument(InvalidValue):
    """A manifest, index, config or layout whose JSON is not what its media type promises."""


class DockerfileError(WerfError):
    """Anything wrong with a Dockerfile; `source` names the lines."""


class ContextError(WerfError):
    """A build context that cannot be read as asked."""


class PatternError(WerfError):
    """A pattern that does not follow the syntax of Go's filepath.Match with `**`."""


class TemplateError(WerfError):
    """A Go template that does not parse, or that fails on its data; the message names the place."""


class ConfigError(WerfError):
    """werf.yaml or one of its companions does not say what it may say; `source` names the lines."""


class GiterminismError(WerfError):
    """Something would make the build depend on more than the commit."""


class GitError(WerfError):
    """The project's git repository is missing, damaged, or has not what is asked of it."""


class ArchiveError(WerfError):
    """A tar archive that is damaged, or that tries to reach outside of its root."""


class DigestMismatch(WerfError):
    """Content whose digest or size is not the expected one."""

    def __init__(self, what: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{what}: expected {expected}, got {actual}",
            hint="the content was damaged or replaced on its way; try again, or ask who serves it",
        )
        self.expected = expected
        self.actual = actual


class RegistryError(WerfError):
    """A registry answered with an error, or not at all; `status` is the HTTP status or None."""

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class RegistryUnauthorized(RegistryError):
    """401 or 403 after every credential that was at hand."""


class RegistryNotFound(RegistryError):
    """404: no such repository, manifest or blob."""


class RegistryConfigError(RegistryError):
    """registries.conf or an auth file is malformed, or blocks the registry."""


class StoreError(WerfError):
    """The store cannot be opened, read or written."""


class ImageNotFound(StoreError):
    """No image in the store answers to the name or id."""

    def __init__(self, name: str, hint: str | None = None) -> None:
        super().__init__(f"{name}: image not known", hint=hint)
        self.name = name


class ImageInUse(StoreError):
    """The image cannot be removed: something stands on it."""


class SnapshotError(WerfError):
    """A snapshot cannot be made, mounted or removed."""


class LockError(WerfError):
    """A lock service cannot be reached, or answers with an error."""


class LockLost(LockError):
    """A lock that was held is not ours any more: its lease ended, or the service has forgotten it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the lock {name!r} was lost: its lease ended before it was renewed",
            hint="was this process stopped, or the lock service out of reach, for ten seconds?",
        )
        self.name = name


class IsolationError(WerfError):
    """A container cannot be started as asked."""


class RuntimeFailed(IsolationError):
    """An OCI runtime made no container. `logged` is why, from its log, or empty.

    It wrote to the container's own descriptors: all that those carry is its words.
    """

    def __init__(self, message: str, *, logged: str, status: int, hint: str | None = None) -> None:
        why = logged or f"it ended with status {status}; what it has to say stands above"
        super().__init__(f"{message}: {why}", hint=hint)
        self.logged = logged
        self._unexplained = f"{message}: it ended with status {status}"

    def explain(self, words: str) -> None:
        """Take what it wrote to standard error into the message, if its log does not tell why."""
        if not self.logged:
            self.message = f"{self._unexplained}: {words}" if words else f"{self._unexplained} and did not say why"
            self.args = (self.message,)


class ContainerFailed(WerfError):
    """A container's command ended with `status` (128 + N when killed by signal N)."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        output: str = "",
        hint: str | None = None,
        source: SourceExcerpt | None = None,
    ) -> None:
        super().__init__(message, hint=hint, source=source)
        self.status = status
        self.output = output


class BuildError(WerfError):
    """A build that cannot go on."""


class ShellMissing(BuildError):
    """There is no shell in the files of a step or image."""


class BuildStopped(BuildError):
    """A step was given up because another one had failed: that one's error is what the user sees."""

    def __init__(self) -> None:
        super().__init__("stopped, because another step failed")
