"""What a CI system's variables come to."""

from __future__ import annotations

import pytest

from pywerf.build.ci_env import CiEnv, Login, plan_ci_env
from pywerf.errors import UsageError


def states(env: CiEnv) -> dict[str, tuple[str, str]]:
    return {
        variable.name: (variable.state, variable.value) for section in env.sections for variable in section.variables
    }


def no_project() -> str:
    raise AssertionError("the project is not needed")


def test_gitlab() -> None:
    environ = {
        "CI_REGISTRY_IMAGE": "registry.example.com:5000/team/app",
        "CI_JOB_TOKEN": "t0ken",
        "CI_ENVIRONMENT_SLUG": "review-1",
        "CI_PROJECT_URL": "https://gitlab.example.com/team/app",
        "CI_COMMIT_SHA": "abc",
        "CI_COMMIT_TAG": "v1",
        "CI_PIPELINE_ID": "7",
        "CI_JOB_ID": "8",
    }
    env = plan_ci_env("gitlab", environ, "/tmp/job", no_project)
    assert env.login == Login("registry.example.com:5000", "gitlab-ci-token", "t0ken")
    assert "t0ken" not in repr(env)
    assert {name: value for name, (state, value) in states(env).items() if state == "set"} == {
        "DOCKER_CONFIG": "/tmp/job",
        "WERF_DOCKER_CONFIG": "/tmp/job",
        "WERF_REPO": "registry.example.com:5000/team/app",
        "WERF_REPO_CONTAINER_REGISTRY": "gitlab",
        "WERF_ENV": "review-1",
        "WERF_ADD_ANNOTATION_PROJECT_GIT": "project.werf.io/git=https://gitlab.example.com/team/app",
        "WERF_ADD_ANNOTATION_CI_COMMIT": "ci.werf.io/commit=abc",
        "WERF_ADD_ANNOTATION_CI_GIT_TAG": "ci.werf.io/tag=v1",
        "WERF_ADD_ANNOTATION_GITLAB_CI_PIPELINE_URL": (
            "gitlab.ci.werf.io/pipeline-url=https://gitlab.example.com/team/app/pipelines/7"
        ),
        "WERF_ADD_ANNOTATION_GITLAB_CI_JOB_URL": (
            "gitlab.ci.werf.io/job-url=https://gitlab.example.com/team/app/-/jobs/8"
        ),
        "WERF_LOG_COLOR_MODE": "on",
        "WERF_LOG_PROJECT_DIR": "1",
        "WERF_LOG_TERMINAL_WIDTH": "130",
        "WERF_ENABLE_PROCESS_EXTERMINATOR": "1",
    }


def test_github() -> None:
    environ = {
        "GITHUB_REPOSITORY": "Team/App",
        "GITHUB_ACTOR": "joe",
        "GITHUB_TOKEN": "t0ken",
        "GITHUB_SHA": "abc",
        "GITHUB_RUN_ID": "9",
    }
    env = plan_ci_env("github", environ, "/tmp/job", lambda: "shop")
    assert env.login == Login("ghcr.io", "joe", "t0ken")
    found = states(env)
    assert found["WERF_REPO"] == ("set", "ghcr.io/team/app/shop")
    assert found["WERF_REPO_GITHUB_TOKEN"] == ("set", "t0ken")
    assert found["WERF_ADD_ANNOTATION_PROJECT_GIT"] == ("set", "project.werf.io/git=https://github.com/Team/App")
    assert "WERF_ENV" not in found
    assert "WERF_REPO_CONTAINER_REGISTRY" not in found


@pytest.mark.parametrize("system", ["gitlab", "github"])
def test_outside_of_a_job_nothing_is_known(system: str) -> None:
    env = plan_ci_env(system, {}, "/tmp/job", no_project)
    assert env.login is None
    known = {name for name, (state, _) in states(env).items() if state == "set"}
    assert known - {"WERF_REPO_CONTAINER_REGISTRY"} == {
        "DOCKER_CONFIG",
        "WERF_DOCKER_CONFIG",
        "WERF_LOG_COLOR_MODE",
        "WERF_LOG_PROJECT_DIR",
        "WERF_LOG_TERMINAL_WIDTH",
        "WERF_ENABLE_PROCESS_EXTERMINATOR",
    }


def test_what_is_set_stays_but_for_the_directories() -> None:
    environ = {"WERF_REPO": "other", "DOCKER_CONFIG": "/old", "CI_REGISTRY_IMAGE": "r/a"}
    found = states(plan_ci_env("gitlab", environ, "/tmp/job", no_project))
    assert found["WERF_REPO"] == ("already", "r/a")
    assert found["DOCKER_CONFIG"] == ("set", "/tmp/job")


def test_another_system() -> None:
    with pytest.raises(UsageError, match='"travis"'):
        plan_ci_env("travis", {}, "", no_project)
