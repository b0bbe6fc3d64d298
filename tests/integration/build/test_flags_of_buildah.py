"""Flags that command lines for buildah have, each with a real build, where it can be beside buildah itself."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import machine
from support.builds import build, fails, write
from support.fake_registry import FakeRegistry
from support.judges import Buildah
from support.werf import Werf

pytestmark = pytest.mark.integration

THEIRS = ("--isolation=chroot", "--network=host", "--tls-verify=false")
SCRATCH = "FROM scratch\nCOPY Dockerfile /\n"

Theirs = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def werf(shared_werf: Werf) -> Werf:
    return shared_werf


@pytest.fixture
def theirs(buildah_judge: Buildah) -> Theirs:
    """`buildah build FLAGS`, with its two outputs together."""

    def call(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return machine.run(*buildah_judge.argv, "build", *THEIRS, *words, check=False, env=env)

    return call


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    def make(dockerfile: str) -> Path:
        return write(tmp_path / "project", {"Dockerfile": dockerfile})

    return make


Project = Callable[[str], Path]


def shown(done: subprocess.CompletedProcess[str], *words: str) -> list[str]:
    """The last words of the lines, whoever has said them, that hold one of the words and an equals sign."""
    lines = (done.stdout + done.stderr).splitlines()
    return sorted(
        {line.split()[-1] for line in lines if "RUN" not in line and any(f"{word}=" in line for word in words)}
    )


# the system


def test_version_and_features_of_the_system(
    werf: Werf, theirs: Theirs, buildah_judge: Buildah, project: Project
) -> None:
    def both(dockerfile: str, tag: str, *flags: str) -> tuple[Any, Any]:
        ours = build(werf, project(dockerfile.format("localhost/")), "-t", tag, *flags).document
        done = theirs(*flags, "-t", tag, project(dockerfile.format("localhost/")))
        assert done.returncode == 0, done.stderr
        inspected = machine.run(*buildah_judge.argv, "inspect", "--type", "image", tag).stdout
        their: dict[str, Any] = json.loads(inspected)["OCIv1"]
        keys = ("os.version", "os.features")
        return [ours.get(key) for key in keys], [their.get(key) for key in keys]

    ours, their = both(SCRATCH, "system:1", "--os-version=10.0", "--os-feature=a", "--os-feature", "b")
    assert ours == their == ["10.0", ["a", "b"]]
    on_it = "FROM {}system:1\nENV a=b\n"
    ours, their = both(on_it, "system:2", "--os-feature=a-", "--os-feature=b", "--os-feature=c")
    assert ours == their == ["10.0", ["b", "c"]]
    ours, their = both(on_it, "system:3", "--os-version=11", "--os-feature=a-", "--os-feature=b-")
    assert ours == their == ["11", None]


# the environment


@pytest.mark.parametrize(
    ("flags", "seen"),
    [([], ["NO_PROXY=local", "ftp_proxy=http://127.0.0.1:9"]), (["--http-proxy=false"], [])],
    ids=["by default", "false"],
)
def test_proxies_of_the_host(
    flags: list[str], seen: list[str], werf: Werf, theirs: Theirs, project: Project, busybox: str
) -> None:
    folder = project(f"FROM {busybox}\nRUN env | sort\n")
    variables = {"ftp_proxy": "http://127.0.0.1:9", "NO_PROXY": "local"}
    ours = werf.run("buildah", "build", "--no-cache", *flags, folder, env=variables)
    their = theirs("--no-cache", *flags, folder, env={**werf.env, **variables})
    assert shown(ours, *variables) == shown(their, *variables) == seen


def test_build_args_from_a_file(werf: Werf, project: Project, tmp_path: Path) -> None:
    (tmp_path / "args").write_text("# values\nA=of the file\nB=of the file\n")
    folder = project('FROM scratch\nARG A\nARG B\nLABEL a="$A" b="$B"\n')
    image = build(werf, folder, "--build-arg", "B=of the flag", "--build-arg-file", tmp_path / "args")
    assert image.config["Labels"] == {"a": "of the file", "b": "of the flag"}


# several platforms


def platforms_of(document: dict[str, Any]) -> list[str]:
    return [f"{item['platform']['os']}/{item['platform']['architecture']}" for item in document["manifests"]]


def of_list(werf: Werf, name: str, folder: Path) -> list[str]:
    """The platforms of a list, in the layout that it is pushed to."""
    werf.run("buildah", "push", "--all", name, f"oci:{folder}")
    (top,) = json.loads((folder / "index.json").read_text())["manifests"]
    return platforms_of(json.loads((folder / "blobs" / top["digest"].replace(":", "/")).read_text()))


def test_a_manifest_list_grows(
    werf: Werf, theirs: Theirs, buildah_judge: Buildah, project: Project, tmp_path: Path
) -> None:
    folder = project(SCRATCH)
    calls = (
        ["--platform=linux/amd64"],
        ["--platform=linux/arm64", "-t", "tagged:1"],
        ["--platform=linux/arm64"],  # is there already
        ["--platform=linux/s390x,linux/386", "--jobs=1"],
    )
    for words in calls:
        build(werf, folder, "--timestamp=0", "--manifest", "growing", *words)
        assert theirs("--timestamp=0", "--manifest", "growing", *words, folder).returncode == 0
    ours = of_list(werf, "growing", tmp_path / "layout")
    their = json.loads(machine.run(*buildah_judge.argv, "manifest", "inspect", "growing").stdout)
    assert sorted(ours) == sorted(platforms_of(their)) == ["linux/386", "linux/amd64", "linux/arm64", "linux/s390x"]
    assert build(werf, project("FROM localhost/tagged:1\n"), "--platform=linux/arm64").files.keys() == {"Dockerfile"}
    assert "an image has this name" in fails(werf, folder, "--manifest", "tagged:1")
    assert theirs("--manifest", "tagged:1", folder).returncode == 125


def test_the_list_is_pushed_as_one(werf: Werf, project: Project, registry: str) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        build(werf, project(SCRATCH), "--platform", platform, "--manifest", f"{registry}/listed:1")
    werf.run("buildah", "push", "--all", f"{registry}/listed:1")
    raw = machine.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry}/listed:1").stdout
    assert platforms_of(json.loads(raw)) == ["linux/amd64", "linux/arm64"]
    werf.run("buildah", "push", "--all", "--rm", f"{registry}/listed:1")
    assert werf.run("buildah", "inspect", f"{registry}/listed:1", check=False).returncode == 125


def test_all_platforms_of_the_base(werf: Werf, theirs: Theirs, project: Project, registry: str, tmp_path: Path) -> None:
    wanted = ["linux/amd64", "linux/arm64", "linux/ppc64le"]
    base = f"{registry}/several:1"
    build(werf, project(SCRATCH), "--platform", ",".join(wanted), "-o", f"type=registry,name={base}")
    folder = project(f"FROM --platform=$BUILDPLATFORM {base} AS tools\nFROM {base}\nCOPY --from=tools /Dockerfile /d\n")
    build(werf, folder, "--all-platforms", "--manifest", "all")
    assert of_list(werf, "all", tmp_path / "layout") == wanted
    done = theirs("--all-platforms", "--manifest", "all", folder)
    assert done.returncode == 0
    assert all(f"[{platform}] " in done.stdout + done.stderr for platform in wanted)
    assert "no stage stands on an image" in fails(werf, project(SCRATCH), "--all-platforms")
    assert theirs("--all-platforms", project(SCRATCH)).returncode == 125


def test_a_log_for_each_platform(werf: Werf, theirs: Theirs, project: Project, tmp_path: Path) -> None:
    folder = project("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n")
    for name in ("ours", "theirs"):
        log = tmp_path / name / "log"
        log.parent.mkdir()
        words = ("--platform=linux/amd64,linux/arm64", "--logfile", log, "--logsplit")
        if name == "ours":
            build(werf, folder, *words)
        else:
            assert theirs(*words, folder).returncode == 0
        assert sorted(path.name for path in log.parent.iterdir()) == ["log", "log_linux_amd64", "log_linux_arm64"]
        for arch in ("amd64", "arm64"):
            text = Path(f"{log}_linux_{arch}").read_text()
            assert f"linux/{arch}" in text
            assert "COPY Dockerfile /" in text
        assert "COPY" not in log.read_text()


# what commands read, and what is around them

READERS = """\
FROM {base}
RUN read x; echo "first=$x"
RUN read x; echo "second=$x"
RUN echo "rest=$(cat)"
"""


@pytest.mark.parametrize(
    "flags", [["--isolation=chroot"], ["--isolation=oci", "--runtime=runc"]], ids=["chroot", "runc"]
)
def test_commands_read_stdin(flags: list[str], werf: Werf, project: Project, busybox: str) -> None:
    folder = project(READERS.format(base=busybox))
    words = ("buildah", "build", "--no-cache", *flags)
    mode = {"WERF_BUILDAH_MODE": ""}  # --isolation says it
    done = werf.run(*words, "--stdin", folder, stdin=b"one\ntwo\nthree\n", env=mode)
    assert shown(done, "first", "second", "rest") == ["first=one", "rest=three", "second=two"]
    done = werf.run(*words, folder, stdin=b"one\ntwo\nthree\n", env=mode)
    assert shown(done, "first", "second", "rest") == ["first=", "rest=", "second="]
    done = werf.run(*words, "--stdin", "--jobs=2", folder, stdin=b"one\n", env=mode)
    assert shown(done, "first") == ["first="]
    assert "with --jobs 2 steps read from /dev/null" in done.stderr


def test_the_first_command_of_buildah_reads_the_same(
    werf: Werf, buildah_judge: Buildah, project: Project, busybox: str
) -> None:
    folder = project(f'FROM {busybox}\nRUN read x; echo "first=$x"\n')
    words = [*buildah_judge.argv, "build", *THEIRS, "--no-cache", "--stdin", folder]
    their = machine.run(*words, stdin=b"one\n")
    ours = werf.run("buildah", "build", "--no-cache", "--stdin", folder, stdin=b"one\n")
    assert shown(ours, "first") == shown(their, "first") == ["first=one"]


def test_a_question_is_answered_on_the_terminal(werf: Werf, project: Project, busybox: str) -> None:
    folder = project(f"FROM {busybox}\nRUN printf 'really? '; read x; echo \"answer=$x\"\n")
    pid, terminal = pty.fork()
    if not pid:
        os.execve(werf.command[0], [*werf.command, "buildah", "build", "--no-cache", "--stdin", str(folder)], werf.env)
    said = b""
    answered = False
    while True:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # its other side is closed
            break
        if not answered and any(
            line.startswith(b"#") and line.rstrip().endswith(b" really?") for line in said.split(b"\n")
        ):
            os.write(terminal, b"yes\n")
            answered = True
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"answer=yes" in said


HOOK = {"version": "1.0.0", "when": {"always": True}, "stages": ["prestart", "createRuntime", "poststart", "poststop"]}


def test_hooks_of_runtimes(werf: Werf, buildah_judge: Buildah, project: Project, busybox: str, tmp_path: Path) -> None:
    """The states that hooks are told are those that they are told by buildah, with the same runtime."""
    folder = project(f"FROM {busybox}\nRUN true\n")
    hooks, told = tmp_path / "hooks", tmp_path / "told"
    script = f"cat >> {told}; echo >> {told}"
    other = HOOK | {"hook": {"path": "/bin/false"}, "when": {"commands": ["python"]}}
    write(
        hooks,
        {
            "a.json": json.dumps(HOOK | {"hook": {"path": "/bin/sh", "args": ["sh", "-c", script]}}),
            "b.json": json.dumps(other),
        },
    )

    def states() -> list[str]:
        found = [json.loads(line)["status"] for line in told.read_text().splitlines() if line]
        told.unlink()
        return found

    words = ("--no-cache", "--isolation=oci", "--runtime=runc", "--hooks-dir", hooks, folder)
    werf.run("buildah", "build", *words, env={"WERF_BUILDAH_MODE": ""})
    ours = states()
    machine.run(*buildah_judge.argv, "build", "--tls-verify=false", "--network=host", *words)
    assert ours == states() == ["creating", "creating", "created", "stopped"]
    for runtime in ("crun", "runsc"):
        werf.run("buildah", "build", *words, f"--runtime={runtime}", env={"WERF_BUILDAH_MODE": ""})
        assert states()[-1] == "stopped"
    write(hooks, {"b.json": json.dumps(other | {"when": {"always": True}})})
    failed = werf.run("buildah", "build", *words, env={"WERF_BUILDAH_MODE": ""}, check=False)
    assert failed.returncode == 125
    assert "Dockerfile:2" in failed.stderr
    assert "chroot isolation runs no hooks" in fails(werf, folder, "--hooks-dir", hooks)


# the store, the Dockerfile


@pytest.mark.parametrize(("flag", "kind"), [("-D", "tar"), ("--disable-compression=false", "tar+gzip")])
def test_compression_in_the_store(
    flag: str, kind: str, werf: Werf, theirs: Theirs, buildah_judge: Buildah, project: Project
) -> None:
    folder = project(SCRATCH)
    build(werf, folder, flag, "-t", "compressed:1")
    assert theirs(flag, "-t", "compressed:1", folder).returncode == 0
    ours = werf.run("buildah", "inspect", "--format", "{{.Manifest}}", "compressed:1").stdout
    their = machine.run(
        *buildah_judge.argv, "inspect", "--type", "image", "--format", "{{.Manifest}}", "compressed:1"
    ).stdout
    kinds = [[layer["mediaType"] for layer in json.loads(text)["layers"]] for text in (ours, their)]
    assert kinds[0] == kinds[1] == [f"application/vnd.oci.image.layer.v1.{kind}"]
    image = build(werf, project("FROM compressed:1\n"))
    assert image.files.keys() == {"Dockerfile"}


def test_the_preprocessor(werf: Werf, theirs: Theirs, buildah_judge: Buildah, tmp_path: Path, busybox: str) -> None:
    folder = write(
        tmp_path / "project",
        {
            "Dockerfile.in": f'FROM {busybox}\n#include "common"\n#ifdef DEBUG\nENV debug=1\n#endif\nENV n=NUMBER\n'
            "RUN echo 'a /* b */ linux' > /x\n",
            "common": "# of all images\nENV common=1\n",
        },
    )
    flags = ("--cpp-flag=-DDEBUG", "--cpp-flag", "-DNUMBER=a b=3", "-f", folder / "Dockerfile.in", "-t", "cpp:1")
    ours = build(werf, folder, *flags)
    assert theirs(*flags, folder).returncode == 0
    inspected = machine.run(*buildah_judge.argv, "inspect", "--type", "image", "cpp:1").stdout
    expected = {"common=1", "debug=1", "n=a", "b=3"}
    assert set(ours.config["Env"]) == set(json.loads(inspected)["OCIv1"]["config"]["Env"]) >= expected
    assert "invalid preprocessing directive #of" in ours.log
    history = [item["created_by"] for item in ours.document["history"]]
    assert history[-1].endswith("echo 'a /* b */ linux' > /x")


# registries


def test_a_registry_that_is_busy_is_asked_again(werf: Werf, project: Project, fake_registry: FakeRegistry) -> None:
    folder = project(f"FROM {fake_registry.host}/busy:1\n")
    for retries, asked in (("0", 1), ("2", 3), ("1", 2)):
        fake_registry.requests.clear()
        fake_registry.failures.clear()
        fake_registry.fail("GET", "busy", 503, times=9)
        assert "503" in fails(werf, folder, f"--retry={retries}", "--retry-delay=10ms")
        assert len([request for request in fake_registry.requests if "busy" in request.path]) == asked
