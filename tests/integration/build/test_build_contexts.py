"""Where a build reads from: folders, archives, web servers, git repositories, images, other contexts."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import machine
from support.builds import build, fails, write
from support.git_web import serve_git
from support.werf import Werf

pytestmark = pytest.mark.integration

FILES = {
    "Dockerfile": "FROM scratch\nCOPY . /all/\n",
    "a": "a",
    "sub/b": "b",
    ".dockerignore": "ignored\n",
    "ignored": "x",
}
COPIED = {"all", "all/.dockerignore", "all/Dockerfile", "all/a", "all/sub", "all/sub/b"}


@pytest.fixture
def werf(shared_werf: Werf) -> Werf:
    return shared_werf


def tar_of(folder: Path, compression: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False)
    return out.getvalue()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server of a folder: its URL, the folder, and the requests that were made."""
    folder = tmp_path / "web"
    folder.mkdir()
    seen: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            seen.append(f"{self.command} {self.path}")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder, seen
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, Callable[..., str]]:
    """A git repository with a tag `one`, and what runs git in it."""
    folder = tmp_path / "repository"

    def git(*arguments: str) -> str:
        command = [machine.require("git"), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    write(
        folder, {"Dockerfile": "FROM scratch\nCOPY . /\n", "sub/Dockerfile": "FROM scratch\nCOPY f /\n", "sub/f": "1"}
    )
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "one")
    git("tag", "one")
    (folder / "sub/f").write_text("second")
    git("commit", "-qam", "two")
    return folder, git


def test_a_folder(werf: Werf, tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", FILES)
    assert set(build(werf, folder).files) == COPIED
    assert set(build(werf, ".", cwd=folder).files) == COPIED


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_an_archive_on_stdin(werf: Werf, tmp_path: Path, compression: str) -> None:
    data = tar_of(write(tmp_path / "folder", FILES), compression)
    assert set(build(werf, "-", stdin=data).files) == COPIED
    assert set(
        build(
            werf, "-", "-f", "sub/b", stdin=tar_of(write(tmp_path / "other", {"sub/b": "FROM scratch\nCOPY sub /"}))
        ).files
    ) == {"b"}


def test_a_dockerfile_alone_on_stdin(werf: Werf) -> None:
    assert build(werf, "-", stdin=b"FROM scratch\nLABEL a=b\n").config["Labels"] == {"a": "b"}
    assert "not found" in fails(werf, "-", stdin=b"FROM scratch\nCOPY x /\n")


def test_an_archive_keeps_owners_and_links(werf: Werf) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, linkname, data in (
            ("Dockerfile", tarfile.REGTYPE, "", b"FROM scratch\nCOPY tree /\n"),
            ("tree/file", tarfile.REGTYPE, "", b"data"),
            ("tree/hard", tarfile.LNKTYPE, "tree/file", b""),
            ("tree/soft", tarfile.SYMTYPE, "../../../etc/passwd", b""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.uid, info.mode = kind, linkname, len(data), 1234, 0o640
            tar.addfile(info, io.BytesIO(data))
    image = build(werf, "-", stdin=out.getvalue())
    assert set(image.files) == {"file", "hard", "soft"}
    assert image.files["file"]["uid"] == 0, "COPY gives everything to root"
    assert image.files["file"]["mode"] == "0640"


def test_a_hostile_archive_stays_inside(werf: Werf, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, linkname, data in (
            ("Dockerfile", tarfile.REGTYPE, "", b"FROM scratch\nCOPY . /\n"),
            ("link", tarfile.SYMTYPE, str(tmp_path), b""),
            ("link/outside", tarfile.REGTYPE, "", b"evil"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, linkname, len(data)
            tar.addfile(info, io.BytesIO(data))
    werf.run("buildah", "build", "-", stdin=out.getvalue(), check=False)
    assert not outside.exists()


def test_an_archive_from_a_web_server(werf: Werf, tmp_path: Path, web: tuple[str, Path, list[str]]) -> None:
    url, folder, _ = web
    (folder / "context.tar.gz").write_bytes(tar_of(write(tmp_path / "folder", FILES), "gz"))
    assert set(build(werf, f"{url}/context.tar.gz").files) == COPIED
    assert "404" in fails(werf, f"{url}/gone.tar.gz")


def test_a_dockerfile_from_a_web_server(werf: Werf, tmp_path: Path, web: tuple[str, Path, list[str]]) -> None:
    url, folder, _ = web
    (folder / "Dockerfile.web").write_text("FROM scratch\nLABEL from=web\n")
    assert build(werf, tmp_path, "-f", f"{url}/Dockerfile.web").config["Labels"] == {"from": "web"}


def test_add_from_a_web_server(werf: Werf, tmp_path: Path, web: tuple[str, Path, list[str]]) -> None:
    url, folder, seen = web
    (folder / "file.txt").write_text("downloaded")
    context = write(tmp_path / "folder", {"Dockerfile": f"FROM scratch\nADD {url}/file.txt /d/\n"})
    image = build(werf, context)
    assert image.files["d/file.txt"]["size"] == len("downloaded")
    assert image.files["d/file.txt"]["mode"] == "0600"
    again = build(werf, context)
    assert (again.id, again.cached) == (image.id, [True])
    (folder / "file.txt").write_text("downloaded anew")
    assert build(werf, context).files["d/file.txt"]["size"] == len("downloaded anew")
    assert seen


def test_the_checksum_of_a_download(werf: Werf, tmp_path: Path, web: tuple[str, Path, list[str]]) -> None:
    """It is looked at every time: also where the server says that nothing has changed."""
    url, folder, _ = web
    (folder / "file.txt").write_text("downloaded")

    def project(algorithm: str, text: bytes) -> Path:
        checksum = f"{algorithm}:{hashlib.new(algorithm, text).hexdigest()}"
        dockerfile = f"FROM scratch\nADD --checksum={checksum} {url}/file.txt /d/\n"
        return write(tmp_path / "folder", {"Dockerfile": dockerfile})

    for _ in range(2):
        for algorithm in ("sha256", "sha512"):
            assert "expected " in fails(werf, project(algorithm, b"other"))
            assert "d/file.txt" in build(werf, project(algorithm, b"downloaded")).files


@pytest.mark.parametrize(
    ("fragment", "files"),
    [("", {"Dockerfile", "sub", "sub/Dockerfile", "sub/f"}), ("#main:sub", {"f"}), ("#one:sub", {"f"})],
)
def test_a_git_repository(
    werf: Werf, repository: tuple[Path, Callable[..., str]], fragment: str, files: set[str]
) -> None:
    folder, _ = repository
    image = build(werf, f"file://{folder}/.git{fragment}" if fragment else f"file://{folder}/.git")
    assert set(image.files) == files
    if "f" in files:
        assert image.files["f"]["size"] == (1 if fragment == "#one:sub" else len("second"))


def test_a_commit_of_a_git_repository(werf: Werf, repository: tuple[Path, Callable[..., str]]) -> None:
    folder, git = repository
    commit = git("rev-parse", "one")
    assert build(werf, f"file://{folder}/.git#{commit}:sub").files["f"]["size"] == 1
    assert "nowhere" in fails(werf, f"file://{folder}/.git#nowhere")


def test_what_git_servers_are_given(werf: Werf, tmp_path: Path, repository: tuple[Path, Callable[..., str]]) -> None:
    """A token or a header, from secrets, to the context as to ADD; they are told to nobody."""
    folder, _ = repository
    with serve_git(folder) as server:
        context = f"{server.url}/.git#main:sub"
        added = write(tmp_path / "added", {"Dockerfile": f"FROM scratch\nADD {server.url}/.git#main:sub /from/\n"})
        server.password = "t0ken-s3cret"
        assert "GIT_AUTH_TOKEN" in fails(werf, context)
        (tmp_path / "token").write_text(f"{server.password}\n")
        token = ("--secret", f"id=GIT_AUTH_TOKEN.127.0.0.1,src={tmp_path}/token")
        assert set(build(werf, context, *token).files) == {"f"}
        server.password, server.header = "", "Bearer h3ader-s3cret"
        assert "GIT_AUTH_HEADER" in fails(werf, added, *token)
        (tmp_path / "header").write_text(f"{server.header}\n")
        header = ("--secret", f"id=GIT_AUTH_HEADER,src={tmp_path}/header")
        assert "from/f" in build(werf, added, *header).files
        done = werf.run("buildah", "build", "--no-cache", *header, context)
        assert "s3cret" not in str((done.stdout, done.stderr))
        fails(werf, f"{server.url}/.git#other", *header)
        server.header = "Bearer another"
        assert "s3cret" not in fails(werf, f"{server.url}/.git", *header)


def test_build_contexts(werf: Werf, tmp_path: Path, busybox: str, busybox_layout: Path) -> None:
    """A folder, an image of a registry, one of a layout; they go before stages' and images' names."""
    write(tmp_path / "lib", {"l": "1", "skipped": "x", ".dockerignore": "skipped\n"})
    context = write(
        tmp_path / "folder",
        {
            "Dockerfile": "FROM base\nCOPY --from=lib . /lib/\nCOPY --from=image /bin/busybox /from-image\n"
            "COPY --from=layout /bin/busybox /from-layout\nRUN test -s /from-image && cmp /from-image /from-layout\n"
        },
    )
    flags = [
        *("--build-context", f"base=docker-image://{busybox}", "--build-context", f"lib={tmp_path / 'lib'}"),
        *(
            "--build-context",
            f"image=docker-image://{busybox}",
            "--build-context",
            f"LAYOUT=oci-layout://{busybox_layout}",
        ),
    ]
    image = build(werf, context, *flags)
    assert {path for path in image.files if path.startswith("lib/")} == {"lib/.dockerignore", "lib/l"}
    assert build(werf, context, *flags).cached == [True] * 4


def test_mounts_from_contexts(werf: Werf, tmp_path: Path, busybox: str) -> None:
    write(tmp_path / "lib", {"l": "from the context"})
    context = write(
        tmp_path / "folder",
        {"Dockerfile": f"FROM {busybox}\nRUN --mount=from=lib,target=/lib cp /lib/l /copied && ! touch /lib/x\n"},
    )
    image = build(werf, context, "--build-context", f"lib={tmp_path / 'lib'}")
    assert image.files["copied"]["size"] == len("from the context")
    assert "lib" not in image.files
    (tmp_path / "lib/l").write_text("other")
    assert build(werf, context, "--build-context", f"lib={tmp_path / 'lib'}").cached == [False]


@pytest.mark.parametrize(
    ("flag", "message"),
    [("x=/nowhere/at/all", "nowhere"), ("x=", "value"), ("x", "x"), ("x=oci-layout:///nowhere", "nowhere")],
)
def test_build_contexts_that_are_wrong(werf: Werf, tmp_path: Path, flag: str, message: str) -> None:
    context = write(tmp_path / "folder", {"Dockerfile": "FROM scratch\nCOPY --from=x / /\n"})
    done = werf.run("buildah", "build", "--build-context", flag, context, check=False)
    assert done.returncode in (2, 125)
    assert message in done.stderr
    assert "internal error" not in done.stderr


def test_a_context_that_is_not_there(werf: Werf, tmp_path: Path) -> None:
    said = fails(werf, tmp_path / "nowhere")
    assert "nowhere" in said
    assert "internal error" not in said
