"""What a build leaves for machines: the time line, the metadata file, `--progress=rawjson`."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from support.werf import Werf

pytestmark = pytest.mark.integration


@pytest.fixture
def context(tmp_path: Path, busybox: str) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "data").write_text("data\n")
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nCOPY data /data\nRUN echo hello; cat /data > /copy\n")
    return folder


def test_the_time_line_has_all_work(werf: Werf, context: Path, registry: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    name = f"{registry}/traced:1"
    werf.run("buildah", "build", "--trace", path, "-o", f"type=registry,name={name}", context)
    events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    steps = [event["name"] for event in events if event.get("cat") == "step"]
    assert "[2/3] COPY data /data" in steps
    assert any(step.startswith("[internal] pull ") for step in steps)
    assert any(name in step for step in steps if "push" in step)
    kinds = {event.get("cat") for event in events}
    assert {"step", "hash", "pull", "digest", "transfer"} <= kinds
    for event in events:
        if event["ph"] == "X":
            assert event["dur"] >= 0
            assert event["ts"] >= 0


def test_the_time_line_of_a_failure(werf: Werf, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text((context / "Dockerfile").read_text() + "RUN exit 4\n")
    path = tmp_path / "trace.json"
    assert werf.run("buildah", "build", "--trace", path, context, check=False).returncode == 4
    events = json.loads(path.read_text())["traceEvents"]
    (failed,) = [event for event in events if event.get("cat") == "step" and event["name"].endswith("exit 4")]
    assert failed["args"]["state"] == "failed"


def test_metadata(werf: Werf, context: Path, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    done = werf.run("buildah", "build", "-t", "app:1", "-t", "app:2", "--metadata-file", path, context)
    found = json.loads(path.read_text())
    image = json.loads(werf.run("buildah", "inspect", "app:1").stdout)
    assert found["containerimage.config.digest"] == f"sha256:{done.stdout.strip()}"
    assert found["containerimage.digest"] == image["FromImageDigest"]
    assert found["image.name"] == "localhost/app:1,localhost/app:2"
    assert found["containerimage.descriptor"]["digest"] == found["containerimage.digest"]
    assert found["containerimage.descriptor"]["platform"]["os"] == "linux"
    build = found["buildx.build.ref"].rpartition("/")[2]
    assert (
        json.loads(werf.run("buildah", "explain", "--json", build).stdout)["image"] == f"sha256:{done.stdout.strip()}"
    )


def test_metadata_of_several_platforms(werf: Werf, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nWORKDIR /$TARGETARCH\n")
    path = tmp_path / "metadata.json"
    werf.run("buildah", "build", "--platform", "linux/amd64,linux/arm64", "--metadata-file", path, tmp_path)
    found = json.loads(path.read_text())
    assert "containerimage.config.digest" not in found
    assert found["containerimage.descriptor"]["mediaType"] == "application/vnd.oci.image.index.v1+json"


def test_rawjson_is_a_stream_of_solve_statuses(werf: Werf, context: Path) -> None:
    for expected_cached in (False, True):
        done = werf.run("buildah", "build", "--progress", "rawjson", context)
        vertexes: dict[str, dict[str, Any]] = {}
        logs = b""
        for line in done.stderr.splitlines():
            status = json.loads(line)
            for vertex in status.get("vertexes", ()):
                assert vertex["digest"].startswith("sha256:")
                vertexes.setdefault(vertex["digest"], {}).update(vertex)
            for log in status.get("logs", ()):
                assert log["vertex"] in vertexes
                logs += b64decode(log["data"])
            for entry in status.get("statuses", ()):
                assert entry["vertex"] in vertexes
        run = next(vertex for vertex in vertexes.values() if " RUN " in vertex["name"])
        assert run.get("cached", False) is expected_cached
        assert all(vertex["started"] <= vertex["completed"] for vertex in vertexes.values())
        assert (b"hello" in logs) is not expected_cached


def test_a_cached_build_loads_none_of_it(werf: Werf, context: Path) -> None:
    """Start-up time: what only --trace, --explain, --metadata-file and new work need is not even imported."""
    werf.build(context, "app:1")
    werf.build(context, "app:1")
    done = werf.run("buildah", "build", "-t", "app:1", context, env={"PYTHONPROFILEIMPORTTIME": "1"})
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "pywerf.solver.cache" in loaded
    late = (
        "backend.buildah.listing",
        "build.build_log",
        "build.explain",
        "build.limits",
        "build.metadata",
        "report.trace",
        "solver.explain",
        "solver.facts",
        "solver.turns",
        "store.gc",
        "store.step_locks",
        "util.secret_names",
    )
    assert [name for name in late if f"pywerf.{name}" in loaded] == []
