"""The matrix of who builds, with which isolation, on which storage driver: its cells, its table in docs/matrix.md."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["DRIVERS", "ISOLATIONS", "OWN", "can_be", "cells", "compare", "digests", "first_error", "text_of"]

PAGE = Path(__file__).parents[2] / "docs/matrix.md"
NAMED = {name: ("--isolation=oci", f"--runtime={name}") for name in ("crun", "runc", "runsc")}
# "any" is no flag at all: what is taken then is the best there is
ISOLATIONS: dict[str, tuple[str, ...]] = {"chroot": ("--isolation=chroot",), **NAMED, "any": ()}
DRIVERS: dict[str, tuple[str, ...]] = {
    "overlay": ("--storage-driver=overlay",),
    "fuse-overlayfs": ("--storage-driver=overlay", "--storage-opt=overlay.mount_program=/usr/bin/fuse-overlayfs"),
    "vfs": ("--storage-driver=vfs",),
    "any": (),
}
# flags of a caller's builds, whatever the isolation
OWN: dict[str, tuple[str, ...]] = {"root with user namespaces": ("--userns-uid-map=0:500000:65536",)}


def cells() -> Iterator[tuple[str, str, str]]:
    """(name, isolation, driver) of every cell of a caller."""
    for isolation in ISOLATIONS:
        for driver in DRIVERS:
            if (isolation == "any") == (driver == "any"):
                yield f"{isolation} {driver}", isolation, driver


def text_of(caller: str, isolation: str) -> str:
    """Which Dockerfile is built: the full one wherever that can be."""
    if caller == "user without namespaces":
        return "without RUN"
    if isolation == "runsc":
        return "plainer"
    return "full"


def can_be(caller: str, isolation: str, driver: str) -> bool:
    """Whether a cell has an image; else it has an error."""
    if isolation == "any":
        return True
    match caller:
        case "root" | "user with subordinate ids":
            return True
        case "root with user namespaces":
            return driver != "fuse-overlayfs"
        case "user with one id":
            return isolation == "chroot"
        case "root in a Docker container":
            return isolation == "chroot" and driver == "vfs"
    return False


def digests(inspect: str) -> str:
    """The digests of an image, of its manifest (which has those of its layers) and of what its layers hold."""
    shown = json.loads(inspect)
    found = [shown["FromImageID"], shown["FromImageDigest"], *shown["OCIv1"]["rootfs"]["diff_ids"]]
    assert len(found) > 4
    return " ".join(found)


def first_error(said: str, shared: str, work: str) -> str:
    """What a failed build said, without names of this run."""
    lines = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert lines, said
    return lines[0].replace(work, "WORK").replace(shared, "SHARED")


def compare(caller: str, found: dict[str, str]) -> None:
    """Fails unless the page's lines about a caller say what was found; with PYWERF_WRITE_MATRIX writes them."""
    text = PAGE.read_text()
    start, end = f"<!-- {caller} -->\n", f"<!-- end of {caller} -->\n"
    before, _, rest = text.partition(start)
    shown, _, after = rest.partition(end)
    lines = render(found)
    if os.environ.get("PYWERF_WRITE_MATRIX"):
        PAGE.write_text(before + start + lines + end + after)
    elif shown != lines:
        pytest.fail(f"docs/matrix.md does not say this of {caller}:\n{lines}", pytrace=False)


def render(found: dict[str, str]) -> str:
    """The table of a caller, and the errors that its cells refer to."""
    errors: list[str] = []

    def cell(name: str) -> str:
        said = found.get(name, "")
        if not said.startswith("Error: "):
            return "same image" if said else ""
        said = re.sub(r"`", "'", said)
        if said not in errors:
            errors.append(said)
        return f"error {errors.index(said) + 1}"

    lines = [f"| isolation | {' | '.join(DRIVERS)} |", f"| --- |{' --- |' * len(DRIVERS)}"]
    lines += [f"| {one} | {' | '.join(cell(f'{one} {driver}') for driver in DRIVERS)} |" for one in ISOLATIONS]
    notes = [f"{number}. `{said}`" for number, said in enumerate(errors, 1)]
    return "\n".join(["", *lines, "", *notes, *([""] if notes else [])]) + "\n"
