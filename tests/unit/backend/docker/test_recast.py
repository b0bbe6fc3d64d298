"""Other configs for a daemon's images: what both kinds of daemon are asked, in shapes that 20.10 and 26.1 answer."""

from __future__ import annotations

import io
import json
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pywerf.backend.docker.configs import DockerConfigs
from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.images import DockerImages
from pywerf.backend.docker.layerless import image_in, oci_archive
from pywerf.backend.docker.recast import Recaster
from pywerf.backend.docker.to_its_end import to_its_end
from pywerf.errors import BuildError, ImageNotFound
from pywerf.oci import media_types
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest
from pywerf.oci.platform import Platform
from support.engine_api import Engine, engine_api
from support.forked import in_a_child

AMD64 = Platform("linux", "amd64")
LAYER = Digest.of(b"layer")
CONTAINERD = (("driver-type", "io.containerd.snapshotter.v1"),)
CHANGED = json.dumps(
    {"architecture": "amd64", "os": "linux", "config": {"Env": ["B=2"]}, "rootfs": {"diff_ids": [str(LAYER)]}}
).encode()
LOADED = b'{"stream":"Loaded image ID: sha256:00\\n"}\n'


def described(id: Digest, *names: str) -> dict[str, Any]:
    """What /images/ID/json answers."""
    return {
        "Id": str(id),
        "RepoTags": list(names),
        "Created": "2026-01-02T03:04:05.6Z",
        "Author": "me",
        "Config": {"Hostname": "", "AttachStdin": False, "Env": ["A=1"], "Cmd": ["x"], "OnBuild": None, "Labels": None},
        "Architecture": "amd64",
        "Os": "linux",
        "Size": 5,
        "RootFS": {"Type": "layers", "Layers": [str(LAYER)]},
    }


@contextmanager
def configs_of(engine: Engine) -> Iterator[DockerConfigs]:
    with Daemon({"DOCKER_HOST": engine.host}) as daemon:
        images = DockerImages(daemon)
        yield DockerConfigs(images, Recaster(daemon, images))


def loaded(engine: Engine) -> bytes:
    """The archive that was sent."""
    (body,) = [body for line, body in engine.asked if line.startswith("POST /images/load")]
    return body


def test_a_daemon_with_graph_drivers() -> None:
    old = Digest.of(b"old")
    new = Digest.of(CHANGED)
    given: list[ImageConfig] = []

    def change(data: bytes) -> bytes:
        given.append(ImageConfig.from_json(data))
        return CHANGED

    with engine_api(api="1.41") as engine, configs_of(engine) as configs:
        engine.on("GET /images/app:1/json", described(old, "app:1"))
        engine.on(f"GET /images/{old}/history", [{"CreatedBy": "RUN x", "Size": 5, "Created": 1, "Comment": "c"}])
        engine.on(r"POST /images/load\?quiet=1", LOADED)
        engine.on(f"GET /images/{new}/json", described(new))
        engine.on(rf"POST /images/{new}/tag\?.*", b"", 201)
        assert configs.rewrite("app:1", change, tags=("app:2",)) == new
        with tarfile.open(fileobj=io.BytesIO(loaded(engine))) as archive:
            assert archive.getnames() == [f"{new.hex}.json", "manifest.json"]
        assert "POST /images/" + str(new) + "/tag?tag=2&repo=app&force=0" in [line for line, _ in engine.asked]
    (config,) = given
    assert (config.config.env, config.config.cmd, config.author) == (("A=1",), ("x",), "me")
    assert [(line.created_by, line.comment, line.empty_layer) for line in config.history] == [("RUN x", "c", False)]


def test_a_daemon_with_containerds_image_store() -> None:
    config = b'{"architecture":"amd64","os":"linux","config":{"Env":["A=1"]},"history":[{"created_by":"RUN x"}]}'
    layer = Descriptor(media_types.DOCKER_LAYER_GZIP, Digest.of(b"gzip"), 4)
    below = Descriptor(media_types.DOCKER_CONFIG, Digest.of(config), len(config))
    manifest = Manifest(media_types.DOCKER_MANIFEST, below, (layer,))
    old = Digest.of(manifest.to_json())
    expected = Manifest(
        media_types.DOCKER_MANIFEST, Descriptor(media_types.DOCKER_CONFIG, Digest.of(CHANGED), len(CHANGED)), (layer,)
    )
    new = Digest.of(expected.to_json())
    with engine_api(status=CONTAINERD) as engine, configs_of(engine) as configs:
        engine.on("GET /images/app:1/json", described(old, "app:1"))
        engine.on(r"GET /images/get\?names=.*", oci_archive(manifest, config))
        engine.on(r"POST /images/load\?quiet=1", LOADED)
        engine.on(f"GET /images/{new}/json", described(new))
        engine.on(rf"POST /images/{new}/tag\?.*", b"", 201)
        assert configs.rewrite("app:1", lambda data: CHANGED, tags=("app:2",)) == new
        assert image_in(io.BytesIO(loaded(engine)), AMD64) == (expected, CHANGED)


def test_what_was_made_goes_when_it_cannot_be_named() -> None:
    old, new = Digest.of(b"old"), Digest.of(CHANGED)
    with engine_api(api="1.41") as engine, configs_of(engine) as configs:
        engine.on("GET /images/app:1/json", described(old, "app:1"))
        engine.on(f"GET /images/{old}/history", [])
        engine.on(r"POST /images/load\?quiet=1", LOADED)
        engine.on(f"GET /images/{new}/json", described(new))
        engine.on(rf"POST /images/{new}/tag\?.*", {"message": "the tag is wrong"}, 500)
        engine.on(rf"DELETE /images/{new}\?.*", [{"Deleted": str(new)}])
        with pytest.raises(BuildError, match="the tag is wrong"):
            configs.rewrite("app:1", lambda data: CHANGED, tags=("app:2",))
        assert [line for line, _ in engine.asked if line.startswith("DELETE")]
        with pytest.raises(ImageNotFound):
            configs.rewrite("none:1", lambda data: CHANGED, tags=())


def test_a_daemon_that_refuses_the_archive() -> None:
    old = Digest.of(b"old")
    with engine_api(api="1.41") as engine, configs_of(engine) as configs:
        engine.on("GET /images/app:1/json", described(old, "app:1"))
        engine.on(f"GET /images/{old}/history", [])
        said = {"errorDetail": {"message": "no such layer"}, "error": "no such layer"}
        engine.on(r"POST /images/load\?quiet=1", json.dumps(said).encode() + b"\n")
        with pytest.raises(BuildError, match="the config of app:1: no such layer"):
            configs.rewrite("app:1", lambda data: CHANGED, tags=("app:2",))


def test_what_the_daemon_makes_is_known_after_an_interruption() -> None:
    def interrupted() -> None:
        made: list[str] = []
        main = threading.get_ident()

        def create() -> None:
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.2)
            made.append("id")

        with pytest.raises(KeyboardInterrupt):
            to_its_end(create)
        assert made == ["id"]

    in_a_child(interrupted)
