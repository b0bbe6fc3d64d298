"""Digests of Dockerfiles: what changes them, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pywerf.build.project.digests import VERSION, content_digest, image_spec_parts, index_digest, stage_digest
from pywerf.build.project.dockerfile_digest import BaseConfig, DigestInput, dockerfile_parts
from pywerf.build.project.storage.model import StageId
from pywerf.config.werf_yaml.model import ImageSpec
from pywerf.errors import BuildError, DockerfileError, RegistryNotFound
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.platform import Platform
from support.memory_tree import MemoryTree, directory

AMD, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
FILES = {"a": "1", "b/c": "2", "b/d": "3"}


def digest(text: str, files: Mapping[str, Any] = FILES, *, bases: Any = None, **options: Any) -> str:
    known = {"busybox": BaseConfig(), **(bases or {})}

    def base(name: str, platform: Platform) -> BaseConfig:
        if name not in known:
            raise RegistryNotFound(f"{name}: not found")
        found: BaseConfig = known[name]
        return found

    platform = options.pop("platform", AMD)
    given = DigestInput(
        dockerfile=parse(text.encode(), "Dockerfile"),
        platform=platform,
        context=MemoryTree(files),
        base=base,
        **options,
    )
    return stage_digest("dockerfile", dockerfile_parts(given), platform=str(platform))


DOCKERFILE = """\
ARG VERSION=1
FROM busybox AS tools
RUN make tools
FROM busybox AS unneeded
COPY a /
FROM busybox
ARG VERSION
ARG OTHER
ENV HOME=/home/$VERSION
COPY b $HOME/
COPY --from=tools /tools /
RUN --mount=type=bind,source=a,target=/x cat /x
"""


def test_a_digest_is_the_same_at_every_time() -> None:
    assert digest(DOCKERFILE) == digest(DOCKERFILE)
    assert len(digest(DOCKERFILE)) == 56


def test_the_scheme_has_not_changed() -> None:
    """Whoever changes this value makes all stages of all projects be built again: VERSION tells so."""
    assert VERSION == "pywerf 1"
    assert digest("FROM scratch\nENV A=1\nCOPY a /\n") == "b57d2498d8cbbcffd56748c9342911112f5623d1505f4ddbc7e2cb1d"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"text": DOCKERFILE.replace("make tools", "make more")}, id="a RUN of a stage that is needed"),
        pytest.param({"text": DOCKERFILE.replace("VERSION=1", "VERSION=2")}, id="the default of an ARG"),
        pytest.param({"build_args": {"VERSION": "2"}}, id="an ARG before FROM"),
        pytest.param({"build_args": {"OTHER": "2"}}, id="an ARG"),
        pytest.param({"files": {**FILES, "b/c": "4"}}, id="a file of COPY"),
        pytest.param({"files": {**FILES, "b/new": ""}}, id="a new file of COPY"),
        pytest.param({"files": {**FILES, "a": "4"}}, id="a file of a bind mount"),
        pytest.param({"files": {**FILES, "b/e": directory()}}, id="a directory"),
        pytest.param({"cache_version": "2"}, id="cacheVersion"),
        pytest.param({"add_hosts": ("db:1.2.3.4",)}, id="addHost"),
        pytest.param({"platform": ARM}, id="the platform"),
        pytest.param({"target": "tools"}, id="the target"),
        pytest.param({"bases": {"busybox": BaseConfig(onbuild=("RUN x",))}}, id="ONBUILD of the base"),
    ],
)
def test_what_changes_a_digest(changed: dict[str, Any]) -> None:
    assert digest(**{"text": DOCKERFILE, **changed}) != digest(DOCKERFILE)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"text": "# a comment\n" + DOCKERFILE}, id="a comment"),
        pytest.param({"text": DOCKERFILE.replace("COPY a /", "COPY a /x")}, id="a stage that nobody needs"),
        pytest.param({"text": DOCKERFILE.replace("AS tools", "as Tools")}, id="how a stage's name is written"),
        pytest.param({"text": DOCKERFILE.replace("RUN make", "run   make")}, id="how an instruction is written"),
        pytest.param({"build_args": {"NOBODY": "1"}}, id="an arg that nobody declares"),
        pytest.param({"build_args": {"VERSION": "1"}}, id="an arg that is the default"),
        pytest.param({"files": {**FILES, "other": "1"}}, id="a file that nobody takes"),
        pytest.param({"bases": {"busybox": BaseConfig(env=("UNUSED=1",))}}, id="an unused variable of the base"),
    ],
)
def test_what_does_not_change_a_digest(changed: dict[str, Any]) -> None:
    assert digest(**{"text": DOCKERFILE, **changed}) == digest(DOCKERFILE)


def test_variables_of_the_base_name_files() -> None:
    text = "FROM busybox\nCOPY $DIR /\n"
    bases = {"busybox": BaseConfig(env=("DIR=b",))}
    before = digest(text, bases=bases)
    assert digest(text, {**FILES, "a": "9"}, bases=bases) == before
    assert digest(text, {**FILES, "b/c": "9"}, bases=bases) != before


def test_platform_args_count_by_the_args_that_take_them() -> None:
    assert digest("FROM scratch\n", platform=ARM) != digest("FROM scratch\n")
    build = "FROM --platform=$BUILDPLATFORM busybox AS b\nFROM scratch\nCOPY --from=b /x /\n"
    assert digest(build, platform=ARM) != digest(build)


def test_excluded_files_do_not_count() -> None:
    text = "FROM scratch\nCOPY --exclude=d b /\n"
    assert digest(text, {**FILES, "b/d": "9"}) == digest(text)
    assert digest(text, {**FILES, "b/c": "9"}) != digest(text)


def test_onbuild_of_a_base_takes_files() -> None:
    bases = {"busybox": BaseConfig(onbuild=("COPY a /",))}
    assert digest("FROM busybox\n", bases=bases) != digest("FROM busybox\n", {**FILES, "a": "9"}, bases=bases)
    own = "FROM busybox AS x\nONBUILD COPY a /\nFROM x\n"
    assert digest(own) != digest(own, {**FILES, "a": "9"})


def test_sources_from_elsewhere_count_by_their_text() -> None:
    assert digest("FROM scratch\nADD https://x.example/a /\n") != digest("FROM scratch\nADD https://x.example/b /\n")
    assert digest("FROM scratch\nCOPY --from=busybox /a /\n") != digest("FROM scratch\nCOPY --from=debian /a /\n")


def test_what_is_missing_is_told_at_its_line() -> None:
    with pytest.raises(BuildError) as caught:
        digest("FROM scratch\nCOPY nothing /\n")
    assert caught.value.source is not None
    assert caught.value.source.first == 2
    with pytest.raises(RegistryNotFound) as missing:
        digest("FROM none\n")
    assert missing.value.source is not None
    with pytest.raises(DockerfileError, match="should not be blank"):
        digest("ARG A\nFROM $A\n")
    with pytest.raises(DockerfileError, match="could not be found"):
        digest("FROM scratch\n", target="x")


def test_content_and_index_digests_tell_stages_apart() -> None:
    one, two = StageId("a" * 56, 1700000000000), StageId("b" * 56, 1700000000000)
    assert index_digest([("linux/amd64", one), ("linux/arm64", two)]) == index_digest(
        [("linux/arm64", two), ("linux/amd64", one)]
    )
    assert index_digest([("linux/amd64", one)]) != index_digest([("linux/amd64", two)])
    assert content_digest("dockerfile", "a" * 56, platform="") != "a" * 56
    assert content_digest("dockerfile", "a" * 56, platform="linux/amd64") == content_digest(
        "dockerfile", "a" * 56, platform=""
    )


def test_every_field_of_image_spec_counts() -> None:
    plain = image_spec_parts(ImageSpec(), image="web", project="shop")
    assert image_spec_parts(ImageSpec(author="me"), image="web", project="shop") != plain
    assert image_spec_parts(ImageSpec(), image="other", project="shop") == plain
    named = ImageSpec(labels=(("who", "%image%"),))
    assert image_spec_parts(named, image="web", project="shop") != image_spec_parts(named, image="b", project="shop")
