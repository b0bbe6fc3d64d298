"""How the node of each instruction becomes its typed value. The conditions and messages are BuildKit's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.ast import Heredoc, Node
from pywerf.frontend.dockerfile.flags import FlagKind, Flags, parse_flags
from pywerf.frontend.dockerfile.gotext import SPACES, parse_duration, parse_int, quote, strip
from pywerf.frontend.dockerfile.lexer import heredoc_of_word
from pywerf.oci.config import Healthcheck as HealthcheckConfig
from pywerf.util.suggest import did_you_mean

__all__ = ["BUILDERS", "describe"]

MILLISECOND = 1_000_000

_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")

_Kinds = dict[str, FlagKind]
_Head = dict[str, Any]


def describe(comments: tuple[str, ...], name: str) -> str:
    """The description of a stage or ARG: the comment directly above that begins with its name."""
    if name:
        for comment in comments:
            if comment.startswith(name + " "):
                return comment[len(name) + 1 :]
    return ""


def _at_least_one(name: str) -> DockerfileError:
    return DockerfileError(f"{name} requires at least one argument")


def _only(node: Node) -> str:
    if len(node.args) != 1:
        raise DockerfileError(f"{node.name} requires exactly one argument")
    return node.args[0]


def _from(node: Node, kinds: _Kinds, head: _Head) -> c.From:
    args = list(node.args)
    alias = as_word = ""
    if len(args) == 3 and args[1].lower() == "as":
        as_word, alias = args[1], args[2].lower()
        rest = alias[1:].replace("-", "").replace("_", "").replace(".", "")
        if not ("a" <= alias[0] <= "z" and alias.isascii() and (not rest or rest.isalnum())):
            raise DockerfileError(
                f"invalid name for build stage: {quote(args[2])}, name can't start with a number or contain symbols"
            )
    elif len(args) != 1:
        raise DockerfileError("FROM requires either one or three arguments", hint="write FROM IMAGE [AS NAME]")
    flags = parse_flags(node.flags, kinds)
    return c.From(
        image=args[0],
        platform=flags.string("platform"),
        alias=alias,
        as_word=as_word,
        alias_word=args[2] if alias else "",
        after=flags.strings("after"),
        **head,
    )


def _arg(node: Node, kinds: _Kinds, head: _Head) -> c.Arg:
    if not node.args:
        raise _at_least_one("ARG")
    pairs = []
    for word in node.args:
        key, equals, value = word.partition("=")
        if not key:
            raise DockerfileError("ARG names can not be blank")
        pairs.append(c.ArgPair(key, value if equals else None, describe(node.comments, key)))
    return c.Arg(pairs=tuple(pairs), **head)


def _key_values(node: Node, kinds: _Kinds) -> tuple[c.KeyValue, ...]:
    parse_flags(node.flags, kinds)
    args = node.args
    if not args:
        raise _at_least_one(node.name)
    if len(args) % 3:
        raise DockerfileError(f"Bad input to {node.name}, too many arguments")
    if not all(args[::3]):
        raise DockerfileError(f"{node.name} names can not be blank")
    return tuple([c.KeyValue(args[i], args[i + 1], not args[i + 2]) for i in range(0, len(args), 3)])


def _env(node: Node, kinds: _Kinds, head: _Head) -> c.Env:
    return c.Env(pairs=_key_values(node, kinds), **head)


def _label(node: Node, kinds: _Kinds, head: _Head) -> c.Label:
    return c.Label(pairs=_key_values(node, kinds), **head)


def _command_line(node: Node, head: _Head) -> _Head:
    if node.json:
        return {**head, "form": "exec", "argv": node.args}
    return {**head, "form": "shell", "line": " ".join(node.args)}


def _run(node: Node, kinds: _Kinds, head: _Head) -> c.Run:
    line = _command_line(node, head)
    if not node.flags:
        return c.Run(heredocs=node.heredocs, **line)
    from pywerf.frontend.dockerfile.mounts import parse_device, sketch_mount

    flags = parse_flags(node.flags, kinds)
    network = flags.string("network") if "network" in flags.used else "default"
    if network not in _NETWORKS:
        raise DockerfileError(
            f"invalid network mode {quote(network)}{did_you_mean(network, _NETWORKS)}",
            hint=f"the modes are {', '.join(_NETWORKS)}",
        )
    security = flags.string("security") if "security" in flags.used else "sandbox"
    if security not in _SECURITY:
        raise DockerfileError(
            f"security {quote(security)} is not valid{did_you_mean(security, _SECURITY)}",
            hint=f"the values are {', '.join(_SECURITY)}",
        )
    return c.Run(
        heredocs=node.heredocs,
        mounts=tuple([sketch_mount(raw) for raw in flags.strings("mount")]),
        network=cast("Any", network),
        security=cast("Any", security),
        devices=tuple([parse_device(raw) for raw in flags.strings("device")]),
        flags_used=flags.used,
        **line,
    )


def _cmd(node: Node, kinds: _Kinds, head: _Head) -> c.Cmd:
    parse_flags(node.flags, kinds)
    return c.Cmd(**_command_line(node, head))


def _entrypoint(node: Node, kinds: _Kinds, head: _Head) -> c.Entrypoint:
    parse_flags(node.flags, kinds)
    return c.Entrypoint(**_command_line(node, head))


def _shell(node: Node, kinds: _Kinds, head: _Head) -> c.Shell:
    parse_flags(node.flags, kinds)
    if not node.args:
        raise _at_least_one("SHELL")
    if not node.json:
        raise DockerfileError(
            "SHELL requires the arguments to be in JSON form", hint='for instance SHELL ["/bin/bash", "-c"]'
        )
    return c.Shell(argv=node.args, **head)


def _sources(node: Node, kinds: _Kinds, head: _Head) -> tuple[Flags, _Head]:
    if len(node.args) < 2:
        raise DockerfileError(
            f"{node.name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined.",
            hint=f"write {node.name} SOURCE… DESTINATION",
        )
    flags = parse_flags(node.flags, kinds)
    *sources, dest = node.args
    if _heredoc(dest) is not None:
        raise DockerfileError(f"{node.name} cannot accept a heredoc as a destination")
    paths: list[str] = []
    inline: list[c.InlineSource] = []
    bodies = {heredoc.name: heredoc for heredoc in node.heredocs}
    for word in sources:
        heredoc = _heredoc(word)
        if heredoc is None:
            paths.append(word)
            continue
        body = bodies.get(heredoc.name, heredoc)
        content = msgspec.structs.replace(heredoc, content=body.content).text
        inline.append(c.InlineSource(heredoc.name, content, heredoc.expand))
    return flags, {
        **head,
        "sources": tuple(paths),
        "dest": dest,
        "inline": tuple(inline),
        "chown": flags.string("chown"),
        "chmod": flags.string("chmod"),
        "link": bool(flags.boolean("link")),
        "exclude": flags.strings("exclude"),
    }


def _heredoc(word: str) -> Heredoc | None:
    try:
        return heredoc_of_word(word)
    except DockerfileError:
        return None


def _copy(node: Node, kinds: _Kinds, head: _Head) -> c.Copy:
    flags, values = _sources(node, kinds, head)
    return c.Copy(from_=flags.string("from"), parents=bool(flags.boolean("parents")), **values)


def _add(node: Node, kinds: _Kinds, head: _Head) -> c.Add:
    flags, values = _sources(node, kinds, head)
    return c.Add(
        checksum=flags.string("checksum"),
        keep_git_dir=flags.boolean("keep-git-dir"),
        unpack=flags.boolean("unpack"),
        **values,
    )


def _user(node: Node, kinds: _Kinds, head: _Head) -> c.User:
    user = _only(node)
    parse_flags(node.flags, kinds)
    return c.User(user=user, **head)


def _workdir(node: Node, kinds: _Kinds, head: _Head) -> c.Workdir:
    path = _only(node)
    parse_flags(node.flags, kinds)
    return c.Workdir(path=path, **head)


def _maintainer(node: Node, kinds: _Kinds, head: _Head) -> c.Maintainer:
    maintainer = _only(node)
    parse_flags(node.flags, kinds)
    return c.Maintainer(maintainer=maintainer, **head)


def _stopsignal(node: Node, kinds: _Kinds, head: _Head) -> c.Stopsignal:
    return c.Stopsignal(signal=_only(node), **head)


def _volume(node: Node, kinds: _Kinds, head: _Head) -> c.Volume:
    if not node.args:
        raise _at_least_one("VOLUME")
    parse_flags(node.flags, kinds)
    paths = tuple([strip(path) for path in node.args])
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return c.Volume(paths=paths, **head)


def _expose(node: Node, kinds: _Kinds, head: _Head) -> c.Expose:
    if not node.args:
        raise _at_least_one("EXPOSE")
    parse_flags(node.flags, kinds)
    return c.Expose(ports=tuple(sorted(node.args)), **head)


def _healthcheck(node: Node, kinds: _Kinds, head: _Head) -> c.Healthcheck:
    if not node.args:
        raise _at_least_one("HEALTHCHECK")
    kind, *args = node.args
    kind = kind.upper()
    if kind == "NONE":
        if args:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return c.Healthcheck(config=HealthcheckConfig(("NONE",)), **head)
    flags = parse_flags(node.flags, kinds)
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {quote(kind)} in HEALTHCHECK (try CMD)")
    if not args:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    test = ("CMD", *args) if node.json else ("CMD-SHELL", " ".join(args))
    config = HealthcheckConfig(
        test,
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.string("retries")),
    )
    return c.Healthcheck(config=config, **head)


def _interval(flags: Flags, name: str) -> int:
    text = flags.string(name)
    if not text:
        return 0
    duration = parse_duration(text)
    if duration and duration < MILLISECOND:
        raise DockerfileError(f"Interval {quote(name)} cannot be less than 1ms")
    return duration


def _retries(text: str) -> int:
    if not text:
        return 0
    number = parse_int(text)
    if number is None:
        raise DockerfileError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    if not -(1 << 31) <= number < 1 << 31:
        raise DockerfileError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    if number < 0:
        raise DockerfileError(f"--retries cannot be negative ({number})")
    return number


def _onbuild(node: Node, kinds: _Kinds, head: _Head) -> c.Onbuild:
    if node.child is None:
        raise _at_least_one("ONBUILD")
    parse_flags(node.flags, kinds)
    trigger = node.child.name
    if trigger == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    expression = node.original.lstrip(SPACES)[len(node.keyword) :].lstrip("\t\n\f\r ")
    expression += "".join([f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs])
    return c.Onbuild(expression=expression, **head)


_COPY_FLAGS: _Kinds = {"chown": "string", "chmod": "string", "link": "bool", "exclude": "strings"}
BUILDERS: dict[str, tuple[Callable[[Node, _Kinds, _Head], c.Command], _Kinds]] = {
    "ADD": (_add, {**_COPY_FLAGS, "checksum": "string", "keep-git-dir": "bool", "unpack": "bool"}),
    "ARG": (_arg, {}),
    "CMD": (_cmd, {}),
    "COPY": (_copy, {**_COPY_FLAGS, "from": "string", "parents": "bool"}),
    "ENTRYPOINT": (_entrypoint, {}),
    "ENV": (_env, {}),
    "EXPOSE": (_expose, {}),
    "FROM": (_from, {"platform": "string", "after": "strings"}),
    "HEALTHCHECK": (
        _healthcheck,
        {
            "interval": "string",
            "timeout": "string",
            "start-period": "string",
            "start-interval": "string",
            "retries": "string",
        },
    ),
    "LABEL": (_label, {}),
    "MAINTAINER": (_maintainer, {}),
    "ONBUILD": (_onbuild, {}),
    "RUN": (_run, {"mount": "strings", "network": "string", "security": "string", "device": "strings"}),
    "SHELL": (_shell, {}),
    "STOPSIGNAL": (_stopsignal, {}),
    "USER": (_user, {}),
    "VOLUME": (_volume, {}),
    "WORKDIR": (_workdir, {}),
}
"""By name in upper case: the function, and the flags that the instruction takes."""
