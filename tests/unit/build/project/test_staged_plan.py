"""The stages of a staged image: which there are, and what changes the digest of which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pywerf.build.project.dockerfile_digest import BaseConfig, DigestInput
from pywerf.build.project.staged_plan import StagedPlan, plan_parts
from pywerf.errors import BuildError, DockerfileError
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.platform import Platform
from support.memory_tree import MemoryTree

AMD, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
FILES = {"a": "1", "b/c": "2", "b/d": "3"}


def plan(text: str, files: Mapping[str, Any] = FILES, *, bases: Any = None, **options: Any) -> StagedPlan:
    known = {"busybox": BaseConfig(), "debian": BaseConfig(), **(bases or {})}
    digests = options.pop("digests", {})
    version = options.pop("version", "v1")
    given = DigestInput(
        dockerfile=parse(text.encode(), "Dockerfile"),
        context=MemoryTree(files),
        base=lambda name, platform: known[name],
        **{"platform": AMD, **options},
    )
    return plan_parts(given, lambda name, platform: digests.get(name, "sha256:1"), version=version)


def digests(found: StagedPlan, number: int | None = None) -> dict[str, str]:
    """The digests of a part's stages (the target's) by the stages' names."""
    part = found.parts[found.target if number is None else number]
    return {one.step.name: one.digest for one in part.stages}


def changed(before: StagedPlan, after: StagedPlan) -> list[str]:
    """The stages of the target whose digests are not the same."""
    old, new = digests(before), digests(after)
    assert old.keys() == new.keys()
    return [name for name in old if old[name] != new[name]]


DOCKERFILE = """\
ARG VERSION=1
FROM debian AS tools
RUN make tools
FROM busybox AS unneeded
COPY a /
FROM busybox
ARG VERSION
ENV HOME=/home/$VERSION
COPY b $HOME/
ARG LATE
RUN --mount=type=bind,source=a,target=/x cat /x
COPY --from=tools /tools /
CMD ["x"]
"""


def test_each_instruction_but_arg_is_a_stage() -> None:
    found = plan(DOCKERFILE)
    assert list(found.parts) == [0, 2], "nobody needs the second stage"
    assert list(digests(found)) == ["ENV1", "COPY2", "RUN3", "COPY4", "CMD5"]
    assert list(digests(found, 0)) == ["RUN1"]
    assert [one.step.needs for one in found.parts[2].stages] == [(), (), (), (0,), ()]
    assert (found.shown(0), found.shown(2)) == ("tools", "")
    second = plan(DOCKERFILE, version="v2")
    assert list(digests(second)) == ["FROM1", "ENV2", "COPY3", "RUN4", "COPY5", "CMD6"]
    assert list(digests(second, 0)) == ["FROM1", "RUN2"]
    assert all(len(digest) == 56 for digest in digests(second).values())


def test_the_scheme_has_not_changed() -> None:
    """Whoever changes these values makes all stages of all staged images be built again: VERSION is to tell so."""
    text = "FROM scratch\nENV A=1\nCOPY a /\n"
    assert digests(plan(text))["COPY2"] == "8c68ec1db60567ab6fbb1e5a25cf9ec01ee9f1204638eb7bee8e2fc4"
    assert digests(plan(text, version="v2"))["COPY3"] == "15fb91c23f166d0eff309f0a92ef0fb657f80832198644848cfd23e4"


TAIL = ["RUN3", "COPY4", "CMD5"]
ALL = ["ENV1", "COPY2", *TAIL]


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        pytest.param({"text": DOCKERFILE.replace('"x"', '"y"')}, ["CMD5"], id="the last instruction"),
        pytest.param({"text": DOCKERFILE.replace("make tools", "make more")}, ["COPY4", "CMD5"], id="another stage"),
        pytest.param({"text": DOCKERFILE.replace("cat /x", "cat  /x")}, TAIL, id="a command"),
        pytest.param({"files": {**FILES, "b/c": "4"}}, ["COPY2", *TAIL], id="a file of COPY"),
        pytest.param({"files": {**FILES, "a": "4"}}, TAIL, id="a file of a bind mount"),
        pytest.param({"build_args": {"LATE": "2"}}, TAIL, id="an ARG in the middle"),
        pytest.param({"build_args": {"VERSION": "2"}}, ALL, id="an ARG of all"),
        pytest.param(
            {"text": DOCKERFILE.replace("COPY b $HOME/", "COPY b /home/1/")}, [], id="the same in other words"
        ),
        pytest.param({"text": "# x\n" + DOCKERFILE.replace("RUN make", "run   make")}, [], id="how it is written"),
        pytest.param({"text": DOCKERFILE.replace("COPY a /", "COPY a /x")}, [], id="a stage that nobody needs"),
        pytest.param({"files": {**FILES, "other": "1"}}, [], id="a file that nobody takes"),
        pytest.param({"build_args": {"NOBODY": "1"}}, [], id="an arg that nobody declares"),
        pytest.param({"add_hosts": ("db:1.2.3.4",)}, TAIL, id="addHost"),
        pytest.param({"cache_version": "2"}, ALL, id="cacheVersion"),
        pytest.param({"platform": ARM}, ALL, id="the platform"),
        pytest.param({"digests": {"busybox": "sha256:2"}}, [], id="the registry's digest of the base"),
        pytest.param({"bases": {"busybox": BaseConfig(env=("X=1",))}}, [], id="an unused variable of the base"),
    ],
)
def test_what_changes_which_stage(change: dict[str, Any], stages: list[str]) -> None:
    assert changed(plan(DOCKERFILE), plan(**{"text": DOCKERFILE, **change})) == stages


def test_from_in_the_second_scheme_has_the_base_s_digest_and_the_cache_version() -> None:
    first = plan(DOCKERFILE, version="v2")
    every = list(digests(first))
    assert changed(first, plan(DOCKERFILE, version="v2", digests={"busybox": "sha256:2"})) == every
    assert changed(first, plan(DOCKERFILE, version="v2", cache_version="2")) == every
    assert changed(first, plan(DOCKERFILE.replace("FROM busybox\n", "FROM debian\n"), version="v2")) == every
    assert changed(first, plan(DOCKERFILE, version="v2", digests={"debian": "sha256:2"})) == ["COPY5", "CMD6"]


def one(instruction: str, before: str = "", files: Mapping[str, Any] = FILES, **options: Any) -> str:
    """The digest of an instruction that is the last one."""
    return plan(f"FROM debian AS other\nRUN x\nFROM busybox\n{before}{instruction}\n", files, **options).last.digest


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("RUN a", "RUN b"),
        ("RUN a b", 'RUN ["a", "b"]'),
        ("RUN a", "RUN --network=none a"),
        ("RUN a", "RUN --security=insecure a"),
        ("RUN --mount=type=cache,target=/c a", "RUN --mount=type=cache,target=/c,id=x a"),
        ("RUN --mount=type=cache,target=/c a", "RUN --mount=type=cache,target=/c,sharing=locked a"),
        ("RUN --mount=type=secret,id=x a", "RUN --mount=type=secret,id=x,required=true a"),
        ("RUN --mount=type=tmpfs,target=/c a", "RUN --mount=type=tmpfs,target=/d a"),
        ("RUN --mount=type=ssh a", "RUN --mount=type=ssh,id=x a"),
        ("RUN --mount=from=other,target=/c a", "RUN --mount=from=debian,target=/c a"),
        ("RUN <<X\na\nX", "RUN <<X\nb\nX"),
        ("COPY a /x", "COPY a /y"),
        ("COPY a /x", "COPY b/c /x"),
        ("COPY a /x", "COPY --chown=1 a /x"),
        ("COPY a /x", "COPY --chmod=600 a /x"),
        ("COPY a /x", "COPY --link a /x"),
        ("COPY a /x", "ADD a /x"),
        ("COPY --from=other /a /x", "COPY --from=0 /a /x"),
        ("COPY --from=other /a /x", "COPY --from=debian /a /x"),
        ("COPY <<X /x\n1\nX", "COPY <<X /x\n2\nX"),
        ("ADD https://x.example/a /", "ADD https://x.example/b /"),
        ("ADD a /x", "ADD --chown=1 a /x"),
        ("ADD a /x", "ADD --chmod=600 a /x"),
        ("ENV A=1", "ENV A=2"),
        ("ENV A=1 B=2", "ENV B=2 A=1"),
        ("LABEL a=1 b=2", "LABEL b=2 a=1"),
        ("CMD a b", 'CMD ["a", "b"]'),
        ("ENTRYPOINT a", "ENTRYPOINT b"),
        ("WORKDIR /a", "WORKDIR /b"),
        ("USER a", "USER b"),
        ("EXPOSE 1", "EXPOSE 1/udp"),
        ("VOLUME /a", "VOLUME /b"),
        ("STOPSIGNAL TERM", "STOPSIGNAL INT"),
        ("HEALTHCHECK CMD a", "HEALTHCHECK --interval=3s CMD a"),
        ('SHELL ["a"]', 'SHELL ["b"]'),
        ("ONBUILD RUN a", "ONBUILD RUN b"),
        ("MAINTAINER a", "MAINTAINER b"),
    ],
)
def test_all_that_an_instruction_says_counts(first: str, second: str) -> None:
    assert one(first) == one(first)
    assert one(first) != one(second)


def test_the_environment_of_run_counts_sorted_and_that_of_others_does_not() -> None:
    both = {"A": "1", "B": "2"}
    assert one("RUN x", "ARG A\nARG B\n", build_args=both) == one("RUN x", "ARG B\nARG A\n", build_args=both)
    assert one("RUN x", "ARG A\n", build_args=both) != one("RUN x", "ARG A\n", build_args={"A": "2"})
    assert one("COPY a /", "ARG A\n", build_args=both) == one("COPY a /", "ARG A\n", build_args={"A": "2"})


def test_files_of_the_context_count_where_they_are_taken() -> None:
    for instruction in ("COPY b /", "ADD b /", "RUN --mount=type=bind,source=b,target=/b x"):
        assert one(instruction) != one(instruction, files={**FILES, "b/c": "9"})
        assert one(instruction) == one(instruction, files={**FILES, "a": "9"})
    assert one("COPY --from=other /b /") == one("COPY --from=other /b /", files={})


def test_onbuild_of_a_base_is_run_first_and_takes_part() -> None:
    bases = {"busybox": BaseConfig(onbuild=("COPY a /", "RUN x"))}
    found = plan("FROM busybox\nRUN y\n", bases=bases)
    assert list(digests(found)) == ["COPY1", "RUN2", "RUN3"]
    steps = [one.step for one in found.parts[0].stages]
    assert [step.strip for step in steps] == [True, False, False]
    assert [step.from_trigger for step in steps] == [True, True, False]
    assert changed(found, plan("FROM busybox\nRUN y\n", {**FILES, "a": "9"}, bases=bases)) == list(digests(found))
    own = plan("FROM busybox AS x\nONBUILD RUN z\nRUN y\nFROM x\n")
    assert list(digests(own)) == ["RUN1"]
    assert [step.triggers for step in (one.step for one in own.parts[0].stages)] == [(), ("RUN z",)]
    assert own.parts[0].triggers == ("RUN z",)


def test_the_args_of_a_step_have_their_present_values() -> None:
    found = plan("FROM busybox AS x\nARG A=1\nENV A=2\nFROM x\nARG B\nRUN $A\nCOPY a /\n", build_args={"C": "3"})
    run, copy = (one.step for one in found.parts[1].stages)
    assert run.args == (("A", "2"), ("B", None))
    assert copy.args == (), "nothing of it uses a variable"
    passed = plan("ARG SOURCE_DATE_EPOCH=7\nFROM busybox\nRUN x\n", build_args={"HTTP_PROXY": "p", "X": "1"}).passed
    assert passed == {"HTTP_PROXY": "p", "SOURCE_DATE_EPOCH": "7"}


def test_a_stage_for_another_platform_is_its_own() -> None:
    text = "FROM --platform=$BUILDPLATFORM busybox AS build\nRUN x\nFROM busybox\nCOPY --from=build /x /\n"
    first, second = plan(text), plan(text, platform=ARM)
    assert first.parts[0].stages == second.parts[0].stages, "it is built once for all platforms"
    assert first.last.digest != second.last.digest


def test_mistakes_are_told_at_their_lines() -> None:
    with pytest.raises(DockerfileError, match="scheme v1") as empty:
        plan("FROM busybox AS x\nFROM x\nRUN y\n")
    assert empty.value.source is not None
    assert empty.value.source.first == 1
    assert empty.value.hint is not None
    assert "WERF_STAGED_DOCKERFILE_VERSION=v2" in empty.value.hint
    assert list(digests(plan("FROM busybox AS x\nFROM x\nRUN y\n", version="v2"), 0)) == ["FROM1"]
    with pytest.raises(BuildError) as missing:
        plan("FROM busybox\nCOPY nothing /\n")
    assert missing.value.source is not None
    assert missing.value.source.first == 2
    with pytest.raises(DockerfileError, match="defined before current stage"):
        plan("FROM busybox AS x\nCOPY --from=y /a /\nFROM busybox AS y\nRUN x\n", target="x")
