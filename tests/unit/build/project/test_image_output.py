"""What is told of images: lines, sizes, boxes."""

from __future__ import annotations

from typing import Any

import pytest

from pywerf.build.project.image_output import ImageBlock, human_size, stage_lines
from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.oci.digest import Digest

STAGE = StageDescription(
    StageId("a" * 56, 1700000000000), "r/shop", Digest.of(b"x"), created=1706702400 * 10**9, size=3 << 20,
    labels={"werf-project-repo-commit": "c" * 40},
)  # fmt: skip


def test_a_stage_in_lines() -> None:
    lines = stage_lines(STAGE, platform="linux/arm64", network="host")
    assert [line.partition(":")[0].strip() for line in lines] == [
        "name", "id", "created", "size", "commit", "platform", "network",
    ]  # fmt: skip
    assert lines[2].strip() == "created: 2024-01-31 12:00:00 UTC"
    assert lines[3].strip() == "size: 3.0 MiB"


@pytest.mark.parametrize(("before", "shown"), [(1 << 20, "3.0 MiB (+2.0 MiB)"), (4 << 20, "3.0 MiB (-1.0 MiB)")])
def test_sizes_are_compared_to_the_stage_before(before: int, shown: str) -> None:
    from msgspec.structs import replace

    assert stage_lines(STAGE, replace(STAGE, size=before))[3].strip() == f"size: {shown}"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 << 20, "1.5 GiB"), (5 << 50, "5120.0 TiB")],
)
def test_sizes(count: int, shown: str) -> None:
    assert human_size(count) == shown


def told_lines(told: Any) -> list[str]:
    return "\n".join(text for _, text in told.messages).splitlines()


@pytest.mark.parametrize("live", [True, False])
def test_a_block(told: Any, live: bool) -> None:
    block = ImageBlock(told, "(1/1) image web", live=live)
    block.line("one")
    assert bool(told.messages) is live
    block.close(failed=True)
    first, middle, last = told_lines(told)
    assert (first, middle) == ("┌ (1/1) image web", "│ one")
    assert last.startswith("└ (1/1) image web (0.")
    assert last.endswith("FAILED")


def test_without_a_box(told: Any) -> None:
    block = ImageBlock(told, "image web", live=True, pretty=False)
    block.line("one")
    block.close()
    assert told_lines(told)[:2] == ["image web", "  one"]


def test_long_lines_are_folded(told: Any) -> None:
    block = ImageBlock(told, "image web", live=True, width=40)
    for line in stage_lines(STAGE):
        block.line(line)
    lines = told_lines(told)[1:]
    assert all(len(line) <= 40 for line in lines)
    name = "".join(line.removeprefix("│ ").strip() for line in lines[:4])
    assert name.startswith("name: r/shop:aaa")
    assert name.replace(" ", "").startswith(f"name:{STAGE.name}")
