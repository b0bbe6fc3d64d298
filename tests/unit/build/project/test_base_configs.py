"""Configs of base images: where they come from, and how long they are remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.project.base_configs import BaseConfigs
from pywerf.build.project.dockerfile_digest import BaseConfig
from pywerf.errors import RegistryError
from pywerf.oci.platform import host_platform
from pywerf.registry.access import RegistryAccess
from support.fake_backend import FakeBackend
from support.fake_registry import FakeRegistry

HERE = host_platform()


def put_base(registry: FakeRegistry, tag: str, env: str) -> str:
    """An image with one variable, in the fake registry; its reference."""
    config = json.dumps(
        {"os": HERE.os, "architecture": HERE.architecture, "config": {"Env": [env], "OnBuild": ["RUN x"]}}
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": registry.add_blob("base", config),
            "size": len(config),
        },
        "layers": [],
    }
    registry.add_manifest("base", tag, json.dumps(manifest).encode())
    return f"{registry.host}/base:{tag}"


@pytest.fixture
def make(make_access: Callable[..., RegistryAccess], tmp_path: Path) -> Callable[..., BaseConfigs]:
    def build(backend: Any = None, *, fresh: bool = False) -> BaseConfigs:
        access = make_access()

        def opened() -> Any:
            assert backend is not None, "no backend is needed"
            return backend

        return BaseConfigs(str(tmp_path / "home"), lambda: access, opened=lambda: backend, backend=opened, fresh=fresh)

    return build


def test_asked_of_the_registry_once(make: Callable[..., BaseConfigs], fake_registry: FakeRegistry) -> None:
    name = put_base(fake_registry, "1", "A=1")
    assert make()(name, HERE) == BaseConfig(("A=1",), ("RUN x",))
    fake_registry.requests.clear()
    put_base(fake_registry, "1", "A=2")
    assert make()(name, HERE) == BaseConfig(("A=1",), ("RUN x",))
    assert fake_registry.requests == []
    assert make(fresh=True)(name, HERE).env == ("A=2",)


def test_what_is_remembered_serves_when_nobody_answers(
    make: Callable[..., BaseConfigs], fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    name = put_base(fake_registry, "1", "A=1")
    make()(name, HERE)
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file():
            known = json.loads(path.read_bytes())
            path.write_text(json.dumps({**known, "seen": 0}))
    fake_registry.manifests.clear()
    assert make()(name, HERE).env == ("A=1",)


def test_the_backend_has_what_no_registry_has(make: Callable[..., BaseConfigs], fake_registry: FakeRegistry) -> None:
    backend = FakeBackend()
    name = f"{fake_registry.host}/own:1"
    backend.images.tag(str(backend.images.put({}, "x")), [name])
    assert make(backend)(name, HERE) == BaseConfig()
    assert fake_registry.requests == []


def test_the_digest_is_that_of_the_registry_and_remembered(
    make: Callable[..., BaseConfigs], fake_registry: FakeRegistry
) -> None:
    name = put_base(fake_registry, "1", "A=1")
    first = make().digest(name, HERE)
    assert first.startswith("sha256:")
    fake_registry.requests.clear()
    put_base(fake_registry, "1", "A=2")
    assert make().digest(name, HERE) == first
    assert fake_registry.requests == []
    second = make(fresh=True).digest(name, HERE)
    assert second != first
    assert make().digest(f"{name}@{second}", HERE) == second, "it tells itself"
    fake_registry.manifests.clear()
    assert make().digest(name, HERE) == second


def test_an_image_that_no_registry_has_has_its_id_for_a_digest(
    make: Callable[..., BaseConfigs], fake_registry: FakeRegistry
) -> None:
    backend = FakeBackend()
    name = f"{fake_registry.host}/own:1"
    id = str(backend.images.put({}, "x"))
    backend.images.tag(id, [name])
    assert make(backend).digest(name, HERE) == id
    with pytest.raises(RegistryError):
        make(backend).digest(f"{fake_registry.host}/none:1", HERE)


def test_nobody_has_it(make: Callable[..., BaseConfigs], fake_registry: FakeRegistry) -> None:
    backend = FakeBackend()
    with pytest.raises(RegistryError):
        make(backend)(f"{fake_registry.host}/none:1", HERE)
