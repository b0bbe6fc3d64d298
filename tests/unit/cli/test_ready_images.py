"""Which image is meant, and for which platform."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pywerf.build.project.results import BuiltImage, BuiltPlatform
from pywerf.build.project.selection import select_names
from pywerf.cli.ready_images import Select, only_image, platform_to_run
from pywerf.errors import UsageError
from pywerf.oci.platform import Platform


def selecting(*names: str, finals: Sequence[str]) -> Select:
    def select(patterns: Sequence[str] = (), *, final_only: bool = False) -> Sequence[str]:
        return select_names([name for name in names if name in finals or not final_only], patterns)

    return select


def test_the_image_of_a_name_or_the_only_final_one() -> None:
    select = selecting("base", "web", finals=["web"])
    assert only_image(select, "") == "web"
    assert only_image(select, "base") == only_image(select, "b*") == "base"
    assert only_image(selecting("", finals=[""]), "~") == ""


def test_one_image_has_to_be_meant() -> None:
    with pytest.raises(UsageError, match="several images") as several:
        only_image(selecting("a", "b", finals=["a", "b"]), "")
    assert several.value.hint == "name one of a, b"
    with pytest.raises(UsageError, match="several images"):
        only_image(selecting("a", "b", finals=[]), "*")
    with pytest.raises(UsageError, match="no final image"):
        only_image(selecting("a", finals=[]), "")


def image_for(*platforms: str) -> BuiltImage:
    return BuiltImage("web", tuple(BuiltPlatform(name, ()) for name in platforms))


def test_of_several_platforms_this_machines_is_run() -> None:
    here = Platform("linux", "arm64", "v8")
    assert platform_to_run(image_for("linux/amd64", "linux/arm64/v8"), here).platform == "linux/arm64/v8"
    assert platform_to_run(image_for("linux/amd64"), here).platform == "linux/amd64", "emulation may be there"
    with pytest.raises(UsageError, match="web is for linux/amd64 and linux/s390x, none of which is this machine's"):
        platform_to_run(image_for("linux/amd64", "linux/s390x"), here)
