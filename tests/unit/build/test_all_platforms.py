"""`--all-platforms`: what platforms base images have in common, from the registry and from the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pywerf.build.all_platforms import all_platforms, common_platforms
from pywerf.build.options import BuildOptions
from pywerf.build.session import Session
from pywerf.errors import BuildError, RegistryError
from pywerf.oci.platform import Platform
from support.fake_registry import FakeRegistry
from support.image_values import Image

AMD64, ARM64, ARMV6, ARMV7 = map(Platform.parse, ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7"))


@pytest.mark.parametrize(
    ("several", "common"),
    [
        ([[AMD64, ARM64]], [AMD64, ARM64]),
        ([[AMD64, ARM64], [ARM64, ARMV7]], [ARM64]),
        ([[AMD64, AMD64]], [AMD64]),
        ([[AMD64], [ARM64]], []),
        ([[ARMV7], [ARMV6]], [ARMV7]),  # an image for v6 runs where v7 is asked for
        ([[ARMV6], [ARMV7]], []),
        ([[AMD64, ARM64], [ARM64, AMD64], [AMD64]], [AMD64]),
    ],
)
def test_what_is_common(several: Sequence[Sequence[Platform]], common: list[Platform]) -> None:
    assert list(common_platforms(several)) == common


@pytest.fixture
def put(
    put_index: Callable[..., str], make_image: Callable[..., Image], index_of: Callable[..., bytes]
) -> Callable[..., str]:
    def index(name: str, *platforms: str) -> str:
        images = [make_image(platform=platform) for platform in platforms]
        return put_index(name, index_of(*images), *images)

    return index


def test_of_a_registry(put: Callable[..., str], put_image: Callable[..., str], image: Image, session: Session) -> None:
    several = put("several:1", "linux/amd64", "linux/arm64", "unknown/unknown")
    assert all_platforms(session, [several], "missing") == (AMD64, ARM64)
    assert all_platforms(session, [several, put("more:1", "linux/386", "linux/arm64")], "missing") == (ARM64,)
    assert all_platforms(session, [put_image("one:1", image)], "missing") == (image.config.platform,)
    with pytest.raises(BuildError, match=r"no platform is common to the base images .*386.*arm64"):
        all_platforms(session, [put("a:1", "linux/386"), put("b:1", "linux/arm64")], "missing")
    with pytest.raises(BuildError, match="never"):
        all_platforms(session, [several], "never")


def test_what_is_here_counts_where_nobody_can_be_asked(
    put: Callable[..., str], session: Session, fake_registry: FakeRegistry
) -> None:
    name = put("several:1", "linux/amd64", "linux/arm64")
    session.bases("missing").find(name, ARM64)
    assert all_platforms(session, [name], "never") == (ARM64,)
    fake_registry.fail("GET", "manifests", 503)
    assert all_platforms(session, [name], "missing") == (ARM64,)
    with pytest.raises(RegistryError):
        all_platforms(session, [f"{fake_registry.host}/gone:1"], "missing")


def test_a_build_for_all_of_them(put: Callable[..., str], session: Session, tmp_path: Path) -> None:
    base = put("several:1", "linux/amd64", "linux/arm64")
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nLABEL a=b\n")
    options = BuildOptions(str(tmp_path), tags=("all",), all_platforms=True, platforms=(Platform.parse("linux/386"),))
    assert session.build(options).platforms == (AMD64, ARM64)
    (tmp_path / "Dockerfile").write_text("FROM all\nLABEL c=d\n")
    assert session.build(BuildOptions(str(tmp_path), all_platforms=True)).platforms == (AMD64, ARM64)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL c=d\n")
    with pytest.raises(BuildError, match="no stage stands on an image"):
        session.build(BuildOptions(str(tmp_path), all_platforms=True))
