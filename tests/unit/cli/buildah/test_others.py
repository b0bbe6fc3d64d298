"""The commands that hand their flags to the session: tag, rmi, pull, push, prune, info, login, run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.options import RegistryOptions
from pywerf.cli.login import registry_key
from pywerf.errors import UsageError
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform
from pywerf.store.images import ImageRecord

Werf = Callable[..., Any]
IMAGE_ID = Digest.of(b"what was built").hex


def test_tag_and_untag(werf: Werf, session: Any) -> None:
    assert werf("buildah", "tag", "a", "b", "c").code == 0
    assert werf("buildah", "untag", "a").code == 0
    assert session.calls == [("tag", ("a", ("b", "c")), {}), ("untag", ("a", ()), {})]


@pytest.mark.parametrize(
    ("words", "images", "flags"),
    [
        (["a", "b"], ("a", "b"), {"force": False, "prune": False, "all": False}),
        (["-f", "a"], ("a",), {"force": True, "prune": False, "all": False}),
        (["-af"], (), {"force": True, "prune": False, "all": True}),
        (["--prune"], (), {"force": False, "prune": True, "all": False}),
    ],
)
def test_rmi(words: list[str], images: tuple[str, ...], flags: dict[str, bool], werf: Werf, session: Any) -> None:
    assert werf("buildah", "rmi", *words).out == f"untagged: localhost/app:1\n{IMAGE_ID}\n"
    assert session.calls == [("remove", (images,), flags)]


@pytest.mark.parametrize("words", [[], ["-a", "x"], ["-p", "x"], ["-ap"]])
def test_rmi_refuses(words: list[str], werf: Werf, session: Any) -> None:
    assert werf("buildah", "rmi", *words).code == 2
    assert not session.calls


def test_pull(werf: Werf, session: Any) -> None:
    assert werf("buildah", "pull", "-q", "busybox").out == f"{IMAGE_ID}\n"
    werf("buildah", "pull", "--policy=always", "-a", "--arch", "arm64", "--tls-verify=false", "busybox")
    assert session.calls == [
        ("pull", ("busybox",), {"policy": "missing", "platform": None, "all_tags": False}),
        ("pull", ("busybox",), {"policy": "always", "platform": Platform("linux", "arm64"), "all_tags": True}),
    ]
    assert session.options.registry == RegistryOptions(tls_verify=False)
    assert werf("buildah", "pull", "--policy=sometimes", "busybox").code == 2
    assert werf("buildah", "pull", "--platform=linux/arm64,linux/amd64", "busybox").code == 2
    assert "pywerf reads no encrypted layers" in werf("buildah", "pull", "--decryption-key=x", "busybox").err
    assert werf("buildah", "pull", "--remove-signatures", "busybox").code == 0


def test_push(werf: Werf, session: Any, put_image: Callable[..., ImageRecord]) -> None:
    put_image("localhost/app:latest")
    assert werf("buildah", "push", "app").code == 0
    assert werf(
        "buildah", "push", "--compression-format=zstd", "--compression-level=3", "-f", "v2s2", "--digestfile=d",
        "--all", "app", "oci:/x",
    ).code == 0  # fmt: skip
    assert werf("buildah", "push", "-D", "app").code == 0
    plain = {
        "compression": "gzip", "compression_level": None, "image_format": None, "digestfile": "", "all": False,
    }  # fmt: skip
    full = {
        "compression": "zstd", "compression_level": 3, "image_format": "docker", "digestfile": "d", "all": True,
    }  # fmt: skip
    assert session.calls == [
        ("push", ("app", ""), plain),
        ("push", ("app", "oci:/x"), full),
        ("push", ("app", ""), {**plain, "compression": "none"}),
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nosuch"], 125, "nosuch: image not known"),
        ([], 2, "missing argument"),
        (["--compression-format=lzma", "a"], 2, "unknown compression"),
        (["--compression-level=10", "a"], 2, "gzip has the levels 0 to 9"),
        (["-D", "--compression-format=gzip", "a"], 2, "cannot be used together"),
        (["-D", "--compression-level=1", "a"], 2, "means nothing without compression"),
        (["-f", "v2s1", "a"], 2, "no current registry takes it"),
        (["--sign-by=x", "a"], 2, "pywerf makes no signatures"),
    ],
)
def test_push_refuses(words: list[str], code: int, said: str, werf: Werf) -> None:
    done = werf("buildah", "push", *words)
    assert done.code == code
    assert said in done.err


def test_prune(werf: Werf, session: Any) -> None:
    assert "Space:         1.5 MB" in werf("buildah", "prune").out
    werf("buildah", "prune", "--all")
    assert [call[2] for call in session.calls] == [{"all": False}, {"all": True}]


def test_info(werf: Werf) -> None:
    assert json.loads(werf("buildah", "info").out)["store"] == {"GraphDriverName": "overlay"}
    assert "werf version" in json.loads(werf("buildah", "info", "-d").out)["debug"]
    assert werf("buildah", "info", "--format", "{{.host}} {{.store.GraphDriverName}}").out == (
        "map[cpus:2 os:linux] overlay"
    )


def test_versions(werf: Werf) -> None:
    assert werf("buildah", "version").out.startswith("Version:")
    assert set(json.loads(werf("buildah", "version", "--json").out)) >= {"version", "imageSpec", "osArch"}
    assert "buildah 1.28" in werf("buildah", "--version").out


@pytest.mark.parametrize(
    ("words", "command", "changed"),
    [
        ([], (), {}),
        (["ls", "-l"], ("ls", "-l"), {}),
        (["--", "ls", "--", "-l"], ("ls", "--", "-l"), {}),
    ],
)
def test_run_commands(
    words: list[str], command: tuple[str, ...], changed: dict[str, Any], werf: Werf, session: Any
) -> None:
    assert werf("run", "app", *words).code == 0
    name, args, _ = session.calls[0]
    assert (name, args) == ("run", ("app", command))


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-it"], "terminal", True),
        (["-it"], "interactive", True),
        (["-e", "A=b", "--env", "HOME_OF_TESTS", "-e", "NOT_THERE"], "env", ("A=b", "HOME_OF_TESTS=x")),
        (["-v", "/a:/b"], "volumes", ("/a:/b",)),
        (["-w", "/w"], "workdir", "/w"),
        (["-u", "1:2"], "user", "1:2"),
        ([], "entrypoint", None),
        (["--entrypoint", ""], "entrypoint", ()),
        (["--entrypoint", "/bin/sh"], "entrypoint", ("/bin/sh",)),
        (["--entrypoint", '["a", "b c"]'], "entrypoint", ("a", "b c")),
        (["--network", "none"], "network", "none"),
        (["--cap-add", "A,B", "--cap-drop=all"], "cap_add", ("A", "B")),
        (["--privileged"], "privileged", True),
        (["--read-only"], "read_only", True),
        (["--add-host", "a:1"], "add_hosts", ("a:1",)),
        (["--pull=never"], "pull", "never"),
        (["--rm"], "read_only", False),
    ],
)
def test_run_flags(
    words: list[str], name: str, value: object, werf: Werf, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME_OF_TESTS", "x")
    assert werf("run", *words, "app", "-x", "--rm").code == 0
    _, args, flags = session.calls[0]
    assert args == ("app", ("-x", "--rm"))
    assert flags[name] == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "8080:80", "app"], "the container uses the host's network"),
        (["--rm=false", "app"], "containers are never kept"),
        (["--entrypoint", "[x", "app"], "not a JSON list"),
        (["--entrypoint", "[1]", "app"], "not a JSON list of strings"),
        (["--name", "x", "app"], "unknown flag: --name"),
        ([], "no image to run"),
    ],
)
def test_run_refuses(words: list[str], said: str, werf: Werf, session: Any) -> None:
    done = werf("run", *words)
    assert done.code == 2
    assert said in done.err
    assert not session.calls


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("quay.io", "quay.io"),
        ("https://quay.io/", "quay.io"),
        ("localhost:5000", "localhost:5000"),
        ("quay.io/team", "quay.io/team"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_registry_keys(text: str, key: str) -> None:
    assert registry_key(text) == key


@pytest.mark.parametrize("text", ["", "https://", "a b", "user@host"])
def test_bad_registry_keys(text: str) -> None:
    with pytest.raises(UsageError, match="is not a registry"):
        registry_key(text)


def test_logins_that_are_kept(werf: Werf, tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    name = ["--authfile", str(authfile)]
    assert "not logged into quay.io" in werf("buildah", "login", "--get-login", *name, "quay.io").err
    authfile.write_text(json.dumps({"auths": {"quay.io": {"auth": "am9lOmh1bnRlcjI="}}}))
    assert werf("buildah", "login", "--get-login", *name, "quay.io").out == "joe\n"
    assert werf("buildah", "logout", *name, "other.io").code == 125
    assert werf("buildah", "logout", *name, "quay.io").out == "Removed login credentials for quay.io\n"
    assert json.loads(authfile.read_text())["auths"] == {}
    assert werf("buildah", "logout", "-a", *name).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-u", "joe", "quay.io"], "the password is missing"),
        (["quay.io"], "the user name is missing"),
        (["--password-stdin", "quay.io"], "--password-stdin needs --username"),
        (["--password-stdin", "-p", "x", "-u", "joe", "quay.io"], "cannot be used together"),
        (["-u", "joe", "-p", "x", "not a host"], "is not a registry"),
    ],
)
def test_login_refuses(words: list[str], said: str, werf: Werf) -> None:
    done = werf("buildah", "login", *words)
    assert done.code == 2
    assert said in done.err
    assert "hunter2" not in done.err
