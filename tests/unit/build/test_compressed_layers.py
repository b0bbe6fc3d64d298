"""`--disable-compression=false`: new layers are compressed in the store, and all else is as it was."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.build.options import BuildOptions
from pywerf.build.session import Session
from pywerf.oci import media_types
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest
from pywerf.oci.media_types import ImageFormat
from support.fake_registry import FakeRegistry
from support.image_values import Image

Built = Callable[..., Manifest]


@pytest.fixture
def built(session: Session, tmp_path: Path) -> Built:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/file").write_text("x" * 5000)

    def make(dockerfile: str, *, compress: bool = True, form: ImageFormat = "oci", squash: bool = False) -> Manifest:
        folder = tmp_path / "context"
        (folder / "Dockerfile").write_text(dockerfile)
        result = session.build(BuildOptions(str(folder), compress_layers=compress, image_format=form, squash=squash))
        return session.image_manifest(session.find_image(str(result.image_id)))

    return make


@pytest.mark.parametrize(
    ("form", "kind"), [("oci", media_types.OCI_LAYER_GZIP), ("docker", media_types.DOCKER_LAYER_GZIP)]
)
def test_new_layers(built: Built, session: Session, form: ImageFormat, kind: str) -> None:
    text = "FROM scratch\nCOPY file /a\nCOPY file /b\n"
    plain = built(text, compress=False, form=form)
    packed = built(text, form=form)
    assert packed.config == plain.config
    assert [layer.media_type for layer in packed.layers] == [kind] * 2
    for before, after in zip(plain.layers, packed.layers, strict=True):
        data = session.store.blobs.read(after.digest)
        assert len(data) == after.size < before.size
        assert Digest.of(gzip.decompress(data)) == before.digest
    assert built(text, form=form) == packed
    session.store.blobs.delete(packed.layers[0].digest)
    assert built(text, form=form) == packed
    assert session.store.blobs.has(packed.layers[0].digest) == packed.layers[0].size
    assert built(text, compress=False, form=form) == plain


def test_layers_of_the_base_stay(
    built: Built, put_image: Callable[[str, Image], str], make_image: Callable[..., Image]
) -> None:
    base = make_image(compression="none")
    made = built(f"FROM {put_image('plain:1', base)}\nCOPY file /a\n")
    assert made.layers[:2] == base.manifest.layers
    assert made.layers[2].media_type == media_types.OCI_LAYER_GZIP
    squashed = built(f"FROM {put_image('plain:1', base)}\nCOPY file /a\nCOPY file /b\n", squash=True)
    assert [layer.media_type for layer in squashed.layers] == [
        *(layer.media_type for layer in base.manifest.layers),
        media_types.OCI_LAYER_GZIP,
    ]


def test_a_push_sends_the_same(built: Built, session: Session, fake_registry: FakeRegistry) -> None:
    packed = built("FROM scratch\nCOPY file /a\n")
    id = str(packed.config.digest)
    one = session.push(id, f"docker://{fake_registry.host}/one:1")
    built("FROM scratch\nCOPY file /a\n", compress=False)
    assert session.push(id, f"docker://{fake_registry.host}/two:1") == one
