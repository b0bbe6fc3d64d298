"""The cases built by the Docker daemon's two builders and by the embedded engine: the same files, the same config.

A sample of them here; all with PYWERF_ALL_CASES=1. What is known to differ stands below, each with its reason: the
daemon is Debian's (20.10), and so is its BuildKit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywerf.backend.contract import Backend
from pywerf.backend.docker.backend import DockerBackend
from pywerf.build.dockerfile_build import open_build
from pywerf.build.embedded import EmbeddedBackend
from pywerf.build.options import EngineOptions
from pywerf.build.project.image_spec import apply_image_spec
from pywerf.build.session import Session
from pywerf.config.werf_yaml.model import Healthcheck, ImageSpec
from pywerf.errors import WerfError
from support import image_compare, machine, services
from support.backend_builds import build_of
from support.cases import NAMES, Case
from support.image_compare import Allowed
from support.recorder import Recorder

pytestmark = [pytest.mark.integration, pytest.mark.conformance]

BUILDERS = ("buildkit", "classic")
LEFT_OUT = {
    "build-context": "`werf build` takes no --build-context",
    "from-scratch-config-only": "docker saves no image without layers",
}
ALL = [name for name in NAMES if name not in LEFT_OUT]
CHOSEN = ALL if os.environ.get("PYWERF_ALL_CASES") else sorted({*ALL[::20], "ignore-negations", "stages-target"})

_NO_CHOWN = "Docker 20.10 keeps the owners that an archive has; newer ones give it to --chown"
_ROOT_ENTRY = "Docker's builders do not apply an archive's entry of its own root; buildah does"
_NO_ZSTD = "Docker 20.10 does not know zstd: the archive is copied as a file"
_SLASH = "BuildKit of 20.10 writes / as the working directory of what is built on scratch"
_SUID = "20.10 changes the owner after the mode, by which the kernel takes the set-user-id bit away"
_IGNORE = "a Dockerfile from outside of the context takes .dockerignore's place in what the classic builder is sent"
_MOUNT_POINTS = "BuildKit of 20.10 leaves the mount points of a RUN in an image that lacks them"
_WORKDIR = "the classic builder makes the directories of WORKDIR root's, whatever USER says"

KNOWN: dict[tuple[str, str], tuple[Allowed, ...]] = {
    ("add-tar-chown", "both"): (Allowed("t*", "[ug]id", _NO_CHOWN),),
    ("add-tar-root-entry", "both"): tuple(
        Allowed(path, field, _ROOT_ENTRY) for path in ("made", "there") for field in ("mode", "[ug]id")
    ),
    ("add-tar-zst", "both"): (Allowed("t/*", "only *", _NO_ZSTD),),
    ("copy-chmod", "buildkit"): (Allowed("both", "mode", _SUID),),
    ("copy-from-image", "buildkit"): (Allowed("config.WorkingDir", "*", _SLASH),),
    ("copy-from-index", "buildkit"): (Allowed("config.WorkingDir", "*", _SLASH),),
    ("from-scratch", "buildkit"): (Allowed("config.WorkingDir", "*", _SLASH),),
    ("stages-from-scratch-with-parts", "buildkit"): (
        Allowed("config.WorkingDir", "*", _SLASH),
        *(Allowed(path, "only theirs", _MOUNT_POINTS) for path in ("dev", "proc", "sys")),
    ),
    ("copy-modes", "classic"): (Allowed("m/su", "mode", _SUID),),
    ("ignore-of-the-dockerfile", "classic"): (Allowed("c/.dockerignore", "only ours", _IGNORE),),
    ("ignore-patterns", "classic"): (Allowed("c/.dockerignore", "only ours", _IGNORE),),
    ("inherited-config", "classic"): (Allowed("w", "[ug]id", _WORKDIR),),
    ("workdir-owner", "classic"): (Allowed("home/app*", "[ug]id", _WORKDIR),),
}
"""(case, builder) or (case, "both"): what differs between the embedded engine's image and that builder's."""

OTHERWISE: dict[tuple[str, str], str] = {
    ("copy-chmod", "classic"): "--chmod needs BuildKit",
    ("copy-outside-is-clipped", "classic"): "the classic builder refuses sources outside of the context",
    ("stages-unneeded-is-not-built", "classic"): "the classic builder builds every stage before the target",
    ("fails-several-sources-into-a-file", "buildkit"): "BuildKit of 20.10 writes one after the other to the same name",
    ("fails-unknown-user", "buildkit"): "BuildKit of 20.10 does not refuse an unknown user of --chown",
}
"""(case, builder): why it refuses what the embedded engine builds, or builds what that one refuses."""


@pytest.fixture(scope="module")
def backends(docker: services.Docker, service_folder: Path) -> Iterator[dict[str, Backend]]:
    """The three, kept open for all cases."""
    machine.require_root()
    recorder = Recorder()
    root = service_folder / "backends-store"
    environ = {**os.environ, "DOCKER_HOST": docker.host, "DOCKER_CONFIG": str(service_folder / "none")}
    with (
        Session.open(EngineOptions(root=str(root), mode="native-chroot"), recorder) as session,
        DockerBackend(environ, recorder, builder="buildkit") as buildkit,
        DockerBackend(environ, recorder, builder="classic") as classic,
    ):
        yield {"embedded": EmbeddedBackend(session), "buildkit": buildkit, "classic": classic}
    services.unmount_below(root)


def options_of(case: Case) -> dict[str, Any]:
    """The case's flags as a build has them."""
    found: dict[str, Any] = {"tags": (f"case-{case.name}",), "network": "host", "no_cache": True}
    words = list(case.args)
    while words:
        flag, value = words.pop(0), words.pop(0)
        key, _, text = value.partition("=")
        found.update(
            {"--target": {"target": value}, "--build-arg": {"build_args": {key: text}}}.get(
                flag, {"labels": {key: text}}
            )
        )
    return found


def image_of(backend: Backend, case: Case, archive: Path) -> image_compare.Image | str:
    """What the backend makes of the case, or how it refuses."""
    options = options_of(case)
    try:
        build = open_build(str(case.context), str(case.dockerfile))
        backend.builder.build(msgspec.structs.replace(build, **options))
    except WerfError as error:
        return f"{type(error).__name__}: {error}"
    (name,) = options["tags"]
    backend.transfer.save(name, str(archive))
    backend.images.remove([name], force=True)
    image = image_compare.read_image(archive)
    archive.unlink()
    return image


@pytest.mark.parametrize("name", CHOSEN)
def test_all_build_the_same(name: str, backends: dict[str, Backend], busybox: str, tmp_path: Path) -> None:
    case = Case(name, tmp_path, busybox)
    ours = image_of(backends["embedded"], case, tmp_path / "embedded.tar")
    wrong = []
    for builder in BUILDERS:
        theirs = image_of(backends[builder], case, tmp_path / f"{builder}.tar")
        if isinstance(ours, str) or isinstance(theirs, str):
            if isinstance(ours, str) != isinstance(theirs, str) and (name, builder) not in OTHERWISE:
                wrong.append(f"{builder}: {theirs if isinstance(theirs, str) else 'builds it'}; embedded: {ours}")
            continue
        assert (name, builder) not in OTHERWISE, f"{builder} does as the embedded engine: take it from the list"
        allowed = (*KNOWN.get((name, "both"), ()), *KNOWN.get((name, builder), ()))
        wrong += [f"{builder}: {line}" for line in image_compare.differences(ours, theirs, allowed)]
    assert not wrong, "\n".join(wrong)


SPECS = {
    "nothing": ImageSpec(),
    "adds": ImageSpec(
        author="me", env=(("B", "$A-2"),), labels=(("who", "%image%"),), volumes=("/v2",), expose=("53/udp", "80")
    ),
    "sets": ImageSpec(
        cmd=("c",),
        entrypoint=("/e",),
        user="7",
        working_dir="/elsewhere",
        stop_signal="SIGINT",
        healthcheck=Healthcheck(test=("CMD", "h"), interval=5, retries=2),
    ),
    "removes": ImageSpec(remove_env=("A",), remove_labels=("/l.*/",), remove_volumes=("/v",), clear_history=True),
    "clears": ImageSpec(clear_cmd=True, clear_entrypoint=True, clear_user=True, clear_working_dir=True),
}


@pytest.mark.parametrize("name", SPECS)
def test_an_image_spec_makes_the_same_config(
    name: str, backends: dict[str, Backend], busybox: str, tmp_path: Path
) -> None:
    """The image with an imageSpec, and one without layers' bytes of its own on top: all three builders' are equal."""
    dockerfile = (
        f"FROM {busybox}\nENV A=1\nLABEL l1=x m=y\nRUN echo x > /x\nWORKDIR /w\nRUN true\nVOLUME /v\nEXPOSE 8080\n"
        "HEALTHCHECK --interval=3s CMD true\nSTOPSIGNAL SIGTERM\nONBUILD RUN true\nUSER 5\n"
        'ENTRYPOINT ["e"]\nCMD ["c"]\n'
    )
    made: dict[str, image_compare.Image] = {}
    for kind, backend in backends.items():
        below, tag = f"below-{kind}:1", f"spec-{kind}:1"
        backend.builder.build(build_of(tmp_path / kind, dockerfile, tags=(below,)))

        def change(config: bytes) -> bytes:
            return apply_image_spec(config, SPECS[name], image="image", project="shop", warn=pytest.fail)

        backend.configs.rewrite(below, change, tags=(tag,))
        backend.transfer.save(tag, str(tmp_path / "saved.tar"))
        made[kind] = image_compare.read_image(tmp_path / "saved.tar")
        backend.images.remove([tag, below], force=True)
    for builder in BUILDERS:
        assert image_compare.differences(made["embedded"], made[builder]) == []
        lines = [len([line for line in made[kind].history if not line.get("empty_layer")]) for kind in backends]
        assert lines == ([0] * 3 if name == "removes" else [made[kind].layers for kind in backends])
