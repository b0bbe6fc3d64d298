"""Fixtures for the tests of registries: the fake one, clients for it, and images as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pywerf.registry.access import RegistryAccess
from pywerf.registry.client import RegistryClient
from pywerf.registry.credentials import Credential
from pywerf.registry.registries_conf import Registries
from pywerf.registry.session import Schemes
from pywerf.registry.settings import RegistrySettings
from support.fake_registry import FakeRegistry, serving

FAST = RegistrySettings(backoff=0.001, chunk_size=16 << 10, connect_timeout=10.0, read_timeout=10.0)


@pytest.fixture
def fake_registry() -> Iterator[FakeRegistry]:
    """A registry in this process, in plain HTTP on loopback."""
    with serving() as registry:
        yield registry


@pytest.fixture
def make_client(fake_registry: FakeRegistry) -> Iterator[Callable[..., RegistryClient]]:
    """Makes clients of the fake registry with short waits, as those of one command; closed after the test."""
    made: list[RegistryClient] = []
    schemes = Schemes()

    def make(credential: Credential | None = None, settings: RegistrySettings = FAST) -> RegistryClient:
        made.append(RegistryClient(fake_registry.host, settings, credential=lambda: credential, schemes=schemes))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., RegistryClient]) -> RegistryClient:
    """An anonymous client of the fake registry."""
    return make_client()


@pytest.fixture
def make_access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RegistryAccess]]:
    """Makes the way to all registries, with an empty home and no configuration of the machine."""
    made: list[RegistryAccess] = []
    home = str(tmp_path_factory.mktemp("home"))

    def make(
        settings: RegistrySettings = FAST,
        registries: Registries | None = None,
        environ: dict[str, str] | None = None,
    ) -> RegistryAccess:
        base = {"HOME": home, "XDG_RUNTIME_DIR": home, "PATH": "/usr/bin:/bin"}
        made.append(RegistryAccess(settings, environ=base | (environ or {}), registries=registries or Registries()))
        return made[-1]

    yield make
    for access in made:
        access.close()
