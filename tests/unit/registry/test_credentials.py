"""Where credentials are looked for, and how they are kept."""

from __future__ import annotations

import base64
import json
import stat
import threading
from pathlib import Path

import pytest

from pywerf.errors import RegistryConfigError
from pywerf.registry import login
from pywerf.registry.credentials import Credential, auth_files, find_credential, host_of_key, load_auth_file
from pywerf.registry.settings import RegistrySettings

NONE = RegistrySettings()


def auth(user: str, password: str = "pw") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A user with an empty home, and a place for credential helpers in front of the PATH."""
    (tmp_path / "bin").mkdir()
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HELPER_STATE": str(tmp_path / "state"),
    }


@pytest.fixture
def helper(tmp_path: Path, environ: dict[str, str]) -> Path:
    """A credential helper `docker-credential-test` whose passwords are files in a folder."""
    state = tmp_path / "state"
    state.mkdir()
    program = tmp_path / "bin" / "docker-credential-test"
    program.write_text(
        "#!/bin/sh\n"
        'key() { printf %s "$1" | tr -c a-zA-Z0-9. _; }\n'
        "case $1 in\n"
        'get) f=$HELPER_STATE/$(key "$(cat)"); if [ -f "$f" ]; then cat "$f";\n'
        '  else echo "credentials not found in native keychain"; exit 1; fi;;\n'
        'store) j=$(cat); s=$(echo "$j" | sed \'s/.*"ServerURL": "\\([^"]*\\)".*/\\1/\');\n'
        '  echo "$j" > "$HELPER_STATE/$(key "$s")";;\n'
        'erase) rm -f "$HELPER_STATE/$(key "$(cat)")";;\n'
        "esac\n"
    )
    program.chmod(0o755)
    return state


def found(host: str, repository: str, environ: dict[str, str], settings: RegistrySettings = NONE) -> str | None:
    credential = find_credential(host, repository, settings, environ)
    return None if credential is None else credential.username


def test_order_of_places(environ: dict[str, str], tmp_path: Path) -> None:
    settings = RegistrySettings(authfile=str(tmp_path / "own.json"))
    assert found("r.io", "a/b", environ) is None
    for name, folder, file in (
        ("docker", "home/.docker", "config.json"),
        ("config", "home/.config/containers", "auth.json"),
        ("runtime", "run/containers", "auth.json"),
    ):
        write(tmp_path / folder / file, {"auths": {"r.io": auth(name)}})
        assert found("r.io", "a/b", environ) == name
    environ["REGISTRY_AUTH_FILE"] = str(write(tmp_path / "env.json", {"auths": {"r.io": auth("env")}}))
    assert found("r.io", "a/b", environ) == "env"
    write(tmp_path / "own.json", {"auths": {"r.io": auth("own")}})
    assert found("r.io", "a/b", environ, settings) == "own"
    assert found("r.io", "a/b", environ, RegistrySettings(creds="flag:x:y", authfile="/nowhere")) == "flag"


def test_named_file_is_the_only_one(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "home/.docker/config.json", {"auths": {"r.io": auth("docker")}})
    write(tmp_path / "own.json", {"auths": {}})
    assert found("r.io", "a", environ, RegistrySettings(authfile=str(tmp_path / "own.json"))) is None
    with pytest.raises(RegistryConfigError, match="no such auth file"):
        found("r.io", "a", environ, RegistrySettings(authfile=str(tmp_path / "missing.json")))


def test_docker_config_variable(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/config.json", {"auths": {"r.io": auth("moved")}})
    environ["DOCKER_CONFIG"] = str(tmp_path / "elsewhere")
    assert found("r.io", "a", environ) == "moved"


@pytest.mark.parametrize(
    ("host", "repository", "expected"),
    [
        ("r.io", "team/app/web", "web"),
        ("r.io", "team/app", "app"),
        ("r.io", "team/application", "team"),
        ("r.io", "other", "host"),
        ("r.io:5000", "team/app", "port"),
        ("old.io", "x", "old"),
        ("docker.io", "library/alpine", "hub"),
        ("docker.io", "me/app", "me"),
        ("nobody.io", "x", None),
    ],
)
def test_most_specific_key(
    environ: dict[str, str], tmp_path: Path, host: str, repository: str, expected: str | None
) -> None:
    keys = {
        "r.io": "host",
        "r.io/team": "team",
        "r.io/team/app": "app",
        "r.io/team/app/web": "web",
        "r.io:5000": "port",
        "https://old.io/v1/": "old",
        "https://index.docker.io/v1/": "hub",
        "docker.io/me": "me",
    }
    write(tmp_path / "run/containers/auth.json", {"auths": {key: auth(name) for key, name in keys.items()}})
    assert found(host, repository, environ) == expected


def test_file_without_answer_is_passed_over(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "run/containers/auth.json", {"auths": {"r.io": {}}})
    write(tmp_path / "home/.docker/config.json", {"auths": {"r.io": auth("docker")}})
    assert found("r.io", "a", environ) == "docker"


def test_identity_token_and_padding(environ: dict[str, str], tmp_path: Path) -> None:
    entry = auth("00000000-0000-0000-0000-000000000000", "") | {"identitytoken": "ident"}
    write(tmp_path / "run/containers/auth.json", {"auths": {"r.io": entry, "n.io": auth("u", "pw\0\0")}})
    credential = find_credential("r.io", "", NONE, environ)
    assert credential is not None
    assert credential.identity_token == "ident"
    assert find_credential("n.io", "", NONE, environ) == Credential("u", "pw")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"auths": {\n  "r.io": secret-word }}', ":2: not valid JSON"),
        ("[]", ":1: expected a JSON object"),
        ('{"auths": ["x"]}', '"auths" is not an object'),
        ('{"auths": {"r.io": "x"}}', "the entry of r.io is not an object"),
        ('{"auths": {"r.io": {"auth": "secret-word"}}}', "not base64"),
        ('{"auths": {"r.io": {"auth": "c2VjcmV0LXdvcmQ="}}}', "not USER:PASSWORD"),
        ('{"auths": {"r.io": {"auth": 5}}}', "not made of strings"),
        ('{"credHelpers": {"r.io": 5}}', '"credHelpers"'),
        ('{"credsStore": 5}', '"credsStore"'),
        ('{"credsStore": "../../bin/sh"}', "not a name"),
        ('{"credsStore": "no-such-helper"}', "not installed"),
    ],
)
def test_malformed_file(environ: dict[str, str], tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run/containers/auth.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(RegistryConfigError) as caught:
        found("r.io", "a", environ)
    assert message in str(caught.value)
    assert "secret-word" not in str(caught.value)


def test_helpers(environ: dict[str, str], tmp_path: Path, helper: Path) -> None:
    write(helper / "special.io", {"ServerURL": "special.io", "Username": "s", "Secret": "x"})
    write(helper / "r.io", {"ServerURL": "r.io", "Username": "<token>", "Secret": "ident"})
    write(helper / "https___index.docker.io_v1_", {"Username": "hub", "Secret": "x"})
    write(
        tmp_path / "home/.docker/config.json",
        {"credHelpers": {"special.io": "test"}, "auths": {"special.io": auth("file"), "plain.io": auth("file")}},
    )
    assert found("special.io", "a", environ) == "s"
    assert found("plain.io", "a", environ) == "file"
    assert found("r.io", "a", environ) is None
    write(tmp_path / "run/containers/auth.json", {"credsStore": "test", "auths": {"plain.io": auth("file")}})
    credential = find_credential("r.io", "", NONE, environ)
    assert credential == Credential("", "", "ident")
    assert found("docker.io", "library/x", environ) == "hub"
    assert found("plain.io", "a", environ) == "file"
    # registries.conf may name helpers, too
    assert find_credential("special.io", "a", NONE, environ, ["test"]) == Credential("s", "x")


@pytest.mark.parametrize("script", ["echo nonsense", "echo '{}'", "echo secret service is locked >&2; exit 1"])
def test_broken_helper(environ: dict[str, str], tmp_path: Path, script: str) -> None:
    program = tmp_path / "bin/docker-credential-test"
    program.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    program.chmod(0o755)
    write(tmp_path / "run/containers/auth.json", {"credsStore": "test"})
    with pytest.raises(RegistryConfigError, match="docker-credential-test"):
        found("r.io", "a", environ)


def test_hosts_of_keys() -> None:
    assert host_of_key("r.io") == "r.io"
    assert host_of_key("https://r.io/v2/") == "r.io"
    assert host_of_key("r.io/team") is None
    assert host_of_key("https://index.docker.io/v1/") == "docker.io"


def test_login_is_found_again(environ: dict[str, str], tmp_path: Path) -> None:
    path = login.default_auth_file(NONE, environ)
    assert path == str(tmp_path / "run/containers/auth.json")
    login.remember("r.io", Credential("alice", "p:w"), path, environ)
    login.remember("r.io/team", Credential("bob", "x"), path, environ)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert find_credential("r.io", "a", NONE, environ) == Credential("alice", "p:w")
    assert find_credential("r.io", "team/a", NONE, environ) == Credential("bob", "x")
    assert login.forget("r.io", path, environ)
    assert not login.forget("r.io", path, environ)
    assert found("r.io", "a", environ) is None
    assert found("r.io", "team/a", environ) == "bob"
    login.forget_all(path, environ)
    assert found("r.io", "team/a", environ) is None
    assert not login.forget("r.io", str(tmp_path / "missing"), environ)


def test_login_keeps_the_rest_of_the_file(environ: dict[str, str], tmp_path: Path) -> None:
    real = write(tmp_path / "dotfiles/config.json", {"HttpHeaders": {"a": "b"}, "auths": {"x.io": auth("x")}})
    link = tmp_path / "config.json"
    link.symlink_to(real)
    login.remember("r.io", Credential("", "", "ident"), str(link), environ)
    document = json.loads(real.read_text())
    assert document["HttpHeaders"] == {"a": "b"}
    assert set(document["auths"]) == {"x.io", "r.io"}
    assert link.is_symlink()
    assert [entry.name for entry in real.parent.iterdir()] == ["config.json"]


def test_login_into_a_helper(environ: dict[str, str], tmp_path: Path, helper: Path) -> None:
    path = write(tmp_path / "run/containers/auth.json", {"credsStore": "test"})
    login.remember("r.io", Credential("alice", "s3cret"), str(path), environ)
    assert "s3cret" not in path.read_text()
    assert json.loads((helper / "r.io").read_text())["Username"] == "alice"
    assert find_credential("r.io", "a", NONE, environ) == Credential("alice", "s3cret")
    assert login.forget("r.io", str(path), environ)
    assert list(helper.iterdir()) == []


def test_logins_at_the_same_time(environ: dict[str, str], tmp_path: Path) -> None:
    path = str(tmp_path / "auth.json")
    threads = [
        threading.Thread(target=login.remember, args=(f"r{n}.io", Credential("u", str(n)), path, environ))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = load_auth_file(path)
    assert loaded is not None
    assert len(loaded.auths) == 12


def test_files_without_runtime_folder() -> None:
    files, named = auth_files(NONE, {"HOME": "/home/u"})
    assert not named
    assert files[0].startswith("/run/containers/")
    assert files[1:] == ("/home/u/.config/containers/auth.json", "/home/u/.docker/config.json")


def test_the_directory_of_a_job_is_looked_into_first(environ: dict[str, str], tmp_path: Path) -> None:
    environ["WERF_DOCKER_CONFIG"] = str(tmp_path / "job")
    files, named = auth_files(RegistrySettings(), environ)
    assert files[0] == str(tmp_path / "job/config.json")
    assert not named
    assert auth_files(RegistrySettings(authfile="/a.json"), environ) == (("/a.json",), True)
