"""`werf build --repo`: published once, found by everybody else, whoever builds."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import machine, services
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration

WERF_YAML = """\
project: shop
configVersion: 1
---
image: base
dockerfile: base.Dockerfile
final: false
args: {BUSYBOX: %s}
---
image: web
dockerfile: Dockerfile
context: app
dependencies:
- image: base
  imports:
  - {type: ImageName, targetBuildArg: BASE}
  - {type: ImageDigest, targetBuildArg: BASE_DIGEST}
imageSpec: {config: {env: {COLOUR: red}}}
"""
FILES = {
    "base.Dockerfile": "ARG BUSYBOX\nFROM ${BUSYBOX}\nRUN echo base > /base\n",
    "app/Dockerfile": "ARG BASE\nFROM ${BASE}\nARG BASE_DIGEST\nCOPY src /src\nRUN echo $BASE_DIGEST > /digest\n",
    "app/src/main": "one\n",
}
STAGE = r"[0-9a-f]{56}-[0-9]{13}"


@pytest.fixture
def git(tmp_path: Path, busybox: str) -> GitRepository:
    repository = GitRepository(tmp_path / "shop")
    repository.commit({"werf.yaml": WERF_YAML % busybox, **FILES})
    return repository


@pytest.fixture
def repo(registry: str, request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{registry}/{name}"


def tags(repo: str) -> list[str]:
    host, _, name = repo.partition("/")
    with urllib.request.urlopen(f"http://{host}/v2/{name}/tags/list") as answer:
        found: list[str] = json.load(answer)["tags"]
    return sorted(found)


def manifest(repo: str, tag: str) -> dict[str, Any]:
    host, _, name = repo.partition("/")
    accept = ",".join(
        f"application/vnd.{kind}+json"
        for kind in (
            "oci.image.index.v1", "oci.image.manifest.v1",
            "docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2",
        )
    )  # fmt: skip
    asked = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{tag}", headers={"Accept": accept})
    with urllib.request.urlopen(asked) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def stages(repo: str) -> list[str]:
    return [tag for tag in tags(repo) if re.fullmatch(STAGE, tag)]


def printed(output: str) -> dict[str, str]:
    return {line.split()[0]: line.split()[1] for line in output.splitlines() if re.search(r"^\S+ \S+ sha256:", line)}


@pytest.fixture(params=["embedded", "docker"])
def builder(request: pytest.FixtureRequest, werf: Werf) -> Werf:
    """`werf` that builds with the embedded engine, or with Docker."""
    if request.param == "docker":
        docker: services.Docker = request.getfixturevalue("docker")
        del werf.env["WERF_BUILDAH_MODE"]
        werf.env.update(DOCKER_HOST=docker.host, WERF_BACKEND_NETWORK="host")
    return werf


def test_a_project_is_published_and_found(
    builder: Werf, make_werf: Callable[[str], Werf], git: GitRepository, repo: str
) -> None:
    first = builder.run("build", "--repo", repo, cwd=git.path)
    images = printed(first.stdout)
    assert list(images) == ["base", "web"]
    assert all(re.fullmatch(f"{repo}:{STAGE}", image) for image in images.values())
    assert len(stages(repo)) == 3, "base, web and its imageSpec"
    commit = machine.run("git", "rev-parse", "HEAD", cwd=git.path).stdout.strip()
    records = [tag for tag in tags(repo) if tag not in stages(repo)]
    assert [tag for tag in records if tag.startswith("managed-image-")] == ["managed-image-base", "managed-image-web"]
    assert len([tag for tag in records if tag.startswith("meta-") and commit in tag]) == 2

    again = builder.run("build", "--repo", repo, cwd=git.path)
    assert again.stdout == first.stdout
    assert "Building stage" not in again.stderr
    assert "no Docker daemon" not in again.stderr, "nobody asks for a daemon when there is nothing to build"

    # another machine builds nothing either, and can run what was built
    other = make_werf("other")
    elsewhere = other.run("build", "--repo", repo, "--check-built-images", cwd=git.path)
    assert elsewhere.stdout == first.stdout
    ran = other.run("run", images["web"], "--", "sh", "-c", "cat /base /src/main /digest; echo $COLOUR")
    assert ran.stdout.split()[:2] == ["base", "one"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", ran.stdout.split()[2])
    assert ran.stdout.split()[3] == "red"

    git.commit({"app/src/main": "two\n"})
    failed = other.run("build", "--repo", repo, "-Z", cwd=git.path, check=False)
    assert failed.returncode == 1
    assert "image web, stage dockerfile: the stage is not built yet" in failed.stderr
    changed = builder.run("build", "--repo", repo, cwd=git.path)
    assert printed(changed.stdout)["base"] == images["base"]
    assert printed(changed.stdout)["web"] != images["web"]
    assert "Use previously built image for base/dockerfile" in changed.stderr
    assert "Building stage web/dockerfile" in changed.stderr


def test_two_builders_at_once_end_with_one_image(
    make_werf: Callable[[str], Werf], git: GitRepository, repo: str, tmp_path: Path
) -> None:
    clones = [tmp_path / "first", tmp_path / "second"]
    home = tmp_path / "shared-home"
    processes = []
    for clone in clones:
        machine.run("git", "clone", "-q", git.path, clone)
        werf = make_werf(clone.name)
        werf.env["WERF_HOME"] = str(home)  # one host: its file locks
        processes.append(werf.start("build", "--repo", repo, cwd=clone))
    outputs = [process.communicate(timeout=300)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    first, second = map(printed, outputs)
    assert first == second
    assert list(first) == ["base", "web"]
    assert len(stages(repo)) == 3, "no digest is there twice"


def test_locks_of_a_server(make_werf: Callable[[str], Werf], git: GitRepository, repo: str, tmp_path: Path) -> None:
    server_home = tmp_path / "server"
    port = machine.free_port()
    werf = make_werf("server")
    server = werf.start("synchronization", "--port", str(port), "--local-lock-manager-base-dir", server_home)
    try:
        address = f"http://localhost:{port}"
        services.wait_for("the lock server", lambda: services.answers(address), server, tmp_path / "none")
        processes = []
        for name in ("first", "second"):
            machine.run("git", "clone", "-q", git.path, tmp_path / name)
            werf = make_werf(name)
            processes.append(werf.start("build", "--repo", repo, "-S", address, "base", cwd=tmp_path / name))
        outputs = [process.communicate(timeout=300)[0].decode() for process in processes]
    finally:
        services.stop(server)
        assert server.stdout is not None
        server.stdout.close()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert printed(outputs[0]) == printed(outputs[1])
    assert len(stages(repo)) == 1
    assert any(tag.startswith("client-id-") for tag in tags(repo))


def test_other_repositories(make_werf: Callable[[str], Werf], werf: Werf, git: GitRepository, repo: str) -> None:
    final, cache, late = f"{repo}-final", f"{repo}-cache", f"{repo}-late"
    flags = ("--final-repo", final, "--cache-repo", cache, "--add-custom-tag", "%image%-v1")
    done = werf.run("build", "--repo", repo, *flags, cwd=git.path)
    images = printed(done.stdout)
    assert images["web"].startswith(f"{final}:")
    assert images["base"].startswith(f"{repo}:"), "it is not final"
    assert len(stages(final)) == 1
    assert manifest(final, "web-v1") == manifest(final, stages(final)[0])
    assert stages(cache) == stages(repo)
    assert "custom-tag-meta-web-v1" in tags(repo)

    # another machine takes the stage of another repository instead of building it
    other = make_werf("other")
    copied = other.run("build", "--repo", late, "--secondary-repo", repo, "base", cwd=git.path)
    assert "Use image of a secondary storage for base/dockerfile" in copied.stderr
    assert "Building stage" not in copied.stderr
    tag = images["base"].rpartition(":")[2]
    assert manifest(late, tag) == manifest(repo, tag)

    # and what was built without a repository is there for one that is named later
    other.run("build", "base", cwd=git.path)
    pushed = other.run("build", "--repo", f"{repo}-pushed", "base", cwd=git.path)
    assert "Building stage" not in pushed.stderr
    assert len(stages(f"{repo}-pushed")) == 1


def test_a_damaged_stage_is_rejected(werf: Werf, git: GitRepository, repo: str) -> None:
    first = printed(werf.run("build", "--repo", repo, cwd=git.path).stdout)
    tag = first["base"].rpartition(":")[2]
    host, _, name = repo.partition("/")
    layer = manifest(repo, tag)["layers"][-1]["digest"]
    machine.run("curl", "-fsS", "-X", "DELETE", f"http://{host}/v2/{name}/blobs/{layer}")
    werf.run("buildah", "rmi", "-af")
    machine.run("rm", "-rf", werf.root)
    git.commit({"app/src/main": "two\n"})
    done = werf.run("build", "--repo", repo, cwd=git.path)
    second = printed(done.stdout)
    assert "is missing or damaged" in done.stderr
    assert f"{tag}-rejected" in tags(repo)
    assert second["base"] != first["base"]
    assert second["web"] != first["web"]


def test_several_platforms_are_an_index(werf: Werf, git: GitRepository, repo: str) -> None:
    text = "project: shop\nconfigVersion: 1\n---\nimage: web\ndockerfile: D\nplatform: [linux/amd64, linux/arm64]\n"
    git.commit({"werf.yaml": text, "D": "FROM scratch\nARG TARGETARCH\nCOPY D /\nENV ARCH=$TARGETARCH\n"})
    final = f"{repo}-final"
    done = werf.run("build", "--repo", repo, "--final-repo", final, "--add-custom-tag", "v1", cwd=git.path)
    (image,) = printed(done.stdout).values()
    assert re.fullmatch(f"{final}:[0-9a-f]{{56}}", image)
    index = manifest(final, image.rpartition(":")[2])
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    assert manifest(final, "v1") == index
    assert len(stages(repo)) == 2
    again = werf.run("build", "--repo", repo, "--final-repo", final, cwd=git.path)
    assert again.stdout == done.stdout
    assert "Building stage" not in again.stderr
    only = werf.run("build", "--repo", repo, "--platform", "linux/arm64", cwd=git.path)
    (one,) = printed(only.stdout).values()
    assert one.rpartition(":")[2] in stages(repo)


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("--final-repo", "r.example.com/x"), "--final-repo needs --repo"),
        (("-S", "http://localhost:1"), "needs --repo"),
        (("--add-custom-tag", "v1"), "--add-custom-tag needs --repo"),
        (("--repo", "r.example.com/x:tag"), "a repository has no tag"),
        (("--repo", "r.example.com/x", "--add-custom-tag", "%image%/1"), "is no tag"),
    ],
)
def test_what_does_not_fit_together(werf: Werf, git: GitRepository, argv: tuple[str, ...], why: str) -> None:
    failed = werf.run("build", *argv, cwd=git.path, check=False)
    assert failed.returncode == 2
    assert why in failed.stderr


def test_an_image_that_fails_stops_the_others(builder: Werf, git: GitRepository, busybox: str) -> None:
    text = "project: slow\nconfigVersion: 1\n"
    files = {}
    for name, command in (("a", "sleep 600"), ("b", "sleep 600"), ("c", "sleep 2; exit 7")):
        files[f"{name}.Dockerfile"] = f"FROM {busybox}\nRUN {command}\n"
        text += f"---\nimage: {name}\ndockerfile: {name}.Dockerfile\n"
    git.commit({"werf.yaml": text, **files})
    failed = builder.run("build", cwd=git.path, check=False, timeout=250)  # less than one of the others takes
    assert failed.returncode == 1
    assert "Error: c.Dockerfile:2: image c, stage dockerfile: " in failed.stderr
