"""The Dockerfile language in real builds. The Dockerfiles check themselves: a RUN that finds something wrong fails."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import machine, services
from support.builds import build, fails, write
from support.werf import Werf

pytestmark = pytest.mark.integration

Project = Callable[..., Path]
FILES = {
    "f": "hello\n",
    "d/x": "x\n",
    "d/e/y.txt": "y\n",
    "d/e/z.md": "z\n",
}


@pytest.fixture
def project(tmp_path: Path, busybox: str) -> Project:
    """Writes a project with FILES; `BASE` in its Dockerfile is the busybox base."""

    def make(dockerfile: str) -> Path:
        return write(tmp_path / "project", {**FILES, "Dockerfile": dockerfile.replace("BASE", busybox)})

    return make


@pytest.fixture
def werf(shared_werf: Werf) -> Werf:
    return shared_werf


# RUN


def test_bind_mounts(werf: Werf, project: Project) -> None:
    folder = project("""\
FROM BASE AS other
RUN mkdir /o && echo stage > /o/file
FROM BASE
RUN --mount=type=bind,target=/m,source=d test "$(cat /m/x)" = x && ! touch /m/new 2>/dev/null
RUN --mount=target=/m,rw,src=d touch /m/new && test -e /m/new
RUN --mount=target=/m test ! -e /m/d/new && test -e /m/Dockerfile
RUN --mount=source=f,dst=/one.txt test "$(cat /one.txt)" = hello
RUN --mount=from=other,source=/o,target=/m,readonly=false echo more >> /m/file && grep -q more /m/file
RUN --mount=from=other,source=/o/file,target=/m test "$(cat /m)" = stage
RUN --mount=from=BASE,source=/bin,destination=/tools /tools/true
WORKDIR /w
RUN --mount=target=rel,source=d test -e /w/rel/x
RUN test ! -e /m && test ! -e /one.txt && test ! -e /w/rel
""")
    assert set(build(werf, folder, "--no-cache").files) >= {"w", "bin"}
    assert not (folder / "d/new").exists()


def test_cache_mounts(werf: Werf, project: Project) -> None:
    folder = project("""\
FROM scratch AS seed
COPY d /seed
FROM BASE
RUN --mount=type=cache,target=/c,id=one,uid=5,gid=6,mode=0710,sharing=locked \\
    test "$(stat -c '%u %g %a' /c)" = '5 6 710' && echo 1 >> /c/n
RUN --mount=type=cache,target=/other,id=one,uid=5,gid=6,mode=0710 test "$(cat /other/n)" = 1
RUN --mount=type=cache,target=/c,id=one,uid=5,gid=6,mode=0710,ro ! touch /c/no 2>/dev/null
RUN --mount=type=cache,target=/s,from=seed,source=/seed test "$(cat /s/e/y.txt)" = y
RUN --mount=type=cache,target=/p,sharing=private touch /p/a
RUN test ! -e /c && test ! -e /s
""")
    image = build(werf, folder, "--no-cache", "--build-arg", "BUILDKIT_CACHE_MOUNT_NS=test_cache_mounts").image
    assert not {"c", "other", "s", "p"} & set(image.files)


def test_tmpfs_secrets_and_none(werf: Werf, project: Project, tmp_path: Path) -> None:
    folder = project("""\
FROM BASE
RUN --mount=type=tmpfs,target=/t,size=1m ! dd if=/dev/zero of=/t/a bs=1M count=2 2>/dev/null
RUN --mount=type=secret,id=s test "$(stat -c '%u %g %a' /run/secrets/s)" = '0 0 400' && cat /run/secrets/s
RUN --mount=type=secret,id=s,dst=/x/token,mode=0444,uid=3,gid=4 test "$(stat -c '%u %g %a' /x/token)" = '3 4 444'
RUN --mount=type=secret,id=s,env=TOKEN test "$TOKEN" = "$(echo very)-secret" && test ! -e /run/secrets/s
RUN --mount=type=secret,id=s,env=TOKEN,target=/t test "$(cat /t)" = "$TOKEN"
ENV TOKEN=other
RUN --mount=type=secret,id=s,env=TOKEN test "$TOKEN" = "$(echo very)-secret"
RUN --mount=type=secret,id=v test "$(cat /run/secrets/v)" = from-env
RUN --mount=type=secret,id=none test ! -e /run/secrets/none
USER 1000
RUN --mount=type=secret,id=s,uid=1000 test "$(cat /run/secrets/s)" = "$(echo very)-secret"
""")
    (tmp_path / "secret").write_text("very-secret")
    done = build(
        werf,
        folder,
        "--no-cache",
        "--secret",
        f"id=s,src={tmp_path / 'secret'}",
        "--secret",
        "id=v,env=VARIABLE",
        env={"VARIABLE": "from-env"},
    )
    assert not {"t", "run/secrets", "x/token"} & set(done.image.files)
    assert "very-secret" not in json.dumps(done.document)
    (folder / "Dockerfile").write_text("FROM scratch\nRUN --mount=type=secret,id=none,required a\n")
    assert "secret 'none' is required and was not given" in fails(werf, folder)


def test_network_and_security(werf: Werf, project: Project) -> None:
    folder = project("""\
FROM BASE
RUN --network=none test "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo
RUN --network=host test -e /proc/net/dev
RUN --network=default true
RUN --security=sandbox grep -q 'CapEff:.00000000' /proc/self/status
RUN --security=insecure ! grep -q 'CapEff:.00000000' /proc/self/status
""")
    build(werf, folder, "--no-cache", "--allow", "security.insecure")
    assert "Dockerfile:6: RUN --security=insecure is not allowed" in fails(werf, folder)
    offline = project("FROM BASE\nRUN --network=host true\n")
    assert "--network=host is not allowed" in fails(werf, offline, "--network=none")
    build(werf, offline, "--network=none", "--allow", "network.host")


def test_devices(werf: Werf, project: Project) -> None:
    """A device that a CDI file describes: a node, a variable, a mount."""
    machine.require_root()
    cdi = Path("/etc/cdi")
    made = not cdi.exists()
    cdi.mkdir(exist_ok=True)
    description = cdi / "pywerf-test.json"
    description.write_text(
        json.dumps(
            {
                "cdiVersion": "0.6.0",
                "kind": "pywerf.test/thing",
                "containerEdits": {"env": ["THING=1"]},
                "devices": [
                    {
                        "name": "one",
                        "containerEdits": {"deviceNodes": [{"path": "/dev/thing", "hostPath": "/dev/null"}]},
                    }
                ],
            }
        )
    )
    try:
        folder = project("""\
FROM BASE
RUN --device=pywerf.test/thing=one test -c /dev/thing && test "$THING" = 1
RUN --device=pywerf.test/thing=none test ! -e /dev/thing
RUN --device=name=pywerf.test/thing=one,required test -c /dev/thing
RUN test ! -e /dev/thing
""")
        build(werf, folder, "--no-cache", "--allow", "device")
        assert "pywerf.test/thing=one is not allowed" in fails(werf, folder, "--no-cache")
    finally:
        description.unlink()
        if made:
            cdi.rmdir()


# here-documents


def test_heredocs(werf: Werf, project: Project) -> None:
    folder = project("""\
FROM BASE
ARG V=1
RUN <<EOF
set -e
test "$0" = /bin/sh
echo "script $V" > /script
EOF
RUN <<-END cat > /tabs && echo after >> /tabs
	tabs $V
	END
RUN <<"A" cat > /a && <<B cat > /b
$V
A
$V
B
RUN 3<<THREE cat <&3 > /three
three
THREE
RUN <<EOF
#!/bin/sh -e
test "$(basename $0)" = EOF
echo interpreter > /interpreter
EOF
COPY --chmod=0755 --chown=1:2 <<"QUOTED" <<PLAIN f /h/
$V quoted
QUOTED
${V:-none} \\$V ${unset:-default}
PLAIN
ADD <<added.txt /add/
added
added.txt
COPY <<end /renamed.conf

[section]
end
RUN cat <<EOF > /lines
one \\\\
two
# no comment

three
EOF
RUN test "$(cat /script)" = 'script 1' && test "$(cat /tabs)" = "$(printf 'tabs 1\\nafter')"
RUN test "$(cat /a)" = '$V' && test "$(cat /b)" = 1 && test "$(cat /three)" = three
RUN test "$(cat /h/QUOTED)" = '$V quoted' && test "$(cat /h/PLAIN)" = '1 $V default' && test "$(cat /h/f)" = hello
RUN test "$(stat -c '%u %g %a' /h/PLAIN)" = '1 2 755' && test -e /interpreter && test "$(cat /add/added.txt)" = added
RUN test "$(cat /renamed.conf)" = "$(printf '\\n[section]')" && test "$(grep -c . /lines)" = 4
""")
    image = build(werf, folder, "--no-cache").image
    assert image.files["renamed.conf"]["size"] == len("\n[section]\n")


# COPY and ADD


def test_flags_of_copy(werf: Werf, project: Project) -> None:
    folder = project("""\
FROM BASE
COPY --chmod=u=rwX,go= --chown=7:8 d /sym
RUN test "$(stat -c '%u %g %a' /sym/x)" = '7 8 600' && test "$(stat -c '%u %g %a' /sym/e)" = '7 8 700'
COPY --chmod=4755 f /octal
RUN test "$(stat -c %a /octal)" = 4755
COPY --parents d/./e/*.txt d/x /parents/
RUN test "$(cd /parents && find . -type f | sort | xargs)" = './d/x ./e/y.txt'
COPY --parents **/*.md /deep/
RUN test "$(cd /deep && find . -type f)" = ./d/e/z.md
COPY --exclude=**/*.md --exclude=x d /excluded
RUN test "$(cd /excluded && find . -type f)" = ./e/y.txt
RUN mkdir /real && ln -s /real /link
COPY f /link/
RUN test -e /real/f && test -L /link
COPY --link f /linked/
RUN test "$(cat /linked/f)" = hello
COPY --chown=operator:$G f /named
""")
    refused = fails(werf, folder, "--no-cache")
    assert "Dockerfile:17: " in refused
    assert "operator" in refused
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text().rpartition("COPY")[0])
    build(werf, folder)


class Web:
    """A web server of a folder that knows ETags. `seen` are (status, path) of what was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[tuple[int, str]] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = web.folder / self.path.lstrip("/")
                data = path.read_bytes() if path.is_file() else b""
                tag = f'"{len(data)}-{hash(data)}"'
                status = 404 if not path.is_file() else 304 if self.headers["If-None-Match"] == tag else 200
                web.seen.append((status, self.path))
                self.send_response(status)
                self.send_header("ETag", tag)
                self.send_header("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")
                self.send_header("Content-Length", str(len(data) if status == 200 else 0))
                self.end_headers()
                if status == 200:
                    self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: `seen` has it."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    folder = tmp_path / "web"
    folder.mkdir()
    web = Web(folder)
    thread = threading.Thread(target=web.server.serve_forever, args=(0.05,))
    thread.start()
    yield web
    web.server.shutdown()
    web.server.server_close()
    thread.join()


def test_downloads(werf: Werf, project: Project, web: Web) -> None:
    (web.folder / "f.txt").write_text("content\n")
    folder = project(f"""\
FROM BASE
ADD {web.url}/f.txt /a/
ADD --chmod=0755 --chown=3:4 {web.url}/f.txt /b
ADD {web.url}/d.tgz /packed/
ADD --unpack=true {web.url}/d.tgz /unpacked/
ADD --unpack=false d.tgz /kept/
RUN test "$(stat -c '%u %g %a %Y' /a/f.txt)" = '0 0 600 1000000000' && test "$(stat -c '%u %g %a' /b)" = '3 4 755'
RUN test -f /packed/d.tgz && test -e /unpacked/d/e/y.txt && test -f /kept/d.tgz
""")
    with tarfile.open(web.folder / "d.tgz", "w:gz") as archive:
        archive.add(folder / "d", "d")
    shutil.copy(web.folder / "d.tgz", folder)
    first = build(werf, folder)
    assert {status for status, _ in web.seen} <= {200, 304}
    web.seen.clear()
    again = build(werf, folder)
    assert (again.id, set(again.cached)) == (first.id, {True})
    assert {status for status, _ in web.seen} == {304}
    (folder / "Dockerfile").write_text(f"FROM scratch\nADD {web.url}/none /\n")
    assert "404" in fails(werf, folder)


def test_git_repositories(werf: Werf, project: Project, tmp_path: Path) -> None:
    """ADD of a branch, a tag, a folder, a commit, with its .git folder, from a git daemon."""
    repository = write(tmp_path / "served/repo", {"r": "1\n", "sub/s": "s\n", ".dockerignore": "sub\n"})

    def git(*words: str) -> str:
        flags = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
        return machine.run(machine.require("git"), *flags, *words, cwd=repository).stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "one")
    git("tag", "v1")
    (repository / "r").write_text("2\n")
    git("commit", "-qam", "two")
    commit = git("rev-parse", "HEAD")
    port = machine.free_port()
    words = ["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}"]
    words += [f"--base-path={tmp_path / 'served'}", str(tmp_path / "served")]
    log = tmp_path / "daemon.log"
    with log.open("wb") as out:
        daemon = subprocess.Popen([machine.require("git"), *words], stdout=out, stderr=out, start_new_session=True)
    url = f"git://127.0.0.1:{port}/repo"
    try:
        services.wait_for(
            "git daemon", lambda: not machine.run("git", "ls-remote", url, check=False).returncode, daemon, log
        )
        folder = project(f"""\
FROM BASE
ADD {url} /main
ADD {url}#v1 /tag
ADD {url}#v1:sub /folder
ADD {url}?branch=main&subdir=sub /query
ADD --checksum={commit} --keep-git-dir=true {url}#main /kept
ADD --chown=5:6 --exclude=r {url}#v1 /flags
RUN test "$(cat /main/r)" = 2 && test "$(cat /tag/r)" = 1 && test ! -e /main/.git && test -d /kept/.git
RUN test -e /folder/s && test ! -e /folder/sub && test -e /query/s
RUN test ! -e /flags/r && test "$(stat -c '%u %g' /flags/sub/s)" = '5 6'
""")
        build(werf, folder, "--no-cache")
        other = git("rev-parse", "v1")
        (folder / "Dockerfile").write_text(f"FROM scratch\nADD --checksum={other} {url}#main /\n")
        assert commit in fails(werf, folder)
    finally:
        services.stop(daemon)


# the others


def test_triggers_of_all_kinds(werf: Werf, project: Project, web: Web) -> None:
    (web.folder / "f.txt").write_text("content\n")
    folder = project(f"""\
FROM BASE AS files
RUN echo stage > /s
FROM BASE AS trigger
ONBUILD ENV A=1
ONBUILD COPY --from=BASE /bin/busybox /ob/busybox
ONBUILD COPY --from=files /s /ob/s
ONBUILD RUN <<EOF
echo run $A > /ob/run
EOF
ONBUILD COPY <<EOF /ob/inline
inline $A
EOF
ONBUILD ADD {web.url}/f.txt /ob/
ONBUILD HEALTHCHECK --interval=7s CMD true
ONBUILD ENTRYPOINT ["e"]
ONBUILD CMD ["c"]
ONBUILD USER 12:13
ONBUILD WORKDIR /wd
ONBUILD VOLUME /v
ONBUILD EXPOSE 80
ONBUILD LABEL l=1
ONBUILD STOPSIGNAL 9
ONBUILD SHELL ["/bin/sh", "-ec"]
ONBUILD ARG Z=9
ONBUILD RUN --mount=from=BASE,target=/m test -e /m/bin && test $Z = 9 && test "$(pwd)" = /wd
FROM trigger
RUN test "$(cat /ob/run)" = 'run 1' && test "$(cat /ob/inline)" = 'inline 1' && test "$(cat /ob/s)" = stage
RUN test "$(id -u):$(id -g)" = 12:13 && test -e /ob/f.txt && test "$(stat -c '%u %g' /wd)" = '12 13'
""")
    config = build(werf, folder, "--no-cache", "--format", "docker").config
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 7_000_000_000}
    assert (config["Entrypoint"], config["Cmd"], config["User"]) == (["e"], ["c"], "12:13")
    assert (config["WorkingDir"], config["Volumes"], config["ExposedPorts"]) == ("/wd", {"/v": {}}, {"80/tcp": {}})
    assert (config["Labels"], config["StopSignal"], config["Shell"]) == ({"l": "1"}, "9", ["/bin/sh", "-ec"])
    assert not config.get("OnBuild")


def test_a_health_check_with_all_options(werf: Werf, project: Project) -> None:
    flags = "--interval=1m --timeout=3s --start-period=1h --start-interval=2s --retries=4"
    folder = project(f"FROM scratch\nHEALTHCHECK {flags} CMD a b\n")
    assert build(werf, folder).config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "a b"],
        "Interval": 60_000_000_000,
        "Timeout": 3_000_000_000,
        "StartPeriod": 3_600_000_000_000,
        "StartInterval": 2_000_000_000,
        "Retries": 4,
    }


def test_what_a_failing_command_shows(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nRUN echo first; \\\n  for i in 1 2 3; do echo line $i; done; \\\n  exit 7\n")
    said = fails(werf, folder, code=7)
    assert said.index("first") < said.index("line 3") < said.index("Dockerfile:2: ")
    assert "exit code 7" in said
    assert "   2 | RUN echo first; \\\n   3 |   for i in 1 2 3; do echo line $i; done; \\\n   4 |   exit 7\n" in said


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("RUNN a", "RUN"),
        ("COPY --chwon=1 f /", "chown"),
        ("COPY ff /", "/f"),
        ("COPY d/e/y.text /", "/d/e/y.txt"),
        ("RUN --mount=type=bnd,target=/x a", "bind"),
        ("RUN --mount=type=bind,targt=/x a", "target"),
        ("RUN --network=hots a", "host"),
        ("RUN --security=insecur a", "insecure"),
        ("COPY --from=bild a b", "build"),
        ("HEALTHCHECK --interva=1s CMD a", "interval"),
    ],
)
def test_typos(werf: Werf, project: Project, line: str, near: str) -> None:
    said = fails(werf, project(f"FROM scratch AS build\nFROM scratch\n{line}\n"))
    assert "Dockerfile:3: " in said
    assert f"   3 | {line}" in said
    assert "did you mean" in said
    assert near in said.partition("did you mean")[2].splitlines()[0]


def test_checks_outline_and_targets(werf: Werf, project: Project) -> None:
    folder = project("""\
# base is what all have
FROM scratch AS base
# V tells the version
ARG V=1
COPY f /
FROM base
RUN --mount=type=secret,id=s,required --mount=type=ssh a
CMD a
""")
    done = werf.run("buildah", "build", "--check", folder, check=False)
    assert done.returncode == 1
    assert "Check complete, 1 warning has been found!" in done.stdout
    assert (
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
        in done.stdout
    )
    assert "   8 | >>> CMD a" in done.stdout
    done = werf.run("buildah", "build", "--call=outline,format=json", folder)
    outline = json.loads(done.stdout)
    assert [(arg["name"], arg["value"], arg["description"]) for arg in outline["args"]] == [
        ("V", "1", "tells the version")
    ]
    assert [(item["name"], item["required"]) for item in outline["secrets"]] == [("s", True)]
    assert [item["name"] for item in outline["ssh"]] == ["default"]
    done = werf.run("buildah", "build", "--call", "targets", folder)
    assert [line.split(None, 1) for line in done.stdout.splitlines()] == [
        ["TARGET", "DESCRIPTION"],
        ["base", "is what all have"],
        ["(default)"],
    ]
    build(werf, folder, "--target", "base")
    (folder / "Dockerfile").write_text("# check=error=true\nFROM scratch\nCMD a\n")
    assert "lint violation found for rules: JSONArgsRecommended" in fails(werf, folder)
    (folder / "Dockerfile").write_text("# check=skip=JSONArgsRecommended;error=true\nFROM scratch\nCMD a\n")
    assert "Warning" not in build(werf, folder).log
