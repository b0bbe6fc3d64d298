"""What is asked of the daemon for a stage, and the archive by which its image gets a config."""

from __future__ import annotations

import io
import json
import signal
import tarfile
import threading
import time

import pytest

from pywerf.backend.contract import ImageDetails, Stage, StageMount
from pywerf.backend.docker.attach import frames
from pywerf.backend.docker.stages import container_of, history_of, tiny_archive, to_its_end
from pywerf.oci.config import ContainerConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

BASE = ImageDetails(Digest.of(b"base"), ("base:1",), Platform("linux", "amd64"), ContainerConfig(env=("A=1",)))


def line(by: str, size: int) -> dict[str, object]:
    return {"CreatedBy": by, "Size": size, "Created": 3}


def test_the_container() -> None:
    stage = Stage(
        "base:1",
        ("/bin/sh", "-c", "x"),
        env={"B": "2"},
        user="7",
        workdir="/w",
        mounts=(StageMount("/here", "/there", read_only=True),),
        network="none",
        add_hosts=("db:10.1.2.3",),
    )
    body = container_of(stage, BASE)
    assert body["Image"] == str(BASE.id)
    assert (body["Entrypoint"], body["Cmd"], body["Env"]) == (["/bin/sh"], ["-c", "x"], ["B=2"])
    assert (body["User"], body["WorkingDir"]) == ("7", "/w")
    assert body["HostConfig"] == {
        "Mounts": [{"Type": "bind", "Source": "/here", "Target": "/there", "ReadOnly": True}],
        "ExtraHosts": ["db:10.1.2.3"],
        "NetworkMode": "none",
        "LogConfig": {"Type": "none"},
    }
    assert "NetworkMode" not in container_of(Stage("base:1", ("x",)), BASE)["HostConfig"]


def test_the_history_has_as_many_layers_as_the_image() -> None:
    listed = [line("sh -c x", 5), line("/bin/sh -c #(nop)  CMD", 0), line("RUN true", 0), line("ADD", 9)]
    history = history_of(listed, 3, "make")
    assert [(item.created_by, item.empty_layer) for item in history] == [
        ("ADD", False),
        ("RUN true", False),
        ("/bin/sh -c #(nop)  CMD", True),
        ("make", False),
    ]
    assert history[0].created == "1970-01-01T00:00:03Z"
    assert history_of(listed, 5, "make") == ()
    assert history_of(listed, 1, "make") == ()


def test_the_archive_names_layers_and_has_none() -> None:
    layers = (Digest.of(b"1"), Digest.of(b"2"))
    with tarfile.open(fileobj=io.BytesIO(tiny_archive(b"{}", layers))) as archive:
        name = f"{Digest.of(b'{}').hex}.json"
        assert archive.getnames() == [name, "manifest.json"]
        file = archive.extractfile("manifest.json")
        assert file is not None
        (entry,) = json.load(file)
    assert entry == {"Config": name, "RepoTags": None, "Layers": [f"{id.hex}/layer.tar" for id in layers]}


def test_what_the_daemon_makes_is_known_after_an_interruption() -> None:
    made: list[str] = []
    main = threading.get_ident()

    def create() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.2)
        made.append("id")

    with pytest.raises(KeyboardInterrupt):
        to_its_end(create)
    assert made == ["id"]


def test_frames_of_output() -> None:
    stream = io.BytesIO(b"\1\0\0\0\0\0\0\2ab" + b"\2\0\0\0\0\0\0\1c" + b"\1\0\0\0\0\0\0\0" + b"\1\0\0")
    assert list(frames(stream)) == [(b"ab", False), (b"c", True)]
