"""Docker's configuration directory: where it is, and copies of it for one job, so that jobs share no logins."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping

from pywerf.errors import RegistryConfigError
from pywerf.registry.credentials import DOCKER_HUB_KEY

__all__ = ["COPY_PREFIX", "config_file", "copy_config", "default_config_dir", "docker_key", "write_config"]

COPY_PREFIX = "werf-docker-config-"
_PLUGINS = "cli-plugins"  # programs, often large ones: a copy links to them


def default_config_dir(environ: Mapping[str, str]) -> str:
    """`WERF_DOCKER_CONFIG`, then `DOCKER_CONFIG`, then `~/.docker`."""
    named = environ.get("WERF_DOCKER_CONFIG") or environ.get("DOCKER_CONFIG")
    return named or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".docker")


def config_file(directory: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """The path of config.json in `directory`, or in the default one."""
    return os.path.join(os.path.expanduser(directory) or default_config_dir(environ), "config.json")


def docker_key(key: str) -> str:
    """How docker itself writes a registry in config.json: docker.io has a name of its own there."""
    return DOCKER_HUB_KEY if key == "docker.io" else key


@contextlib.contextmanager
def copy_config(source: str, tmp_dir: str = "") -> Iterator[str]:
    """A copy of docker's configuration directory, for its owner alone; what is not there is empty.

    It stays, unless the body raises. Sockets and the like are left out. Raises RegistryConfigError.
    """
    import shutil

    with _new_directory(tmp_dir) as copy:
        if os.path.isdir(source):
            try:
                shutil.copytree(source, copy, ignore=_not_copied, dirs_exist_ok=True)
                plugins = os.path.join(source, _PLUGINS)
                if os.path.isdir(plugins):
                    os.symlink(os.path.abspath(plugins), os.path.join(copy, _PLUGINS))
                os.chmod(copy, 0o700)
            except shutil.Error as error:
                path, _, why = error.args[0][0]
                raise RegistryConfigError(f"{path}: cannot be copied: {why}") from error
            except OSError as error:
                raise RegistryConfigError(f"{error.filename or source}: {(error.strerror or '').lower()}") from error
        yield copy


@contextlib.contextmanager
def write_config(text: str, tmp_dir: str = "") -> Iterator[str]:
    """A new configuration directory whose config.json is `text`; it stays, unless the body raises.

    Raises RegistryConfigError for what is not a JSON object; the text, which has secrets, is not shown.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RegistryConfigError("DOCKER_AUTH_CONFIG is not a JSON object", hint='it looks like {"auths": {…}}')
    with _new_directory(tmp_dir) as directory:
        path = os.path.join(directory, "config.json")
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise RegistryConfigError(f"{path}: {(error.strerror or '').lower()}") from error
        yield directory


@contextlib.contextmanager
def _new_directory(tmp_dir: str) -> Iterator[str]:
    import shutil
    import tempfile

    where = tmp_dir or tempfile.gettempdir()
    try:
        directory = tempfile.mkdtemp(prefix=COPY_PREFIX, dir=where)  # mode 0700
    except OSError as error:
        raise RegistryConfigError(
            f"{where}: {(error.strerror or '').lower()}", hint="--tmp-dir names another"
        ) from error
    try:
        yield directory
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """What a copy leaves out of a folder: sockets and the like, links to nothing, programs of the docker command."""
    out = {name for name in names if name == _PLUGINS}
    for name in names:
        try:
            mode = os.stat(os.path.join(folder, name)).st_mode
        except OSError:
            mode = 0
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            out.add(name)
    return out
