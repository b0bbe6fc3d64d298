"""Building a project's images: what the backend is asked for, in which order, and what becomes of errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pywerf.backend.contract import DockerfileBuild
from pywerf.build.project.building import ImageBuildOptions, build_project, local_name
from pywerf.build.project.follow import follow, state_of
from pywerf.build.project.options import ProjectOptions
from pywerf.build.project.project import Project
from pywerf.errors import BuildError, GiterminismError, WerfError
from pywerf.oci.digest import Digest
from support.git_repository import GitRepository

META = "project: shop\nconfigVersion: 1\n---\n"
PERMIT = (
    "giterminismConfigVersion: 1\n"
    "config: {secrets: {allowEnvVariables: [TOKEN], allowFiles: [/**], allowValueIds: [raw]}}\n"
)
Open = Callable[..., Project]


class Builder:
    """A builder that notes builds, by the image's tag; `fails` names those that end in an error."""

    def __init__(self) -> None:
        self.builds: dict[str, DockerfileBuild] = {}
        self.secrets: dict[str, bytes] = {}
        self.fails: set[str] = set()
        self.barrier: threading.Barrier | None = None

    def build(self, build: DockerfileBuild) -> Digest:
        tag = build.tags[0] if build.tags else f"unnamed:{len(self.builds)}"
        self.builds[tag] = build
        for secret in build.secrets:
            if secret.path:
                with open(secret.path, "rb") as file:
                    self.secrets[secret.id] = file.read()
        if self.barrier is not None:
            self.barrier.wait(timeout=60)
        if tag in self.fails:
            raise BuildError("it broke")
        return Digest.of(tag.encode())


class Configs:
    """Notes what is asked for: the image below, its new config, the names."""

    def __init__(self) -> None:
        self.rewritten: list[tuple[str, dict[str, Any], tuple[str, ...]]] = []

    def rewrite(self, image: str, change: Callable[[bytes], bytes], *, tags: Sequence[str]) -> Digest:
        config = change(b'{"config": {"Env": ["A=1"]}}')
        self.rewritten.append((image, json.loads(config), tuple(tags)))
        return Digest.of(config)


class Backend:
    """A backend that builds, and rewrites configs."""

    def __init__(self) -> None:
        self.builder = Builder()
        self.configs = Configs()


@pytest.fixture
def backend() -> Backend:
    return Backend()


def built(project: Project, backend: Backend, told: Any, *names: str, **options: Any) -> list[Any]:
    chosen = project.images(names)
    return build_project(project, backend, chosen, ImageBuildOptions(**options), told)  # type: ignore[arg-type]


def test_a_build_has_all_that_werf_yaml_says(git: GitRepository, opened: Open, backend: Backend, told: Any) -> None:
    git.commit(
        {
            "werf.yaml": META + "image: team/web\ndockerfile: docker/Dockerfile\ncontext: app\ntarget: prod\n"
            "args: {A: 1}\naddHost: ['db:1.2.3.4']\nnetwork: host\nssh: default\nplatform: linux/arm64\n",
            "app/docker/Dockerfile": "FROM scratch AS prod\nCOPY a /\n",
            "app/a": "1",
        }
    )
    (image,) = built(opened(), backend, told)
    assert (image.name, image.reference) == ("team/web", local_name("shop", "team/web"))
    build = backend.builder.builds[image.reference]
    assert (build.dockerfile, build.name) == (b"FROM scratch AS prod\nCOPY a /\n", "app/docker/Dockerfile")
    assert (build.target, dict(build.build_args), build.add_hosts) == ("prod", {"A": "1"}, ("db:1.2.3.4",))
    assert (build.network, build.ssh, list(map(str, build.platforms))) == ("host", ("default",), ["linux/arm64"])
    assert build.labels == {"werf": "shop"}
    assert [step.keyword for step in build.steps] == ["FROM", "COPY"]
    assert build.context is not None
    assert [node.name for node in build.context.scandir("")] == ["a", "docker"]


def test_the_command_line_wins(git: GitRepository, opened: Open, backend: Backend, told: Any) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\nnetwork: host\nssh: x\n", "D": "FROM scratch\n"})
    built(opened(), backend, told, network="none", ssh=("default=/key",), no_cache=True, pull=True, cache_from=("r",))
    build = backend.builder.builds["shop:web"]
    assert (build.network, build.ssh, build.no_cache, build.pull) == ("none", ("default=/key",), True, True)
    assert build.cache_from == ("r",)


DEPENDENT = META + (
    "image: web\ndockerfile: D\ndependencies:\n- image: base\n  imports:\n"
    "  - {type: ImageName, targetBuildArg: NAME}\n  - {type: ImageRepo, targetBuildArg: REPO}\n"
    "  - {type: ImageTag, targetBuildArg: TAG}\n  - {type: ImageID, targetBuildArg: ID}\n"
    "---\nimage: base\ndockerfile: D\nfinal: false\n---\nimage: other\ndockerfile: D\n"
)


def test_values_of_needed_images_become_build_args(
    git: GitRepository, opened: Open, backend: Backend, told: Any
) -> None:
    git.commit({"werf.yaml": DEPENDENT, "D": "FROM scratch\n"})
    images = built(opened(), backend, told, "web")
    assert [image.name for image in images] == ["web", "base"]
    assert list(backend.builder.builds) == ["shop:base", "shop:web"]
    assert dict(backend.builder.builds["shop:web"].build_args) == {
        "NAME": "shop:base",
        "REPO": "shop",
        "TAG": "base",
        "ID": str(Digest.of(b"shop:base")),
    }
    assert ("info", "set #0: base") in told.messages


def test_independent_images_are_built_at_once(git: GitRepository, opened: Open, backend: Backend, told: Any) -> None:
    git.commit({"werf.yaml": META + "image: [a, b, c]\ndockerfile: D\n", "D": "FROM scratch\n"})
    backend.builder.barrier = threading.Barrier(3)  # it breaks unless three are there at the same time
    assert len(built(opened(), backend, told)) == 3
    assert ("info", "building no more than 3 images at the same time") in told.messages


@pytest.mark.parametrize("options", [{"parallel": False}, {"limit": 1}])
def test_one_after_the_other(
    git: GitRepository, opened: Open, backend: Backend, told: Any, options: dict[str, Any]
) -> None:
    git.commit({"werf.yaml": META + "image: [a, b]\ndockerfile: D\n", "D": "FROM scratch\n"})
    backend.builder.fails.add("shop:a")
    with pytest.raises(BuildError, match="image a: it broke"):
        built(opened(), backend, told, **options)
    assert list(backend.builder.builds) == ["shop:a"]


def test_an_error_names_the_image_and_stops_what_needs_it(
    git: GitRepository, opened: Open, backend: Backend, told: Any
) -> None:
    git.commit({"werf.yaml": DEPENDENT, "D": "FROM scratch\n"})
    backend.builder.fails.add("shop:base")
    with pytest.raises(BuildError, match="image base: it broke"):
        built(opened(), backend, told)
    assert "shop:web" not in backend.builder.builds


def test_mistakes_of_all_images_come_before_the_first_build(
    git: GitRepository, opened: Open, backend: Backend, told: Any
) -> None:
    text = DEPENDENT.replace("image: other\ndockerfile: D", "image: other\ndockerfile: N")
    git.commit({"werf.yaml": text, "D": "FROM scratch\n"})
    with pytest.raises(WerfError, match="image other: N is not in the commit"):
        built(opened(), backend, told)
    assert backend.builder.builds == {}


def test_changes_that_an_image_would_take_are_an_error(
    git: GitRepository, opened: Open, backend: Backend, told: Any
) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\n", "D": "FROM scratch\nCOPY a /\n", "a": "1"})
    git.write({"a": "2"})
    with pytest.raises(GiterminismError, match="image web takes them from its context"):
        built(opened(), backend, told)


def test_secrets_of_all_kinds(
    git: GitRepository, opened: Open, backend: Backend, told: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "file").write_bytes(b"from a file")
    text = META + (
        f"image: web\ndockerfile: D\nsecrets:\n- env: TOKEN\n- src: {tmp_path}/file\n- {{id: raw, value: as it is}}\n"
    )
    git.commit({"werf.yaml": text, "werf-giterminism.yaml": PERMIT, "D": "FROM scratch\n"})
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(BuildError, match="the variable TOKEN is not set"):
        built(opened(), backend, told)
    monkeypatch.setenv("TOKEN", "x")
    built(opened(), backend, told)
    assert [(secret.id, secret.env) for secret in backend.builder.builds["shop:web"].secrets] == [
        ("TOKEN", "TOKEN"), ("file", ""), ("raw", ""),
    ]  # fmt: skip
    assert backend.builder.secrets == {"file": b"from a file", "raw": b"as it is"}
    (tmp_path / "file").unlink()
    with pytest.raises(WerfError, match="no such file"):
        built(opened(), backend, told)


def test_image_spec_names_only_the_image_with_its_config(
    git: GitRepository, opened: Open, backend: Backend, told: Any
) -> None:
    text = META + "image: a\ndockerfile: D\nimageSpec: {author: me, config: {env: {B: '2'}}}\n"
    git.commit({"werf.yaml": text, "D": "FROM scratch\n"})
    (image,) = built(opened(), backend, told)
    (build,) = backend.builder.builds.values()
    assert build.tags == ()
    ((below, config, tags),) = backend.configs.rewritten
    assert below == str(Digest.of(b"unnamed:0"))
    assert (config["author"], config["config"]["Env"], tags) == ("me", ["A=1", "B=2"], ("shop:a",))
    assert image.id != Digest.parse(below)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("staged: true", "staged builds are not supported yet"),
        ("dependencies: [{image: b, imports: [{type: ImageDigest, targetBuildArg: X}]}]", "has no digest"),
    ],
)
def test_what_cannot_be_done_yet_is_an_error(
    git: GitRepository, opened: Open, backend: Backend, told: Any, line: str, why: str
) -> None:
    text = META + f"image: a\ndockerfile: D\n{line}\n---\nimage: b\ndockerfile: D\n"
    git.commit({"werf.yaml": text, "D": "FROM scratch\n"})
    with pytest.raises(WerfError, match=why):
        built(opened(), backend, told)
    assert backend.builder.builds == {}


# --follow


class Rounds:
    """Waits that do something instead, one after the other, and then no more."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)

    def __call__(self) -> bool:
        if not self.steps:
            return False
        self.steps.pop(0)()
        return True


def followed(git: GitRepository, told: Any, *steps: Callable[[], object], **options: Any) -> tuple[int, list[str]]:
    runs: list[int] = []
    errors: list[str] = []

    def work() -> None:
        runs.append(len(runs))
        if (git.path / "broken").exists():
            raise BuildError("broken")

    chosen = ProjectOptions(dir=str(git.path), **options)
    follow(chosen, work, told, lambda error: errors.append(error.message), wait=Rounds(*steps))
    return len(runs), errors


def test_each_new_commit_is_built(git: GitRepository, told: Any) -> None:
    git.commit({"a": "1"})
    steps = (lambda: None, lambda: git.commit({"a": "2"}), lambda: git.write({"a": "3"}), lambda: git.commit())
    assert followed(git, told, *steps) == (3, [])


def test_with_dev_each_change_is_built(git: GitRepository, told: Any) -> None:
    git.commit({"a": "1"})
    steps = (lambda: git.write({"a": "2"}), lambda: None, lambda: git.write({"b": "1"}))
    assert followed(git, told, *steps, dev=True) == (3, [])


def test_later_errors_are_told_and_the_first_one_ends_it(git: GitRepository, told: Any) -> None:
    git.commit({"a": "1"})
    steps = (lambda: git.commit({"broken": "1"}), lambda: git.commit({"broken": None}))
    assert followed(git, told, *steps) == (3, ["broken"])
    git.write({"broken": "1"})
    with pytest.raises(BuildError):
        followed(git, told)


def test_the_state_is_the_commit_that_would_be_built(git: GitRepository) -> None:
    commit = git.commit({"a": "1"})
    assert state_of(ProjectOptions(dir=str(git.path))) == commit
    git.write({"a": "2"})
    assert state_of(ProjectOptions(dir=str(git.path))) == commit
    assert state_of(ProjectOptions(dir=str(git.path), dev=True)) != commit
