"""`werf ci-env`: a CI job's variables as werf's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pywerf.cli.declare import Choice, argument, declared, flag, switch
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.project_flags import project_flags, project_options
from pywerf.cli.registry_flags import docker_config_flag, tls_flags, tls_verify
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pywerf.build.ci_env import CiEnv

__all__ = ["command"]

_ENV_FILE = ".env"


@declared("ci-env", usage_line="gitlab|github", short_help="Print a CI job's variables as werf's.")
@switch("--as-file", help="Write a script to a temporary file, and print its path.")
@switch("--as-env-file", help="Write NAME=VALUE lines to .env, and print its path.")
@flag("--output-file-path", "-o", metavar="FILE", help="Write to this file, and print its path.")
@flag(
    "--shell",
    type=Choice(("cmdexe", "powershell")),
    default=None,
    metavar="SHELL",
    help="cmdexe or powershell (default: a POSIX shell).",
)
@switch("--login-to-registry", default=True, help="Log in to the CI system's registry (true by default).")
@switch("--use-docker-auth-config", help="Make docker's config.json from the variable DOCKER_AUTH_CONFIG.")
@docker_config_flag
@tls_flags
@project_flags
@log_flags
@further_log_flags
@argument("system", metavar="gitlab|github")
def command(run: Invocation, /, **flags: Any) -> int:
    """Print shell code that sets werf's variables by those of a CI job; log in to the CI system's registry.

    For instance: . "$(werf ci-env gitlab --as-file)"

    Docker's configuration is copied to a temporary directory, so that jobs do not share logins. A variable that is
    set already stays as it is.
    """
    from pywerf.build.ci_env import CI_SYSTEMS, plan_ci_env
    from pywerf.cli.login import log_in, registry_key
    from pywerf.registry.credentials import Credential
    from pywerf.registry.docker_config import config_file, docker_key
    from pywerf.registry.settings import RegistrySettings

    if flags["as_file"] and flags["as_env_file"]:
        raise UsageError("--as-file and --as-env-file cannot be used together")
    if flags["as_env_file"] and flags["shell"]:
        raise UsageError("--as-env-file is the same for all shells", hint="leave out --shell")
    if flags["system"] not in CI_SYSTEMS:
        plan_ci_env(flags["system"], {}, "", str)  # the error, before anything is made

    def project() -> str:
        from pywerf.build.project.project import open_project

        with run.reporter(quiet=True) as reporter:
            return open_project(project_options(flags), reporter).config.meta.project

    with _docker_config(flags) as directory:
        env = plan_ci_env(flags["system"], os.environ, directory, project)
        login = env.login
        if login is not None:
            run.secrets.append(login.password)
        if login is not None and flags["login_to_registry"]:
            key = registry_key(login.registry)
            settings = RegistrySettings(
                tls_verify=tls_verify(flags["insecure_registry"], flags["skip_tls_verify_registry"])
            )
            credential = Credential(login.username, login.password)
            log_in(key, credential, settings, config_file(directory), kept_as=docker_key(key))
        print(_written(env, flags), end="")
    return 0


def _docker_config(flags: dict[str, Any]) -> AbstractContextManager[str]:
    """The job's own configuration directory."""
    from pywerf.registry.docker_config import copy_config, default_config_dir, write_config

    if flags["use_docker_auth_config"]:
        text = os.environ.get("DOCKER_AUTH_CONFIG", "")
        if not text:
            raise UsageError(
                "--use-docker-auth-config: the variable DOCKER_AUTH_CONFIG is not set",
                hint="leave the flag out: docker's configuration is copied then",
            )
        return write_config(text, flags["tmp_dir"])
    return copy_config(os.path.expanduser(flags["docker_config"]) or default_config_dir(os.environ), flags["tmp_dir"])


def _written(env: CiEnv, flags: dict[str, Any]) -> str:
    """Write what is asked for; what stdout gets: the script, or the path of the file."""
    import tempfile

    from pywerf.cli.ci_shells import SUFFIXES, write_env_file, write_script

    text = write_env_file(env) if flags["as_env_file"] else write_script(env, flags["shell"] or "")
    path = flags["output_file_path"]
    if not (path or flags["as_file"] or flags["as_env_file"]):
        return text
    try:
        if not path and flags["as_file"]:
            suffix = SUFFIXES[flags["shell"] or ""]
            descriptor, path = tempfile.mkstemp(suffix, "werf-ci-env-", flags["tmp_dir"] or None)
        else:
            path = os.path.abspath(path or _ENV_FILE)
            # The file has tokens in it: it is its owner's alone.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {(error.strerror or '').lower()}") from error
    return f"{path}\n"
