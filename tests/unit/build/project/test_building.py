"""Building a project's images: what the backend is asked for, in which order, and what becomes of errors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.backends import LazyBackend
from pywerf.build.project.building import build_project
from pywerf.build.project.follow import follow, state_of
from pywerf.build.project.options import ImageBuildOptions, ProjectOptions
from pywerf.build.project.project import Project
from pywerf.build.project.repos import RepoOptions, Repos
from pywerf.build.project.results import BuiltImage
from pywerf.errors import BuildError, BuildStopped, GiterminismError, UsageError, WerfError
from pywerf.registry.access import RegistryAccess
from support.fake_backend import FakeBackend
from support.git_repository import GitRepository

META = "project: shop\nconfigVersion: 1\n---\n"
PERMIT = (
    "giterminismConfigVersion: 1\n"
    "config: {secrets: {allowEnvVariables: [TOKEN], allowFiles: [/**], allowValueIds: [raw]}}\n"
)
Open = Callable[..., Project]
Build = Callable[..., list[BuiltImage]]


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def built(told: Any, tmp_path: Path) -> Callable[..., list[BuiltImage]]:
    """Builds images of a project into the backend's own storage."""

    def build(project: Project, backend: FakeBackend, *names: str, **options: Any) -> list[BuiltImage]:
        @contextmanager
        def opened() -> Iterator[Any]:
            yield backend

        def nobody() -> RegistryAccess:
            raise AssertionError("no registry is asked")

        with LazyBackend(opened) as lazy:
            repos = Repos.open(
                RepoOptions(home=str(tmp_path / "home")), "shop", access=nobody, backend=lazy, reporter=told
            )
            with repos:
                return build_project(project, lazy, repos, project.images(names), ImageBuildOptions(**options), told)

    return build


def test_a_build_has_all_that_werf_yaml_says(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    git.commit(
        {
            "werf.yaml": META + "image: team/web\ndockerfile: docker/Dockerfile\ncontext: app\ntarget: prod\n"
            "args: {A: 1}\naddHost: ['db:1.2.3.4']\nnetwork: host\nssh: default\nplatform: linux/arm64\n",
            "app/docker/Dockerfile": "FROM scratch AS prod\nCOPY a /\n",
            "app/a": "1",
        }
    )
    (image,) = built(opened(), backend)
    build = backend.builder.builds["app/docker/Dockerfile"]
    assert image.name == "team/web"
    assert build.dockerfile == b"FROM scratch AS prod\nCOPY a /\n"
    assert (build.target, dict(build.build_args), build.add_hosts) == ("prod", {"A": "1"}, ("db:1.2.3.4",))
    assert (build.network, build.ssh, list(map(str, build.platforms))) == ("host", ("default",), ["linux/arm64"])
    stage = image.platforms[0].last
    assert stage.labels == build.labels
    assert build.labels["werf"] == "shop"
    assert build.labels["werf-project-repo-commit"] == opened().commit
    assert build.labels["werf-stage-content-digest"] == image.platforms[0].content_digest
    assert build.tags == ()
    assert stage.name == f"shop:{stage.id}"
    assert [step.keyword for step in build.steps] == ["FROM", "COPY"]
    assert build.context is not None
    assert [node.name for node in build.context.scandir("")] == ["a", "docker"]


def test_what_builds_is_told_first_and_once(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    git.commit({"werf.yaml": DEPENDENT, **FILES})
    for _ in range(2):
        told.messages.clear()
        built(opened(), backend)
        assert told.messages[0] == ("info", "a fake builds")
        assert told.messages.count(("info", "a fake builds")) == 1


def test_the_command_line_wins(git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\nnetwork: host\nssh: x\n", "D": "FROM scratch\n"})
    built(opened(), backend, network="none", ssh=("default=/key",), no_cache=True, pull=True, cache_from=("r",))
    build = backend.builder.builds["D"]
    assert (build.network, build.ssh, build.no_cache, build.pull) == ("none", ("default=/key",), True, True)
    assert build.cache_from == ("r",)


FILES = {"web.D": "FROM scratch\nARG NAME\n", "base.D": "FROM scratch\nENV A=1\n", "other.D": "FROM scratch\n"}
DEPENDENT = META + (
    "image: web\ndockerfile: web.D\ndependencies:\n- image: base\n  imports:\n"
    "  - {type: ImageName, targetBuildArg: NAME}\n  - {type: ImageRepo, targetBuildArg: REPO}\n"
    "  - {type: ImageTag, targetBuildArg: TAG}\n  - {type: ImageID, targetBuildArg: ID}\n"
    "---\nimage: base\ndockerfile: base.D\nfinal: false\n---\nimage: other\ndockerfile: other.D\n"
)
THREE = META + "".join(f"---\nimage: {name}\ndockerfile: {name}\n" for name in "abc").removeprefix("---\n")
THREE_FILES = {name: f"FROM scratch\nENV A={name}\n" for name in "abc"}


def test_values_of_needed_images_become_build_args(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    git.commit({"werf.yaml": DEPENDENT, **FILES})
    web, base = built(opened(), backend, "web")
    assert (web.name, base.name) == ("web", "base")
    assert backend.builder.order == ["base.D", "web.D"]
    stage = base.platforms[0].last
    assert dict(backend.builder.builds["web.D"].build_args) == {
        "NAME": f"shop:{stage.id}",
        "REPO": "shop",
        "TAG": str(stage.id),
        "ID": str(stage.image_id),
    }
    assert web.platforms[0].last.dependencies == (stage.id,)
    assert ("info", "set #0: base") in told.messages


def test_what_is_built_is_not_built_again(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    git.commit({"werf.yaml": DEPENDENT, **FILES})
    first = built(opened(), backend)
    assert all(image.rebuilt for image in first)
    told.messages.clear()
    git.commit({"unrelated": "1"})
    second = built(opened(), backend)
    assert len(backend.builder.order) == 3
    assert [image.published for image in second] == [image.published for image in first]
    assert not any(image.rebuilt for image in second)
    shown = "\n".join(text for _, text in told.messages)
    assert "Use previously built image for web/dockerfile" in shown
    assert "Building stage" not in shown


def test_only_what_depends_on_a_change_is_built(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build
) -> None:
    git.commit({"werf.yaml": DEPENDENT, **FILES})
    built(opened(), backend)
    backend.builder.order.clear()
    git.commit({"base.D": "FROM scratch\nENV A=2\n"})
    built(opened(), backend)
    assert backend.builder.order == ["base.D", "web.D"], "web has the name of base in it"
    backend.builder.order.clear()
    git.commit({"web.D": FILES["web.D"] + "ENV B=1\n"})
    built(opened(), backend)
    assert backend.builder.order == ["web.D"]


def test_a_value_that_no_arg_takes_changes_nothing(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build
) -> None:
    git.commit({"werf.yaml": DEPENDENT, **FILES, "web.D": "FROM scratch\n"})
    built(opened(), backend)
    backend.builder.order.clear()
    git.commit({"base.D": "FROM scratch\nENV A=2\n"})
    built(opened(), backend)
    assert backend.builder.order == ["base.D"]


def test_names_of_one_definition_are_one_image(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build
) -> None:
    git.commit({"werf.yaml": META + "image: [a, b]\ndockerfile: D\n", "D": "FROM scratch\n"})
    a, b = built(opened(), backend)
    assert (a.name, b.name) == ("a", "b")
    assert a.published == b.published
    assert backend.builder.order == ["D"]
    assert {a.rebuilt, b.rebuilt} == {True, False}


def test_independent_images_are_built_at_once(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    git.commit({"werf.yaml": THREE, **THREE_FILES})
    backend.builder.barrier = threading.Barrier(3)  # it breaks unless three are there at the same time
    assert len(built(opened(), backend)) == 3
    assert ("info", "building no more than 3 images at the same time") in told.messages
    blocks = [text for _, text in told.messages if text.startswith("┌")]
    assert len(blocks) == 3
    assert all(block.count("image") >= 2 and "└" in block for block in blocks), "the blocks are not mixed"


@pytest.mark.parametrize("options", [{"parallel": False}, {"limit": 1}])
def test_one_after_the_other(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, options: dict[str, Any]
) -> None:
    git.commit({"werf.yaml": THREE, **THREE_FILES})
    backend.builder.fails.add("a")
    with pytest.raises(BuildError, match="image a, stage dockerfile: it broke"):
        built(opened(), backend, **options)
    assert backend.builder.order == ["a"]


def test_the_first_error_stops_the_others(git: GitRepository, opened: Open, backend: FakeBackend, built: Build) -> None:
    git.commit({"werf.yaml": THREE, **THREE_FILES})
    backend.builder.barrier = threading.Barrier(3)
    backend.builder.fails.add("b")

    def until_stopped(build: Any) -> None:
        if build.name != "b":
            assert backend.stopped.wait(60), "nobody stops it"
            raise BuildStopped

    backend.builder.before = until_stopped
    with pytest.raises(BuildError, match="image b, stage dockerfile: it broke"):
        built(opened(), backend)


def test_an_error_names_the_image_and_stops_what_needs_it(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build
) -> None:
    git.commit({"werf.yaml": DEPENDENT, **FILES})
    backend.builder.fails.add("base.D")
    with pytest.raises(BuildError, match="image base, stage dockerfile: it broke"):
        built(opened(), backend)
    assert "web.D" not in backend.builder.builds


def test_mistakes_of_all_images_come_before_the_first_build(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build
) -> None:
    git.commit({"werf.yaml": DEPENDENT.replace("other.D", "none.D"), **FILES})
    with pytest.raises(WerfError, match=r"image other: none\.D is not in the commit"):
        built(opened(), backend)
    assert backend.builder.builds == {}


def test_another_builder_that_was_first_wins(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\n", "D": "FROM scratch\n"})

    def meanwhile(build: Any) -> None:
        backend.builder.before = lambda build: None
        theirs = FakeBackend()
        (other,) = built(opened(), theirs)
        name = other.platforms[0].last.name
        backend.images.details |= theirs.images.details
        backend.images.tag(str(theirs.images.inspect(name).id), [name])

    backend.builder.before = meanwhile
    (image,) = built(opened(), backend)
    assert not image.rebuilt
    assert image.published is not None
    assert len([name for name in backend.images.names if "shop:" in name]) == 1
    assert any("Discarding newly built image for web/dockerfile" in text for _, text in told.messages)


def test_the_oldest_stage_wins(git: GitRepository, opened: Open, backend: FakeBackend, built: Build) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\n", "D": "FROM scratch\n"})
    (image,) = built(opened(), backend)
    stage = image.platforms[0].last.id
    older = f"shop:{stage.digest}-{stage.timestamp - 5}"
    backend.images.tag(str(backend.images.put({"werf": "shop"}, "an older one")), [older])
    (again,) = built(opened(), backend)
    assert again.platforms[0].last.name == older


def test_nothing_is_built_when_all_has_to_be_there(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build
) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\n", "D": "FROM scratch\n"})
    with pytest.raises(BuildError, match="image web, stage dockerfile: the stage is not built yet"):
        built(opened(), backend, check_built=True)
    assert backend.builder.order == []
    built(opened(), backend)
    assert len(built(opened(), backend, check_built=True)) == 1


SPEC = META + "image: web\ndockerfile: D\nimageSpec: {author: me, config: {labels: {who: '%image%'}}}\n"


def test_image_spec_is_a_stage_of_its_own(git: GitRepository, opened: Open, backend: FakeBackend, built: Build) -> None:
    git.commit({"werf.yaml": SPEC, "D": "FROM scratch\n"})
    (image,) = built(opened(), backend)
    first, last = image.platforms[0].stages
    assert (first.name, last.name) == ("dockerfile", "imageSpec")
    assert last.description.parent == first.description.id
    assert last.description.labels["who"] == "web"
    assert last.description.content_digest == image.platforms[0].content_digest != first.description.content_digest
    backend.builder.order.clear()
    git.commit({"werf.yaml": SPEC.replace("author: me", "author: you")})
    (changed,) = built(opened(), backend)
    assert backend.builder.order == []
    assert [stage.rebuilt for stage in changed.platforms[0].stages] == [False, True]
    (without,) = built(opened(), backend, skip_image_spec=True)
    assert [stage.name for stage in without.platforms[0].stages] == ["dockerfile"]


def test_custom_tags_need_a_repository(git: GitRepository, opened: Open, backend: FakeBackend, built: Build) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\n", "D": "FROM scratch\n"})
    with pytest.raises(UsageError, match="--add-custom-tag needs --repo"):
        built(opened(), backend, custom_tags=("v1",))


def test_each_platform_is_an_image_of_its_own(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    text = META + "image: web\ndockerfile: D\nplatform: [linux/amd64, linux/arm64]\n"
    git.commit({"werf.yaml": text, "D": "FROM scratch\nARG TARGETARCH\n"})
    (image,) = built(opened(), backend)
    assert [one.platform for one in image.platforms] == ["linux/amd64", "linux/arm64"]
    assert (image.result, image.published) == (None, None), "the backend's storage has no indexes"
    assert len({one.last.id.digest for one in image.platforms}) == 2
    assert len(backend.builder.order) == 2
    built(opened(), backend)
    assert len(backend.builder.order) == 2


def test_changes_that_an_image_would_take_are_an_error(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, told: Any
) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\n", "D": "FROM scratch\nCOPY a /\n", "a": "1"})
    git.write({"a": "2"})
    with pytest.raises(GiterminismError, match="image web takes them from its context"):
        built(opened(), backend)


def test_secrets_of_all_kinds(
    git: GitRepository,
    opened: Open,
    backend: FakeBackend,
    built: Build,
    told: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    (tmp_path / "file").write_bytes(b"from a file")
    text = META + (
        f"image: web\ndockerfile: D\nsecrets:\n- env: TOKEN\n- src: {tmp_path}/file\n- {{id: raw, value: as it is}}\n"
    )
    git.commit({"werf.yaml": text, "werf-giterminism.yaml": PERMIT, "D": "FROM scratch\n"})
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(BuildError, match="the variable TOKEN is not set"):
        built(opened(), backend)
    monkeypatch.setenv("TOKEN", "x")
    built(opened(), backend)
    assert [(secret.id, secret.env) for secret in backend.builder.builds["D"].secrets] == [
        ("TOKEN", "TOKEN"), ("file", ""), ("raw", ""),
    ]  # fmt: skip
    assert backend.builder.secrets == {"file": b"from a file", "raw": b"as it is"}
    (tmp_path / "file").unlink()
    assert len(built(opened(), backend)) == 1, "what is built needs no secrets"
    git.commit({"D": "FROM scratch\nENV A=1\n"})
    with pytest.raises(WerfError, match="no such file"):
        built(opened(), backend)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("dependencies: [{image: b, imports: [{type: ImageDigest, targetBuildArg: X}]}]", "has no digest"),
    ],
)
def test_what_cannot_be_done_yet_is_an_error(
    git: GitRepository, opened: Open, backend: FakeBackend, built: Build, line: str, why: str
) -> None:
    text = META + f"image: a\ndockerfile: D\n{line}\n---\nimage: b\ndockerfile: D\n"
    git.commit({"werf.yaml": text, "D": "FROM scratch\n"})
    with pytest.raises(WerfError, match=why):
        built(opened(), backend)


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
