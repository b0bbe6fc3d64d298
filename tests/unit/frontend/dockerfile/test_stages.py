from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import parse, parse_instructions
from pywerf.frontend.dockerfile.args import ArgScope
from pywerf.frontend.dockerfile.stages import StageLinks, find_target, link_stages, reachable


def links_of(text: str, build_args: dict[str, str] | None = None) -> tuple[StageLinks, ...]:
    stages, meta = parse_instructions(parse(text))
    return link_stages(stages, ArgScope(meta, build_args or {}, {}))


TEXT = """\
ARG BASE=one
FROM scratch AS one
FROM $BASE AS two
COPY --from=0 a b
FROM img AS three
RUN --mount=from=two,target=/x --mount=from=alpine,target=/y true
FROM scratch AS four
COPY --from=busybox a b
"""


def test_links() -> None:
    links = links_of(TEXT)
    assert [(link.base, link.needs) for link in links] == [(None, ()), (0, (0,)), (None, (1,)), (None, ())]
    assert links[1].expanded.image == "one"
    assert links[1].matched == {"BASE"}
    assert links_of(TEXT, {"BASE": "img"})[1].base is None


@pytest.mark.parametrize(("target", "needed"), [(0, {0}), (1, {0, 1}), (2, {0, 1, 2}), (3, {3})])
def test_reachable(target: int, needed: set[int]) -> None:
    assert reachable(links_of(TEXT), target) == needed


def test_variables_in_copy_from() -> None:
    text = "FROM scratch AS one\nFROM scratch AS two\nARG S=on\nENV T=${S}e\nFROM two\nCOPY --from=$T a b\n"
    assert links_of(text)[2].needs == (1, 0)
    assert links_of(text, {"S": "x"})[2].needs == (1,)


def test_after() -> None:
    text = "ARG T=first\nFROM scratch AS First\nFROM --after=$T scratch\n"
    assert links_of(text)[1].needs == (0,)
    for wrong in ("FROM --after=self a AS self\n", "FROM --after=b a AS a\nFROM a AS b\n"):
        with pytest.raises(DockerfileError, match="no stage of that name stands before"):
            links_of(wrong)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("FROM a AS x\nCOPY --from=x b c\n", "circular dependency detected on stage: x", 2),
        ("FROM a\nRUN --mount=from=0 c\n", "circular dependency detected on stage: stage-0", 2),
        ("FROM a AS x\nCOPY --from=y b c\nFROM x AS y\n", "circular dependency detected on stage: x", 1),
        ("FROM a\nCOPY --from=1 b c\n", "invalid stage index 1", 2),
        ("FROM a\nCOPY --from=-1 b c\n", "invalid stage index -1", 2),
    ],
)
def test_refused(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        links_of(text)
    assert message in caught.value.message
    assert caught.value.source is not None
    assert caught.value.source.first == line


def test_find_target(read) -> None:
    stages = read.stages(TEXT)
    assert find_target(stages, "") is stages[3]
    assert find_target(stages, "TWO") is stages[1]
    assert find_target(stages, "2") is stages[2]
    with pytest.raises(DockerfileError) as caught:
        find_target(stages, "tree")
    assert caught.value.message == 'target stage "tree" could not be found (did you mean three?)'
    with pytest.raises(DockerfileError, match="could not be found"):
        find_target(stages, "9")
