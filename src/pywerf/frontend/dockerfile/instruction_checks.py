"""What the checks say of single instructions, and what they know of a stage meanwhile."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pywerf.errors import DockerfileError, SourceExcerpt
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import StageArgs
from pywerf.frontend.dockerfile.expand import Expander
from pywerf.frontend.dockerfile.gotext import quote
from pywerf.frontend.dockerfile.ports import parse_port
from pywerf.frontend.dockerfile.rules import promises_secret
from pywerf.frontend.dockerfile.stages import StageLinks

if TYPE_CHECKING:
    from pywerf.frontend.dockerfile.analysis import Analysis

__all__ = ["CHECKS", "ArgUse", "StageWalk", "ends", "expose"]


class ArgUse(msgspec.Struct, frozen=True):
    """An ARG with the value it gets; `uses` are the ARGs in its default."""

    name: str
    value: str
    description: str
    source: SourceExcerpt
    uses: frozenset[str] = frozenset()


class StageWalk:
    """What is known about a stage while its instructions are looked at."""

    def __init__(self, links: StageLinks, args: StageArgs) -> None:
        self.links = links
        self.args = args
        self.env_known = True
        self.shell = False
        self.stops = False
        self.workdir = False
        self.last: dict[str, c.Command] = {}
        self.onbuild: list[str] = []
        self.arg_uses: dict[str, ArgUse] = {}
        self.used: set[str] = set(links.matched)
        self.secrets: dict[str, tuple[bool, SourceExcerpt]] = {}
        self.ssh: dict[str, tuple[bool, SourceExcerpt]] = {}


def expose(analysis: Analysis, walk: StageWalk, command: c.Expose) -> None:
    """EXPOSE, before its variables are replaced: a wrong port ends the walk."""
    expander = Expander(walk.args.env, walk.args.scope.escape)
    for words in command.ports:
        try:
            specs = [(word, parse_port(word)) for word in expander.words(words)]
        except DockerfileError:
            return  # expanding says so
        for word, spec in specs:
            if spec.protocol != spec.protocol.lower():
                detail = f"Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                analysis.find("ExposeProtoCasing", detail, command)
            if spec.ip or spec.host_port:
                detail = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                analysis.find("ExposeInvalidFormat", detail, command)


def arg(analysis: Analysis, walk: StageWalk, written: c.Arg, expanded: c.Arg) -> None:
    """ARG."""
    scope = walk.args.scope
    for pair, final in zip(written.pairs, expanded.pairs, strict=True):
        _secret(analysis, written, "ARG", pair.key)
        inherited = pair.value is None and pair.key not in scope.build_args and pair.key in scope.values
        if not inherited:
            walk.arg_uses[pair.key] = ArgUse(pair.key, final.value or "", pair.comment, written.source)
        walk.used.add(pair.key)


def env(analysis: Analysis, walk: StageWalk, written: c.Env, expanded: c.Env) -> None:
    """ENV."""
    label(analysis, walk, written, expanded)
    for pair in expanded.pairs:
        _secret(analysis, written, "ENV", pair.key)
    walk.args.set_env((pair.key, pair.value) for pair in expanded.pairs)


def label(analysis: Analysis, walk: StageWalk, written: c.Env | c.Label, expanded: c.Env | c.Label) -> None:
    """LABEL, and the pairs of ENV."""
    for pair in expanded.pairs:
        if pair.legacy:
            name = written.keyword
            detail = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
            analysis.find("LegacyKeyValueFormat", detail, written)


def _secret(analysis: Analysis, command: c.Command, instruction: str, key: str) -> None:
    if promises_secret(key):
        detail = f"Do not use ARG or ENV instructions for sensitive data ({instruction} {quote(key)})"
        analysis.find("SecretsUsedInArgOrEnv", detail, command)


def workdir(analysis: Analysis, walk: StageWalk, written: c.Workdir, expanded: c.Workdir) -> None:
    """WORKDIR."""
    if not walk.workdir and not expanded.path.startswith("/"):
        detail = f"Relative workdir {quote(expanded.path)} can have unexpected results if the base image changes"
        analysis.find("WorkdirRelativePath", detail, written)
    walk.workdir = True


def shell(analysis: Analysis, walk: StageWalk, written: c.Shell, expanded: c.Shell) -> None:
    """SHELL; one with `-e` (`bash -euc`) stops at the first error."""
    walk.shell = True
    walk.stops = any(re.fullmatch(r"-\w*e\w*", word) for word in expanded.argv[1:])


def onbuild(analysis: Analysis, walk: StageWalk, written: c.Onbuild, expanded: c.Onbuild) -> None:
    """ONBUILD."""
    walk.onbuild.append(written.expression)


def once(analysis: Analysis, walk: StageWalk, written: c.Command, expanded: c.Command) -> None:
    """What a stage should have once."""
    before = walk.last.get(written.name)
    if before is not None:
        detail = (
            f"Multiple {written.keyword} instructions should not be used in the same stage "
            "because only the last one will be used"
        )
        # The one before is shown: it is the one that has no effect.
        analysis.find("MultipleInstructionsDisallowed", detail, written, before.source)
    walk.last[written.name] = written


def start_command(analysis: Analysis, walk: StageWalk, written: c.Cmd | c.Entrypoint, expanded: c.Command) -> None:
    """CMD and ENTRYPOINT."""
    once(analysis, walk, written, expanded)
    if written.form == "shell" and not walk.shell:
        detail = (
            f"JSON arguments recommended for {written.keyword} to prevent unintended behavior related to OS signals"
        )
        analysis.find("JSONArgsRecommended", detail, written)


def copy(analysis: Analysis, walk: StageWalk, written: c.Copy | c.Add, expanded: c.Copy | c.Add) -> None:
    """COPY and ADD."""
    ignored = analysis.subject.ignored
    if ignored is None or (isinstance(expanded, c.Copy) and expanded.from_):
        return
    verb = "Copy" if isinstance(expanded, c.Copy) else "Add"
    for source in expanded.sources:
        if verb == "Add" and ("://" in source or source.startswith("git@")):
            continue
        path = posixpath.normpath(source)
        if ignored(path.lstrip("/") or "."):
            detail = f"Attempting to {verb} file {quote(path)} that is excluded by .dockerignore"
            analysis.find("CopyIgnoredFile", detail, written)


def run(analysis: Analysis, walk: StageWalk, written: c.Run, expanded: c.Run) -> None:
    """RUN: which secrets and ssh sockets it wants, and whether its script goes on after an error."""
    for mount in expanded.mounts:
        if mount.type == "secret":
            name = mount.id or mount.source or posixpath.basename(mount.target)
            walk.secrets[name] = (mount.required, written.source)
        elif mount.type == "ssh":
            walk.ssh[mount.id or "default"] = (mount.required, written.source)
    if written.is_script and written.script_file is None and not walk.stops and _goes_on(written.heredocs[0].text):
        detail = "Only the last command of the here-document can fail the build: begin it with `set -e`"
        analysis.find("HeredocIgnoresErrors", detail, written)


def _goes_on(script: str) -> bool:
    """Whether a script has a command, but for the last one, whose failure nobody sees."""
    lines = [line for line in map(str.strip, script.split("\n")) if line and not line.startswith("#")]
    if not lines or re.match(r"set\s+(-\w*e|-o\s+errexit)", lines[0]):
        return False
    return any(not line.endswith(("\\", "&&", "||", "|")) for line in lines[:-1])


def ends(analysis: Analysis, walk: StageWalk) -> None:
    """What can be said at the end of a stage: the shell form of ENTRYPOINT leaves a CMD without effect."""
    entrypoint, cmd = walk.last.get("ENTRYPOINT"), walk.last.get("CMD")
    if isinstance(entrypoint, c.Entrypoint) and entrypoint.form == "shell" and cmd is not None:
        detail = f"CMD has no effect: the shell form of ENTRYPOINT (line {entrypoint.source.first}) takes no arguments"
        analysis.find("CmdWithoutEffect", detail, cmd)


CHECKS: dict[type[c.Command], Callable[..., None]] = {
    c.Add: copy,
    c.Arg: arg,
    c.Cmd: start_command,
    c.Copy: copy,
    c.Entrypoint: start_command,
    c.Env: env,
    c.Healthcheck: once,
    c.Label: label,
    c.Onbuild: onbuild,
    c.Run: run,
    c.Shell: shell,
    c.Workdir: workdir,
}
"""By kind of instruction; each takes the kind that it is listed for, as it is written and as it is meant."""
