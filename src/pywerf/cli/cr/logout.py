"""`werf cr logout`: credentials are removed from docker's configuration."""

from __future__ import annotations

from pywerf.cli.declare import argument, declared
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.login import log_out
from pywerf.cli.registry_flags import docker_config_flag

__all__ = ["command"]


@declared("logout", usage_line="REGISTRY")
@docker_config_flag
@log_flags
@further_log_flags
@argument("registry")
def command(run: Invocation, /, docker_config: str, registry: str) -> int:
    """Log out of REGISTRY: remove what docker's config.json has of it."""
    from pywerf.registry.docker_config import config_file

    print(f"Removed login credentials for {log_out(registry, config_file(docker_config))}")
    return 0
