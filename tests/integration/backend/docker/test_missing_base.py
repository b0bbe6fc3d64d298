"""Images that cannot be had: the error shows the line that wants them, whichever builder found it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import services
from support.builds import write
from support.werf import Werf

pytestmark = pytest.mark.integration

DOCKERFILE = "ARG R=%s\nFROM $R/busybox:1 AS a\n%s\n"


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
@pytest.mark.parametrize("daemon", ["docker", "containerd_docker"])
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("FROM nothing.invalid/x:1", "no such host"),
        ("FROM ${R}/no/such:1 AS b", "not found"),
        ("FROM $R/busybox:none", "not found"),
        ("COPY --from={registry}/no/such:1 /x /", "not found"),
    ],
)
def test_the_line_is_shown(
    line: str,
    says: str,
    builder: str,
    daemon: str,
    werf: Werf,
    registry: str,
    busybox: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    found: services.Docker = request.getfixturevalue(daemon)
    line = line.replace("{registry}", registry)
    project = write(tmp_path / "p", {"Dockerfile": DOCKERFILE % (registry, line)})
    env = {"DOCKER_HOST": found.host, "WERF_BUILDAH_MODE": "docker", "WERF_BACKEND_NETWORK": "host"}
    done = werf.run("build", "--docker-builder", builder, "--dir", project, check=False, env=env)
    assert done.returncode == 1
    assert "Error: Dockerfile:3: " in done.stderr
    assert f"   3 | {line}\n" in done.stderr
    assert says in done.stderr
    assert "Hint: see that the name and the tag are right" in done.stderr
