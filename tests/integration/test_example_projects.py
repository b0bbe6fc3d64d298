"""The projects of examples/ with both backends: built to a registry, again, after a change, from two clones at once."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from support import machine, services
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example(msgspec.Struct, frozen=True):
    """A project: its images, the file that a commit changes, and the images that this commit builds anew."""

    name: str
    images: tuple[str, ...]
    changed: str
    anew: frozenset[str]


PROJECTS = {
    example.name: example
    for example in (
        Example("word-count", ("base", "web", "worker"), "worker/worker.py", frozenset(("worker",))),
        Example("primes-web", ("frontend", "server"), "server/primes.c", frozenset(("server",))),
        Example(
            "market",
            (
                *("base", "settings", "catalog", "cart", "payments", "orders", "orders-migrations", "gateway", "docs"),
                "release",
            ),
            "services/cart/cgi-bin/cart",
            frozenset(("cart", "release")),
        ),
    )
}


class Site:
    """Where projects are built: the `werf` command with a backend, and a registry."""

    def __init__(self, werf: Werf, registry: str, backend: str) -> None:
        self.werf = werf
        self.registry = registry
        self.backend = backend

    def clone(self, example: Example, folder: Path) -> GitRepository:
        """A git repository with the example in it."""
        shutil.copytree(EXAMPLES / example.name, folder)
        git = GitRepository(folder)
        git.commit()
        return git

    def words(self, repo: str, report: Path) -> tuple[str, ...]:
        """The words of a build."""
        network = ("--backend-network", "host") if self.backend == "docker" else ()
        return "build", "--repo", repo, "--save-build-report", "--build-report-path", str(report), *network

    def build(self, git: GitRepository, repo: str) -> dict[str, dict[str, object]]:
        """Build all images; the records of the report."""
        report = git.path.parent / "report.json"
        self.werf.run(*self.words(repo, report), cwd=git.path, timeout=600)
        return records(report)

    def run(self, git: GitRepository, repo: str, image: str, options: str, *command: str) -> str:
        """What an image's container says."""
        return self.werf.run(*self.run_words(repo, image, options, *command), cwd=git.path).stdout

    def run_words(self, repo: str, image: str, options: str, *command: str) -> tuple[str, ...]:
        """The words of a run of an image."""
        options = f"--rm --network host {options}"
        return "run", "--repo", repo, "--docker-options", options, image, *(("--", *command) if command else ())

    @contextmanager
    def serving(self, git: GitRepository, repo: str, image: str, options: str = "") -> Iterator[Callable[..., bytes]]:
        """An image's service in a container; yields a function that asks it, and waits until it is up."""
        port = machine.free_port()
        process = self.werf.start(*self.run_words(repo, image, f"{options} -e PORT={port}"), cwd=git.path)

        def ask(path: str = "/", data: bytes | None = None) -> bytes:
            end = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=5) as response:
                        content: bytes = response.read()
                        return content
                except urllib.error.HTTPError:
                    raise
                except OSError:
                    if process.poll() is not None or time.monotonic() > end:
                        pytest.fail(f"{image} does not answer: {process.communicate()[0].decode()}", pytrace=False)
                    time.sleep(0.1)

        try:
            yield ask
        finally:
            services.stop(process)
            assert process.stdout is not None
            process.stdout.close()


def records(report: Path) -> dict[str, dict[str, object]]:
    """The images of a report."""
    found: dict[str, dict[str, object]] = json.loads(report.read_text())["Images"]
    return found


def rebuilt(images: dict[str, dict[str, object]]) -> set[str]:
    """The images that a build has made."""
    return {name for name, record in images.items() if record["Rebuilt"]}


def names(images: dict[str, dict[str, object]]) -> dict[str, object]:
    """What the images are called."""
    return {name: record["DockerImageName"] for name, record in images.items()}


@pytest.fixture(scope="module")
def bases_env(registry: str, busybox: str, debian: str, python_layout: Path) -> dict[str, str]:
    """The variables that name the bases in the registry of the tests."""
    python = f"{registry}/python:3"
    services.push_layout(python_layout, python)
    return {"BUSYBOX_IMAGE": busybox, "DEBIAN_IMAGE": debian, "PYTHON_IMAGE": python, "DOCS_KEY": "a secret key"}


@pytest.fixture(params=["embedded", "docker"])
def site(
    request: pytest.FixtureRequest, make_werf: Callable[[str], Werf], registry: str, bases_env: dict[str, str]
) -> Site:
    """`werf` with either backend."""
    werf = make_werf("store")
    werf.env.update(bases_env)
    if request.param == "docker":
        docker = request.getfixturevalue("docker")
        werf.env.update(WERF_BUILDAH_MODE="docker", DOCKER_HOST=docker.host)
    return Site(werf, registry, request.param)


def check_word_count(site: Site, git: GitRepository, repo: str) -> None:
    data = git.path.parent / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    with site.serving(git, repo, "web", f"-v {data}:/data") as ask:
        assert json.loads(ask("/jobs", b"one two, Two")) == {"job": 1}
        assert json.loads(ask("/jobs/1")) == {"job": 1, "words": None}
        said = site.run(git, repo, "worker", f"-v {data}:/data", "python3", "/opt/app/worker.py", "--once")
        assert said == "job 1 is done\n"
        assert json.loads(ask("/jobs/1")) == {"job": 1, "words": {"one": 1, "two": 2}}


def check_primes_web(site: Site, git: GitRepository, repo: str) -> None:
    with site.serving(git, repo, "server") as ask:
        assert ask("/primes/5") == b"2 3 5 7 11\n"
        assert b"<h1>Primes</h1>" in ask()
        bundle = ask("/main.js")
        assert b"/primes/" in bundle
        assert b"import" not in bundle


def check_market(site: Site, git: GitRepository, repo: str) -> None:
    with site.serving(git, repo, "catalog") as ask:
        assert json.loads(ask("/cgi-bin/items"))["bread"] == "2.10"
    assert "DEFAULT 'EUR'" in site.run(git, repo, "orders-migrations", "")
    table = [line.split() for line in site.run(git, repo, "release", "").splitlines()]
    assert [line[0] for line in table] == ["catalog", "cart", "payments", "orders", "gateway", "docs"]
    assert all(line[1].startswith(f"{repo}:") and line[2].startswith("sha256:") for line in table)
    assert site.run(git, repo, "docs", "", "id", "-un") == "app\n"
    assert "P:/orders:http://orders:8080/cgi-bin" in site.run(git, repo, "gateway", "", "cat", "/etc/httpd.conf")


CHECKS = {"word-count": check_word_count, "primes-web": check_primes_web, "market": check_market}


@pytest.mark.parametrize("name", PROJECTS)
def test_built_again_changed_and_from_two_clones(name: str, site: Site, tmp_path: Path) -> None:
    example = PROJECTS[name]
    repo = f"{site.registry}/{site.backend}/{name}"
    git = site.clone(example, tmp_path / "one")
    first = site.build(git, repo)
    assert tuple(sorted(first)) == tuple(sorted(example.images))
    assert rebuilt(first) == set(example.images)
    CHECKS[name](site, git, repo)

    again = site.build(git, repo)
    assert rebuilt(again) == set()
    assert names(again) == names(first)

    file = git.path / example.changed
    comment = "\n/* changed */\n" if file.suffix == ".c" else "\n# changed\n"
    file.write_text(file.read_text() + comment)
    git.commit()
    changed = site.build(git, repo)
    assert rebuilt(changed) == example.anew
    assert {image for image in first if names(first)[image] != names(changed)[image]} == example.anew

    # two clones of the change at once, to a repository that has nothing yet
    other = f"{repo}-at-once"
    clones = [git.path, tmp_path / "two"]
    shutil.copytree(git.path, clones[1])
    reports = [tmp_path / f"report-{number}.json" for number in (1, 2)]
    processes = [
        site.werf.start(*site.words(other, report), cwd=clone) for clone, report in zip(clones, reports, strict=True)
    ]
    for process in processes:
        said = process.communicate(timeout=600)[0]
        assert process.returncode == 0, said.decode()
    one, two = map(records, reports)
    assert names(one) == names(two)
    assert {image for image in one if one[image]["DockerImageID"] != two[image]["DockerImageID"]} == set()
    stages = [stage["DockerTag"] for record in one.values() for stage in record["Stages"]]  # type: ignore[attr-defined]  # JSON
    with urllib.request.urlopen(f"http://{site.registry}/v2/{site.backend}/{name}-at-once/tags/list") as answer:
        tags = json.load(answer)["tags"]
    assert sorted(tag for tag in tags if len(tag) == 70 and tag[56] == "-") == sorted(set(stages))


def test_an_environment_is_other_settings(site: Site, tmp_path: Path) -> None:
    git = site.clone(PROJECTS["market"], tmp_path / "one")
    repo = f"{site.registry}/{site.backend}/environments"
    production = site.build(git, repo)
    site.werf.env["WERF_ENV"] = "staging"
    staging = site.build(git, repo)
    assert rebuilt(staging) == {"settings", "orders", "orders-migrations", "gateway", "release"}
    assert names(production)["cart"] == names(staging)["cart"]
    assert "DEFAULT 'XTS'" in site.run(git, repo, "orders-migrations", "")
