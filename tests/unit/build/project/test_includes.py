"""Files of other repositories in a project's configuration, by real git repositories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.build.project.includes import listed, update_lock
from pywerf.build.project.options import ProjectOptions
from pywerf.build.project.project import Project, open_files, open_project
from pywerf.errors import ConfigError, ContextError, GiterminismError, WerfError
from support.git_repository import GitRepository
from support.git_web import serve_git

META = "project: shop\nconfigVersion: 1\n"
IMAGE = "---\nimage: {}\ndockerfile: Dockerfile\n"


@pytest.fixture
def common(tmp_path: Path) -> GitRepository:
    """A repository whose files are included."""
    common = GitRepository(tmp_path / "common")
    common.commit(
        {
            "werf.yaml": META + IMAGE.format("web"),
            "lib/image.tmpl": '{{ define "image" }}' + IMAGE.format("{{ . }}") + "{{ end }}",
            "lib/deep/name.txt": "deep",
            "lib/link.txt": "->deep/name.txt",
            "Dockerfile": "FROM scratch\nCOPY own /\n",
            ".dockerignore": "*.md\n",
            "out.txt": "not wanted",
        }
    )
    return common


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., ProjectOptions]:
    def make(**more: object) -> ProjectOptions:
        return ProjectOptions(dir=str(tmp_path / "work"), home_dir=str(tmp_path / "home"), **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def included(
    git: GitRepository, common: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> Callable[..., Project]:
    """Commits werf-includes.yaml with these entries, and its lock, and other files; opens the project."""

    def open_it(entries: str, files: dict[str, str] | None = None, **more: object) -> Project:
        git.write({"werf-includes.yaml": f"includes:\n{entries}".replace("COMMON", str(common.path))})
        update_lock(options())
        git.commit(files or {})
        return open_project(options(**more), told)  # type: ignore[arg-type]  # messages only

    return open_it


def test_all_of_a_configuration_can_be_included(included: Callable[..., Project]) -> None:
    project = included("- {git: COMMON, branch: main}", {"own": "x", "README.md": "y"})
    assert project.images() == ("web",)
    image = project.needed(project.config.images[0])
    assert project.dockerfile(image)[0] == b"FROM scratch\nCOPY own /\n"
    context = project.context(image, project.dockerfile(image)[0])
    # the context is the project's own, but what .dockerignore leaves of it
    assert [node.name for node in context.scandir("")] == ["own", "werf-includes.lock", "werf-includes.yaml"]


def test_the_projects_own_files_win_and_later_entries_before_earlier_ones(
    included: Callable[..., Project], common: GitRepository, tmp_path: Path
) -> None:
    other = GitRepository(tmp_path / "other")
    other.commit({"werf.yaml": META + IMAGE.format("other"), "a.txt": "other"})
    both = "- {git: COMMON, branch: main}\n" + f"- {{git: {other.path}, branch: main}}\n"
    assert included(both, {"Dockerfile": "FROM scratch\n"}).images() == ("other",)
    assert included(both, {"werf.yaml": META + IMAGE.format("own")}).images() == ("own",)


def test_add_to_and_filters(included: Callable[..., Project]) -> None:
    own = META + '{{ include "image" "worker" }}# {{ .Files.Get "texts/deep/name.txt" }} {{ .Files.Exists "lib" }}\n'
    own += '# {{ range $path, $text := .Files.Glob "texts/**" }}{{ $path }}={{ $text }} {{ end }}\n'
    project = included(
        "- {git: COMMON, branch: main, add: lib, to: .werf, includePaths: ['*.tmpl']}\n"
        "- {git: COMMON, branch: main, add: /lib, to: /texts, excludePaths: ['*.tmpl']}\n",
        {"werf.yaml": own},
    )
    assert project.images() == ("worker",)
    assert "# deep false" in project.rendered
    assert "# texts/deep/name.txt=deep texts/link.txt=deep" in project.rendered


def test_the_lock_file_holds_a_branch(
    included: Callable[..., Project], common: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> None:
    included("- {git: COMMON, branch: main}", {"own": "x"})
    common.commit({"werf.yaml": META + IMAGE.format("newer")})
    assert open_project(options(), told).images() == ("web",)  # type: ignore[arg-type]  # messages only
    with pytest.raises(GiterminismError, match="--allow-includes-update"):
        open_project(options(allow_includes_update=True), told)  # type: ignore[arg-type]  # messages only


def test_the_newest_commits_need_a_permission(
    included: Callable[..., Project], common: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> None:
    permission = "giterminismConfigVersion: 1\nincludes: {allowIncludesUpdate: true}\n"
    included("- {git: COMMON, branch: main}", {"own": "x", "werf-giterminism.yaml": permission})
    common.commit({"werf.yaml": META + IMAGE.format("newer")})
    assert open_project(options(allow_includes_update=True), told).images() == ("newer",)  # type: ignore[arg-type]  # messages only


def test_a_mirror_serves_when_the_repository_is_gone(
    included: Callable[..., Project], common: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> None:
    included("- {git: COMMON, branch: main}")
    common.path.rename(common.path.with_name("away"))
    assert open_project(options(), told).images() == ("web",)  # type: ignore[arg-type]  # messages only
    with pytest.raises(ContextError, match=r"werf-includes[.]yaml:2: cannot fetch"):
        update_lock(options())


def test_tags_and_commits(included: Callable[..., Project], common: GitRepository) -> None:
    commit = str(common.repo.head.target)
    common.repo.references.create("refs/tags/v1", common.repo.head.target)
    common.commit({"werf.yaml": META + IMAGE.format("newer")})
    assert included("- {git: COMMON, tag: v1}").images() == ("web",)
    assert included(f"- {{git: COMMON, commit: {commit}}}").images() == ("web",)


def test_what_is_never_included(included: Callable[..., Project], common: GitRepository) -> None:
    common.commit({"werf-giterminism.yaml": "giterminismConfigVersion: 1\nconfig: {allowUncommitted: true}\n"})
    project = included("- {git: COMMON, branch: main}")
    assert not project.allowed.uncommitted_config


def test_a_missing_lock_and_one_that_does_not_match(
    included: Callable[..., Project], git: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> None:
    included("- {git: COMMON, branch: main}")
    git.commit({"werf-includes.lock": "includes: []\n"})
    with pytest.raises(ConfigError, match="does not have branch main") as caught:
        open_project(options(), told)  # type: ignore[arg-type]  # messages only
    assert "werf includes update" in (caught.value.hint or "")
    git.commit({"werf-includes.lock": None})
    with pytest.raises(ConfigError, match=r"needs werf-includes[.]lock"):
        open_project(options(), told)  # type: ignore[arg-type]  # messages only


def test_both_files_have_to_be_committed(
    included: Callable[..., Project], git: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> None:
    git.commit({"werf.yaml": META})
    for name in ("werf-includes.yaml", "werf-includes.lock"):
        git.write({name: "includes: []\n"})
        with pytest.raises(GiterminismError, match=name):
            open_project(options(), told)  # type: ignore[arg-type]  # messages only
        (git.path / name).unlink()
    included("- {git: COMMON, branch: main}", {"werf.yaml": META})
    git.write({"werf-includes.lock": "includes: []\n"})
    with pytest.raises(GiterminismError, match=r"werf-includes[.]lock \(changed"):
        open_project(options(), told)  # type: ignore[arg-type]  # messages only


def test_an_uncommitted_file_in_the_place_of_an_included_one_is_told(
    included: Callable[..., Project], git: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> None:
    included("- {git: COMMON, branch: main}")
    git.write({"werf.yaml": META + IMAGE.format("mine")})
    with pytest.raises(GiterminismError, match=r"werf[.]yaml \(not committed yet\)"):
        open_project(options(), told)  # type: ignore[arg-type]  # messages only
    assert open_project(options(loose_giterminism=True), told).images() == ("mine",)  # type: ignore[arg-type]  # messages only
    assert open_project(options(dev=True), told).images() == ("mine",)  # type: ignore[arg-type]  # messages only


def test_files_are_listed_with_their_source(
    included: Callable[..., Project], common: GitRepository, options: Callable[..., ProjectOptions], told: object
) -> None:
    included("- {git: COMMON, branch: main, includePaths: [lib, werf.yaml]}", {"lib/own.txt": "x"})
    files = open_files(options(), told)  # type: ignore[arg-type]  # messages only
    url = str(common.path)
    assert listed(files) == [
        ("lib/deep/name.txt", url),
        ("lib/image.tmpl", url),
        ("lib/link.txt", url),
        ("lib/own.txt", "local"),
        ("werf-includes.lock", "local"),
        ("werf-includes.yaml", "local"),
        ("werf.yaml", url),
    ]
    assert listed(files, "lib/*.txt") == [("lib/link.txt", url), ("lib/own.txt", "local")]
    assert files.read("lib/link.txt") == b"deep"


def test_mistakes_name_the_entry(
    git: GitRepository, options: Callable[..., ProjectOptions], common: GitRepository, told: object
) -> None:
    git.commit({"werf-includes.yaml": f"includes:\n- {{git: {common.path}, branch: nowhere}}\n"})
    with pytest.raises(ContextError, match=r"werf-includes[.]yaml:2: .*no branch") as caught:
        update_lock(options())
    assert "git ls-remote" in (caught.value.hint or "")
    git.commit({"werf-includes.yaml": f"includes:\n- {{git: {common.path}, branch: main, add: nowhere}}\n"})
    update_lock(options())
    git.commit()
    with pytest.raises(ConfigError, match=r"werf-includes[.]yaml:2: add: no directory nowhere"):
        open_project(options(), told)  # type: ignore[arg-type]  # messages only
    (git.path / "werf-includes.yaml").unlink()
    with pytest.raises(ConfigError, match="No such file"):
        update_lock(options())


def test_user_and_password_for_a_web_server(
    git: GitRepository,
    common: GitRepository,
    options: Callable[..., ProjectOptions],
    tmp_path: Path,
    told: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve_git(tmp_path) as web:
        web.password = "pass:word"
        entry = f"includes:\n- git: {web.url}/common/.git\n  branch: main\n"
        git.write({"werf-includes.yaml": entry})
        with pytest.raises(ContextError) as caught:
            update_lock(options())
        assert "basicAuth" in (caught.value.hint or "")
        git.write({"werf-includes.yaml": entry + "  basicAuth: {username: me, password: {env: INCLUDES_PASSWORD}}\n"})
        with pytest.raises(WerfError, match="INCLUDES_PASSWORD is not set"):
            update_lock(options())
        monkeypatch.setenv("INCLUDES_PASSWORD", "pass:word")
        update_lock(options())
        assert "me:pass:word" in web.users
        assert "pass" not in (git.path / "werf-includes.lock").read_text()
        git.commit()
        assert open_project(options(), told).images() == ("web",)  # type: ignore[arg-type]  # messages only
        secret = tmp_path / "secret"
        secret.write_text("pass:word\n")
        git.write({"werf-includes.yaml": entry + f"  basicAuth: {{username: me, password: {{src: {secret}}}}}\n"})
        update_lock(options())
