from __future__ import annotations

import hashlib

from pywerf.oci.chain import chain_id, chain_ids
from pywerf.oci.digest import Digest


def test_the_definition_of_the_specification() -> None:
    """OCI image-spec, config.md: ChainID(L0) = DiffID(L0); ChainID(L0|…|Ln) = Digest(ChainID(L0|…|Ln-1) + " " + Ln)."""
    layers = [Digest.of(name) for name in (b"a", b"b", b"c")]
    a, b, c = map(str, layers)
    ab = "sha256:" + hashlib.sha256(f"{a} {b}".encode()).hexdigest()
    abc = "sha256:" + hashlib.sha256(f"{ab} {c}".encode()).hexdigest()
    assert [str(item) for item in chain_ids(layers)] == [a, ab, abc]
    assert str(chain_id(Digest.parse(ab), layers[2])) == abc


def test_known_values() -> None:
    """Worked out with `printf '%s %s' … | sha256sum`."""
    empty = Digest.parse("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")
    twice = "sha256:170b376f64fb30995c140276be3d71dfb256b308d86183ca3b22aa93a79ad548"
    assert chain_id(None, empty) == empty
    assert str(chain_id(empty, empty)) == twice


def test_nothing_and_order() -> None:
    one, two = Digest.of(b"1"), Digest.of(b"2")
    assert chain_ids(()) == ()
    assert chain_ids((one, two))[1] != chain_ids((two, one))[1]
    assert chain_ids((one, two, one))[:2] == chain_ids((one, two))
