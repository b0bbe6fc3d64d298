"""The secrets of an image as a builder takes them."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pywerf.backend.contract import Secret
from pywerf.config.werf_yaml.model import ImageConfig, shown_name
from pywerf.config.werf_yaml.model import Secret as SecretConfig
from pywerf.errors import BuildError, ContextError

if TYPE_CHECKING:
    from pywerf.build.project.project import Project

__all__ = ["secret_texts", "secrets_of"]

MAX_TEXT = 64 << 10
"""Bytes of a file that is looked for in output; what is larger is no password."""


def secret_texts(project: Project) -> list[str]:
    """What all secrets of a project hold that are there, so that it can be kept out of output."""
    found = {secret for image in project.config.images for secret in image.secrets}
    return [text for secret in sorted(found, key=lambda one: one.id) if (text := _text(secret, project.directory))]


def _text(secret: SecretConfig, directory: str) -> str:
    if secret.env is not None:
        return os.environ.get(secret.env, "")
    if secret.src is None:
        return secret.value or ""
    try:
        with open(os.path.join(directory, os.path.expanduser(secret.src)), "rb") as file:
            data = file.read(MAX_TEXT + 1)
    except OSError:
        return ""  # whoever builds with it says so
    return data.decode("utf-8", "surrogateescape") if len(data) <= MAX_TEXT else ""


def secrets_of(image: ImageConfig, directory: str, stack: ExitStack) -> tuple[Secret, ...]:
    """The secrets of `image`, files relative to the project's `directory`. Those of werf.yaml end with the stack."""
    return tuple(_secret(secret, directory, image, stack) for secret in image.secrets)


def _secret(secret: SecretConfig, directory: str, image: ImageConfig, stack: ExitStack) -> Secret:
    where = f"image {shown_name(image.name)}: the secret {secret.id}"
    if secret.env is not None:
        if secret.env not in os.environ:
            raise BuildError(f"{where}: the variable {secret.env} is not set")
        return Secret(secret.id, env=secret.env)
    if secret.src is not None:
        path = os.path.join(directory, os.path.expanduser(secret.src))
        if not os.path.isfile(path):
            raise ContextError(f"{where}: {path}: no such file")
        return Secret(secret.id, path=path)
    # A file in memory that has no name, and ends with this build.
    fd = os.memfd_create("secret", os.MFD_CLOEXEC)
    stack.callback(os.close, fd)
    os.write(fd, (secret.value or "").encode())
    return Secret(secret.id, path=f"/proc/{os.getpid()}/fd/{fd}")
