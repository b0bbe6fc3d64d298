"""Which variables an instruction sees: global ARGs, the ARGs and ENVs of a stage, platform and proxy ARGs.

ARG before the first FROM     seen by FROM alone; a stage takes one over with `ARG NAME`
ARG in a stage                seen from there to the stage's end, and in stages built FROM it
--build-arg NAME=VALUE        replaces the default of every `ARG NAME`; without such an ARG it is not used
TARGETPLATFORM …              known to FROM; a stage takes one over with `ARG TARGETPLATFORM`
HTTP_PROXY …                  reach RUN without an ARG, and neither history nor cache key
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.commands import Arg, ArgPair, From, Stage
from pywerf.frontend.dockerfile.expand import Expander
from pywerf.frontend.dockerfile.expansion import expand_from, located
from pywerf.oci.platform import Platform

__all__ = ["DEFAULT_PATH", "PROXY_ARGS", "ArgScope", "GlobalArg", "StageArgs", "platform_args"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PROXY_ARGS = (
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
)
"""The ARGs that need no declaration."""

# These steer the builder; no command is to see them as environment.
_NOT_ENVIRONMENT = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")


def platform_args(build: Platform, target: Platform, stage: str = "") -> dict[str, str]:
    """The ARGs that tell about platforms; `stage` is the name of the target stage. What is empty is left out."""
    values = {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }
    return {name: value for name, value in values.items() if value}


class GlobalArg(msgspec.Struct, frozen=True):
    """An ARG before the first FROM, with its value (None: none) and the other ARGs that its default uses."""

    pair: ArgPair
    value: str | None
    uses: frozenset[str]
    arg: Arg


class ArgScope:
    """The variables of a whole Dockerfile. `values` are the global ARGs and the defaults, as FROM sees them."""

    __slots__ = ("build_args", "declared", "defaults", "escape", "values")

    def __init__(
        self,
        meta_args: Sequence[Arg],
        build_args: Mapping[str, str],
        defaults: Mapping[str, str],
        *,
        escape: str = "\\",
    ) -> None:
        """`defaults` are `platform_args(…)`; a `--build-arg` of such a name replaces it.

        Raises DockerfileError when a default cannot be expanded.
        """
        self.build_args = dict(build_args)
        self.escape = escape
        self.defaults = {name: self.build_args.get(name, value) for name, value in defaults.items()}
        self.values = dict(self.defaults)
        self.declared: dict[str, GlobalArg] = {}
        for arg in meta_args:
            for pair in arg.pairs:
                self._declare(arg, pair)

    def _declare(self, arg: Arg, pair: ArgPair) -> None:
        key = pair.key
        uses: set[str] = set()
        value = self.build_args.get(key)
        if value is None and pair.value is not None:
            expander = Expander(self.values, self.escape)
            try:
                value = expander.word(pair.value)
            except DockerfileError as error:
                raise located(error, arg.source) from error
            uses = expander.matched
            if key in uses and key in self.declared:
                uses |= self.declared[key].uses
            uses.discard(key)
        if value is not None:
            self.values[key] = value
        self.declared[key] = GlobalArg(pair, value, frozenset(uses), arg)

    def lookup(self, name: str) -> str | None:
        """The value that FROM sees."""
        return self.values.get(name)

    def names(self) -> list[str]:
        """The names of what is set, for suggestions."""
        return list(self.values)

    def expand_from(self, base: From, *, matched: set[str] | None = None, unmatched: set[str] | None = None) -> From:
        """FROM with its variables replaced. Raises DockerfileError."""
        return expand_from(
            base, self.values, escape=self.escape, names=self.names, matched=matched, unmatched=unmatched
        )

    def proxy_environment(self) -> dict[str, str]:
        """The environment that RUN gets for proxies: the build args of these names, in the spelling that was given."""
        return {key: self.build_args[key] for key in PROXY_ARGS if key in self.build_args}

    def unconsumed(self, stages: Iterable[Stage]) -> list[str]:
        """The build args that no ARG takes, sorted; those that need no ARG are left out."""
        known = set(self.declared) | set(self.defaults) | {"SOURCE_DATE_EPOCH"}
        for stage in stages:
            for command in stage.commands:
                if isinstance(command, Arg):
                    known.update(pair.key for pair in command.pairs)
        return sorted(
            key
            for key in self.build_args
            if key not in known and key not in PROXY_ARGS and not key.startswith("BUILDKIT_")
        )

    def stage(self, env: Iterable[tuple[str, str]] = (), parent: StageArgs | None = None) -> StageArgs:
        """The variables at a stage's beginning: of the image it is built on (`env`), or of the stage (`parent`)."""
        out = StageArgs(self)
        if parent is not None:
            out.env.update(parent.env)
            out.args.extend(parent.args)
        out.env.update(env)
        return out


class StageArgs:
    """The variables of a stage, as its instructions change them one after the other.

    `env` is what `$NAME` and the commands of RUN see: ENV and ARG alike, the later one wins. `args` are the ARGs that
    were declared, in order, with their values (None: none).
    """

    __slots__ = ("args", "env", "scope")

    def __init__(self, scope: ArgScope) -> None:
        self.scope = scope
        self.env: dict[str, str] = {}
        self.args: list[tuple[str, str | None]] = []

    def lookup(self, name: str) -> str | None:
        """The value of a variable, None when it is not set."""
        return self.env.get(name)

    def set_env(self, pairs: Iterable[tuple[str, str]]) -> None:
        """What an (expanded) ENV does."""
        self.env.update(pairs)

    def declare(self, arg: Arg, *, matched: set[str] | None = None, unmatched: set[str] | None = None) -> Arg:
        """What an ARG does; the result has the values that its names got (None: none).

        A default is only expanded when it is used. Raises DockerfileError at the instruction's lines.
        """
        pairs: list[ArgPair] = []
        for pair in arg.pairs:
            value = self.scope.build_args.get(pair.key)
            if value is None and pair.value is None:
                value = self.scope.values.get(pair.key)
            elif value is None and pair.value is not None:
                expander = Expander(self.env, self.scope.escape)
                try:
                    value = expander.word(pair.value)
                except DockerfileError as error:
                    raise located(error, arg.source) from error
                if matched is not None:
                    matched |= expander.matched
                if unmatched is not None:
                    unmatched |= expander.unmatched - {name for name, _ in self.args}
            if value is not None and pair.key not in _NOT_ENVIRONMENT:
                self.env[pair.key] = value
            self.args.append((pair.key, value))
            pairs.append(msgspec.structs.replace(pair, value=value))
        return msgspec.structs.replace(arg, pairs=tuple(pairs))

    def history_args(self) -> list[tuple[str, str]]:
        """The declared ARGs as the history of a RUN names them (`|2 A=1 B=2 …`): each once, with its present value."""
        out: dict[str, str] = {}
        for name, value in self.args:
            out[name] = self.env.get(name, value or "")
        return list(out.items())
