from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidDigest, InvalidDocument
from pywerf.oci.config import ContainerConfig, Healthcheck, History, ImageConfig
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=8)
SOME = st.lists(TEXT, max_size=3).map(tuple)
SETS = st.sets(TEXT, max_size=3).map(lambda items: tuple(sorted(items)))
COUNTS = st.integers(0, 10**12)

CONTAINERS = st.builds(
    ContainerConfig,
    user=TEXT,
    exposed_ports=SETS,
    env=SOME,
    entrypoint=st.none() | SOME,
    cmd=st.none() | SOME,
    volumes=SETS,
    working_dir=TEXT,
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    stop_signal=TEXT,
    healthcheck=st.none() | st.builds(Healthcheck, SOME, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    onbuild=SOME,
    shell=st.none() | SOME,
    args_escaped=st.booleans(),
)
IMAGES = st.builds(
    ImageConfig,
    platform=st.sampled_from([AMD64, Platform.parse("linux/arm/v6"), Platform("windows", "amd64")]),
    config=CONTAINERS,
    diff_ids=st.lists(st.binary(max_size=2).map(Digest.of), max_size=3).map(tuple),
    history=st.lists(st.builds(History, TEXT, TEXT, TEXT, TEXT, st.booleans()), max_size=3).map(tuple),
    created=TEXT,
    author=TEXT,
    os_version=TEXT,
    os_features=SOME,
)


@given(IMAGES)
def test_what_is_written_is_read_again(config: ImageConfig) -> None:
    data = config.to_json()
    again = ImageConfig.from_json(data)
    assert again == config
    assert again.to_json() == data


def test_dockers_fields() -> None:
    """As dockerd and BuildKit write them."""
    document: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-02T03:04:05.678Z",
        "author": "me",
        "config": {
            "Hostname": "ignored",
            "User": "app:staff",
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Env": ["PATH=/bin", "EMPTY="],
            "Entrypoint": [],
            "Cmd": None,
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5 * 10**9, "StartInterval": 7, "Retries": 3},
            "ArgsEscaped": True,
            "Volumes": {"/data": {}},
            "WorkingDir": "/work",
            "OnBuild": ["RUN true"],
            "Labels": {"a": "b"},
            "StopSignal": "SIGQUIT",
            "Shell": ["/bin/bash", "-c"],
        },
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b""))]},
        "history": [{"created": "x", "created_by": "RUN", "comment": "buildkit"}, {"empty_layer": True}],
        "container_config": {"Image": "ignored"},
    }
    config = ImageConfig.from_json(json.dumps(document).encode())
    run = config.config
    assert run.exposed_ports == ("53/udp", "80/tcp")
    assert (run.entrypoint, run.cmd) == ((), None)
    assert run.healthcheck == Healthcheck(("CMD-SHELL", "true"), interval=5 * 10**9, start_interval=7, retries=3)
    assert (run.onbuild, run.shell, run.stop_signal) == (("RUN true",), ("/bin/bash", "-c"), "SIGQUIT")
    assert config.history == (History("x", "RUN", comment="buildkit"), History(empty_layer=True))
    written = json.loads(config.to_json())
    for key in ("Hostname", "Cmd"):
        del document["config"][key]
    del document["container_config"]
    assert written == document


def test_unset_and_set_to_nothing_differ() -> None:
    unset = json.loads(ImageConfig(AMD64).to_json())["config"]
    nothing = json.loads(ImageConfig(AMD64, ContainerConfig(entrypoint=(), cmd=(), shell=())).to_json())["config"]
    assert unset == {}
    assert nothing == {"Entrypoint": [], "Cmd": [], "Shell": []}


def test_old_documents_say_little() -> None:
    config = ImageConfig.from_json(b"{}")
    assert config == ImageConfig(AMD64)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"config": []}, r"^c\.config: expected an object"),
        ({"config": {"Env": "PATH=/"}}, r"^c\.config\.Env: expected a list of strings"),
        ({"config": {"Env": [1]}}, r"^c\.config\.Env: expected a list of strings"),
        ({"config": {"Labels": {"a": 1}}}, r"^c\.config\.Labels: expected an object of strings"),
        ({"config": {"ExposedPorts": ["80"]}}, r"^c\.config\.ExposedPorts: expected dict"),
        ({"config": {"Healthcheck": {"Interval": "5s"}}}, r"^c\.config\.Healthcheck\.Interval: expected int"),
        ({"rootfs": {"diff_ids": [1]}}, r"^c\.rootfs\.diff_ids: expected a list of strings"),
        ({"history": [{"empty_layer": "yes"}]}, r"^c\.history\[0\]\.empty_layer: expected bool"),
        ({"os": 1}, r"^c\.os: expected str"),
    ],
)
def test_errors_name_the_field(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDocument, match=message):
        ImageConfig.from_json(json.dumps(document).encode(), "c")


def test_diff_ids_are_digests() -> None:
    with pytest.raises(InvalidDigest):
        ImageConfig.from_json(json.dumps({"rootfs": {"diff_ids": ["sha256:../x"]}}).encode())
