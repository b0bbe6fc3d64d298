"""The secrets of an image as a builder takes them."""

from __future__ import annotations

import os
from contextlib import ExitStack

from pywerf.backend.contract import Secret
from pywerf.config.werf_yaml.model import ImageConfig, shown_name
from pywerf.config.werf_yaml.model import Secret as SecretConfig
from pywerf.errors import BuildError, ContextError

__all__ = ["secrets_of"]


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
