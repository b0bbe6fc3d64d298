"""A registry that wants a password."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from support import machine, services

# bcrypt of `hunter2`, as `htpasswd -B` writes it; the second is the user of GitLab's jobs.
HTPASSWD = """\
joe:$2y$04$AAeAmRE5OBxoI1UVa2Kzo.Nx0dq7v9ET2k2AINa4chgIsIkDoRciK
gitlab-ci-token:$2y$04$TEJJHS2lH7tnn3meygkU.uG1rUatybu9cNdZJXmdTk4S..Hjrhixu
"""


@pytest.fixture(scope="module")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A docker-registry that only `joe` and GitLab's jobs may use, with the password `hunter2`."""
    folder = tmp_path_factory.mktemp("locked")
    address = f"127.0.0.1:{machine.free_port()}"
    (folder / "htpasswd").write_text(HTPASSWD)
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [machine.require("docker-registry"), "serve", str(folder / "config.json")], stdout=out, stderr=out
        )
    try:
        services.wait_for("docker-registry", lambda: services.answers(f"http://{address}/v2/"), process, log)
        yield address
    finally:
        services.stop(process)
