"""Projects: what is read from the commit, what from the work tree, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pywerf.build.project.context_sources import context_sources
from pywerf.build.project.documents import documents_of, graph_of
from pywerf.build.project.project import Project
from pywerf.config.werf_yaml.model import DockerfileImage
from pywerf.errors import (
    ConfigError,
    ContextError,
    GiterminismError,
    GitError,
    TemplateError,
    UsageError,
    WerfError,
)
from pywerf.util.filetree import FileTree, join
from support.git_repository import GitRepository

META = "project: shop\nconfigVersion: 1\n---\n"
WERF_YAML = META + "image: web\ndockerfile: Dockerfile\n"
PERMIT = "giterminismConfigVersion: 1\n"
Open = Callable[..., Project]


def image(project: Project, name: str = "web") -> DockerfileImage:
    found = project.config.image(name)
    assert isinstance(found, DockerfileImage)
    return found


def names(tree: FileTree, folder: str = "") -> list[str]:
    found: list[str] = []
    for node in tree.scandir(folder):
        path = join(folder, node.name)
        found += names(tree, path) if node.kind == "dir" else [path]
    return found


def test_a_project_is_what_its_commit_says(git: GitRepository, opened: Open) -> None:
    commit = git.commit({"werf.yaml": WERF_YAML, "Dockerfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    project = opened()
    assert (project.commit, project.config.meta.project, project.images()) == (commit, "shop", ("web",))
    data, name = project.dockerfile(image(project))
    assert (data, name) == (b"FROM scratch\nCOPY a /\n", "Dockerfile")
    assert names(project.context(image(project), data)) == ["Dockerfile", "a", "werf.yaml"]


def test_werf_yml_is_the_other_name_and_config_names_another_file(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yml": WERF_YAML, "conf/other.yaml": META + "image: other\ndockerfile: D\n"})
    assert opened().images() == ("web",)
    assert opened(config="conf/other.yaml").images() == ("other",)


def test_a_project_in_a_directory_of_the_repository(git: GitRepository, opened: Open) -> None:
    git.commit({"app/werf.yaml": WERF_YAML + "context: src\n", "app/src/Dockerfile": "FROM scratch", "top": "x"})
    project = opened("app")
    assert project.dockerfile(image(project))[1] == "src/Dockerfile"
    assert names(project.context(image(project))) == ["Dockerfile"]
    git.write({"top": "changed"})
    assert opened("app").images() == ("web",)


def test_no_configuration_is_an_error_that_names_the_directory(git: GitRepository, opened: Open) -> None:
    git.commit({"a": "x"})
    with pytest.raises(GitError, match=r"no werf\.yaml or werf\.yml in"):
        opened()


def test_project_name_and_platforms_of_the_command_line_win(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": WERF_YAML + "platform: linux/arm64\n"})
    project = opened(project_name="other", platforms=("linux/amd64",))
    assert (project.config.meta.project, image(project).platforms) == ("other", ("linux/amd64",))
    with pytest.raises(UsageError, match="lower-case letters"):
        opened(project_name="Not Good")


# Templates


def test_templates_see_the_project(git: GitRepository, opened: Open) -> None:
    commit = git.commit(
        {
            "werf.yaml": META + '{{ include "lib/image.tmpl" (dict "name" "web" "root" .) }}',
            ".werf/lib/image.tmpl": "image: {{ .name }}\ndockerfile: D\nargs:\n  HASH: {{ .root.Commit.Hash }}\n"
            "  UNIX: {{ .root.Commit.Date.Unix }}\n  HUMAN: {{ .root.Commit.Date.Human }}\n  ENV: {{ .root.Env }}\n"
            '  FILE: {{ .root.Files.Get "conf/a.txt" | trim }}\n'
            '  LIST: {{ keys (.root.Files.Glob "conf/**/*.txt") | join "," }}\n'
            '  IS: {{ .root.Files.Exists "conf/a.txt" }} {{ .root.Files.Exists "nope" }} {{ .root.Files.IsDir "conf" }}'
            ' {{ .root.Files.IsDir "conf/a.txt" }}\n',
            ".werf/ignored.txt": "{{ broken",
            "conf/a.txt": "hello\n",
            "conf/x/b.txt": "b",
        }
    )
    args = dict(image(opened(env="production")).args)
    assert args == {
        "HASH": commit,
        "UNIX": "1700000001",
        "HUMAN": "2023-11-15 00:13:21 +0200 +0200",
        "ENV": "production",
        "FILE": "hello",
        "LIST": "conf/a.txt,conf/x/b.txt",
        "IS": "true false true false",
    }


def test_values_are_handed_on_in_the_data_and_texts_are_templates(git: GitRepository, opened: Open) -> None:
    git.commit(
        {
            "werf.yaml": META + '{{ $_ := set . "Name" "web" }}{{ include "a.tmpl" . }}'
            '{{ define "args" }}A: {{ .v }}{{ end }}\nargs:\n{{ tpl "  {{ include \\"args\\" . }}" (dict "v" 5) }}\n'
            '  Y: {{ toYaml (fromYaml "a: [1, x]").a | quote }}\n  R: {{ required "is needed" 0 }}\n',
            ".werf/a.tmpl": "image: {{ .Name }}\ndockerfile: D",
        }
    )
    assert dict(image(opened()).args) == {"A": "5", "Y": "- 1\n- x", "R": "0"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{{ env "HOME" }}', 'env "HOME" is a potential external dependency'),
        ('{{ required "a name is needed" "" }}', "error calling required: a name is needed"),
        ('{{ .Files.Get "nope" }}', "nope is not in the commit"),
        ('{{ .Files.Get "../outside" }}', "lies outside of the git work tree"),
        ('{{ .Files.Glob "../*" }}', "leaves the project directory"),
        ('{{ include "nope" . }}', 'no template "nope" is defined'),
        ("{{ nope }}", 'function "nope" not defined'),
        ('{{ fromYaml "- a" }}', "a map is expected in the YAML"),
        ('{{ expandenv "$HOME" }}', 'function "expandenv" not defined'),
        ('{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}', "templates in each other"),
        ('{{ tpl "{{ broken" . }}', "error calling tpl: template: tpl-"),
    ],
)
def test_errors_of_templates_name_the_place(git: GitRepository, opened: Open, text: str, why: str) -> None:
    git.commit({"werf.yaml": "project: shop\nconfigVersion: 1\n" + text})
    with pytest.raises(TemplateError) as caught:
        opened()
    assert "template: werfConfig:3" in caught.value.message
    assert why in caught.value.message


def test_an_error_shows_the_text_only_with_debug_templates(git: GitRepository, opened: Open) -> None:
    git.commit(
        {"werf.yaml": 'secret: hush\n{{ include "a.tmpl" . }}', ".werf/a.tmpl": "line\n{{ fail `no` }} password"}
    )
    with pytest.raises(TemplateError) as caught:
        opened()
    assert "password" not in str(caught.value)
    assert "--debug-templates" in (caught.value.hint or "")
    with pytest.raises(TemplateError) as caught:
        opened(debug_templates=True)
    assert "   2 | {{ fail `no` }} password" in caught.value.message


def test_debug_functions_tell_only_when_asked(git: GitRepository, opened: Open, told: Any) -> None:
    text = '{{ include_debug "a" . }}{{ tpl_debug "T" . }}{{ printf_debug "%d!" 5 }}{{ dump_debug (dict "k" 1) }}'
    git.commit({"werf.yaml": WERF_YAML + "# " + text + '{{ define "a" }}A{{ end }}\n'})
    assert "# AT\n" in opened().rendered
    assert told.messages == []
    assert "# AT\n" in opened(debug_templates=True).rendered
    texts = [text for _, text in told.messages]
    assert "5!" in texts
    assert any('"k": int 1' in text for text in texts)
    assert any(text.startswith("include a: result:\nA") for text in texts)


def test_env_with_permission(git: GitRepository, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_SET", "value")
    monkeypatch.setenv("APP_EMPTY", "")
    monkeypatch.delenv("APP_UNSET", raising=False)
    git.commit(
        {
            "werf.yaml": WERF_YAML + 'args:\n  A: "{{ env "APP_SET" }}"\n  B: "{{ env "APP_EMPTY" }}"\n'
            '  C: "{{ env "APP_EMPTY" "d" }}"\n  D: "{{ env "APP_UNSET" "d" }}"\n',
            "werf-giterminism.yaml": PERMIT + "config: {goTemplateRendering: {allowEnvVariables: [/APP_.*/]}}\n",
        }
    )
    assert dict(image(opened()).args) == {"A": "value", "B": "", "C": "d", "D": "d"}
    git.commit({"werf.yaml": WERF_YAML + 'args: {A: "{{ env "APP_UNSET" }}"}\n'})
    with pytest.raises(TemplateError, match="APP_UNSET is not set"):
        opened()
    assert dict(image(opened(loose_giterminism=True)).args) == {"A": ""}


# Giterminism


@pytest.mark.parametrize(
    "changed",
    [
        {"werf.yaml": WERF_YAML + "# changed"},
        {".werf/a.tmpl": "changed"},
        {".werf/new.tmpl": "new"},
        {".werf/a.tmpl": None},
        {"werf-giterminism.yaml": PERMIT},
        {"conf/new": "new"},
        {"conf/a": "changed"},
    ],
)
def test_configuration_that_is_not_committed_is_an_error(
    git: GitRepository, opened: Open, changed: dict[str, str | None]
) -> None:
    git.commit({"werf.yaml": WERF_YAML + '# {{ .Files.Glob "conf/*" }}', ".werf/a.tmpl": "a", "conf/a": "a"})
    opened()
    git.write(changed)
    with pytest.raises(WerfError) as caught:
        opened()
    assert next(iter(changed)) in caught.value.message
    assert "--dev" in (caught.value.hint or "")
    assert opened(dev=True).images() == ("web",)


def test_other_changes_do_not_matter(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": WERF_YAML, ".werf/a.tmpl": "a", "README": "x"})
    git.write({"README": "changed", "notes": "new", ".werf/readme.md": "new"})
    assert opened().images() == ("web",)


@pytest.mark.parametrize(
    ("files", "changed", "permission"),
    [
        ({}, {"werf.yaml": WERF_YAML + "target: new\n"}, "config: {allowUncommitted: true}"),
        (
            {"werf.yaml": WERF_YAML + 'target: {{ include "t" . }}\n', ".werf/a.tmpl": '{{ define "t" }}old{{ end }}'},
            {".werf/a.tmpl": '{{ define "t" }}new{{ end }}'},
            "config: {allowUncommittedTemplates: ['.werf/**']}",
        ),
        (
            {"werf.yaml": WERF_YAML + 'target: {{ .Files.Get "local/t" }}\n'},
            {"local/t": "new"},
            "config: {goTemplateRendering: {allowUncommittedFiles: [local]}}",
        ),
    ],
)
def test_permitted_files_come_from_the_work_tree(
    git: GitRepository, opened: Open, files: dict[str, str], changed: dict[str, str], permission: str
) -> None:
    git.commit({"werf.yaml": WERF_YAML, "werf-giterminism.yaml": PERMIT + permission + "\n", **files})
    git.write(changed)
    assert image(opened()).target == "new"


def test_a_permitted_file_that_is_nowhere_is_an_error(git: GitRepository, opened: Open) -> None:
    permission = PERMIT + "config: {goTemplateRendering: {allowUncommittedFiles: [local]}}\n"
    git.commit({"werf.yaml": '{{ .Files.Get "local/t" }}', "werf-giterminism.yaml": permission})
    with pytest.raises(TemplateError, match="local/t: not found in the project directory"):
        opened()


def test_a_link_to_what_is_not_committed_is_told_with_its_target(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": WERF_YAML, "Dockerfile": "->Other"})
    project = opened()
    with pytest.raises(GitError, match="Dockerfile is a link to Other, which is not in the commit") as missing:
        project.dockerfile(image(project))
    assert "the same commit has to give the same images" in (missing.value.hint or "")
    git.write({"Other": "FROM scratch\n"})
    project = opened()
    with pytest.raises(GiterminismError, match=r"\(Dockerfile is a link to it\):\n  Other \(not committed yet\)"):
        project.dockerfile(image(project))


def test_an_ignored_file_is_told_as_such(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": '{{ .Files.Get "local" }}', ".gitignore": "local\n"})
    git.write({"local": "x"})
    with pytest.raises(TemplateError, match=r"local is not in the commit: \.gitignore excludes it"):
        opened()


def test_loose_reads_the_work_tree_and_permits_everything(git: GitRepository, opened: Open, told: Any) -> None:
    git.commit({"werf.yaml": WERF_YAML, "Dockerfile": "FROM old", "a": "old"})
    git.write({"werf.yaml": WERF_YAML + "secrets: [{env: X}]\n", "Dockerfile": "FROM new\nCOPY a /\n", "a": "new"})
    project = opened(loose_giterminism=True)
    data, _ = project.dockerfile(image(project))
    assert data.startswith(b"FROM new")
    tree = project.context(image(project), data)
    with open(tree.open("a"), "rb") as file:
        assert file.read() == b"old"
    assert [kind for kind, _ in told.messages] == ["warning"]


def test_permissions_are_checked_for_all_images(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": WERF_YAML + "secrets: [{env: X}]\n"})
    with pytest.raises(GiterminismError, match="the secret env: X of image web is a potential external dependency"):
        opened()


def test_includes_update_needs_its_permission(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": WERF_YAML})
    with pytest.raises(GiterminismError, match="--allow-includes-update is a potential external dependency"):
        opened(allow_includes_update=True)


# Links


def test_links_are_followed_and_checked(git: GitRepository, opened: Open) -> None:
    git.commit({"app/werf.yaml": "->../shared/werf.yaml", "shared/werf.yaml": WERF_YAML})
    assert opened("app").images() == ("web",)
    git.write({"shared/werf.yaml": WERF_YAML + "# changed"})
    with pytest.raises(GiterminismError) as caught:
        opened("app")
    assert "../shared/werf.yaml (changed since the commit)" in caught.value.message


@pytest.mark.parametrize("target", ["../../outside", "/etc/passwd"])
def test_a_link_out_of_the_work_tree_is_an_error(git: GitRepository, opened: Open, target: str) -> None:
    git.commit({"app/werf.yaml": f"->{target}"})
    with pytest.raises(GiterminismError, match="out"):
        opened("app")
    with pytest.raises(WerfError):
        opened("app", loose_giterminism=True)


def test_links_in_a_circle_are_an_error(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": "->werf.yml", "werf.yml": "->werf.yaml"})
    with pytest.raises(GiterminismError, match="too many levels of symbolic links"):
        opened()


# Contexts


def context_error(git: GitRepository, opened: Open, changed: dict[str, str | None], dockerfile: str) -> str:
    git.commit(
        {"werf.yaml": WERF_YAML, "Dockerfile": dockerfile, "src/a": "1", "docs/b": "1", ".dockerignore": "*.tmp\n"}
    )
    git.write(changed)
    project = opened()
    try:
        data, _ = project.dockerfile(image(project))
        project.context(image(project), data)
    except GiterminismError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("changed", "dockerfile", "matters"),
    [
        ({"src/a": "2"}, "FROM scratch\nCOPY src /\n", True),
        ({"src/new": "2"}, "FROM scratch\nCOPY src /\n", True),
        ({"src/a": None}, "FROM scratch\nCOPY src /\n", True),
        ({"src/x.tmp": "2"}, "FROM scratch\nCOPY . /\n", True),
        ({"x.tmp": "2"}, "FROM scratch\nCOPY . /\n", False),
        ({"docs/b": "2"}, "FROM scratch\nCOPY src /\n", False),
        ({"docs/b": "2"}, "FROM scratch\nARG X\nCOPY $X /\n", True),
        ({"docs/b": "2"}, "FROM scratch\nADD d*/b /\n", True),
        ({"docs/b": "2"}, "FROM a\nFROM scratch\nCOPY --from=0 docs /\n", False),
        ({"docs/b": "2"}, "FROM scratch\nRUN --mount=type=bind,source=docs,target=/d x\n", True),
        ({"docs/b": "2"}, "FROM scratch\nRUN --mount=type=cache,target=/d x\n", False),
        ({"Dockerfile": "FROM other"}, "FROM scratch\n", True),
        ({".dockerignore": ""}, "FROM scratch\n", True),
    ],
)
def test_changes_matter_when_the_dockerfile_can_take_them(
    git: GitRepository, opened: Open, changed: dict[str, str | None], dockerfile: str, matters: bool
) -> None:
    message = context_error(git, opened, changed, dockerfile)
    assert (next(iter(changed)) in message) is matters


def test_a_context_that_is_not_committed(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": WERF_YAML + "context: web\n"})
    project = opened()
    with pytest.raises(ContextError, match="image web: the context web is not in the commit"):
        project.context(image(project))


def test_added_files_come_from_the_work_tree_and_must_be_there(git: GitRepository, opened: Open) -> None:
    git.commit(
        {
            "werf.yaml": WERF_YAML + "contextAddFiles: [dist]\n",
            "werf-giterminism.yaml": PERMIT + "config: {dockerfile: {allowContextAddFiles: [dist]}}\n",
            "Dockerfile": "FROM scratch\nCOPY dist /\n",
            ".gitignore": "dist\n",
        }
    )
    project = opened()
    with pytest.raises(ContextError, match="contextAddFiles: dist is not in"):
        project.context(image(project))
    git.write({"dist/app": "x"})
    data, _ = project.dockerfile(image(project))
    assert "dist/app" in names(project.context(image(project), data))


def test_an_own_ignore_file_of_the_dockerfile_wins_and_an_ignored_dockerfile_is_kept(
    git: GitRepository, opened: Open, told: Any
) -> None:
    git.commit(
        {
            "werf.yaml": WERF_YAML,
            "Dockerfile": "FROM scratch",
            "Dockerfile.dockerignore": "*\n!a",
            ".dockerignore": "a",
            "a": "1",
        }
    )
    project = opened()
    assert names(project.context(image(project))) == ["Dockerfile", "a"]
    assert "leaves the Dockerfile out; it is kept" in told.messages[0][1]


def test_pointers_of_lfs_are_named(git: GitRepository, opened: Open, told: Any) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"
    git.commit({"werf.yaml": WERF_YAML, "Dockerfile": "FROM scratch", "model.bin": pointer})
    opened().context(image(opened()))
    assert told.messages == []
    git.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    project = opened()
    project.context(image(project))
    assert "pointers of Git LFS in the place of these files: model.bin" in told.messages[0][1]


def test_a_stapel_image_cannot_be_built_yet(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": META + "image: old\nfrom: debian\n"})
    project = opened()
    found = project.config.image("old")
    assert found is not None
    with pytest.raises(ConfigError, match="image old is a Stapel image"):
        project.needed(found)


@pytest.mark.parametrize(
    ("dockerfile", "sources"),
    [
        ("FROM a\nCOPY . /\n", {""}),
        ("FROM a\nCOPY a b/ /x/\nADD ./c https://h/f /\n", {"a", "b", "c"}),
        ('FROM a\nCOPY ["a b", "/c", "/"]\n', {"a b", "c"}),
        ("FROM a\nCOPY <<x /y\nCOPY inside /\nx\n", set()),
        ("FROM a\nCOPY --from=b x /\n", set()),
        ("FROM a\nRUN --mount=source=x,target=/x true\n", {"x"}),
        ("FROM a\nCOPY $A /\n", None),
        ("", None),
    ],
)
def test_sources_of_a_dockerfile(dockerfile: str, sources: set[str] | None) -> None:
    assert context_sources(dockerfile.encode()) == sources


# What `werf config` prints


GRAPH = META + (
    "image: base\ndockerfile: D\n---\nimage: [web, worker]\ndockerfile: D\ndependencies: [{image: base}]\n---\n"
    "image: old\nfrom: base\nimport: [{from: web, add: /a, after: setup}]\n"
)


def test_documents_and_graph_of_images(git: GitRepository, opened: Open) -> None:
    git.commit({"werf.yaml": GRAPH})
    project = opened()
    assert documents_of(project, ["worker"]) == "image: [web, worker]\ndockerfile: D\ndependencies: [{image: base}]\n"
    assert graph_of(project, ["old"]) == (
        "- image: base\n- image: web\n  dependsOn:\n    dependencies:\n    - base\n"
        "- image: old\n  dependsOn:\n    from: base\n    import:\n    - web"
    )


def test_the_rendered_text_is_kept_where_it_is_wanted(git: GitRepository, opened: Open, tmp_path: Any) -> None:
    git.commit({"werf.yaml": WERF_YAML + "{{/* gone */}}"})
    opened(config_render_path=str(tmp_path / "out.yaml"))
    assert (tmp_path / "out.yaml").read_text() == WERF_YAML
    with pytest.raises(UsageError, match="--config-render-path"):
        opened(config_render_path=os.fspath(tmp_path))


def test_errors_of_the_rendered_text_say_so(git: GitRepository, opened: Open, tmp_path: Any) -> None:
    git.commit({"werf.yaml": '{{ "\\n\\n" }}' + WERF_YAML + "args: [x]\n"})
    with pytest.raises(ConfigError) as caught:
        opened()
    assert caught.value.source is not None
    assert (caught.value.source.file, caught.value.source.first) == ("werf.yaml (rendered)", 8)
    assert "--config-render-path" in (caught.value.hint or "")
    with pytest.raises(ConfigError) as caught:
        opened(config_render_path=str(tmp_path / "out"))
    assert caught.value.source is not None
    assert caught.value.source.file == str(tmp_path / "out")
