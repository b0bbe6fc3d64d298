"""Building staged images: which stages are looked for, which are built, on what, and what they are told as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.backends import LazyBackend
from pywerf.build.project.building import build_project
from pywerf.build.project.options import ImageBuildOptions
from pywerf.build.project.project import Project
from pywerf.build.project.repos import RepoOptions, Repos
from pywerf.build.project.results import BuiltImage
from pywerf.errors import BuildError
from pywerf.registry.access import RegistryAccess
from support.fake_backend import FakeBackend
from support.git_repository import GitRepository

META = "project: shop\nconfigVersion: 1\n---\n"
WEB = META + "image: web\ndockerfile: D\nstaged: true\n"
DOCKERFILE = """\
FROM scratch AS tools
COPY tool /tool
CMD ["tool"]
FROM scratch AS docs
COPY docs /docs
FROM tools
ENV A=1
COPY app /app
COPY --from=docs /docs /docs
USER 1
"""
FILES = {"D": DOCKERFILE, "tool": "1", "docs": "1", "app": "1"}
Open = Callable[..., Project]
Build = Callable[..., list[BuiltImage]]


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def built(told: Any, opened: Open, backend: FakeBackend, tmp_path: Path) -> Build:
    """Builds the project's images into the backend's own storage."""

    def build(*names: str, project: dict[str, Any] | None = None, **options: Any) -> list[BuiltImage]:
        @contextmanager
        def open_backend() -> Iterator[Any]:
            yield backend

        def nobody() -> RegistryAccess:
            raise AssertionError("no registry is asked")

        chosen = opened(**(project or {}))
        with LazyBackend(open_backend) as lazy:
            options_of = RepoOptions(home=str(tmp_path / "home"))
            with Repos.open(options_of, "shop", access=nobody, backend=lazy, reporter=told) as repos:
                return build_project(chosen, lazy, repos, chosen.images(names), ImageBuildOptions(**options), told)

    return build


def stages(image: BuiltImage) -> list[str]:
    return [stage.name for stage in image.platforms[0].stages]


def rebuilt(image: BuiltImage) -> list[str]:
    return [stage.name for stage in image.platforms[0].stages if stage.rebuilt]


def shown(told: Any) -> str:
    text = "\n".join(text for _, text in told.messages)
    told.messages.clear()
    return text


def test_each_stage_of_the_dockerfile_is_an_image_of_its_own(
    git: GitRepository, built: Build, backend: FakeBackend, told: Any
) -> None:
    git.commit({"werf.yaml": WEB, **FILES})
    (web,) = built()
    assert web.kind == "staged"
    assert stages(web) == rebuilt(web) == ["ENV1", "COPY2", "COPY3", "USER4"]
    text = shown(told)
    assert "image web/tools" in text
    assert "image web/docs" in text
    for stage in ("web/tools/COPY1", "web/tools/CMD2", "web/docs/COPY1", "web/ENV1", "web/USER4"):
        assert f"Building stage {stage}" in text
    assert len(backend.builder.order) == 4, "what only changes the config is built by nobody"
    copied = web.platforms[0].stages[2].description
    assert len(copied.sources) == 1
    assert copied.parent == web.platforms[0].stages[1].description.id
    assert str(copied.sources[0]) in str(backend.images.names)
    assert web.platforms[0].last.sources == copied.sources, "a label stays"
    first = web.platforms[0].stages[0].description
    assert first.parent is not None, "what it is built on is the last stage of the other image"
    build = backend.builder.builds["D"]
    assert not build.checks
    assert build.dockerfile.splitlines()[8] == b"COPY --from=docs /docs /docs"
    assert f"FROM shop:{copied.sources[0]} AS docs".encode() in build.dockerfile
    assert f"FROM shop:{copied.parent} AS stage-2".encode() in build.dockerfile
    assert build.labels["werf.io/parent-stage-id"] == str(copied.parent)


def test_a_change_builds_from_there_on_and_only_what_that_needs(
    git: GitRepository, built: Build, backend: FakeBackend, told: Any
) -> None:
    git.commit({"werf.yaml": WEB, **FILES})
    (first,) = built()
    backend.builder.order.clear()
    git.commit({"unrelated": "1"})
    (same,) = built()
    assert rebuilt(same) == []
    assert same.published == first.published
    assert backend.builder.order == []
    shown(told)
    git.commit({"app": "2"})
    (second,) = built()
    assert rebuilt(second) == ["COPY2", "COPY3", "USER4"]
    text = shown(told)
    assert "Use previously built image for web/ENV1" in text
    assert "Use previously built image for web/docs/COPY1" in text, "files are taken of it"
    assert "Building stage web/docs" not in text
    git.commit({"D": DOCKERFILE.replace("USER 1", "USER 2")})
    (third,) = built()
    assert rebuilt(third) == ["USER4"]
    assert "web/docs" not in shown(told), "nobody needs it"
    git.commit({"tool": "2"})
    (fourth,) = built()
    assert rebuilt(fourth) == stages(fourth)
    text = shown(told)
    assert "Building stage web/tools/COPY1" in text
    assert "Building stage web/docs" not in text


def test_what_two_images_begin_with_is_built_once(git: GitRepository, built: Build, backend: FakeBackend) -> None:
    text = WEB + "---\nimage: worker\ndockerfile: W\nstaged: true\n"
    git.commit({"werf.yaml": text, **FILES, "W": DOCKERFILE.replace("USER 1", "USER 2")})
    web, worker = built()
    assert len(backend.builder.order) == 4
    assert web.platforms[0].stages[2].description == worker.platforms[0].stages[2].description
    assert web.published != worker.published


def test_values_of_other_images_are_labels_of_the_last_stage(git: GitRepository, built: Build) -> None:
    text = META + (
        "image: web\ndockerfile: D\nstaged: true\ndependencies:\n- image: base\n  imports:\n"
        "  - {type: ImageName, targetBuildArg: BASE}\n---\nimage: base\ndockerfile: B\nfinal: false\nstaged: true\n"
    )
    git.commit({"werf.yaml": text, "D": "FROM scratch\nUSER 1\nARG BASE\nENV B=$BASE\n", "B": "FROM scratch\nUSER 0\n"})
    web, base = built("web")
    assert web.platforms[0].last.dependencies == (base.platforms[0].last.id,)
    assert web.platforms[0].stages[0].description.dependencies == ()


def test_an_image_spec_is_applied(git: GitRepository, built: Build) -> None:
    git.commit({"werf.yaml": WEB + "imageSpec: {author: me}\n", **FILES})
    (web,) = built()
    assert stages(web)[-2:] == ["USER4", "imageSpec"]
    (plain,) = built(skip_image_spec=True)
    assert stages(plain)[-1] == "USER4"
    assert rebuilt(plain) == []


def test_triggers_are_not_run_by_what_is_built_between(git: GitRepository, built: Build, backend: FakeBackend) -> None:
    dockerfile = "FROM scratch AS x\nONBUILD COPY tool /t\nCOPY app /app\nFROM scratch\nCOPY --from=x /app /\n"
    git.commit({"werf.yaml": WEB, **FILES, "D": dockerfile})
    built()
    texts = [build.dockerfile for build in backend.builder.every]
    assert [b"without-triggers" in text for text in texts] == [False, True, True]
    assert not [name for name in backend.images.names if "without-triggers" in name], "the copies are gone"


def test_missing_stages_are_told_where_nothing_may_be_built(git: GitRepository, built: Build) -> None:
    git.commit({"werf.yaml": WEB, **FILES})
    with pytest.raises(BuildError, match="image web/tools, stage COPY1: the stage is not built yet"):
        built(check_built=True)


def test_an_error_names_the_stage(git: GitRepository, built: Build, backend: FakeBackend) -> None:
    git.commit({"werf.yaml": WEB, **FILES})
    backend.builder.fails = {"D"}
    with pytest.raises(BuildError, match=r"image web/(tools|docs), stage COPY1: it broke"):
        built()


def test_the_checks_speak_of_the_whole_dockerfile_once(git: GitRepository, built: Build, told: Any) -> None:
    git.commit({"werf.yaml": WEB, **FILES, "D": DOCKERFILE.replace("AS tools", "as tools")})
    built()
    assert sum("FromAsCasing" in text for kind, text in told.messages if kind == "warning") == 1
    told.messages.clear()
    built()
    assert not [text for kind, text in told.messages if kind == "warning"], "nothing is built"


def test_all_images_can_be_staged_and_by_the_second_scheme(git: GitRepository, built: Build) -> None:
    git.commit({"werf.yaml": META + "image: web\ndockerfile: D\n", **FILES})
    (plain,) = built()
    assert (plain.kind, stages(plain)) == ("dockerfile", ["dockerfile"])
    (web,) = built(project={"staged": True, "staged_version": "v2"})
    assert (web.kind, stages(web)) == ("staged", ["FROM1", "ENV2", "COPY3", "COPY4", "USER5"])
