"""One stage while it is converted: its file system's vertex, its image's config, and its variables."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import msgspec

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import DEFAULT_PATH, PROXY_ARGS, StageArgs
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.instructions import parse_onbuild
from pywerf.graph.image_plan import HistoryStep, ImagePlan
from pywerf.graph.op import ContextOp, CopyOp, ExecMount, ExecOp, HttpOp, InlineFile, MkdirOp, Owner
from pywerf.graph.vertex import Vertex
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from typing import Literal

    from pywerf.frontend.dockerfile.convert import BaseImage, Converter

__all__ = ["StageState"]

_DEFAULT_SHELL = ("/bin/sh", "-c")
_STEPS = (c.Run, c.Copy, c.Add, c.Workdir)


class StageState:
    """A stage in conversion. `run_all` carries out its instructions; `plan` gives the image."""

    def __init__(
        self,
        converter: Converter,
        stage: c.Stage,
        *,
        vertex: Vertex | None,
        config: ContainerConfig,
        base: ImageConfig | None,
        platform: Platform,
        args: StageArgs,
        steps: list[HistoryStep],
    ) -> None:
        self.converter = converter
        self.stage = stage
        self.vertex = vertex
        self.config = config
        self.base = base
        self.platform = platform
        self.args = args
        self.steps = steps
        self.author = ""
        self._triggers: tuple[str, ...] = ()
        self._cmd_is_own = False
        self._number = 1
        self._count = 1
        settings = converter.settings
        names = (stage.name, str(stage.index))
        self._no_cache = settings.no_cache or converter.is_filtered([name for name in names if name])

    @classmethod
    def on_image(
        cls, converter: Converter, stage: c.Stage, found: BaseImage | None, vertex: Vertex | None, platform: Platform
    ) -> StageState:
        """A stage that begins with an image, or with nothing. The image's ONBUILD triggers wait to be run."""
        base = None if found is None else found.config
        config = ContainerConfig(env=(f"PATH={DEFAULT_PATH}",)) if base is None else base.config
        triggers, config = config.onbuild, msgspec.structs.replace(config, onbuild=())
        if base is not None and base.platform.os:
            platform = base.platform
        state = cls(
            converter,
            stage,
            vertex=vertex,
            config=config,
            base=base,
            platform=platform,
            args=converter.args.stage(_pairs(config.env)),
            steps=[],
        )
        state._triggers = triggers
        return state

    @classmethod
    def on_stage(cls, converter: Converter, stage: c.Stage, before: StageState) -> StageState:
        """A stage that begins with another one: files, config and ARGs are inherited, and its ONBUILDs run."""
        triggers, config = before.config.onbuild, msgspec.structs.replace(before.config, onbuild=())
        state = cls(
            converter,
            stage,
            vertex=before.vertex,
            config=config,
            base=before.base,
            platform=before.platform,
            args=converter.args.stage(parent=before.args),
            steps=list(before.steps),
        )
        state.author = before.author
        state._triggers = triggers
        return state

    def plan(self) -> ImagePlan:
        """The image of this stage."""
        return ImagePlan(
            vertex=self.vertex,
            config=self.config,
            platform=self.platform,
            base=self.base,
            steps=tuple(self.steps),
            author=self.author,
            stage=self.stage.name,
        )

    def apply_flags(
        self, env: Sequence[tuple[str, str]], unset: Sequence[str], labels: Sequence[tuple[str, str]]
    ) -> None:
        """--env, --unsetenv and --label: what the image gets at its end."""
        for key, value in env:
            self._set_env(key, value)
        if unset:
            kept = tuple(item for item in self.config.env if item.partition("=")[0] not in unset)
            self._change(env=kept)
        if labels:
            self._change(labels={**self.config.labels, **dict(labels)})

    def run_all(self, commands: Sequence[c.Command]) -> None:
        """Carry out the triggers of the base and the stage's own instructions, in order."""
        triggered = [parse_onbuild(text, self.stage.base.source) for text in self._triggers]
        self._count = 1 + sum(isinstance(command, _STEPS) for command in (*triggered, *commands))
        for command in (*triggered, *commands):
            expanded = self._expand(command)
            _HANDLERS[type(expanded)](self, expanded)

    # variables

    def _expand(self, command: c.Command) -> c.Command:
        if isinstance(command, c.Arg):
            return self.args.declare(command)
        return expand_instruction(command, self.args.lookup, self.converter.dockerfile.escape)

    def _set_env(self, key: str, value: str) -> None:
        self.args.set_env([(key, value)])
        env = list(self.config.env)
        for index, item in enumerate(env):
            if item.partition("=")[0] == key:
                env[index] = f"{key}={value}"
                break
        else:
            env.append(f"{key}={value}")
        self._change(env=tuple(env))

    def _change(self, **fields: object) -> None:
        self.config = msgspec.structs.replace(self.config, **fields)

    def _note(self, text: str, vertex: Vertex | None = None) -> None:
        self.steps.append(HistoryStep(text, vertex))

    def _name(self, text: str) -> str:
        """The name of the next step, as BuildKit numbers them."""
        self._number += 1
        many = len(self.converter.stages) > 1
        prefix = (self.stage.name or f"stage-{self.stage.index}") + " " if many else ""
        if self.converter.settings.name_platform:
            prefix = f"{self.platform} {prefix}"
        return f"[{prefix}{self._number}/{self._count}] {text}"

    def _vertex(
        self,
        op: CopyOp | MkdirOp | ExecOp,
        inputs: tuple[Vertex | None, ...],
        command: c.Command,
        text: str,
        hidden: tuple[str, ...] = (),
        args: tuple[str, ...] = (),
    ) -> Vertex:
        return Vertex(
            op,
            inputs,
            name=self._name(text),
            source=command.range,
            ignore_cache=self._no_cache,
            hidden_env=hidden,
            args=args,
        )

    # instructions that only change the config

    def arg(self, command: c.Arg) -> None:
        """ARG: what it changes is in `args` already."""
        self._note(command.code)

    def env(self, command: c.Env) -> None:
        """ENV."""
        for pair in command.pairs:
            self._set_env(pair.key, pair.value)
        self._note("ENV " + " ".join(f"{pair.key}={pair.value}" for pair in command.pairs))

    def label(self, command: c.Label) -> None:
        """LABEL."""
        self._change(labels={**self.config.labels, **{pair.key: pair.value for pair in command.pairs}})
        self._note("LABEL " + " ".join(f"{pair.key}={pair.value}" for pair in command.pairs))

    def cmd(self, command: c.Cmd) -> None:
        """CMD."""
        self._cmd_is_own = True
        self._change(cmd=self._argv(command.form, command.argv, command.line))
        self._note(f"CMD {_shown(self.config.cmd)}")

    def entrypoint(self, command: c.Entrypoint) -> None:
        """ENTRYPOINT; a CMD that was inherited goes, since it was meant for another entry point."""
        self._change(entrypoint=self._argv(command.form, command.argv, command.line))
        if not self._cmd_is_own:
            self._change(cmd=None)
        self._note(f"ENTRYPOINT {_shown(self.config.entrypoint)}")

    def shell(self, command: c.Shell) -> None:
        """SHELL."""
        self._change(shell=command.argv)
        self._note(f"SHELL {_shown(command.argv)}")

    def user(self, command: c.User) -> None:
        """USER."""
        self._change(user=command.user)
        self._note(f"USER {command.user}")

    def expose(self, command: c.Expose) -> None:
        """EXPOSE."""
        self._change(exposed_ports=tuple(sorted({*self.config.exposed_ports, *command.ports})))
        self._note(f"EXPOSE {' '.join(command.ports)}")

    def volume(self, command: c.Volume) -> None:
        """VOLUME."""
        self._change(volumes=tuple(sorted({*self.config.volumes, *command.paths})))
        self._note(f"VOLUME {' '.join(command.paths)}")

    def stopsignal(self, command: c.Stopsignal) -> None:
        """STOPSIGNAL."""
        self._change(stop_signal=command.signal)
        self._note(f"STOPSIGNAL {command.signal}")

    def healthcheck(self, command: c.Healthcheck) -> None:
        """HEALTHCHECK."""
        self._change(healthcheck=command.config)
        self._note(command.code)

    def onbuild(self, command: c.Onbuild) -> None:
        """ONBUILD."""
        self._change(onbuild=(*self.config.onbuild, command.expression))
        self._note(command.code)

    def maintainer(self, command: c.Maintainer) -> None:
        """MAINTAINER."""
        self.author = command.maintainer
        self._note(f"MAINTAINER {command.maintainer}")

    def _argv(self, form: str, argv: tuple[str, ...], line: str) -> tuple[str, ...]:
        return argv if form == "exec" else (*self._shell, line)

    @property
    def _shell(self) -> tuple[str, ...]:
        return self.config.shell or _DEFAULT_SHELL

    # instructions that change files

    def workdir(self, command: c.Workdir) -> None:
        """WORKDIR: relative ones are below the one before; what has to be made belongs to the USER, as with BuildKit."""
        path = self._absolute(command.path)
        self._change(working_dir=path)
        if path == "/":
            self._number += 1
            self._note(f"WORKDIR {path}")
            return
        self.vertex = self._vertex(MkdirOp(path, _owner(self.config.user)), (self.vertex,), command, f"WORKDIR {path}")
        self._note(f"WORKDIR {path}", self.vertex)

    def run(self, command: c.Run) -> None:
        """RUN: ARGs and ENV are its environment; proxy variables are, too, but leave no trace."""
        settings = self.converter.settings
        inputs: list[Vertex | None] = [self.vertex]
        mounts = tuple(self._mount(mount, inputs, command) for mount in command.mounts)
        script: InlineFile | None = None
        if command.form == "exec":
            argv: tuple[str, ...] = command.argv
        elif (file := command.script_file) is not None:
            script = InlineFile(file[0], file[1].encode("utf-8", "surrogateescape"))
            argv = (*self._shell, f"/dev/pipes/{file[0]}")
        else:
            argv = (*self._shell, command.shell_line)
        env = tuple(f"{key}={value}" for key, value in self.args.env.items())
        args = [f"{key}={value}" for key, value in self.args.history_args() if key not in PROXY_ARGS]
        hidden = tuple(f"{key}={value}" for key, value in self.converter.args.proxy_environment().items())
        network = command.network if command.network != "default" else settings.network or "host"
        if network == "default":
            network = "host"
        op = ExecOp(
            argv=argv,
            env=env,
            cwd=self.config.working_dir or "/",
            user=self.config.user,
            network=cast("Literal['host', 'none', 'private']", network),
            insecure=command.security == "insecure",
            mounts=mounts,
            add_hosts=settings.add_hosts,
            script=script,
        )
        names = tuple(item.partition("=")[0] for item in args)
        hidden = (*settings.hidden_env, *hidden)
        self.vertex = self._vertex(op, tuple(inputs), command, command.summary, hidden, names)
        counted = f"|{len(args)} {' '.join(args)} " if args else ""
        shown = " ".join(argv) if command.form == "shell" else _shown(argv)
        self._note(f"RUN {counted}{shown}", self.vertex)

    def _mount(self, mount: c.RunMount, inputs: list[Vertex | None], command: c.Run) -> ExecMount:
        index = -1
        if mount.from_:
            inputs.append(self.converter.files_from(mount.from_, self.stage, self.platform, command))
            index = len(inputs) - 1
        elif mount.type == "bind":
            inputs.append(self.converter.context_vertex(ContextOp("")))
            index = len(inputs) - 1
        return ExecMount(
            type=mount.type,
            target=mount.target,
            input=index,
            source=mount.source,
            read_only=mount.readonly,
            id=mount.id,
            sharing=mount.sharing or "shared",
            required=mount.required,
            env=mount.env,
            mode=mount.mode,
            uid=mount.uid,
            gid=mount.gid,
            size=mount.size,
        )

    def copy(self, command: c.Copy) -> None:
        """COPY."""
        if command.from_:
            source = self.converter.files_from(command.from_, self.stage, self.platform, command)
        else:
            source = self.converter.context_vertex(ContextOp(""))
        self._copy(command, command.sources, source, keep_owner=bool(command.from_), parents=command.parents)

    def add(self, command: c.Add) -> None:
        """ADD: local files, archives that are unpacked, downloads, git repositories; one layer a kind of source."""
        local: list[str] = []
        for text in command.sources:
            remote = self.converter.resolver.remote(text, bool(command.keep_git_dir), command.checksum)
            if remote is None:
                local.append(text)
            elif isinstance(remote, HttpOp):
                vertex = Vertex(remote, name=f"[internal] load {text}", source=command.range)
                name = posixpath.basename(urlsplit(text).path)
                if not name and _is_folder(command.dest):
                    raise DockerfileError(
                        f"cannot tell the file name of {text}",
                        hint="name the destination file instead of a directory",
                        source=command.source,
                    )
                self._copy(
                    command, ("*",), vertex, unpack=command.unpack is True, chmod=command.chmod or "600", rename=name
                )
            else:
                vertex = Vertex(remote, name=f"[internal] load {text}", source=command.range)
                self._copy(command, ("/",), vertex)
        if local or command.inline:
            context = self.converter.context_vertex(ContextOp(""))
            self._copy(command, tuple(local), context, unpack=command.unpack is not False, inline=True)

    def _copy(
        self,
        command: c.Copy | c.Add,
        sources: tuple[str, ...],
        source: Vertex | None,
        *,
        keep_owner: bool = False,
        parents: bool = False,
        unpack: bool = False,
        chmod: str = "",
        rename: str = "",
        inline: bool | None = None,
    ) -> None:
        files = command.inline if inline is None or inline else ()
        op = CopyOp(
            sources=sources,
            dest=self._absolute(command.dest),
            dest_is_dir=_is_folder(command.dest) or len(command.sources) + len(command.inline) > 1,
            owner=_owner(command.chown),
            chmod=chmod or command.chmod,
            unpack=unpack,
            keep_owner=keep_owner,
            link=command.link,
            parents=parents,
            exclude=command.exclude,
            files=tuple(InlineFile(file.name, file.content.encode("utf-8", "surrogateescape")) for file in files),
            rename=rename,
        )
        self.vertex = self._vertex(op, (self.vertex, source), command, command.code)
        self._note(command.code, self.vertex)

    def _absolute(self, path: str) -> str:
        joined = posixpath.join("/", self.config.working_dir, path)
        return "/" + posixpath.normpath(joined).lstrip("/")


def _pairs(env: Sequence[str]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (item.partition("=") for item in env)]


def _is_folder(dest: str) -> bool:
    return dest.endswith(("/", "/.")) or dest in ("", ".")


def _owner(text: str) -> Owner | None:
    if not text:
        return None
    user, _, group = text.partition(":")
    return Owner(user, group)


def _shown(argv: tuple[str, ...] | None) -> str:
    return msgspec.json.encode(list(argv or ())).decode()


# Each handler takes the kind of instruction that it is listed for.
_HANDLERS: dict[type[c.Command], Callable[[StageState, c.Command], None]] = cast(
    "dict[type[c.Command], Callable[[StageState, c.Command], None]]",
    {
        c.Add: StageState.add,
        c.Arg: StageState.arg,
        c.Cmd: StageState.cmd,
        c.Copy: StageState.copy,
        c.Entrypoint: StageState.entrypoint,
        c.Env: StageState.env,
        c.Expose: StageState.expose,
        c.Healthcheck: StageState.healthcheck,
        c.Label: StageState.label,
        c.Maintainer: StageState.maintainer,
        c.Onbuild: StageState.onbuild,
        c.Run: StageState.run,
        c.Shell: StageState.shell,
        c.Stopsignal: StageState.stopsignal,
        c.User: StageState.user,
        c.Volume: StageState.volume,
        c.Workdir: StageState.workdir,
    },
)
