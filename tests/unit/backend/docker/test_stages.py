"""What is asked of the daemon for a stage, and how its output comes."""

from __future__ import annotations

import io

from pywerf.backend.contract import ImageDetails, Stage, StageMount
from pywerf.backend.docker.attach import frames
from pywerf.backend.docker.stages import container_of
from pywerf.oci.config import ContainerConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

BASE = ImageDetails(Digest.of(b"base"), ("base:1",), Platform("linux", "amd64"), ContainerConfig(env=("A=1",)))


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


def test_frames_of_output() -> None:
    stream = io.BytesIO(b"\1\0\0\0\0\0\0\2ab" + b"\2\0\0\0\0\0\0\1c" + b"\1\0\0\0\0\0\0\0" + b"\1\0\0")
    assert list(frames(stream)) == [(b"ab", False), (b"c", True)]
