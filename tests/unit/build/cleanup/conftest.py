"""The repository of the project `shop` in a fake registry, and its final one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.build.project.storage.open import open_registry_storage
from pywerf.registry.access import RegistryAccess
from support.fake_registry import FakeRegistry
from support.registry_fixtures import fake_registry, make_access
from support.stage_shelf import Shelf

__all__ = ["fake_registry", "final", "make_access", "repo"]


@pytest.fixture
def repo(fake_registry: FakeRegistry, make_access: Callable[..., RegistryAccess], tmp_path: Path) -> Shelf:
    """The main repository, in a registry that deletes no single tags (as distribution 2)."""
    fake_registry.deletes_tags = False
    return Shelf(open_registry_storage(f"{fake_registry.host}/shop", make_access(), home=str(tmp_path / "home")))


@pytest.fixture
def final(fake_registry: FakeRegistry, make_access: Callable[..., RegistryAccess], tmp_path: Path) -> Shelf:
    """The final repository."""
    return Shelf(open_registry_storage(f"{fake_registry.host}/final", make_access(), home=str(tmp_path / "home")))
