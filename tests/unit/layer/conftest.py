"""Unpacking into a directory that has something beside it, which no archive may touch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.layer.apply import AppliedLayer, LayerForm, apply_layer
from support.trees import tree

Unpack = Callable[..., AppliedLayer]
END = bytes(1024)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory that layers are unpacked into; `../outside` holds a file that must stay as it is."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture(params=["plain", "overlay"])
def form(request: pytest.FixtureRequest) -> LayerForm:
    """Both forms of an unpacked layer."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def unpack(root: Path) -> Unpack:
    """Unpacks blocks as whoever runs the tests, and looks after what is outside."""

    def call(*blocks: bytes, form: LayerForm = "plain", **options: object) -> AppliedLayer:
        before = tree(root.parent / "outside", root_entry=True)
        options.setdefault("owner_map", lambda uid, gid: None)
        try:
            return apply_layer([b"".join(blocks) + END], str(root), form=form, overlay_xattr="user", **options)  # type: ignore[arg-type]
        finally:
            assert tree(root.parent / "outside", root_entry=True) == before
            assert sorted(os.listdir(root.parent)) == ["outside", "root"]

    return call
