"""Dockerfiles as graphs: vertices, configs, names, history; what is asked of the world outside, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import msgspec
import pytest

from pywerf.errors import DockerfileError, RegistryNotFound, WerfError
from pywerf.frontend.dockerfile.convert import BaseImage, Converter, Settings
from pywerf.frontend.dockerfile.parser import parse
from pywerf.graph.image_plan import ImagePlan
from pywerf.graph.op import ContextOp, CopyOp, ExecOp, HttpOp, ImageOp, MkdirOp, Owner
from pywerf.graph.vertex import Vertex
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class FakeResolver:
    """Images by name (with their configs), named contexts, and a record of what was asked."""

    def __init__(self) -> None:
        self.configs: dict[str, ContainerConfig] = {}
        self.contexts: dict[str, ContextOp | BaseImage] = {}
        self.times: dict[str, int | None] = {}
        self.asked: list[tuple[str, str]] = []

    def image(self, name: str, platform: Platform) -> BaseImage:
        self.asked.append((name, platform.architecture))
        if name.startswith("missing"):
            raise RegistryNotFound(f"{name}: not found", status=404)
        config = self.configs.get(name, ContainerConfig(env=(PATH,)))
        digest = Digest.of(f"{name} {platform}".encode())
        return BaseImage(ImageOp(name, digest, (digest,)), ImageConfig(platform, config, (digest,)))

    def context(self, name: str, platform: Platform) -> ContextOp | BaseImage | None:
        return self.contexts.get(name)

    def context_names(self) -> Collection[str]:
        return self.contexts.keys()

    def remote(self, url: str, keep_git_dir: bool | None, checksum: str) -> ContextOp | HttpOp | None:
        if url.endswith(".git"):
            return ContextOp(f"{url} keep={keep_git_dir} checksum={checksum}")
        return HttpOp(url, checksum) if url.startswith("https://") else None

    def modified(self, op: ContextOp | HttpOp) -> int | None:
        return self.times.get(op.url if isinstance(op, HttpOp) else op.name)


@pytest.fixture
def world() -> FakeResolver:
    return FakeResolver()


Convert = Callable[..., ImagePlan]


@pytest.fixture
def convert(world: FakeResolver) -> Convert:
    def call(text: str, **settings: Any) -> ImagePlan:
        settings.setdefault("platform", AMD64)
        return Converter(parse(text, "Dockerfile"), Settings(**settings), world).convert()

    return call


def _chain(plan: ImagePlan) -> list[Vertex]:
    """The steps of the file system, from the base on."""
    found = []
    vertex = plan.vertex
    while vertex is not None:
        found.append(vertex)
        vertex = vertex.inputs[0] if vertex.inputs else None
    return found[::-1]


def _ops(plan: ImagePlan) -> list[Any]:
    return [vertex.op for vertex in _chain(plan)]


def _last(plan: ImagePlan) -> Any:
    assert plan.vertex is not None
    return plan.vertex.op


# stages


def test_only_what_the_target_needs_is_asked_for(convert: Convert, world: FakeResolver) -> None:
    text = """\
FROM one AS a
FROM missing-image AS unused
RUN false
FROM two AS b
COPY --from=a /x /x
FROM three
COPY --from=b /x /
"""
    convert(text)
    assert [name for name, _ in world.asked] == ["three", "two", "one"]
    world.asked.clear()
    convert(text, target="a")
    assert [name for name, _ in world.asked] == ["one"]


def test_a_stage_is_converted_once(convert: Convert) -> None:
    plan = convert("FROM x AS a\nRUN make\nFROM a AS b\nFROM b\nCOPY --from=a /1 /\nCOPY --from=a /2 /\n")
    first, second = _chain(plan)[-2:]
    assert first.inputs[1] is second.inputs[1]


def test_scratch(convert: Convert, world: FakeResolver) -> None:
    plan = convert('FROM scratch\nCMD ["/x"]\n')
    assert plan.vertex is None
    assert plan.base is None
    assert plan.config.env == (PATH,)
    assert plan.config.cmd == ("/x",)
    assert world.asked == []


def test_the_target_by_name_and_by_number(convert: Convert) -> None:
    text = "FROM scratch AS First\nENV A=1\nFROM scratch\nENV A=2\n"
    assert "A=1" in convert(text, target="first").config.env
    assert "A=1" in convert(text, target="0").config.env
    assert "A=2" in convert(text).config.env
    with pytest.raises(DockerfileError, match=r"could not be found.*did you mean first"):
        convert(text, target="frist")


def test_a_stage_on_a_stage_inherits_all(convert: Convert) -> None:
    plan = convert("FROM x AS a\nARG V=1\nENV E=2\nWORKDIR /w\nRUN one\nFROM a\nRUN two $V\n", build_args={"V": "9"})
    ops = _ops(plan)
    assert [type(op) for op in ops] == [ImageOp, MkdirOp, ExecOp, ExecOp]
    assert {"V=9", "E=2"} <= set(ops[-1].env)
    assert ops[-1].cwd == "/w"
    assert [step.created_by for step in plan.steps][-1] == "RUN |1 V=9 /bin/sh -c two $V"


@pytest.mark.parametrize("origin", ["1", "2", "later", "7"])
def test_copies_from_stages_that_are_not_there_yet(convert: Convert, origin: str) -> None:
    text = f"FROM x\nFROM x\nCOPY --from={origin} / /\nFROM x AS later\n"
    with pytest.raises(DockerfileError) as caught:
        convert(text, target="1")
    assert caught.value.source is not None


def test_stages_that_need_each_other(convert: Convert) -> None:
    with pytest.raises(DockerfileError, match="circular dependency"):
        convert("FROM x AS a\nCOPY --from=b / /\nFROM a AS b\n")


def test_an_unknown_name_to_copy_from(convert: Convert) -> None:
    with pytest.raises(
        DockerfileError, match=r"no stage, build context or image found.*did you mean missing-build"
    ) as caught:
        convert("FROM x AS missing-build\nFROM x\nCOPY --from=missing-biuld / /\n")
    assert caught.value.source is not None
    assert caught.value.source.first == 3


def test_an_unknown_base_is_shown_at_its_line(convert: Convert) -> None:
    with pytest.raises(WerfError) as caught:
        convert("ARG X=1\nFROM missing\n")
    assert caught.value.source is not None
    assert caught.value.source.first == 2


def test_after_waits_for_another_stage(convert: Convert) -> None:
    plan = convert("FROM x AS first\nRUN one\nFROM --after=first y\nRUN two\nRUN three\n")
    _, two, three = _chain(plan)
    (waited,) = [vertex for vertex in two.inputs[1:] if vertex is not None]
    assert waited.op.argv == ("/bin/sh", "-c", "one")
    assert len(three.inputs) == 1


@pytest.mark.parametrize("text", ["FROM --after=self scratch AS self\n", "FROM --after=b x AS a\nFROM a AS b\n"])
def test_after_needs_an_earlier_stage(convert: Convert, text: str) -> None:
    with pytest.raises(DockerfileError, match="--after="):
        convert(text)


def test_platforms(convert: Convert, world: FakeResolver) -> None:
    plan = convert("FROM --platform=linux/arm64 x AS a\nFROM y\nCOPY --from=a / /\n")
    assert sorted(world.asked) == [("x", "arm64"), ("y", "amd64")]
    assert plan.platform == AMD64
    convert("ARG P=linux/arm64\nFROM --platform=$P z\n")
    assert world.asked[-1] == ("z", "arm64")


# named contexts


def test_a_context_takes_the_place_of_a_stage(convert: Convert, world: FakeResolver) -> None:
    world.contexts["deps"] = ContextOp("deps")
    plan = convert("FROM missing AS deps\nRUN never\nFROM scratch\nCOPY --from=deps /x /\n")
    assert world.asked == []
    source = _chain(plan)[-1].inputs[1]
    assert source is not None
    assert isinstance(source.op, CopyOp)


def test_a_context_wins_where_a_stage_would_need_itself(convert: Convert, world: FakeResolver) -> None:
    world.contexts["own"] = world.image("given", AMD64)
    world.asked.clear()
    plan = convert("FROM missing AS Own\nRUN never\nCOPY --from=own hello .\n")
    assert _last(plan).reference == "given"
    plan = convert("FROM x\nCOPY --from=own /a /\nFROM missing AS own\nCOPY --from=own /b /\n", target="0")
    source = _chain(plan)[-1].inputs[1]
    assert source is not None
    assert isinstance(source.op, ImageOp)
    assert source.op.reference == "given"
    assert [name for name, _ in world.asked] == ["x"]


def test_what_is_not_inherited(convert: Convert, world: FakeResolver) -> None:
    world.configs["base"] = ContainerConfig(env=(PATH,), labels={"a": "1", "b": "2"})
    text = "FROM base AS one\nLABEL c=3 b=4\nFROM one\nLABEL d=5\n"
    assert convert(text).config.labels == {"a": "1", "b": "4", "c": "3", "d": "5"}
    assert convert(text, inherit_labels=False).config.labels == {"d": "5"}
    assert convert(text, inherit_labels=False, target="one").config.labels == {"b": "4", "c": "3"}
    assert convert(text, unset_labels=("a", "d")).config.labels == {"b": "4", "c": "3", "d": "5"}
    assert convert(text, unset_labels=("a",), labels=(("a", "9"),)).config.labels["a"] == "9"
    annotated = msgspec.structs.replace(world.image("base", AMD64), annotations={"x": "1", "y": "2"})
    world.contexts["noted"] = annotated
    text = "FROM noted AS one\nFROM one\n"
    assert convert(text).annotations == {"x": "1", "y": "2"}
    assert convert(text, unset_annotations=("x",)).annotations == {"y": "2"}
    assert convert(text, inherit_annotations=False).annotations == {}
    assert convert("FROM scratch\nCOPY --from=noted a b\n").annotations == {}


def test_a_context_takes_the_place_of_an_image(convert: Convert, world: FakeResolver) -> None:
    world.contexts["busybox"] = world.image("alpine", AMD64)
    world.asked.clear()
    plan = convert("FROM busybox\n")
    assert _last(plan).reference == "alpine"
    assert world.asked == []


def test_a_stage_on_files_alone(convert: Convert, world: FakeResolver) -> None:
    world.contexts["rootfs"] = ContextOp("rootfs")
    (op,) = _ops(convert("FROM rootfs\n"))
    assert (op.sources, op.dest) == (("/",), "/")
    assert convert("FROM rootfs\n").config.env == (PATH,)


def test_scratch_is_always_empty(convert: Convert, world: FakeResolver) -> None:
    world.contexts["scratch"] = ContextOp("scratch")
    assert convert("FROM scratch\n").vertex is None


def test_owners_stay_for_images_but_not_for_files_from_outside(convert: Convert, world: FakeResolver) -> None:
    world.contexts["ctx"] = ContextOp("ctx")
    plan = convert("FROM x AS s\nFROM scratch\nCOPY --from=s a /\nCOPY --from=img a /\nCOPY --from=ctx a /\nCOPY a /\n")
    assert [op.keep_owner for op in _ops(plan)] == [True, True, False, False]


# variables


def test_arguments_reach_the_commands_that_come_after_them(convert: Convert) -> None:
    plan = convert("ARG G=global\nFROM x\nRUN a\nARG G\nARG L=$G-local\nRUN b\n", build_args={"UNUSED": "1"})
    a, b = [op for op in _ops(plan) if isinstance(op, ExecOp)]
    assert not [item for item in a.env if item.startswith(("G=", "L="))]
    assert {"G=global", "L=global-local"} <= set(b.env)
    assert not [item for item in b.env if item.startswith("UNUSED")]
    assert plan.config.env == (PATH,)


def test_env_wins_over_arg(convert: Convert) -> None:
    plan = convert("FROM x\nARG A=arg\nENV A=env\nRUN a\n", build_args={"A": "flag"})
    assert "A=env" in _last(plan).env
    assert "A=env" in plan.config.env


def test_proxies_are_seen_but_leave_no_trace(convert: Convert) -> None:
    with_proxy = convert("FROM x\nRUN a\n", build_args={"HTTP_PROXY": "http://p"}, hidden_env=("ALL_PROXY=q",))
    without = convert("FROM x\nRUN a\n")
    assert with_proxy.vertex is not None
    assert without.vertex is not None
    assert {"HTTP_PROXY=http://p", "ALL_PROXY=q"} == set(with_proxy.vertex.hidden_env)
    assert with_proxy.vertex.definition == without.vertex.definition
    assert with_proxy.steps == without.steps or [s.created_by for s in with_proxy.steps] == [
        s.created_by for s in without.steps
    ]


def test_another_image_for_the_first_from(convert: Convert) -> None:
    plan = convert("ARG I\nFROM $I AS a\nRUN one\nFROM y\nCOPY --from=a f .\n", base="x")
    copy = plan.vertex
    assert copy is not None
    image, run = copy.inputs[0], copy.inputs[1]
    assert image is not None
    assert run is not None
    assert isinstance(image.op, ImageOp)
    assert image.op.reference == "y"
    below = run.inputs[0]
    assert below is not None
    assert isinstance(below.op, ImageOp)
    assert below.op.reference == "x"


def test_flags_change_the_end_of_the_image(convert: Convert) -> None:
    plan = convert(
        "FROM x\nENV A=1 B=2\nLABEL l=1 m=1\n",
        env=(("A", "9"), ("C", "3")),
        unset_env=("B",),
        labels=(("l", "9"),),
    )
    assert plan.config.env == (PATH, "A=9", "C=3")
    assert plan.config.labels == {"l": "9", "m": "1"}


# the config


def test_an_entrypoint_resets_the_cmd_of_the_base(convert: Convert, world: FakeResolver) -> None:
    world.configs["x"] = ContainerConfig(entrypoint=("old",), cmd=("base",))
    assert convert('FROM x\nENTRYPOINT ["new"]\n').config.cmd is None
    assert convert('FROM x\nCMD ["own"]\nENTRYPOINT ["new"]\n').config.cmd == ("own",)
    assert convert('FROM x AS a\nCMD ["own"]\nFROM a\nENTRYPOINT ["new"]\n').config.cmd is None
    assert convert("FROM x\nENTRYPOINT []\n").config.entrypoint == ()


def test_shell_forms(convert: Convert) -> None:
    plan = convert('FROM x\nSHELL ["bash", "-eu"]\nCMD go $HOME\nENTRYPOINT run\nRUN make\n')
    assert plan.config.cmd == ("bash", "-eu", "go $HOME")
    assert plan.config.entrypoint == ("bash", "-eu", "run")
    assert _last(plan).argv == ("bash", "-eu", "make")
    assert plan.config.shell == ("bash", "-eu")


def test_other_config(convert: Convert, world: FakeResolver) -> None:
    world.configs["x"] = ContainerConfig(exposed_ports=("1/tcp",), volumes=("/old",), labels={"a": "1"})
    plan = convert(
        "FROM x\nEXPOSE 80 53/udp\nVOLUME /data /old\nUSER app:staff\nSTOPSIGNAL INT\nMAINTAINER me\nONBUILD RUN x\n"
    )
    config = plan.config
    assert config.exposed_ports == ("1/tcp", "53/udp", "80/tcp")
    assert config.volumes == ("/data", "/old")
    assert (config.user, config.stop_signal, plan.author) == ("app:staff", "INT", "me")
    assert config.onbuild == ("RUN x",)
    assert config.labels == {"a": "1"}


def test_workdir(convert: Convert) -> None:
    plan = convert("FROM x\nWORKDIR /a\nUSER app\nWORKDIR b/../c\nWORKDIR /\n")
    assert _ops(plan)[1:] == [MkdirOp("/a"), MkdirOp("/a/c", Owner("app"))]
    assert plan.config.working_dir == "/"
    assert [step.created_by for step in plan.steps] == ["WORKDIR /a", "USER app", "WORKDIR /a/c", "WORKDIR /"]


def test_an_absolute_workdir_stays_as_it_is_written(convert: Convert) -> None:
    plan = convert("FROM x\nWORKDIR /a/../b//\nRUN one\nCOPY f g/\nWORKDIR /c/\nWORKDIR d/\nRUN two\nWORKDIR /e/.\n")
    assert [step.created_by for step in plan.steps if step.created_by.startswith("WORKDIR")] == [
        "WORKDIR /a/../b//",
        "WORKDIR /c/",
        "WORKDIR /c/d",
        "WORKDIR /e/.",
    ]
    assert [op.cwd for op in _ops(plan) if isinstance(op, ExecOp)] == ["/b", "/c/d"]
    assert plan.config.working_dir == "/e/."


def test_triggers_of_the_base_run_first_and_are_not_handed_on(convert: Convert, world: FakeResolver) -> None:
    world.configs["x"] = ContainerConfig(onbuild=("COPY . /app", "ENV FROM_BASE=1", "RUN make"))
    plan = convert("FROM x\nRUN own\n")
    assert [type(op) for op in _ops(plan)] == [ImageOp, CopyOp, ExecOp, ExecOp]
    assert "FROM_BASE=1" in _last(plan).env
    assert plan.config.onbuild == ()


def test_triggers_of_a_stage_run_in_the_next_one(convert: Convert) -> None:
    plan = convert("FROM x AS base\nONBUILD RUN later\nRUN now\nFROM base\n")
    assert [op.argv[-1] for op in _ops(plan)[1:]] == ["now", "later"]


def test_a_trigger_may_copy_from_a_stage_of_this_file(convert: Convert, world: FakeResolver) -> None:
    world.configs["x"] = ContainerConfig(onbuild=("COPY --from=assets /a /a",))
    plan = convert("FROM y AS assets\nRUN make\nFROM x\n")
    source = _chain(plan)[-1].inputs[1]
    assert source is not None
    assert isinstance(source.op, ExecOp)


# steps


def test_names_and_history(convert: Convert) -> None:
    plan = convert("FROM x AS one\nFROM y\nWORKDIR /w\nRUN a\nCOPY . .\nENV A=1\n")
    assert [vertex.name for vertex in _chain(plan)] == [
        "[internal] load y",
        "[stage-1 2/4] WORKDIR /w",
        "[stage-1 3/4] RUN a",
        "[stage-1 4/4] COPY . .",
    ]
    assert [(step.created_by, step.vertex is None) for step in plan.steps] == [
        ("WORKDIR /w", False),
        ("RUN /bin/sh -c a", False),
        ("COPY . .", False),
        ("ENV A=1", True),
    ]
    assert plan.vertex is not None
    assert plan.vertex.source is not None
    assert plan.vertex.source.first == 5


def test_no_cache_for_all_or_for_some_stages(convert: Convert) -> None:
    text = "FROM x AS a\nRUN 1\nFROM x AS b\nRUN 2\nCOPY --from=a / /\n"

    def ignored(**settings: Any) -> list[bool]:
        steps = _chain(convert(text, **settings))
        source = steps[-1].inputs[1]
        assert source is not None
        return [steps[1].ignore_cache, source.ignore_cache]

    assert ignored() == [False, False]
    assert ignored(no_cache=True) == [True, True]
    assert ignored(no_cache_filter=("A",)) == [False, True]
    assert ignored(no_cache_filter=("1",)) == [True, False]


def test_copy_options(convert: Convert) -> None:
    plan = convert(
        "FROM x\nWORKDIR /w\n"
        "COPY --chown=a:b --chmod=u+x --link --exclude=*.md --parents src/./x ./y/\nCOPY a b\nCOPY a .\n"
    )
    first, second, third = _ops(plan)[2:]
    assert first == CopyOp(
        sources=("src/./x",),
        dest="/w/y",
        dest_is_dir=True,
        owner=Owner("a", "b"),
        chmod="u+x",
        link=True,
        parents=True,
        exclude=("*.md",),
    )
    assert (second.dest, second.dest_is_dir, third.dest, third.dest_is_dir) == ("/w/b", False, "/w", True)


def test_here_documents(convert: Convert) -> None:
    plan = convert("FROM x\nARG V=1\nCOPY <<A <<'B' /d/\na $V\nA\nb $V\nB\n")
    assert [(file.name, file.data) for file in _last(plan).files] == [("A", b"a 1\n"), ("B", b"b $V\n")]


def test_a_script_runs_as_a_file_of_its_own(convert: Convert) -> None:
    plan = convert("FROM x\nRUN <<EOF\n#!/bin/python\nprint(1)\nEOF\nRUN <<EOF\necho 1\nEOF\nRUN cat <<EOF\n1\nEOF\n")
    script, plain, line = _ops(plan)[1:]
    assert script.script.data == b"#!/bin/python\nprint(1)\n"
    assert script.argv == ("/bin/sh", "-c", "/dev/pipes/EOF")
    assert (plain.script, plain.argv[-1]) == (None, "echo 1\n")
    assert line.argv[-1] == "cat <<EOF\n1\nEOF"


@pytest.mark.parametrize("chmod", ["9", "77777", "u+y", "rwx"])
def test_wrong_modes_are_told_at_their_line(convert: Convert, chmod: str) -> None:
    with pytest.raises(WerfError) as caught:
        convert(f"FROM x\nCOPY --chmod={chmod} a b\n")
    assert caught.value.source is not None
    assert caught.value.source.first == 2


def test_add_from_everywhere(convert: Convert) -> None:
    plan = convert(
        "FROM scratch\n"
        "ADD --keep-git-dir=true https://h/r.git /git\n"
        "ADD --chown=1 https://h/f.tar.gz one https://h/g /d/\n"
        "ADD --unpack=true https://h/f.tar.gz /u/\n"
        "ADD --unpack=false x.tar /n/\n"
    )
    git, f, one, g, unpacked, not_unpacked = _ops(plan)
    assert (git.sources, git.keep_owner, git.unpack) == (("/",), False, False)
    assert (f.rename, f.chmod, f.unpack, f.owner) == ("f.tar.gz", "600", False, Owner("1"))
    assert (one.sources, one.unpack, one.chmod) == (("one",), True, "")
    assert (g.rename, g.chmod) == ("g", "600")
    assert unpacked.unpack
    assert not not_unpacked.unpack


def test_checksums(convert: Convert) -> None:
    digest = "sha256:" + "0" * 64
    plan = convert(f"FROM scratch\nADD --checksum={digest} https://h/f /f\n")
    assert plan.vertex is not None
    source = plan.vertex.inputs[1]
    assert source is not None
    assert source.op == HttpOp("https://h/f", digest)
    with pytest.raises(DockerfileError, match="multiple sources"):
        convert(f"FROM scratch\nADD --checksum={digest} https://h/f https://h/g /f/\n")
    with pytest.raises(DockerfileError, match="requires HTTP"):
        convert(f"FROM scratch\nADD --checksum={digest} local /f\n")


def test_copy_takes_no_urls(convert: Convert) -> None:
    with pytest.raises(DockerfileError, match="can't be a URL"):
        convert("FROM scratch\nCOPY https://h/f /f\n")


def test_a_download_without_a_name(convert: Convert) -> None:
    with pytest.raises(DockerfileError, match="cannot tell the file name"):
        convert("FROM scratch\nADD https://h/ /dir/\n")
    assert _last(convert("FROM scratch\nADD https://h/ /file\n")).dest == "/file"


def test_mounts(convert: Convert) -> None:
    plan = convert(
        "FROM x AS s\nFROM x\nWORKDIR /w\n"
        "RUN --mount=target=/c --mount=from=s,source=/a,target=b --mount=type=cache,target=/k,sharing=locked "
        "--mount=type=secret,id=t,env=T --mount=type=tmpfs,target=/t,size=1k true\n",
        build_args={"BUILDKIT_CACHE_MOUNT_NS": "team"},
    )
    vertex = plan.vertex
    assert vertex is not None
    context, stage, cache, secret, tmpfs = vertex.op.mounts  # type: ignore[union-attr]
    assert isinstance(vertex.inputs[context.input].op, ContextOp)  # type: ignore[union-attr]
    assert isinstance(vertex.inputs[stage.input].op, ImageOp)  # type: ignore[union-attr]
    assert (context.read_only, stage.source, stage.target) == (True, "/a", "b")
    assert (cache.input, cache.id, cache.sharing, cache.read_only) == (-1, "team//k", "locked", False)
    assert (secret.id, secret.env, secret.required) == ("t", "T", False)
    assert (tmpfs.size, tmpfs.read_only) == (1024, False)


@pytest.mark.parametrize("mount", ["target=/", "type=cache,target=/", "type=tmpfs,target=/x/..", "source=/a"])
def test_nothing_is_mounted_over_the_root(convert: Convert, mount: str) -> None:
    with pytest.raises(DockerfileError, match="invalid mount target"):
        convert(f"FROM x\nRUN --mount={mount} true\n")


def test_networks(convert: Convert) -> None:
    def networks(text: str, **settings: Any) -> list[str]:
        return [op.network for op in _ops(convert(text, **settings)) if isinstance(op, ExecOp)]

    text = "FROM x\nRUN a\nRUN --network=none b\nRUN --network=default c\n"
    assert networks(text) == ["host", "none", "host"]
    assert networks(text, network="none") == ["none", "none", "none"]
    with pytest.raises(DockerfileError, match="--network=host is not allowed"):
        networks("FROM x\nRUN --network=host a\n", network="none")
    allowed = frozenset(["network.host"])
    assert networks("FROM x\nRUN --network=host a\n", network="none", allow=allowed) == ["host"]


def test_insecure_needs_to_be_allowed(convert: Convert) -> None:
    text = "FROM x\nRUN --security=insecure a\n"
    with pytest.raises(DockerfileError, match="not allowed") as caught:
        convert(text)
    assert caught.value.source is not None
    assert _last(convert(text, allow=frozenset(["security.insecure"]))).insecure


def test_devices_need_to_be_allowed(convert: Convert) -> None:
    text = "FROM x\nRUN --device=v.com/gpu=0 --device=name=v.com/gpu=1,required{} a\n"
    assert _last(convert(text.format("=false"))).devices == ()
    with pytest.raises(DockerfileError, match=r"v\.com/gpu=1 is not allowed"):
        convert(text.format(""))
    allowed = _last(convert(text.format(""), allow=frozenset(["device"])))
    assert allowed.devices == (("v.com/gpu=0", False), ("v.com/gpu=1", True))
    one = convert(text.format(""), allow=frozenset(["device=v.com/gpu=1"]))
    assert _last(one).devices == (("v.com/gpu=1", True),)


def test_run_needs_a_command(convert: Convert) -> None:
    with pytest.raises(DockerfileError, match="RUN needs a command"):
        convert("FROM x\nRUN []\n")


def test_the_hosts_name(convert: Convert) -> None:
    assert _last(convert("FROM x\nRUN a\n", build_args={"BUILDKIT_SANDBOX_HOSTNAME": "foo"})).hostname == "foo"


@pytest.mark.parametrize(
    "text", ["FROM missing-bild", "COPY --from=missing-bild a b", "RUN --mount=from=missing-bild,target=/m a"]
)
def test_an_image_that_may_have_been_a_stage(convert: Convert, text: str) -> None:
    text = text if text.startswith("FROM") else f"FROM x\n{text}"
    with pytest.raises(WerfError) as caught:
        convert(f"FROM x AS missing-build\n{text}\n")
    assert "missing-build" in f"{caught.value.message} {caught.value.hint}"


# SOURCE_DATE_EPOCH


def test_the_epoch_is_the_time_of_what_is_made(convert: Convert) -> None:
    plan = convert("FROM x\nWORKDIR /a\nCOPY a b\n", build_args={"SOURCE_DATE_EPOCH": "12"})
    assert plan.epoch == 12
    assert [op.made_at for op in _ops(plan)[1:]] == [12, 12]
    assert convert("FROM x\n").epoch is None


def test_the_epoch_of_the_file_itself(convert: Convert) -> None:
    assert convert("ARG SOURCE_DATE_EPOCH=5\nFROM x\n").epoch == 5
    other = convert("ARG SOURCE_DATE_EPOCH=soon\nFROM x\nARG SOURCE_DATE_EPOCH\nRUN a\n")
    assert (other.epoch, "SOURCE_DATE_EPOCH=soon" in _last(other).env) == (None, True)


def test_the_epoch_of_a_source(convert: Convert, world: FakeResolver) -> None:
    world.contexts["ctx"] = ContextOp("ctx")
    world.times = {"ctx": 1, "": 2, "https://h/f": 3}
    stage = "FROM scratch AS when\nARG N=f\nADD https://h/$N /\nFROM x\nARG SOURCE_DATE_EPOCH\nRUN a\n"
    for value, seconds in (("ctx", 1), ("context", 2), ("when", 3), ("When", 3)):
        plan = convert(stage, build_args={"SOURCE_DATE_EPOCH": value})
        assert plan.epoch == seconds
        assert f"SOURCE_DATE_EPOCH={seconds}" in _last(plan).env


def test_an_epoch_that_cannot_be_found_out_is_none(convert: Convert) -> None:
    plan = convert("FROM x\nARG SOURCE_DATE_EPOCH\nRUN a\n", build_args={"SOURCE_DATE_EPOCH": "context"})
    assert plan.epoch is None
    assert not [item for item in _last(plan).env if "EPOCH" in item]


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ("FROM x AS when\nADD https://h/f /", "must use FROM scratch"),
        ("FROM scratch AS when\nCOPY a /a", "unsupported COPY"),
        ("FROM scratch AS when", "exactly one remote ADD"),
        ("FROM scratch AS when\nADD local /a", r"single HTTP\(S\) or Git"),
        ("FROM scratch AS when\nADD https://h/a https://h/b /a/", "exactly one remote ADD"),
        ("FROM scratch AS other", "invalid SOURCE_DATE_EPOCH: when"),
    ],
)
def test_an_epoch_of_a_wrong_stage(convert: Convert, stage: str, why: str) -> None:
    with pytest.raises(DockerfileError, match=why):
        convert(f"{stage}\nFROM x\n", build_args={"SOURCE_DATE_EPOCH": "when"})


def test_equal_files_are_equal_graphs(convert: Convert) -> None:
    text = "FROM x\nWORKDIR /w\nCOPY . .\nRUN a\n"
    first, second, other = convert(text), convert(f"# a comment\n{text}"), convert(text.replace("RUN a", "RUN b"))
    assert first.vertex is not None
    assert second.vertex is not None
    assert other.vertex is not None
    assert first.vertex.definition == second.vertex.definition != other.vertex.definition
    assert json.loads(msgspec.json.encode(first.config.to_dict())) == second.config.to_dict()
