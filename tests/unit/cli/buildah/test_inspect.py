"""`inspect` and `history`: an image in buildah's and podman's shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pywerf.store.images import ImageRecord
from pywerf.store.store import Store

Werf = Callable[..., Any]


@pytest.fixture
def image(put_image: Callable[..., ImageRecord]) -> ImageRecord:
    return put_image("localhost/app:1")


def test_inspect(werf: Werf, image: ImageRecord, session: Any) -> None:
    info = json.loads(werf("buildah", "inspect", "app:1").out)
    assert list(info) == [
        "Type", "FromImage", "FromImageID", "FromImageDigest", "Config", "Manifest", "Container", "ContainerID",
        "MountPoint", "ProcessLabel", "MountLabel", "ImageAnnotations", "ImageCreatedBy", "OCIv1", "Docker",
        "DefaultMountsFilePath", "Isolation", "NamespaceOptions", "Capabilities", "ConfigureNetwork", "CNIPluginPath",
        "CNIConfigDir", "IDMappingOptions", "History", "Devices",
    ]  # fmt: skip
    assert info["FromImage"] == "localhost/app:1"
    assert info["FromImageID"] == image.id.hex
    assert info["FromImageDigest"] == str(image.manifest_digest)
    with Store.open(session.root) as store:
        config = store.blobs.read(image.id).decode()
    assert info["Config"] == config
    # The OCI form is the config again: nothing is lost, nothing is added.
    assert info["OCIv1"] == json.loads(config)
    assert info["Docker"]["config"]["Cmd"] == ["/f"]
    assert info["Docker"]["config"]["Entrypoint"] is None
    assert info["Docker"]["container_config"] == info["Docker"]["config"]
    assert info["ImageAnnotations"] == {"org.opencontainers.image.title": "app"}
    assert [item.get("empty_layer", False) for item in info["History"]] == [False, True]
    assert werf("buildah", "inspect", "--type", "image", image.id.hex).out == werf("buildah", "inspect", "app:1").out


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.OCIv1.Config.Env}}", "[PATH=/bin C=d e]"),
        ("{{.OCIv1.Config.Entrypoint}}", "[]"),
        ("{{.OCIv1.Architecture}}/{{.OCIv1.OS}}", "amd64/linux"),
        ("{{index .OCIv1.Config.Labels `x`}}", "y"),
        ("{{range $p, $_ := .OCIv1.Config.ExposedPorts}}{{$p}}{{end}}", "80/tcp"),
        ("{{.Docker.Config.User}}", "app"),
        ("{{.OCIv1.Created}}", "2020-01-02 03:04:05.678901234 +0000 UTC"),
        ("{{(index .History 1).EmptyLayer}}", "true"),
        ("{{json .OCIv1.RootFS.Type}}", '"layers"'),
        ("{{json .OCIv1.Config.Cmd}}", '["/f"]'),
        ("{{len .OCIv1.RootFS.DiffIDs}}", "1"),
    ],
)
def test_inspect_by_template(template: str, text: str, werf: Werf, image: ImageRecord) -> None:
    assert werf("buildah", "inspect", "--format", template, "app:1").out == text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nosuch"], 125, "nosuch: image not known"),
        (["-t", "foo", "app:1"], 2, "the only recognized types are"),
        (["-t", "container", "app:1"], 2, "there are no working containers"),
        (["-f", "{{.Nope}}", "app:1"], 125, "can't evaluate field Nope"),
    ],
)
def test_inspect_fails(words: list[str], code: int, said: str, werf: Werf, image: ImageRecord) -> None:
    done = werf("buildah", "inspect", *words)
    assert done.code == code
    assert said in done.err


def test_history(werf: Werf, image: ImageRecord) -> None:
    lines = werf("buildah", "history", "app:1").out.splitlines()
    assert lines[0].split() == ["ID", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert lines[1].startswith(f"{image.id.short}  ")
    assert '"/f"' in lines[1]
    assert lines[1].split()[-4:] == ["x" * 31 + "...", "0", "B", "c"]
    assert lines[2].startswith("<missing>     ")
    assert "2.05 kB" in lines[2]
    assert "x" * 60 in werf("buildah", "history", "--no-trunc", "app:1").out
    assert werf("buildah", "history", "-q", "app:1").out == f"{image.id.short}\n<missing>\n"


def test_history_for_machines(werf: Werf, image: ImageRecord) -> None:
    rows = json.loads(werf("buildah", "history", "--format", "json", "app:1").out)
    assert werf("buildah", "history", "--json", "app:1").out == werf("buildah", "history", "--format=json", "app:1").out
    assert rows[0]["id"] == image.id.hex
    assert rows[1] == {
        "id": "<missing>",
        "created": "2020-01-02T03:04:05.678901234Z",
        "CreatedBy": "COPY f /f # buildkit",
        "size": 2048,
        "Created": "2020-01-02T03:04:05Z",
    }
    assert "\\u003cmissing\\u003e" in werf("buildah", "history", "--json", "app:1").out
    plain = werf("buildah", "history", "--human=false", "--format", "{{.Created}} {{.Size}}", "app:1").out
    assert plain == "2020-01-02T03:04:05Z 0\n2020-01-02T03:04:05Z 2048\n"
    table = werf("buildah", "history", "--format", "table {{.ID}} {{.Size}}", "app:1").out.splitlines()
    assert table[0].split() == ["ID", "SIZE"]
