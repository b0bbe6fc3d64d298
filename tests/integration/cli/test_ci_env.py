"""`werf ci-env` as jobs use it: sh reads what it writes, and what follows is logged in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration

GITLAB = {
    "CI_JOB_TOKEN": "hunter2",
    "CI_PROJECT_URL": "https://gitlab.example.com/team/app",
    "CI_COMMIT_SHA": "0123",
    "CI_COMMIT_TAG": 'it\'s $(touch pwned) `touch pwned` "$HOME"',
    "CI_PIPELINE_ID": "7",
    "CI_JOB_ID": "8",
}


def sourced(werf: Werf, script: str, env: dict[str, str], cwd: Path) -> dict[str, str]:
    """The environment of a shell after a script, in which `$werf` is the command."""
    done = subprocess.run(
        ["sh", "-ec", f"{script}\nenv -0", "sh"],
        env={**werf.env, **env, "werf": " ".join(werf.command)},
        cwd=cwd,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return dict(item.split("=", 1) for item in done.stdout.decode().split("\0") if item)


@pytest.mark.parametrize(
    "script",
    [
        'eval "$($werf ci-env gitlab --login-to-registry=false)"',
        ". $($werf ci-env gitlab --as-file --login-to-registry=false)",
        ". ./$(basename $($werf ci-env gitlab -o job.sh --login-to-registry=false))",
        (
            "set -a; $werf ci-env gitlab --as-env-file -o vars --login-to-registry=false >/dev/null; "
            'while IFS= read -r line; do case $line in "#"*|"") ;; *) export "$line";; esac; done < vars'
        ),
    ],
)
def test_sh_reads_the_variables(werf: Werf, tmp_path: Path, script: str) -> None:
    env = {**GITLAB, "CI_REGISTRY_IMAGE": "registry.example.com/team/app", "TMPDIR": str(tmp_path)}
    found = sourced(werf, script, env, tmp_path)
    assert found["WERF_REPO"] == "registry.example.com/team/app"
    assert found["WERF_REPO_CONTAINER_REGISTRY"] == "gitlab"
    assert found["WERF_ADD_ANNOTATION_CI_GIT_TAG"] == f"ci.werf.io/tag={GITLAB['CI_COMMIT_TAG']}"
    pipeline = "gitlab.ci.werf.io/pipeline-url=https://gitlab.example.com/team/app/pipelines/7"
    assert found["WERF_ADD_ANNOTATION_GITLAB_CI_PIPELINE_URL"] == pipeline
    assert "WERF_ENV" not in found
    assert found["DOCKER_CONFIG"] == found["WERF_DOCKER_CONFIG"]
    assert Path(found["DOCKER_CONFIG"]).stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "pwned").exists()


def test_a_job_is_logged_in_for_itself_alone(werf: Werf, locked_registry: str, tmp_path: Path) -> None:
    docker = werf.home / ".docker"
    (docker / "cli-plugins").mkdir(parents=True)
    (docker / "cli-plugins/docker-x").write_text("a program")
    before = '{"auths": {"other.example.com": {"auth": "am9lOng="}}, "detachKeys": "ctrl-e"}'
    (docker / "config.json").write_text(before)
    env = {**GITLAB, "CI_REGISTRY_IMAGE": f"{locked_registry}/team/app", "TMPDIR": str(tmp_path)}
    env["XDG_RUNTIME_DIR"] = str(tmp_path)
    found = sourced(werf, ". $($werf ci-env gitlab --as-file)", env, tmp_path)
    job = Path(found["DOCKER_CONFIG"])
    config = json.loads((job / "config.json").read_text())
    assert set(config["auths"]) == {"other.example.com", locked_registry}
    assert config["detachKeys"] == "ctrl-e"
    assert (job / "cli-plugins/docker-x").read_text() == "a program"
    assert (docker / "config.json").read_text() == before

    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    werf.build(tmp_path, "app")
    destination = f"{locked_registry}/team/app:1"
    assert werf.run("buildah", "push", "app", destination, check=False).returncode == 125
    werf.run("buildah", "push", "app", destination, env={**found})


def test_a_refused_login_leaves_nothing(werf: Werf, locked_registry: str, tmp_path: Path) -> None:
    env = {"CI_JOB_TOKEN": "nope", "CI_REGISTRY_IMAGE": f"{locked_registry}/a/b", "TMPDIR": str(tmp_path)}
    failed = werf.run("ci-env", "gitlab", "--as-file", env=env, check=False)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "nope" not in failed.stderr
    assert not list(tmp_path.glob("werf-*"))


def test_docker_auth_config(werf: Werf, tmp_path: Path) -> None:
    env = {"DOCKER_AUTH_CONFIG": '{"auths": {"r.example.com": {"auth": "am9lOng="}}}', "TMPDIR": str(tmp_path)}
    words = ("ci-env", "gitlab", "--use-docker-auth-config")
    printed = werf.run(*words, env=env).stdout
    directory = next(tmp_path.glob("werf-docker-config-*"))
    assert f"export WERF_DOCKER_CONFIG='{directory}'\n" in printed
    assert (directory / "config.json").read_text() == env["DOCKER_AUTH_CONFIG"]
    broken = werf.run(*words, env={**env, "DOCKER_AUTH_CONFIG": "secret text"}, check=False)
    assert broken.returncode == 1
    assert "secret text" not in broken.stderr
    assert werf.run(*words, check=False).returncode == 2


def test_github_repo_has_the_name_of_the_project(werf: Werf, tmp_path: Path) -> None:
    git = GitRepository(tmp_path / "git")
    git.commit(
        {
            "werf.yaml": "project: shop\nconfigVersion: 1\n---\nimage: web\ndockerfile: Dockerfile\n",
            "Dockerfile": "FROM scratch\n",
        }
    )
    env = {
        "GITHUB_REPOSITORY": "Team/Shop",
        "GITHUB_RUN_ID": "9",
        "GITHUB_SHA": "0123",
        "GITHUB_ACTOR": "joe",
        "GITHUB_TOKEN": "t0ken",
        "WERF_ENV": "production",
        "TMPDIR": str(tmp_path),
    }
    found = sourced(werf, 'eval "$($werf ci-env github --login-to-registry=false)"', env, git.path)
    assert found["WERF_REPO"] == "ghcr.io/team/shop/shop"
    assert found["WERF_REPO_GITHUB_TOKEN"] == "t0ken"
    assert found["WERF_ENV"] == "production"
    url = "github.ci.werf.io/workflow-run-url=https://github.com/Team/Shop/actions/runs/9"
    assert found["WERF_ADD_ANNOTATION_GITHUB_ACTIONS_RUN_URL"] == url
    assert "WERF_REPO_CONTAINER_REGISTRY" not in found
