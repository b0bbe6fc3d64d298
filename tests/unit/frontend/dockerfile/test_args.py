from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import parse, parse_instructions
from pywerf.frontend.dockerfile.args import ArgScope, StageArgs, platform_args
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.oci.platform import Platform

AMD = Platform.of("linux", "amd64")
ARM = Platform.of("linux", "arm", "v7")


def scope_of(text: str, build_args: dict[str, str] | None = None) -> ArgScope:
    _, meta = parse_instructions(parse(text))
    return ArgScope(meta, build_args or {}, platform_args(AMD, ARM, "end"))


def run(text: str, build_args: dict[str, str] | None = None, stage: int = -1) -> StageArgs:
    """The variables at the end of a stage; earlier stages are its parents in order."""
    stages, meta = parse_instructions(parse(text))
    scope = ArgScope(meta, build_args or {}, platform_args(AMD, ARM, "end"))
    args = None
    for each in stages[: stage % len(stages) + 1]:
        args = scope.stage(parent=args)
        for command in each.commands:
            if command.name == "ARG":
                args.declare(command)
            else:
                args.set_env((p.key, p.value) for p in expand_instruction(command, args.lookup).pairs)
    assert args is not None
    return args


def test_platform_args() -> None:
    assert platform_args(AMD, ARM) == {
        "BUILDPLATFORM": "linux/amd64",
        "BUILDOS": "linux",
        "BUILDARCH": "amd64",
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
        "TARGETSTAGE": "default",
    }


def test_from_sees_global_args_and_platforms() -> None:
    text = "ARG V=1\nARG W=$V-$TARGETARCH X\nFROM --platform=$BUILDPLATFORM img:$W$X\n"
    stages, _ = parse_instructions(parse(text))
    matched: set[str] = set()
    unmatched: set[str] = set()
    base = scope_of(text).expand_from(stages[0].base, matched=matched, unmatched=unmatched)
    assert (base.image, base.platform) == ("img:1-arm", "linux/amd64")
    assert (matched, unmatched) == ({"W", "BUILDPLATFORM"}, {"X"})
    assert (
        scope_of(text, {"W": "2", "X": "x", "BUILDPLATFORM": "linux/386"}).expand_from(stages[0].base).image == "img:2x"
    )


def test_what_a_global_default_uses() -> None:
    scope = scope_of("ARG A=1\nARG B=$A\nARG B=${B}x\nFROM a\n")
    assert scope.declared["B"].value == "1x"
    assert scope.declared["B"].uses == {"A"}
    assert scope.lookup("B") == "1x"
    assert scope.lookup("C") is None


def test_a_stage_takes_global_args_over_by_name() -> None:
    assert run("ARG V=1\nFROM a\nENV X=$V\n").env == {"X": ""}
    assert run("ARG V=1\nFROM a\nARG V\nENV X=$V\n").env == {"V": "1", "X": "1"}
    assert run("ARG V=1\nFROM a\nARG V=2\n").env == {"V": "2"}
    assert run("ARG V=1\nFROM a\nARG V=2\n", {"V": "3"}).env == {"V": "3"}
    assert run("FROM a\nARG TARGETARCH\nARG V\n").args == [("TARGETARCH", "arm"), ("V", None)]


def test_args_and_env_in_order() -> None:
    assert run("FROM a\nARG A=1 B=$A\nENV A=2\nARG C=$A\n").env == {"A": "2", "B": "1", "C": "2"}
    args = run("FROM a\nARG A=1\nENV A=2\nARG B\nARG A\n")
    assert args.history_args() == [("A", "2"), ("B", "")]


def test_stages_inherit_from_stages() -> None:
    args = run("FROM a AS b\nARG V=1\nENV E=$V\nFROM b\nENV F=$V$E\n")
    assert args.env == {"V": "1", "E": "1", "F": "11"}
    assert args.args == [("V", "1")]


def test_an_unused_default_is_not_expanded() -> None:
    assert run("FROM a\nARG V=${X:?no}\n", {"V": "1"}).env == {"V": "1"}
    with pytest.raises(DockerfileError, match="X: no") as caught:
        run("FROM a\nARG V=${X:?no}\n")
    assert caught.value.source is not None
    assert caught.value.source.first == 2
    with pytest.raises(DockerfileError, match="X: no"):
        scope_of("ARG V=${X:?no}\nFROM a\n")


def test_the_result_of_a_declaration_has_its_values(read) -> None:
    scope = scope_of("FROM a\n", {"B": "2"})
    unmatched: set[str] = set()
    arg = scope.stage(env=[("H", "h")]).declare(read.command("ARG A=$H$N B=1 C"), unmatched=unmatched)
    assert [(pair.key, pair.value) for pair in arg.pairs] == [("A", "h"), ("B", "2"), ("C", None)]
    assert unmatched == {"N"}


def test_builder_args_are_no_environment() -> None:
    args = run("FROM a\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n")
    assert args.env == {}
    assert args.args == [("BUILDKIT_SBOM_SCAN_STAGE", "true")]


def test_proxies_need_no_declaration() -> None:
    scope = scope_of("FROM a\n", {"http_proxy": "p", "NO_PROXY": "n", "Ftp_Proxy": "f", "X": "x"})
    assert scope.proxy_environment() == {"http_proxy": "p", "NO_PROXY": "n"}
    assert run("FROM a\nENV E=$HTTP_PROXY\n", {"HTTP_PROXY": "p"}).env == {"E": ""}


def test_unconsumed_build_args() -> None:
    text = "ARG A\nFROM a\nARG B C\n"
    stages, _ = parse_instructions(parse(text))
    given = dict.fromkeys(["A", "B", "D", "http_proxy", "BUILDKIT_INLINE_CACHE", "TARGETARCH", "SOURCE_DATE_EPOCH"], "")
    assert scope_of(text, given).unconsumed(stages) == ["D"]
