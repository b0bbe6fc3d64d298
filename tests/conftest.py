"""Fixtures that several folders share: real services, base images, the `werf` command."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import bases, hub, judges, machine, services
from support import examples as _examples  # noqa: F401 - its import chooses hypothesis' profile
from support.newer_docker import newer_docker as newer_docker_root
from support.registry_fixtures import client, fake_registry, make_access, make_client  # noqa: F401 - fixtures
from support.scheduling import pytest_xdist_make_scheduler  # noqa: F401 - a hook
from support.werf import Werf


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With xdist, the integration tests of one file share their services: one process for each file."""
    for item in items:
        if item.get_closest_marker("integration") and not item.get_closest_marker("conformance"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="session", autouse=True)
def werf_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for locks and memories of this test process, instead of the developer's."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WERF_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def service_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the data of services; unmounted and removed at the end."""
    folder = tmp_path_factory.mktemp("services")
    yield folder
    services.unmount_below(folder)
    machine.run("rm", "-rf", folder, check=False)


@pytest.fixture(scope="session")
def registry(service_folder: Path) -> Iterator[str]:
    """A docker-registry of this test process: `127.0.0.1:PORT`."""
    with services.registry(service_folder / "registry") as address:
        yield address


@pytest.fixture(scope="session")
def docker(service_folder: Path, registry: str) -> Iterator[services.Docker]:
    """A Docker daemon of this test process."""
    with services.dockerd(service_folder / "docker", (registry,)) as docker:
        yield docker


@pytest.fixture(scope="session")
def newer_docker(service_folder: Path, registry: str) -> Iterator[services.Docker]:
    """A daemon of the next Debian."""
    with services.dockerd(service_folder / "newer", (registry,), root=newer_docker_root()) as docker:
        yield docker


@pytest.fixture(scope="session")
def containerd_docker(service_folder: Path, registry: str) -> Iterator[services.Docker]:
    """A daemon of the next Debian, with containerd's image store."""
    settings: dict[str, object] = {"features": {"containerd-snapshotter": True}}
    with services.dockerd(service_folder / "ctrd", (registry,), settings, root=newer_docker_root()) as docker:
        yield docker


@pytest.fixture(scope="session")
def busybox_layout() -> Path:
    """The busybox base as an OCI layout; its one image is `base`."""
    return bases.busybox_base()


@pytest.fixture(scope="session")
def debian_layout() -> Path:
    """The Debian base as an OCI layout; its one image is `base`."""
    return bases.debian_base()


@pytest.fixture(scope="session")
def python_layout() -> Path:
    """The Debian base with Python as an OCI layout; its one image is `base`."""
    return bases.python_base()


@pytest.fixture(scope="session")
def busybox(registry: str, busybox_layout: Path) -> str:
    """The busybox base in the registry."""
    services.push_layout(busybox_layout, f"{registry}/busybox:1")
    return f"{registry}/busybox:1"


@pytest.fixture(scope="session")
def debian(registry: str, debian_layout: Path) -> str:
    """The Debian base in the registry."""
    services.push_layout(debian_layout, f"{registry}/debian:bookworm")
    return f"{registry}/debian:bookworm"


@pytest.fixture(scope="session")
def buildah_judge(service_folder: Path) -> Iterator[judges.Buildah]:
    """Debian's buildah, with a store of this test process."""
    machine.require_root()
    judge = judges.Buildah(service_folder / "buildah")
    yield judge
    judge.close()


@pytest.fixture(scope="session")
def docker_judge(docker: services.Docker) -> judges.ClassicDocker:
    """The classic builder of dockerd."""
    return judges.ClassicDocker(docker)


@pytest.fixture(scope="session")
def shared_werf(service_folder: Path) -> Iterator[Werf]:
    """`werf` with a store that the tests of this process share: bases are pulled once."""
    machine.require_root()
    werf = Werf(service_folder / "werf", service_folder / "home")
    yield werf
    services.unmount_below(werf.root)


@pytest.fixture
def make_werf(tmp_path: Path) -> Iterator[Callable[[str], Werf]]:
    """Makes `werf` commands with stores of their own by name; the stores are removed after the test."""
    machine.require_root()
    made: list[Werf] = []

    def make(name: str = "store") -> Werf:
        made.append(Werf(tmp_path / name, tmp_path / f"{name}-home"))
        return made[-1]

    yield make
    for werf in made:
        services.unmount_below(werf.root)
        machine.run("rm", "-rf", werf.root, check=False)


@pytest.fixture
def werf(make_werf: Callable[[str], Werf]) -> Werf:
    """`werf` with an empty store."""
    return make_werf("store")


@pytest.fixture
def open_tmp_path(tmp_path: Path) -> Path:
    """`tmp_path`, for tests that change their user: pytest keeps its folders for their owner alone."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    return tmp_path


@pytest.fixture(scope="session")
def layout_digest() -> Callable[[Path], str]:
    """What names a base's content: the digest of its layout's index."""
    return lambda layout: hashlib.sha256((layout / "index.json").read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def hub_conf(registry: str, busybox_layout: Path, debian_layout: Path, service_folder: Path) -> Path:
    """A registries.conf that has docker.io's busybox and debian come from the registry of the tests."""
    hub.fill(registry, "busybox", busybox_layout)
    hub.fill(registry, "debian", debian_layout)
    return hub.write_registries_conf(registry, service_folder / "registries.conf")


@pytest.fixture(scope="module")
def hub_werf(service_folder: Path, hub_conf: Path, request: pytest.FixtureRequest) -> Iterator[Werf]:
    """`werf` as a user has it, who reaches docker.io; one store for a test module."""
    machine.require_root()
    name = request.path.stem
    werf = Werf(service_folder / f"store-{name}", service_folder / f"home-{name}")
    werf.env["CONTAINERS_REGISTRIES_CONF"] = str(hub_conf)
    yield werf
    services.unmount_below(werf.root)
