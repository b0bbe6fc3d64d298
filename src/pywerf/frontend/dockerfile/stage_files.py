"""The instructions of a stage that change files: WORKDIR, RUN, COPY and ADD become vertices."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, cast

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import PROXY_ARGS
from pywerf.graph.op import ContextOp, CopyOp, ExecMount, ExecOp, HttpOp, InlineFile, MkdirOp, Owner
from pywerf.graph.vertex import Vertex
from pywerf.util.filemode import parse_mode

if TYPE_CHECKING:
    from pywerf.frontend.dockerfile.stage_state import StageState

__all__ = ["add", "copy", "run", "workdir"]

_REMOTE = ("http://", "https://", "git://", "ssh://")


def workdir(state: StageState, command: c.Workdir) -> None:
    """WORKDIR: relative ones are below the one before; what has to be made belongs to the USER, as with BuildKit.

    An absolute one is in the config as it is written, `/a/` or `/a/../b`, as with all builders.
    """
    path = state.absolute(command.path)
    written = command.path if command.path.startswith("/") else path
    state.change(working_dir=written)
    if path == "/":
        state.skip_number()
        state.note(f"WORKDIR {written}")
        return
    op = MkdirOp(path, _owner(state.config.user), state.converter.epoch)
    vertex = state.step(op, (state.vertex,), command, f"WORKDIR {written}")
    state.note(f"WORKDIR {written}", vertex)


def run(state: StageState, command: c.Run) -> None:
    """RUN: ARGs and ENV are its environment; proxy variables are, too, but leave no trace."""
    scope = state.converter.args
    settings = state.converter.settings
    if command.form == "exec" and not command.argv:
        raise DockerfileError("RUN needs a command", hint='write RUN COMMAND, or RUN ["PROGRAM", "ARGUMENT"]')
    inputs: list[Vertex | None] = [state.vertex]
    mounts = tuple(_mount(state, mount, inputs, command) for mount in command.mounts)
    script: InlineFile | None = None
    if command.form == "exec":
        argv: tuple[str, ...] = command.argv
    elif (file := command.script_file) is not None:
        script = InlineFile(file[0], file[1].encode("utf-8", "surrogateescape"))
        argv = (*state.shell_words, f"/dev/pipes/{file[0]}")
    else:
        argv = (*state.shell_words, command.shell_line)
    env = tuple(f"{key}={value}" for key, value in state.args.env.items())
    args = [f"{key}={value}" for key, value in state.args.history_args() if key not in PROXY_ARGS]
    hidden = tuple(f"{key}={value}" for key, value in scope.proxy_environment().items())
    op = ExecOp(
        argv=argv,
        env=env,
        cwd=state.absolute("."),
        user=state.config.user,
        network=_network(state, command),
        insecure=_insecure(state, command),
        mounts=mounts,
        add_hosts=settings.add_hosts,
        script=script,
        hostname=scope.build_args.get("BUILDKIT_SANDBOX_HOSTNAME", ""),
        devices=tuple(_devices(state, command)),
    )
    names = tuple(item.partition("=")[0] for item in args)
    vertex = state.step(op, tuple(inputs), command, command.summary, (*settings.hidden_env, *hidden), names)
    counted = f"|{len(args)} {' '.join(args)} " if args else ""
    state.note(f"RUN {counted}{' '.join(argv)}", vertex)


def _network(state: StageState, command: c.Run) -> Literal["host", "none", "private"]:
    """A Dockerfile may always give the network up; it gets back what the user took away only when that is allowed."""
    settings = state.converter.settings
    wanted = command.network
    if wanted == "default":
        wanted = cast("Literal['default', 'host', 'none']", settings.network or "host")
    elif wanted == "host" and settings.network == "none" and "network.host" not in settings.allow:
        raise DockerfileError(
            "RUN --network=host is not allowed, because the build was started with --network=none",
            hint="pass --allow network.host if this Dockerfile may use the network",
        )
    return cast("Literal['host', 'none', 'private']", "host" if wanted == "default" else wanted)


def _insecure(state: StageState, command: c.Run) -> bool:
    if command.security != "insecure":
        return False
    if "security.insecure" not in state.converter.settings.allow:
        raise DockerfileError(
            "RUN --security=insecure is not allowed: the command would have all capabilities and all devices",
            hint="pass --allow security.insecure if you trust this Dockerfile as you trust yourself",
        )
    return True


def _devices(state: StageState, command: c.Run) -> Iterator[tuple[str, bool]]:
    allow = state.converter.settings.allow
    for device in command.devices:
        if "device" in allow or f"device={device.name}" in allow:
            yield device.name, device.required
        elif device.required:
            raise DockerfileError(
                f"RUN --device={device.name} is not allowed: the command would have a device of this machine",
                hint=f"pass --allow device={device.name} if this Dockerfile may use it",
            )


def _mount(state: StageState, mount: c.RunMount, inputs: list[Vertex | None], command: c.Run) -> ExecMount:
    converter = state.converter
    index = -1
    if mount.type in ("bind", "cache", "tmpfs") and state.absolute(mount.target) == "/":
        raise DockerfileError(
            f'invalid mount target "{mount.target or "/"}"', hint="nothing can be mounted over the root"
        )
    if mount.from_ and mount.type != "tmpfs":
        inputs.append(converter.files_from(mount.from_, state.stage, state.platform, command))
        index = len(inputs) - 1
    elif mount.type == "bind":
        inputs.append(converter.context_vertex(ContextOp("")))
        index = len(inputs) - 1
    id = mount.id
    space = converter.args.build_args.get("BUILDKIT_CACHE_MOUNT_NS", "")
    if mount.type == "cache" and space:
        id = f"{space}/{id or mount.target}"
    elif mount.type == "secret":
        id = id or mount.source
    return ExecMount(
        type=mount.type,
        target=mount.target,
        input=index,
        source=mount.source,
        read_only=mount.readonly,
        id=id,
        sharing=mount.sharing or "shared",
        required=mount.required,
        env=mount.env,
        mode=mount.mode,
        uid=mount.uid,
        gid=mount.gid,
        size=mount.size,
    )


def copy(state: StageState, command: c.Copy) -> None:
    """COPY. Files of images and stages keep their owners; files from outside have none that would mean something."""
    for text in command.sources:
        if text.lower().startswith(_REMOTE):
            raise DockerfileError(f"source can't be a URL for COPY: {text}", hint="use ADD")
    if command.from_:
        source = state.converter.files_from(command.from_, state.stage, state.platform, command)
    else:
        source = state.converter.context_vertex(ContextOp(""))
    keep_owner = source is not None and not isinstance(source.op, ContextOp)
    _copy(
        state,
        command,
        command.sources,
        source,
        keep_owner=keep_owner,
        parents=command.parents,
        files=_inline_files(command),
    )


def add(state: StageState, command: c.Add) -> None:
    """ADD: local files, archives that are unpacked, downloads, git repositories; a layer for each kind of source."""
    converter = state.converter
    if command.checksum and len(command.sources) + len(command.inline) != 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    local: list[str] = []
    for text in command.sources:
        remote = converter.resolver.remote(text, command.keep_git_dir, command.checksum)
        if remote is None:
            if command.checksum:
                raise DockerfileError("checksum requires HTTP(S) or Git sources", hint=f"{text} is a local path")
            local.append(text)
            continue
        if local:
            _add_local(state, command, local)
            local = []
        vertex = Vertex(remote, name=f"[internal] load {text}", source=command.range)
        if isinstance(remote, HttpOp):
            _add_download(state, command, text, vertex)
        else:
            _copy(state, command, ("/",), vertex)
    if local or command.inline:
        _add_local(state, command, local, _inline_files(command))


def _add_local(state: StageState, command: c.Add, sources: list[str], files: tuple[InlineFile, ...] = ()) -> None:
    context = state.converter.context_vertex(ContextOp(""))
    _copy(state, command, tuple(sources), context, unpack=command.unpack is not False, files=files)


def _add_download(state: StageState, command: c.Add, url: str, vertex: Vertex) -> None:
    from urllib.parse import urlsplit

    name = posixpath.basename(urlsplit(url).path)
    unpack = command.unpack is True
    if not name and not unpack and _is_folder(command.dest):
        raise DockerfileError(
            f"cannot tell the file name of {url}", hint="name the destination file instead of a directory"
        )
    _copy(state, command, ("*",), vertex, unpack=unpack, chmod=command.chmod or "600", rename=name)


def _copy(
    state: StageState,
    command: c.Copy | c.Add,
    sources: tuple[str, ...],
    source: Vertex | None,
    *,
    keep_owner: bool = False,
    parents: bool = False,
    unpack: bool = False,
    chmod: str = "",
    rename: str = "",
    files: tuple[InlineFile, ...] = (),
) -> None:
    chmod = chmod or command.chmod
    if chmod:
        parse_mode(chmod)
    op = CopyOp(
        sources=sources,
        dest=state.absolute(command.dest),
        dest_is_dir=_is_folder(command.dest),
        owner=_owner(command.chown),
        chmod=chmod,
        unpack=unpack,
        keep_owner=keep_owner,
        link=command.link,
        parents=parents,
        exclude=command.exclude,
        files=files,
        rename=rename,
        made_at=state.converter.epoch,
    )
    vertex = state.step(op, (state.vertex, source), command, command.code)
    state.note(command.code, vertex)


def _inline_files(command: c.Copy | c.Add) -> tuple[InlineFile, ...]:
    return tuple(InlineFile(file.name, file.content.encode("utf-8", "surrogateescape")) for file in command.inline)


def _is_folder(dest: str) -> bool:
    return dest.endswith(("/", "/.")) or dest in ("", ".")


def _owner(text: str) -> Owner | None:
    if not text:
        return None
    user, _, group = text.partition(":")
    return Owner(user, group)
