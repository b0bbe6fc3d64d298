"""`werf cr login`: credentials are proved to a registry, then kept in docker's configuration."""

from __future__ import annotations

from pywerf.cli.declare import argument, declared, flag, switch
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.login import ask_credential, log_in, registry_key
from pywerf.cli.registry_flags import docker_config_flag, tls_flags, tls_verify

__all__ = ["command"]


@declared("login", usage_line="REGISTRY")
@flag("--username", "-u", metavar="USER", help="User name.")
@flag("--password", "-p", metavar="PASSWORD", help="Password; better: --password-stdin.")
@switch("--password-stdin", help="Read the password from stdin.")
@docker_config_flag
@tls_flags
@log_flags
@further_log_flags
@argument("registry")
def command(
    run: Invocation,
    /,
    username: str,
    password: str,
    password_stdin: bool,
    docker_config: str,
    insecure_registry: bool,
    skip_tls_verify_registry: bool,
    registry: str,
) -> int:
    """Log in to REGISTRY (HOST[:PORT]): prove the credentials, and keep them in docker's config.json."""
    from pywerf.registry.docker_config import config_file, docker_key
    from pywerf.registry.settings import RegistrySettings

    key = registry_key(registry)
    credential = ask_credential(username, password, password_stdin, run.secrets)
    settings = RegistrySettings(tls_verify=tls_verify(insecure_registry, skip_tls_verify_registry))
    log_in(key, credential, settings, config_file(docker_config), kept_as=docker_key(key))
    print("Login Succeeded!")
    return 0
