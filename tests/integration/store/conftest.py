"""Worker processes on one store, and a check that a store is whole."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.store.store import Store

# What the workers of these tests do; `sys.argv` is the root of the store, a number, and how many turns (0: no end).
_WORKER = """
import itertools, os, random, sys
from pywerf.oci import media_types
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest
from pywerf.oci.platform import Platform
from pywerf.snapshot.overlay import OverlaySnapshotter
from pywerf.store.cache import CacheRecord
from pywerf.store.layers import LayerRecord
from pywerf.store.store import Store

root, number, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store.open(root) as store:
    driver = OverlaySnapshotter(store.driver_dir("overlay"))
    store.images.list()
    print("ready", flush=True)
    for turn in itertools.count() if not turns else range(turns):
        data = os.urandom(random.randrange(1, 200_000))
        with store.blobs.writer(hashing=True) as writer:
            for start in range(0, len(data), 8192):
                writer.write(data[start : start + 8192])
            layer, size = writer.commit()
        snapshot = driver.prepare(store.new_snapshot_id(), None)
        with open(driver.layer_dir(snapshot) + "/file", "wb") as file:
            file.write(data)
        snapshot = driver.commit(snapshot)
        store.layers.put(
            LayerRecord(layer, None, layer, size, Descriptor(media_types.OCI_LAYER, layer, size), snapshot.id)
        )
        config = ImageConfig(
            Platform("linux", "amd64"), ContainerConfig(labels={"worker": number}), diff_ids=(layer,)
        ).to_json()
        manifest = Manifest(
            media_types.OCI_MANIFEST,
            Descriptor(media_types.OCI_CONFIG, Digest.of(config), len(config)),
            (Descriptor(media_types.OCI_LAYER, layer, size),),
        ).to_json()
        names = [f"shared:{turn % 3}", f"worker{number}:{turn}"]
        record = store.images.put(manifest, media_types.OCI_MANIFEST, config, names)
        store.cache.put(CacheRecord(f"{number}-{turn}", "d", "s", b"{}", snapshot.to_json(), 0.0, 0.0, 0))
        store.memo.put("worker", number, str(turn).encode())
        if turn % 4 == 1:
            store.images.tag(record.id, f"tagged{number}:{turn}")
            store.images.untag(f"worker{number}:{turn}")
        if turn % 4 == 3:
            store.images.remove(record.id)
            store.layers.forget(layer)  # records go before files
            driver.remove(snapshot.id)
"""


@pytest.fixture
def start_worker(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts a worker on `tmp_path/store`; its first line of output says that it is ready."""

    def start(number: int, turns: int = 0) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(tmp_path / "store"), str(number), str(turns)], stdout=subprocess.PIPE
        )

    return start


def _check_whole(root: str) -> int:
    with Store.open(root, create=False) as store:
        images = store.images.list()
        assert store.database.row("PRAGMA integrity_check") == ("ok",)
        for digest, _, _ in store.blobs.list():
            assert hashlib.sha256(store.blobs.read(digest)).hexdigest() == digest.hex
        names = {}
        for image in images:
            assert store.blobs.has(image.id) is not None
            assert store.blobs.has(image.manifest_digest) is not None
            names.update({name: str(image.manifest_digest) for name in image.names})
        for layer in store.layers.list():
            assert layer.blob is not None
            assert store.blobs.has(layer.blob.digest) == layer.blob.size
        index = json.loads(Path(store.oci_dir, "index.json").read_bytes())
        listed = {
            item["annotations"]["org.opencontainers.image.ref.name"]: item["digest"]
            for item in index["manifests"]
            if "annotations" in item
        }
        assert listed == names
        assert {item["digest"] for item in index["manifests"]} == {str(image.manifest_digest) for image in images}
    return len(images)


@pytest.fixture
def check_whole() -> Callable[[str], int]:
    """Opens a store as the next command would, and looks at all of it; returns the number of images."""
    return _check_whole
