"""`login` and `logout` with a real registry that wants a password."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from support.secured_registry import PASSWORD, USER, secured_registry
from support.werf import Werf

pytestmark = pytest.mark.integration


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


def test_cr_login_is_what_docker_reads(werf: Werf, locked_registry: str, tmp_path: Path) -> None:
    config = werf.home / ".docker/config.json"
    wrong = werf.run(
        "cr", "login", "-u", "joe", "--password-stdin", locked_registry, stdin=b"very wrong\n", check=False
    )
    assert wrong.returncode == 1
    assert "very wrong" not in wrong.stderr
    assert not config.exists()
    said = werf.run("cr", "login", "-u", "joe", "--password-stdin", locked_registry, stdin=b"hunter2\n").stdout
    assert said == "Login Succeeded!\n"
    assert config.stat().st_mode & 0o777 == 0o600
    assert json.loads(config.read_text())["auths"][locked_registry]["auth"] == base64.b64encode(b"joe:hunter2").decode()

    (tmp_path / "f").write_text("x")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    werf.build(tmp_path, "app")
    werf.run("buildah", "push", "app", f"{locked_registry}/team/app:2", env={"XDG_RUNTIME_DIR": str(tmp_path)})

    assert werf.run("cr", "logout", locked_registry).stdout == f"Removed login credentials for {locked_registry}\n"
    again = werf.run("cr", "logout", locked_registry, check=False)
    assert again.returncode == 1
    assert "not logged into" in again.stderr


def test_cr_login_by_variables_into_another_directory(werf: Werf, locked_registry: str, tmp_path: Path) -> None:
    variables = {"WERF_USERNAME": "joe", "WERF_PASSWORD": "hunter2", "WERF_DOCKER_CONFIG": str(tmp_path / "one")}
    werf.run("cr", "login", locked_registry, env=variables)
    assert (tmp_path / "one/config.json").exists()
    werf.run("cr", "login", "--docker-config", tmp_path / "two", locked_registry, env=variables)
    assert (tmp_path / "two/config.json").exists()
    assert not (werf.home / ".docker").exists()


def test_cr_login_to_a_registry_with_an_unknown_certificate(werf: Werf, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with secured_registry(folder) as registry:
        words = ("cr", "login", "-u", USER, "-p", PASSWORD, registry.host)
        refused = werf.run(*words, check=False)
        assert refused.returncode == 1
        assert "certificate" in refused.stderr
        for name in ("--skip-tls-verify-registry", "--insecure-registry"):
            werf.run(*words, name)
