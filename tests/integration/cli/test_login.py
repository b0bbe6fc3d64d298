"""`login` and `logout` with a real registry that wants a password."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine, services
from support.werf import Werf

pytestmark = pytest.mark.integration

# bcrypt of `hunter2`, as `htpasswd -B` writes it.
HTPASSWD = "joe:$2y$04$AAeAmRE5OBxoI1UVa2Kzo.Nx0dq7v9ET2k2AINa4chgIsIkDoRciK\n"


@pytest.fixture(scope="module")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A docker-registry that only `joe` with the password `hunter2` may use."""
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


def test_login_push_logout(werf: Werf, locked_registry: str, tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    auth = ["--authfile", authfile]
    (tmp_path / "f").write_text("x")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    werf.build(tmp_path, "app")

    wrong = werf.run(
        "buildah", "login", *auth, "-u", "joe", "--password-stdin", locked_registry, stdin=b"wrong\n", check=False
    )
    assert wrong.returncode == 125
    assert "wrong" not in wrong.stderr.replace("wrong password", "")
    assert not authfile.exists()

    right = werf.run("buildah", "login", *auth, "-u", "joe", "--password-stdin", locked_registry, stdin=b"hunter2\n")
    assert right.stdout == "Login Succeeded!\n"
    assert authfile.stat().st_mode & 0o777 == 0o600
    assert werf.run("buildah", "login", "--get-login", *auth, locked_registry).stdout == "joe\n"
    kept = json.loads(authfile.read_text())["auths"][locked_registry]["auth"]
    assert base64.b64decode(kept) == b"joe:hunter2"

    destination = f"{locked_registry}/team/app:1"
    werf.run("buildah", "push", *auth, "app", destination)
    werf.run("buildah", "push", "--creds", "joe:hunter2", "app", destination)
    denied = werf.run("buildah", "push", "--creds", "joe:nope", "app", destination, check=False)
    assert denied.returncode == 125
    assert "nope" not in denied.stderr

    werf.run("buildah", "logout", *auth, locked_registry)
    refused = werf.run("buildah", "push", *auth, "app", destination, check=False)
    assert refused.returncode == 125
    assert werf.run("buildah", "login", "--get-login", *auth, locked_registry, check=False).returncode == 125
