"""Runs the cases that the corpora's own runner leaves out (`skip`), with the flags and helpers that they want.

    conformance_skipped.py FOLDER WORK WERF REGISTRY [GLOB …]     called by scripts/conformance --skipped

The flags of buildah and docker are pywerf's own; BuildKit's attributes become flags. Secrets, an ssh key, files and a
web server with a git repository are made here. There are no images of other builders for these cases: what counts is
whether a case builds or fails as it should. Status 0: all do.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import http.server
import importlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# BuildKit's attributes; None: they ask for what is beside the image (provenance, sessions), and change nothing in it
ATTRIBUTES = {
    "platform": "--platform",
    "ulimit": "--ulimit",
    "shm-size": "--shm-size",
    "cgroup-parent": "--cgroup-parent",
    "hostname": None,  # BUILDKIT_SANDBOX_HOSTNAME, which the case gives as well, wins
    "attest:provenance": None,
    "cmdline": None,
    "contextsubdir": None,
    "dockerfilekey": None,
    "input-metadata:linked": None,
    "needs-http": None,
    "needs-registry": None,
    "session": None,
    "source": None,
    "vcs:revision": None,
    "vcs:source": None,
    "without_docker": None,
}
# what runs for the case's sake alone
PER_CASE = {
    "buildkit-frontend/testSecretAsEnviron": ["--secret", "id=mysecret,src={inputs}/pw"],
    "buildkit-frontend/testSecretAsEnvironWithFileMount": ["--secret", "id=mysecret,src={inputs}/pw"],
    "buildkit-frontend/testSSHSocketParams": ["--ssh", "default={inputs}/key"],
    "buildkit-frontend/testSecretSSHProvenance": [
        "--secret",
        "id=mysecret,src={inputs}/pw",
        "--ssh",
        "default={inputs}/key",
    ],
    "buildkit-frontend/testSourceDateEpochNamedContextHTTPArchive": [
        "--build-context",
        "mysource={web}/archive.tar.gz",
    ],
    "buildkit-frontend/testSourceDateEpochNamedContextHTTPLastModified": [
        "--build-context",
        "mysource={web}/README.md",
    ],
    "moby-cli-build/TestBuildBuildTimeArgEnv": ["--build-arg", "FOO3", "--build-arg", "FO10"],
    "moby-cli-build/TestBuildWithExtraHost": ["--add-host", "foo:127.0.0.1", "--add-host", "bar:127.0.0.1"],
    "moby-cli-build/TestBuildIidFileCleanupOnFail": ["--iidfile", "{inputs}/iid"],
    "buildah-conformance/mount": ["--volume", "{inputs}:/tmp/test"],
    "buildah-conformance/transient-mount": [
        *("--volume", "{inputs}/bud/platform:/mountdir"),
        *("--volume", "{inputs}/pw:/mountfile"),
    ],
}
# cases that cannot mean anything here, each with its reason
LEFT_OUT = {
    "moby-cli-build/TestBuildNetContainer": "wants the network of a running container of dockerd",
    "moby-cli-build/TestBuildCacheFrom.4": "wants an image that an earlier case has pushed",
    **dict.fromkeys(
        [
            "buildah-bats/build-with-additional-build-context-and-COPY-additional-context-from-external-U.1",
            "buildah-bats/build-with-additional-build-context-and-RUN---mount-from-additional-context-is.1",
        ],
        "wants a file from github.com",
    ),
    **dict.fromkeys(
        [
            "buildah-bats/build---unsetenv-PATH.2",
            "buildah-bats/build---unsetenv-PATH.3",
            "buildah-bats/bud-with-ADD-with-git-repository-source.1",
            "buildah-bats/bud-windows-with-source-date-epoch-reproducible.1",
            "buildah-bats/bud-windows-with-timestamp-reproducible.1",
        ],
        "its base image is not among the bases",
    ),
    **dict.fromkeys(
        [
            "buildah-bats/build-with-inline-platform-amd-but-tag-as-arm.1",
            "buildah-bats/bud-unset-inherit-false-for-labels-and-annotations-inform-cache-checks.8",
            *(
                f"buildah-bats/bud-with-no-instructions-but-with-CLI-flags-that-require-a-new-image-be-written.{number}"
                for number in (1, 2, 6, 8, 9)
            ),
        ],
        "its Dockerfile has lost a word that was filled in",
    ),
    "buildkit-frontend/testDockerfileProvenanceInputProducer": "the build's input is another build of the same client",
    "buildkit-frontend/testNamedOCILayoutContext.2": "the layout is made by the test's own client",
    "buildkit-frontend/testNamedOCILayoutContextExport.2": "the layout is made by the test's own client",
    "buildkit-frontend/testSBOMScannerImage.2": "wants a scanner's image, which the test builds",
}
# cases whose Dockerfile1 makes the image `source`
SOURCES = (
    "buildah-bats/build-with-additional-build-context-and-*-stagename-and-additional-context-c.2",
    "buildah-bats/build-with-additional-build-context-and-RUN---mount-from-additional-context-an.2",
)
SCRATCH = re.compile(r"/tmp/judge-[\w-]+/(?:buildah_tests\.scratch/)?")


def make_inputs(folder: Path) -> None:
    """Files that cases name, and what the web server serves."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("pw", "pw"), ("secret.txt", "hello\n"), ("containerignore", "*.none\n")):
        (folder / name).write_text(text)
    for name in ("cachedir", "bud/platform", "my-dir"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("Dockerfile", "hello", "somefile", "subdir/file"):
        path = folder / "bud/platform" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("FROM scratch\n" if name == "Dockerfile" else "hello\n")
    if not (folder / "key").exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    web = folder / "web"
    repository = web / "git/podman.git"
    if not repository.exists():
        repository.mkdir(parents=True)
        run = functools.partial(subprocess.run, check=True, cwd=repository, stdout=subprocess.DEVNULL)
        run(["git", "init", "-q", "-b", "v5.0"])
        (repository / "file.txt").write_text("file\n")
        (repository / ".containerignore").write_text("file.txt\n")
        run(["git", "add", "-A"])
        run(["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "-m", "one"])
        run(["git", "tag", "v5.0.0"])
    (web / "README.md").write_text("read me\n")
    (web / "randomfile").write_text("random\n")
    subprocess.run(["tar", "-C", web, "-czf", web / "archive.tar.gz", "README.md"], check=True)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files, and git repositories by git's own server program."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the log of a case is its build's."""

    def do_POST(self) -> None:
        self._git()

    def do_GET(self) -> None:
        if "/git/" in self.path:
            self._git()
        else:
            super().do_GET()

    def _git(self) -> None:
        path, _, query = self.path.partition("?")
        env = dict(
            os.environ,
            GIT_PROJECT_ROOT=str(self.directory),
            GIT_HTTP_EXPORT_ALL="1",
            PATH_INFO=path,
            QUERY_STRING=query,
            REQUEST_METHOD=self.command,
            CONTENT_TYPE=self.headers.get("Content-Type", ""),
            HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
        )
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = subprocess.run(["git", "http-backend"], input=sent, env=env, capture_output=True, check=False).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in {**fields, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def words_of(case: dict[str, Any], inputs: str, web: str, registry: str) -> list[str]:
    """pywerf's flags for a case."""
    if case["id"] in PER_CASE:
        return [word.format(inputs=inputs, web=web) for word in PER_CASE[case["id"]]]
    words: list[str] = []
    for name, values in case["flags"].items():
        for value in values if isinstance(values, list) else []:
            value = SCRATCH.sub(f"{inputs}/", value).replace("localhost:9", registry)
            if name.startswith("--"):
                words += [f"{name}={value}" if value else name]
            elif name.startswith("context:"):
                words += ["--build-context", f"{name.removeprefix('context:')}={value}"]
            elif ATTRIBUTES[name] is not None:
                words += [f"{ATTRIBUTES[name]}={value}"]
    return words


def main(argv: Sequence[str]) -> int:
    folder, work, werf, registry, *globs = argv
    sys.path.insert(0, folder)
    conformance = importlib.import_module("conformance")
    inputs = Path(work) / "inputs"
    make_inputs(inputs)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(inputs / "web"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    os.environ["FOO3"] = "fromenv"

    every = conformance.load_cases(os.path.join(work, "cases"))
    cases = [
        case for case in every if case["skip"] and (not globs or any(fnmatch.fnmatch(case["id"], g) for g in globs))
    ]
    prepare = conformance.prepare_text
    conformance.prepare_text = lambda text, mode, registry: re.sub(
        r"https?://(?:0\.0\.0\.0|localhost):(?:9|\$\{HTTP_SERVER_PORT\})/",
        f"http://{address}/",
        prepare(text, mode, registry),
    )
    arglist = conformance.arglist
    conformance.arglist = lambda case, a, mode: (
        arglist(case, a, mode) + (words_of(case, str(inputs), f"http://{address}", registry) if case["skip"] else [])
    )
    options = argparse.Namespace(
        build=f"{werf} buildah build --format docker --no-cache {{args}} -f {{dockerfile}} -t {{tag}} {{context}}",
        export="false", clean=f"{werf} buildah rmi {{tag}}", preset=None, prefix="", opts="", net="host", env=None,
        mode="mirror", registry="", tool="pywerf", timeout=90, nice=0,
        arg_build_arg="--build-arg {k}={v}", arg_target="--target {v}", arg_label="--label {k}={v}",
    )  # fmt: skip
    tool = conformance.Tool(options)
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(cases):
        name, wanted = case["id"], case["expect"]  # None: its checks were of interest; it may fail
        if name in LEFT_OUT:
            rows.append({"id": name, "wanted": wanted, "outcome": "left out", "why": LEFT_OUT[name]})
            continue
        tag = f"skipped-{os.getpid()}-{number}:latest"
        if any(fnmatch.fnmatch(name, pattern) for pattern in SOURCES):
            source = Path(case["dir"]) / case["context"]
            words = [*werf.split(), "buildah", "build", "-q", "-t", "source", "-f", source / "Dockerfile1", source]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        byid = {item["id"]: item for item in every}
        result = conformance.one(tool, case, options, tag, os.path.join(work, "work"), export=False, byid=byid)
        outcome = result["outcome"]
        log = [line for line in (result.get("log") or result.get("why") or "").splitlines() if line.strip()]
        why = next((line for line in log if line.startswith("Error: ")), log[-1] if log else "")
        right = outcome == wanted or (wanted is None and outcome in ("ok", "fail"))
        rows.append({"id": name, "wanted": wanted, "outcome": outcome, "right": right, "why": "" if right else why})
        print(f"{outcome:8} (wanted {wanted}) {name}  {rows[-1]['why'][:160]}", flush=True)
    server.shutdown()
    (Path(work) / "skipped.json").write_text(json.dumps(rows, indent=1))
    ran = [row for row in rows if row["outcome"] != "left out"]
    count = sum(row["right"] for row in ran)
    print(f"{count} of {len(ran)} cases end as they should; {len(rows) - len(ran)} are left out")
    for row in rows:
        if row["outcome"] == "left out":
            print(f"left out: {row['id']}: {row['why']}")
    return count != len(ran)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
