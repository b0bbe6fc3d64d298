"""Replaces the variables of an instruction: exactly the fields that BuildKit expands, and no others.

FROM          image, platform (with global ARGs alone: `expand_from`)
ENV, LABEL    names and values; all with the variables as they were before the instruction
ARG           values, from left to right
COPY, ADD     sources, destination, --chown, --chmod, --checksum, --from; here-documents that are not quoted
RUN           the values of --mount; the command is the shell's business
EXPOSE        each word, which may become several; then ports are checked and ranges spelled out
STOPSIGNAL USER VOLUME WORKDIR
CMD ENTRYPOINT HEALTHCHECK MAINTAINER ONBUILD SHELL are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from pywerf.errors import DockerfileError, InvalidPlatform, SourceExcerpt
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.expand import Expander, Lookup
from pywerf.oci.platform import Platform
from pywerf.util.suggest import nearest

__all__ = ["expand_from", "expand_instruction", "located"]

_C = TypeVar("_C", bound=c.Command)


def expand_instruction(
    command: _C,
    lookup: Lookup,
    escape: str = "\\",
    *,
    matched: set[str] | None = None,
    unmatched: set[str] | None = None,
) -> _C:
    """`command` with its variables replaced; the names that were met are added to `matched` and `unmatched`.

    Expanding twice is not the same as once: quotes and escapes are gone afterwards. Raises DockerfileError at the
    instruction's lines.
    """
    rule = _RULES.get(type(command))
    if rule is None:
        return command
    expander = Expander(lookup, escape)
    try:
        return cast("_C", rule(command, expander))
    except DockerfileError as error:
        raise located(error, command.source) from error
    finally:
        if matched is not None:
            matched |= expander.matched
        if unmatched is not None:
            unmatched |= expander.unmatched


def located(error: DockerfileError, source: SourceExcerpt) -> DockerfileError:
    """An error of the same words at its own place, or at `source` when it has none."""
    return DockerfileError(error.message, hint=error.hint, source=error.source or source)


def expand_from(
    base: c.From,
    lookup: Lookup,
    *,
    escape: str = "\\",
    names: Callable[[], list[str]] | None = None,
    matched: set[str] | None = None,
    unmatched: set[str] | None = None,
) -> c.From:
    """FROM with global ARGs; `names` gives the known ones, for suggestions.

    Raises DockerfileError when the image or the platform comes out empty or cannot be.
    """
    expander = Expander(lookup, escape)
    try:
        image = expander.word(base.image)
        platform_names = Expander(lookup, escape)
        platform = platform_names.word(base.platform)
        after = tuple([expander.word(name) for name in base.after])
    except DockerfileError as error:
        raise located(error, base.source) from error
    finally:
        if matched is not None:
            matched |= expander.matched
        if unmatched is not None:
            unmatched |= expander.unmatched
    if matched is not None:
        matched |= platform_names.matched
    if unmatched is not None:
        unmatched |= platform_names.unmatched
    if not image:
        raise DockerfileError(
            f"base name ({base.image}) should not be blank",
            hint="give the ARG a default before FROM, or a value with --build-arg",
            source=base.source,
        )
    if base.platform:
        known = names() if names is not None else []
        similar = next(filter(None, (nearest(name, known) for name in sorted(platform_names.unmatched))), "")
        suggestion = f" (did you mean {similar}?)" if similar else ""
        if not platform:
            raise DockerfileError(
                f"empty platform value from expression {base.platform}{suggestion}", source=base.source
            )
        try:
            Platform.parse(platform)
        except InvalidPlatform as error:
            raise DockerfileError(
                f"failed to parse platform {base.platform}: {error.message}{suggestion}",
                hint=error.hint,
                source=base.source,
            ) from error
    return replace(base, image=image, platform=platform, after=after)


def _arg(command: c.Arg, expander: Expander) -> c.Arg:
    own: dict[str, str] = {}
    outer = expander.value

    def lookup(name: str) -> str | None:
        return own[name] if name in own else outer(name)

    inner = Expander(lookup, expander.escape)
    pairs = []
    for pair in command.pairs:
        value = None if pair.value is None else inner.word(pair.value)
        if value is not None:
            own[pair.key] = value
        pairs.append(replace(pair, value=value))
    return replace(command, pairs=tuple(pairs))


def _pairs(command: Any, expander: Expander) -> Any:
    pairs = [replace(pair, key=expander.word(pair.key), value=expander.word(pair.value)) for pair in command.pairs]
    return replace(command, pairs=tuple(pairs))


def _run(command: c.Run, expander: Expander) -> c.Run:
    if not command.mounts:
        return command
    from pywerf.frontend.dockerfile.mounts import parse_mount

    return replace(command, mounts=tuple([parse_mount(mount.raw, expander.word) for mount in command.mounts]))


def _copy_fields(command: Any, expander: Expander) -> dict[str, Any]:
    word = expander.word
    changes: dict[str, Any] = {
        "chown": word(command.chown),
        "chmod": word(command.chmod),
        "sources": tuple([word(source) for source in command.sources]),
        "dest": word(command.dest),
    }
    if any(source.expand for source in command.inline):
        # Quotes mean nothing in a here-document, and its escape is the backslash whatever the directive says.
        raw = Expander(expander.value, skip_quotes=True)
        changes["inline"] = tuple(
            [
                replace(source, content=raw.word(source.content)) if source.expand else source
                for source in command.inline
            ]
        )
    return changes


def _copy(command: c.Copy, expander: Expander) -> c.Copy:
    return replace(command, from_=expander.word(command.from_), **_copy_fields(command, expander))


def _add(command: c.Add, expander: Expander) -> c.Add:
    return replace(command, checksum=expander.word(command.checksum), **_copy_fields(command, expander))


def _user(command: c.User, expander: Expander) -> c.User:
    return replace(command, user=expander.word(command.user))


def _workdir(command: c.Workdir, expander: Expander) -> c.Workdir:
    return replace(command, path=expander.word(command.path))


def _volume(command: c.Volume, expander: Expander) -> c.Volume:
    paths = tuple([expander.word(path) for path in command.paths])
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return replace(command, paths=paths)


def _expose(command: c.Expose, expander: Expander) -> c.Expose:
    from pywerf.frontend.dockerfile.ports import parse_port

    ports: list[str] = []
    for words in command.ports:
        for word in expander.words(words):
            ports += parse_port(word).ports
    return replace(command, ports=tuple(dict.fromkeys(ports)))


_SIGNALS = frozenset(
    (
        *("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE"),
        *("POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU"),
        *("URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"),
    )
)


def _stopsignal(command: c.Stopsignal, expander: Expander) -> c.Stopsignal:
    signal = expander.word(command.signal)
    name = signal.upper().removeprefix("SIG")
    if name.lstrip("+-").isdigit() and name.isascii():
        valid = int(name.lstrip("+-")) != 0
    else:
        base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
        limit = {"RTMIN": ("+", 15), "RTMAX": ("-", 14)}.get(base, ("", 0))
        in_range = sign == limit[0] and offset.isdigit() and 1 <= int(offset) <= limit[1]
        valid = name in _SIGNALS or (bool(sign) and in_range)
    if not valid:
        raise DockerfileError(f"invalid signal: {signal}", hint="for instance SIGTERM, TERM or 15")
    return replace(command, signal=signal)


_RULES: dict[type[c.Command], Callable[[Any, Expander], c.Command]] = {
    c.Add: _add,
    c.Arg: _arg,
    c.Copy: _copy,
    c.Env: _pairs,
    c.Expose: _expose,
    c.Label: _pairs,
    c.Run: _run,
    c.Stopsignal: _stopsignal,
    c.User: _user,
    c.Volume: _volume,
    c.Workdir: _workdir,
}
