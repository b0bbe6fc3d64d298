"""The Dockerfile of one instruction."""

from __future__ import annotations

from typing import Any

from pywerf.build.project.dockerfile_digest import BaseConfig, DigestInput
from pywerf.build.project.staged_dockerfile import step_args, step_dockerfile
from pywerf.build.project.staged_plan import plan_parts
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.platform import Platform
from support.memory_tree import MemoryTree

AMD = Platform.parse("linux/amd64")

TEXT = """\
# syntax=docker/dockerfile:1
# escape=`
ARG BASE=busybox
FROM ${BASE} AS tools
ARG V=1
RUN make `
  tools
FROM scratch AS other
COPY a /
FROM tools
ARG W
COPY --from=0 /t /
RUN <<X
  echo $V
X
COPY --from=other /a /a$V
"""


def steps(text: str, **options: Any) -> dict[str, str]:
    """The Dockerfiles of the target's steps by the steps' names."""
    dockerfile = parse(text.encode(), "Dockerfile")
    given = DigestInput(
        dockerfile=dockerfile,
        platform=AMD,
        context=MemoryTree({"a": "1"}),
        base=lambda name, platform: options.get("base", BaseConfig()),
    )
    found = plan_parts(given, lambda name, platform: "", version=options.get("version", "v1"))
    images = {number: f"shop:{number}" for number in found.parts}
    return {
        one.step.name: step_dockerfile(dockerfile, one.step, "shop:before", images, AMD).decode()
        for one in found.parts[found.target].stages
    }


def test_an_instruction_stands_in_its_own_line_with_its_own_text() -> None:
    found = steps(TEXT)
    head = "# syntax=docker/dockerfile:1\n# escape=`\n"
    assert found["RUN2"] == (f"{head}FROM shop:before AS stage-2\nARG V W\n" + "\n" * 8 + "RUN <<X\n  echo $V\nX\n")
    assert found["COPY1"] == (
        f"{head}FROM shop:0 AS tools\nFROM scratch\nFROM shop:before AS stage-2\n" + "\n" * 6 + "COPY --from=0 /t /\n"
    )
    assert found["COPY3"] == (
        f"{head}FROM shop:1 AS other\nFROM shop:before AS stage-2\nARG V W\n"
        + "\n" * 10
        + "COPY --from=other /a /a$V\n"
    )


def test_the_stage_from_is_from_alone() -> None:
    assert steps("FROM busybox AS x\nRUN x\n", version="v2")["FROM1"] == "FROM shop:before AS x\n"


def test_a_trigger_of_the_base_has_the_usual_escapes() -> None:
    found = steps("# escape=`\nFROM busybox\nRUN x\n", base=BaseConfig(onbuild=("RUN a \\\n b",)))
    assert found["RUN1"] == "FROM shop:before AS stage-0\nRUN a \\\n b\n"
    assert found["RUN2"] == "# escape=`\nFROM shop:before AS stage-0\nRUN x\n"


def test_args_without_a_value_stay_without() -> None:
    dockerfile = parse(b"FROM busybox\nARG A=1\nARG B\nRUN x\n", "Dockerfile")
    given = DigestInput(
        dockerfile=dockerfile, platform=AMD, context=MemoryTree({}), base=lambda name, platform: BaseConfig()
    )
    found = plan_parts(given, lambda name, platform: "")
    assert step_args(found.last.step, {"HTTP_PROXY": "p"}) == {"A": "1", "HTTP_PROXY": "p"}
