"""`werf buildah build`: flags become BuildOptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.options import BuildOptions, Output, RegistryOptions
from pywerf.cli.buildah.build import command as build_command
from pywerf.cli.buildah.pull import command as pull_command
from pywerf.cli.buildah.push import command as push_command
from pywerf.cli.buildah.refused import REFUSED
from pywerf.cli.declare import Declared, FlagSpec
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform, host_platform

Werf = Callable[..., Any]
IMAGE_ID = Digest.of(b"what was built").hex


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ([], "context", "."),
        (["-"], "context", "-"),
        (["https://example.org/x.git#main:sub"], "context", "https://example.org/x.git#main:sub"),
        (["-f", "a", "-f", "-"], "files", ("a", "-")),
        (["-t", "a:1", "--tag=b"], "tags", ("a:1", "b")),
        (["--build-arg", "A=b=c", "--build-arg", "D"], "build_args", (("A", "b=c"), ("D", None))),
        (["--build-context", "lib=../lib"], "build_contexts", (("lib", "../lib"),)),
        (["--target", "x"], "target", "x"),
        (["--from", "alpine:3"], "base", "alpine:3"),
        ([], "omit_history", False),
        (["--omit-history"], "omit_history", True),
        (["--label", "a=b", "--label", "c"], "labels", (("a", "b"), ("c", ""))),
        (["--annotation", "a=b"], "annotations", (("a", "b"),)),
        (["--env", "A=b", "--env", "C"], "env", (("A", "b"), ("C", None))),
        (["--unsetenv", "A,B", "--unsetenv", "C"], "unset_env", ("A", "B", "C")),
        ([], "inherit_labels", True),
        (["--inherit-labels=false"], "inherit_labels", False),
        (["--inherit-annotations=false"], "inherit_annotations", False),
        (["--unsetlabel", "a,b"], "unset_labels", ("a", "b")),
        (["--unsetannotation", "a", "--unsetannotation=b"], "unset_annotations", ("a", "b")),
        (["--source-date-epoch=7"], "clamp", None),
        (["--source-date-epoch=7", "--rewrite-timestamp"], "clamp", 7),
        (["--rewrite-timestamp"], "clamp", None),
        (["--source-date-epoch=7", "--rewrite-timestamp", "--timestamp=5"], "clamp", 5),
        (["--add-host", "db:10.0.0.5"], "add_hosts", ("db:10.0.0.5",)),
        (["--no-cache"], "no_cache", True),
        (["--no-cache-filter", "a,b", "--no-cache-filter=2"], "no_cache_filter", ("a", "b", "2")),
        ([], "cache_ttl", None),
        (["--cache-ttl", "1h30m"], "cache_ttl", 5400.0),
        (["--cache-ttl=0"], "cache_ttl", 0.0),
        (["--explain"], "explain", True),
        (["--metadata-file", "m.json"], "metadata_file", "m.json"),
        ([], "layers", True),
        (["--layers=false"], "layers", False),
        (["--squash"], "squash", True),
        ([], "pull", "missing"),
        (["--pull"], "pull", "newer"),
        (["--pull=true"], "pull", "newer"),
        (["--pull=false"], "pull", "missing"),
        (["--pull=always"], "pull", "always"),
        (["--pull-never"], "pull", "never"),
        (["--pull-always"], "pull", "always"),
        ([], "platforms", ()),
        (
            ["--platform", "linux/arm64,linux/arm/v6", "--platform=local"],
            "platforms",
            (Platform("linux", "arm64"), Platform("linux", "arm", "v6"), host_platform()),
        ),
        (["--arch", "arm", "--variant", "v6"], "platforms", (Platform("linux", "arm", "v6"),)),
        (["--os", "windows"], "platforms", (Platform("windows", host_platform().architecture),)),
        (["--timestamp", "0"], "timestamp", 0),
        ([], "timestamp", None),
        (["--source-date-epoch=7"], "source_date_epoch", 7),
        (["--format", "docker"], "image_format", "docker"),
        (["-o", "dir"], "outputs", (Output("local", "dir"),)),
        (["-o", "-"], "outputs", (Output("tar", "-"),)),
        (["-o", "type=oci,dest=x.tar"], "outputs", (Output("oci", "x.tar"),)),
        (["-o", "type=tar"], "outputs", (Output("tar", "-"),)),
        (["-o", "type=registry,name=r/x:1"], "outputs", (Output("registry", "r/x:1"),)),
        (["-o", "type=registry"], "outputs", (Output("registry"),)),
        (
            ["-o", "type=docker,dest=d.tar,compression=zstd"],
            "outputs",
            (Output("docker", "d.tar", {"compression": "zstd"}),),
        ),
        (["--iidfile", "i"], "iidfile", "i"),
        (["--ignorefile", "i"], "ignorefile", "i"),
        (["-q"], "quiet", True),
        (["--jobs", "3"], "jobs", 3),
        (["--network=none"], "network", "none"),
        (["--secret", "id=a,src=b", "--secret", "id=c,env=D"], "secrets", ("id=a,src=b", "id=c,env=D")),
        (["--ssh", "default"], "ssh", ("default",)),
        (["--cap-add", "NET_ADMIN,SYS_TIME"], "cap_add", ("NET_ADMIN", "SYS_TIME")),
        (["--cap-drop=all"], "cap_drop", ("all",)),
        (["--ulimit", "nofile=10:20"], "ulimits", ("nofile=10:20",)),
        (["-v", "/a:/b:ro"], "volumes", ("/a:/b:ro",)),
        (["--shm-size", "1m"], "shm_size", 1 << 20),
        (["--network=default"], "network", ""),
        ([], "http_proxy", True),
        (["--http-proxy=false"], "http_proxy", False),
        (["--os-version", "10.0"], "os_version", "10.0"),
        (["--os-feature", "a", "--os-feature=b-"], "os_features", ("a", "b-")),
        (["--manifest", "list"], "manifest", "list"),
        (["--all-platforms"], "all_platforms", True),
        (["--layer-label", "a=b"], "labels", ()),
        ([], "compress_layers", False),
        (["-D"], "compress_layers", False),
        (["--disable-compression=false"], "compress_layers", True),
        ([], "stdin", False),
        (["--stdin"], "stdin", True),
        (["--hooks-dir", "a", "--hooks-dir=b"], "hooks_dirs", ("a", "b")),
        (["--cpp-flag=-DA=b,c", "--cpp-flag", "-DD"], "cpp_flags", ("-DA=b,c", "-DD")),
    ],
)
def test_flags(words: list[str], field: str, value: object, werf: Werf, session: Any) -> None:
    assert werf("buildah", "build", *words).code == 0
    assert getattr(session.built, field) == value


@pytest.mark.parametrize("name", ["bud", "build-using-dockerfile"])
def test_aliases(name: str, werf: Werf, session: Any) -> None:
    assert werf("buildah", name, "-t", "x", ".").code == 0
    assert session.built == BuildOptions(context=".", tags=("x",))


@pytest.mark.parametrize(
    ("variable", "content", "field", "value"),
    [
        ("WERF_TAG_1", "a:1", "tags", ("a:1",)),
        ("WERF_NO_CACHE", "yes", "no_cache", True),
        (
            "WERF_PLATFORM",
            "linux/arm64,linux/amd64",
            "platforms",
            (Platform("linux", "arm64"), Platform("linux", "amd64")),
        ),
        ("SOURCE_DATE_EPOCH", "12", "source_date_epoch", 12),
        ("BUILDAH_FORMAT", "docker", "image_format", "docker"),
        ("BUILDAH_LAYERS", "false", "layers", False),
        ("WERF_BUILD_ARG_1", "A=b", "build_args", (("A", "b"),)),
    ],
)
def test_variables(
    variable: str, content: str, field: str, value: object, werf: Werf, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, content)
    assert werf("buildah", "build").code == 0
    assert getattr(session.built, field) == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pull=sometimes"], "--pull sometimes: unsupported pull policy"),
        (["--pull=always", "--pull-never"], "cannot be used together"),
        (["--format", "v2s9"], "unrecognized image type"),
        (["--platform", "linux/"], "invalid platform"),
        (["--platform", "linux/arm64", "--arch", "arm"], "cannot be used together"),
        (["--annotation", "a"], "expected KEY=VALUE"),
        (["--label", "=b"], "the key is empty"),
        (["--build-arg", "=b"], "the name is empty"),
        (["--build-context", "lib"], "expected KEY=VALUE"),
        (["--add-host", "db"], "expected NAME:IP"),
        (["-o", "type=zip,dest=x"], "unknown type 'zip'"),
        (["-o", "dest=x"], "type is missing"),
        (["-o", "type=local"], "dest is missing"),
        (["-o", "type=local,dest=-"], "cannot be written to stdout"),
        (["-o", "type=tar,type=oci"], "type is given twice"),
        (["-o", "type=tar,x"], "'x' is not KEY=VALUE"),
        (["--timestamp", "-1"], "--timestamp"),
        (["--network", "bridge"], "--network bridge: unknown network"),
        (["--isolation", "vm"], "--isolation"),
        (["--cw", "type=SNP"], "--cw is not supported: pywerf makes no images for confidential workloads"),
        (["--retry-delay", "soon"], "--retry-delay soon: time: invalid duration"),
        (["--logsplit"], "--logsplit needs --logfile"),
        (["--build-arg-file", "/missing"], "--build-arg-file /missing: No such file or directory"),
        (["--skip-unused-stages=false"], "is not supported"),
        (["--identity-label"], "is not supported"),
        (["--creds", ":x"], "the user name is empty"),
        (["--creds", "joe"], "the password is missing"),
    ],
)
def test_wrong_values(words: list[str], said: str, werf: Werf, session: Any) -> None:
    done = werf("buildah", "build", *words)
    assert done.code == 2
    assert said in done.err
    assert not session.calls


def test_registry_and_engine_options(werf: Werf, session: Any) -> None:
    werf(
        "buildah", "build", "--tls-verify=false", "--authfile=a", "--creds=u:p", "--cert-dir=c", "--retry=1",
        "--retry-delay=1m30s", "--isolation=chroot",
    )  # fmt: skip
    assert session.options.isolation == "chroot"
    assert session.options.registry == RegistryOptions(False, "a", "u:p", "c", 1, 90.0)
    werf("buildah", "build")
    assert session.options.registry == RegistryOptions()


def test_stdout_is_the_id_alone(werf: Werf, session: Any) -> None:
    assert werf("buildah", "build").out == f"{IMAGE_ID}\n"
    assert werf("buildah", "build", "-q").out == f"{IMAGE_ID}\n"


def test_an_image_on_stdout_has_it_for_itself(werf: Werf) -> None:
    assert werf("buildah", "build", "-o", "type=oci,dest=-").out == ""


def test_progress_goes_where_it_is_wanted(werf: Werf, session: Any, tmp_path: Path) -> None:
    def build(options: BuildOptions) -> Any:
        session.reporter.step_started(1, "[1/1] RUN x")
        session.reporter.step_finished(1, "done")
        return type("Result", (), {"image_id": None})()

    session.build = build
    assert "#1 [1/1] RUN x" in werf("buildah", "build").err
    assert werf("buildah", "build", "-q").err == ""
    assert werf("buildah", "build", "--log-quiet").err == ""
    lines = werf("buildah", "build", "--progress=rawjson").err.splitlines()
    assert json.loads(lines[0])["vertexes"][0]["name"] == "[1/1] RUN x"
    assert werf("buildah", "build", "--logfile", str(tmp_path / "log")).err == ""
    assert "#1 [1/1] RUN x" in (tmp_path / "log").read_text()
    werf("buildah", "build", "--logfile", str(tmp_path / "log"))
    assert (tmp_path / "log").read_text().count("#1 [1/1] RUN x") == 2  # it is added to, as by buildah
    assert werf("buildah", "build", "--logfile", str(tmp_path / "no" / "log")).code == 2


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ([], {"log": "common arm"}),
        (["--platform=linux/arm64"], {"log_linux_arm64": "common arm"}),
        (["--platform=linux/arm64,linux/386"], {"log": "common", "log_linux_arm64": "arm", "log_linux_386": ""}),
        (["--all-platforms"], {"log": "common", "log_linux_arm64": "arm"}),
    ],
)
def test_a_log_for_each_platform(
    words: list[str], files: dict[str, str], werf: Werf, session: Any, tmp_path: Path
) -> None:
    def build(options: BuildOptions) -> Any:
        many = len(options.platforms) > 1 or options.all_platforms
        session.reporter.step_started(1, "[internal] load common")
        session.reporter.step_started(2, f"[{'linux/arm64 ' if many else ''}1/1] RUN arm")
        return type("Result", (), {"image_id": None})()

    session.build = build
    assert werf("buildah", "build", "--logfile", str(tmp_path / "log"), "--logsplit", *words).code == 0
    found = {path.name: path.read_text() for path in tmp_path.glob("log*")}
    assert {
        name: " ".join(word for word in ("common", "arm") if f"load {word}" in text or f"RUN {word}" in text)
        for name, text in found.items()
    } == files


def test_build_args_of_files(werf: Werf, session: Any, tmp_path: Path) -> None:
    (tmp_path / "args").write_text("# of the team\nA=1=2\n\n  \nB\nC=x # y\r\n")
    werf("buildah", "build", "--build-arg", "A=3", "--build-arg-file", str(tmp_path / "args"))
    assert session.built.build_args == (("A", "1=2"), ("B", None), ("C", "x # y"), ("A", "3"))
    (tmp_path / "args").write_text("=1\n")
    assert "args: =1: the name is empty" in werf("buildah", "build", "--build-arg-file", str(tmp_path / "args")).err


@pytest.mark.parametrize("command", [build_command, pull_command, push_command], ids=lambda one: one.name)
def test_whatever_is_refused_says_why(command: Declared) -> None:
    known = {name for param in command.params if isinstance(param, FlagSpec) for name in param.names}
    for name in command.unsupported:
        assert name not in known
        assert REFUSED[name].why
        assert REFUSED[name].instead


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cache-ttl", "soon"], "invalid duration"),
        (["--cache-ttl=-1h"], "must not be negative"),
        (["--allowed-backend-storage-volume-usage", "much"], "neither a percentage nor a size"),
        (["--allowed-backend-storage-volume-usage-margin", "1GB"], "one is in percent"),
        (["--trace", "/missing/folder/trace.json"], "--trace"),
    ],
)
def test_values_of_the_cache_and_its_limits_that_are_refused(werf: Werf, words: list[str], said: str) -> None:
    done = werf("buildah", "build", *words)
    assert done.code in (2, 125)
    assert said in done.err


def test_a_time_line_is_written_also_when_nothing_happens(werf: Werf, tmp_path: Path) -> None:
    assert werf("buildah", "build", "--trace", str(tmp_path / "trace.json")).code == 0
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
