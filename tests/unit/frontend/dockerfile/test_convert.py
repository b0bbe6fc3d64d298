"""Dockerfiles as graphs: stages, contexts, variables, configs; what is asked of the world outside, and what is not."""

from __future__ import annotations

import msgspec
import pytest

from pywerf.errors import DockerfileError, WerfError
from pywerf.frontend.dockerfile.convert import Converter, Settings
from pywerf.frontend.dockerfile.parser import parse
from pywerf.graph.op import ContextOp, CopyOp, ExecOp, ImageOp, MkdirOp, Owner
from pywerf.oci.config import ContainerConfig
from pywerf.oci.platform import Platform
from support.converting import PATH, Convert, FakeResolver, chain, last, ops

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


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
    first, second = chain(plan)[-2:]
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
    found = ops(plan)
    assert [type(op) for op in found] == [ImageOp, MkdirOp, ExecOp, ExecOp]
    assert {"V=9", "E=2"} <= set(found[-1].env)
    assert found[-1].cwd == "/w"
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


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("FROM missing-ubunto:22.04\n", None),
        ("FROM alpne\n", "did you mean the image alpine?"),
        ("FROM x\nCOPY --from=debain:12@sha256:0 / /\n", "did you mean the image debian?"),
        ("FROM x AS alpnes\nFROM alpne\n", "did you mean the stage alpnes? (it was taken for an image)"),
    ],
)
def test_images_that_are_nearly_called_so(convert: Convert, world: FakeResolver, text: str, hint: str | None) -> None:
    world.missing = {"alpne", "debain:12@sha256:0"}
    with pytest.raises(WerfError) as caught:
        convert(text)
    assert caught.value.hint == hint


def test_an_unknown_base_is_shown_at_its_line(convert: Convert) -> None:
    with pytest.raises(WerfError) as caught:
        convert("ARG X=1\nFROM missing\n")
    assert caught.value.source is not None
    assert caught.value.source.first == 2


def test_after_waits_for_another_stage(convert: Convert) -> None:
    plan = convert("FROM x AS first\nRUN one\nFROM --after=first y\nRUN two\nRUN three\n")
    _, two, three = chain(plan)
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
    source = chain(plan)[-1].inputs[1]
    assert source is not None
    assert isinstance(source.op, CopyOp)


def test_a_context_wins_where_a_stage_would_need_itself(convert: Convert, world: FakeResolver) -> None:
    world.contexts["own"] = world.image("given", AMD64)
    world.asked.clear()
    plan = convert("FROM missing AS Own\nRUN never\nCOPY --from=own hello .\n")
    assert last(plan).reference == "given"
    plan = convert("FROM x\nCOPY --from=own /a /\nFROM missing AS own\nCOPY --from=own /b /\n", target="0")
    source = chain(plan)[-1].inputs[1]
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
    assert last(plan).reference == "alpine"
    assert world.asked == []


def test_a_stage_on_files_alone(convert: Convert, world: FakeResolver) -> None:
    world.contexts["rootfs"] = ContextOp("rootfs")
    (op,) = ops(convert("FROM rootfs\n"))
    assert (op.sources, op.dest) == (("/",), "/")
    assert convert("FROM rootfs\n").config.env == (PATH,)


def test_scratch_is_always_empty(convert: Convert, world: FakeResolver) -> None:
    world.contexts["scratch"] = ContextOp("scratch")
    assert convert("FROM scratch\n").vertex is None


def test_owners_stay_for_images_but_not_for_files_from_outside(convert: Convert, world: FakeResolver) -> None:
    world.contexts["ctx"] = ContextOp("ctx")
    plan = convert("FROM x AS s\nFROM scratch\nCOPY --from=s a /\nCOPY --from=img a /\nCOPY --from=ctx a /\nCOPY a /\n")
    assert [op.keep_owner for op in ops(plan)] == [True, True, False, False]


# variables


def test_arguments_reach_the_commands_that_come_after_them(convert: Convert) -> None:
    plan = convert("ARG G=global\nFROM x\nRUN a\nARG G\nARG L=$G-local\nRUN b\n", build_args={"UNUSED": "1"})
    a, b = [op for op in ops(plan) if isinstance(op, ExecOp)]
    assert not [item for item in a.env if item.startswith(("G=", "L="))]
    assert {"G=global", "L=global-local"} <= set(b.env)
    assert not [item for item in b.env if item.startswith("UNUSED")]
    assert plan.config.env == (PATH,)


def test_env_wins_over_arg(convert: Convert) -> None:
    plan = convert("FROM x\nARG A=arg\nENV A=env\nRUN a\n", build_args={"A": "flag"})
    assert "A=env" in last(plan).env
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
    assert last(plan).argv == ("bash", "-eu", "make")
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
    assert ops(plan)[1:] == [MkdirOp("/a"), MkdirOp("/a/c", Owner("app"))]
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
    assert [op.cwd for op in ops(plan) if isinstance(op, ExecOp)] == ["/b", "/c/d"]
    assert plan.config.working_dir == "/e/."


def test_triggers_of_the_base_run_first_and_are_not_handed_on(convert: Convert, world: FakeResolver) -> None:
    world.configs["x"] = ContainerConfig(onbuild=("COPY . /app", "ENV FROM_BASE=1", "RUN make"))
    plan = convert("FROM x\nRUN own\n")
    assert [type(op) for op in ops(plan)] == [ImageOp, CopyOp, ExecOp, ExecOp]
    assert "FROM_BASE=1" in last(plan).env
    assert plan.config.onbuild == ()


def test_triggers_of_a_stage_run_in_the_next_one(convert: Convert) -> None:
    plan = convert("FROM x AS base\nONBUILD RUN later\nRUN now\nFROM base\n")
    assert [op.argv[-1] for op in ops(plan)[1:]] == ["now", "later"]


def test_a_trigger_may_copy_from_a_stage_of_this_file(convert: Convert, world: FakeResolver) -> None:
    world.configs["x"] = ContainerConfig(onbuild=("COPY --from=assets /a /a",))
    plan = convert("FROM y AS assets\nRUN make\nFROM x\n")
    source = chain(plan)[-1].inputs[1]
    assert source is not None
    assert isinstance(source.op, ExecOp)


# which images stages stand on


@pytest.mark.parametrize(
    ("text", "target", "images"),
    [
        ("FROM one\n", "", ["one"]),
        ("FROM scratch\n", "", []),
        (
            "ARG V=2\nFROM one:$V AS a\nFROM unused\nFROM two\nCOPY --from=a / /\nCOPY --from=other / /\n",
            "",
            ["one:2", "two"],
        ),
        ("FROM one AS a\nFROM a AS b\nFROM two\n", "b", ["one"]),
        (
            "FROM --platform=$BUILDPLATFORM go AS a\nFROM --platform=$TARGETPLATFORM two\nCOPY --from=a / /\n",
            "",
            ["two"],
        ),
        ("FROM --platform=linux/amd64 one\n", "", []),
        ("FROM named\nFROM stage AS replaced\nFROM replaced\nCOPY --from=0 / /\n", "", []),
    ],
)
def test_images_that_tell_the_platforms(text: str, target: str, images: list[str], world: FakeResolver) -> None:
    world.contexts = {"named": ContextOp("named"), "replaced": ContextOp("replaced")}
    settings = Settings(platform=ARM64, target=target)
    assert Converter(parse(text.encode()), settings, world).base_images() == images
    assert world.asked == []
