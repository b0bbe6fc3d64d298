"""What the variables of a CI system come to for werf: plain decisions, as values.

The shells that they are written for are in cli/ci_shells.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pywerf.errors import UsageError

__all__ = ["CI_SYSTEMS", "CiEnv", "Login", "Section", "Variable", "plan_ci_env"]

CI_SYSTEMS = ("gitlab", "github")


class Variable(msgspec.Struct, frozen=True):
    """A variable and its value. `state`: `set` it; `already`: it has a value, which stays; `empty`: there is none."""

    name: str
    value: str
    state: str


class Section(msgspec.Struct, frozen=True):
    """Variables under a title."""

    title: str
    variables: tuple[Variable, ...]


class Login(msgspec.Struct, frozen=True):
    """The registry that a job is logged in to."""

    registry: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login(registry={self.registry!r}, username={self.username!r}, ***)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("registry", self.registry), ("username", self.username)]


class CiEnv(msgspec.Struct, frozen=True):
    """All of it; `login` None: the CI system has given no credentials."""

    login: Login | None
    sections: tuple[Section, ...]


Values = tuple[tuple[str, str], ...]


def plan_ci_env(system: str, environ: Mapping[str, str], docker_config: str, project: Callable[[], str]) -> CiEnv:
    """The variables for a job of a CI system, whose own are in `environ`.

    `docker_config` is the job's configuration directory; `project` finds the name of the project, when it is needed.
    Raises UsageError for a system that is not known.
    """
    if system == "gitlab":
        login, repo, deploy = _gitlab(environ)
    elif system == "github":
        login, repo, deploy = _github(environ, project)
    else:
        raise UsageError(
            f'"{system}" is no CI system that werf knows', hint=f"the systems are {' and '.join(CI_SYSTEMS)}"
        )

    def section(title: str, values: Values) -> Section:
        return Section(title, tuple(_variable(name, value, environ) for name, value in values))

    # These two replace what is set: the directory belongs to this job alone.
    own = tuple(Variable(name, docker_config, "set") for name in ("DOCKER_CONFIG", "WERF_DOCKER_CONFIG"))
    return CiEnv(
        login,
        (
            Section("Docker configuration", own),
            section("Repository", repo),
            section("Environment and annotations", deploy),
            section("Output", _OUTPUT),
        ),
    )


_OUTPUT = (
    ("WERF_LOG_COLOR_MODE", "on"),
    ("WERF_LOG_PROJECT_DIR", "1"),
    ("WERF_LOG_TERMINAL_WIDTH", "130"),
    ("WERF_ENABLE_PROCESS_EXTERMINATOR", "1"),
)


def _gitlab(environ: Mapping[str, str]) -> tuple[Login | None, Values, Values]:
    get = _reader(environ)
    image, token = get("CI_REGISTRY_IMAGE"), get("CI_JOB_TOKEN")
    url, pipeline, job = get("CI_PROJECT_URL"), get("CI_PIPELINE_ID"), get("CI_JOB_ID")
    tag = get("CI_COMMIT_TAG") or get("CI_BUILD_TAG")
    deploy = (
        ("WERF_ENV", get("CI_ENVIRONMENT_SLUG")),
        ("WERF_ADD_ANNOTATION_PROJECT_GIT", _annotation("project.werf.io/git", url)),
        ("WERF_ADD_ANNOTATION_CI_COMMIT", _annotation("ci.werf.io/commit", get("CI_COMMIT_SHA"))),
        ("WERF_ADD_ANNOTATION_CI_GIT_TAG", _annotation("ci.werf.io/tag", tag)),
        (
            "WERF_ADD_ANNOTATION_GITLAB_CI_PIPELINE_URL",
            _annotation("gitlab.ci.werf.io/pipeline-url", url and pipeline and f"{url}/pipelines/{pipeline}"),
        ),
        (
            "WERF_ADD_ANNOTATION_GITLAB_CI_JOB_URL",
            _annotation("gitlab.ci.werf.io/job-url", url and job and f"{url}/-/jobs/{job}"),
        ),
    )
    login = Login(image.partition("/")[0], "gitlab-ci-token", token) if image and token else None
    return login, (("WERF_REPO", image), ("WERF_REPO_CONTAINER_REGISTRY", "gitlab")), deploy


def _github(environ: Mapping[str, str], project: Callable[[], str]) -> tuple[Login | None, Values, Values]:
    get = _reader(environ)
    repository, token, actor = get("GITHUB_REPOSITORY"), get("GITHUB_TOKEN"), get("GITHUB_ACTOR")
    server = (get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
    run = get("GITHUB_RUN_ID")
    url = repository and f"{server}/{repository}"
    repo = f"ghcr.io/{repository.lower()}/{project()}" if repository else ""
    deploy = (
        ("WERF_ADD_ANNOTATION_PROJECT_GIT", _annotation("project.werf.io/git", url)),
        ("WERF_ADD_ANNOTATION_CI_COMMIT", _annotation("ci.werf.io/commit", get("GITHUB_SHA"))),
        (
            "WERF_ADD_ANNOTATION_GITHUB_ACTIONS_RUN_URL",
            _annotation("github.ci.werf.io/workflow-run-url", url and run and f"{url}/actions/runs/{run}"),
        ),
    )
    login = Login("ghcr.io", actor, token) if repo and actor and token else None
    return login, (("WERF_REPO", repo), ("WERF_REPO_GITHUB_TOKEN", token)), deploy


def _reader(environ: Mapping[str, str]) -> Callable[[str], str]:
    return lambda name: environ.get(name, "")


def _annotation(key: str, value: str) -> str:
    return f"{key}={value}" if value else ""


def _variable(name: str, value: str, environ: Mapping[str, str]) -> Variable:
    if environ.get(name):
        return Variable(name, value, "already")
    return Variable(name, value, "set" if value else "empty")
