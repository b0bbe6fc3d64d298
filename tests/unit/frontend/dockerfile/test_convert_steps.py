"""Dockerfiles as graphs: the steps that instructions become, their names and history, and their times."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pywerf.errors import DockerfileError, WerfError
from pywerf.graph.op import ContextOp, CopyOp, ExecOp, HttpOp, ImageOp, Owner
from pywerf.oci.platform import Platform
from support.converting import Convert, FakeResolver, chain, last, ops

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


# steps


def test_names_and_history(convert: Convert) -> None:
    plan = convert("FROM x AS one\nFROM y\nWORKDIR /w\nRUN a\nCOPY . .\nENV A=1\n")
    assert [vertex.name for vertex in chain(plan)] == [
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


def test_in_the_next_stage_an_env_beats_an_arg_that_came_after_it(convert: Convert) -> None:
    plan = convert("FROM x AS one\nARG B=arg\nENV A=env\nARG A=arg\nRUN 1\nFROM one\nRUN 2\nARG A=later\nRUN 3\n")
    seen = [
        {pair for pair in vertex.op.env if pair.startswith(("A=", "B="))}
        for vertex in chain(plan)
        if isinstance(vertex.op, ExecOp)
    ]
    assert seen == [{"A=arg", "B=arg"}, {"A=env", "B=arg"}, {"A=later", "B=arg"}]


def test_no_cache_for_all_or_for_some_stages(convert: Convert) -> None:
    text = "FROM x AS a\nRUN 1\nFROM x AS b\nRUN 2\nCOPY --from=a / /\n"

    def ignored(**settings: Any) -> list[bool]:
        steps = chain(convert(text, **settings))
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
    first, second, third = ops(plan)[2:]
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
    assert [(file.name, file.data) for file in last(plan).files] == [("A", b"a 1\n"), ("B", b"b $V\n")]


def test_a_script_runs_as_a_file_of_its_own(convert: Convert) -> None:
    plan = convert("FROM x\nRUN <<EOF\n#!/bin/python\nprint(1)\nEOF\nRUN <<EOF\necho 1\nEOF\nRUN cat <<EOF\n1\nEOF\n")
    script, plain, line = ops(plan)[1:]
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
    git, f, one, g, unpacked, not_unpacked = ops(plan)
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
    assert last(convert("FROM scratch\nADD https://h/ /file\n")).dest == "/file"


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
        return [op.network for op in ops(convert(text, **settings)) if isinstance(op, ExecOp)]

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
    assert last(convert(text, allow=frozenset(["security.insecure"]))).insecure


def test_devices_need_to_be_allowed(convert: Convert) -> None:
    text = "FROM x\nRUN --device=v.com/gpu=0 --device=name=v.com/gpu=1,required{} a\n"
    assert last(convert(text.format("=false"))).devices == ()
    with pytest.raises(DockerfileError, match=r"v\.com/gpu=1 is not allowed"):
        convert(text.format(""))
    allowed = last(convert(text.format(""), allow=frozenset(["device"])))
    assert allowed.devices == (("v.com/gpu=0", False), ("v.com/gpu=1", True))
    one = convert(text.format(""), allow=frozenset(["device=v.com/gpu=1"]))
    assert last(one).devices == (("v.com/gpu=1", True),)


def test_run_needs_a_command(convert: Convert) -> None:
    with pytest.raises(DockerfileError, match="RUN needs a command"):
        convert("FROM x\nRUN []\n")


def test_the_hosts_name(convert: Convert) -> None:
    assert last(convert("FROM x\nRUN a\n", build_args={"BUILDKIT_SANDBOX_HOSTNAME": "foo"})).hostname == "foo"


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
    assert [op.made_at for op in ops(plan)[1:]] == [12, 12]
    assert convert("FROM x\n").epoch is None


def test_the_epoch_of_the_file_itself(convert: Convert) -> None:
    assert convert("ARG SOURCE_DATE_EPOCH=5\nFROM x\n").epoch == 5
    other = convert("ARG SOURCE_DATE_EPOCH=soon\nFROM x\nARG SOURCE_DATE_EPOCH\nRUN a\n")
    assert (other.epoch, "SOURCE_DATE_EPOCH=soon" in last(other).env) == (None, True)


def test_the_epoch_of_a_source(convert: Convert, world: FakeResolver) -> None:
    world.contexts["ctx"] = ContextOp("ctx")
    world.times = {"ctx": 1, "": 2, "https://h/f": 3}
    stage = "FROM scratch AS when\nARG N=f\nADD https://h/$N /\nFROM x\nARG SOURCE_DATE_EPOCH\nRUN a\n"
    for value, seconds in (("ctx", 1), ("context", 2), ("when", 3), ("When", 3)):
        plan = convert(stage, build_args={"SOURCE_DATE_EPOCH": value})
        assert plan.epoch == seconds
        assert f"SOURCE_DATE_EPOCH={seconds}" in last(plan).env


def test_an_epoch_that_cannot_be_found_out_is_none(convert: Convert) -> None:
    plan = convert("FROM x\nARG SOURCE_DATE_EPOCH\nRUN a\n", build_args={"SOURCE_DATE_EPOCH": "context"})
    assert plan.epoch is None
    assert not [item for item in last(plan).env if "EPOCH" in item]


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
