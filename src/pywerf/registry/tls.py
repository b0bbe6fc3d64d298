"""Certificates: the system's authorities, certs.d folders (containers-certs.d(5)), client certificates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pywerf.errors import RegistryConfigError

if TYPE_CHECKING:
    import ssl

__all__ = ["certificate_folder", "client_context"]

SYSTEM_FOLDERS = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def certificate_folder(host: str, cert_dir: str, environ: Mapping[str, str]) -> str:
    """The folder with certificates for `host[:port]`, or "": `cert_dir` when given, else the first that exists."""
    if cert_dir:
        if not os.path.isdir(cert_dir):
            raise RegistryConfigError(f"{cert_dir}: no such folder of certificates", hint="give another --cert-dir")
        return cert_dir
    home = environ.get("HOME", "")
    own = (os.path.join(home, ".config/containers/certs.d"),) if home else ()
    for folder in (*own, *SYSTEM_FOLDERS):
        candidate = os.path.join(folder, host)
        if os.path.isdir(candidate):
            return candidate
    return ""


def client_context(folder: str, *, verify: bool, client_certificate: bool = True) -> ssl.SSLContext:
    """A context for connections: `*.crt` in the folder are further authorities, `*.cert` with `*.key` our own.

    With `verify` False any certificate is taken. Raises RegistryConfigError for files that cannot be used.
    """
    import ssl

    if verify:
        context = ssl.create_default_context()
    else:  # authorities that nobody asks take long to load
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not folder:
        return context
    try:
        names = sorted(os.listdir(folder))
        for name in names:
            path = os.path.join(folder, name)
            stem, extension = os.path.splitext(path)
            if extension == ".crt":
                context.load_verify_locations(path)
            elif extension == ".cert" and client_certificate:
                if os.path.basename(stem) + ".key" not in names:
                    raise RegistryConfigError(
                        f"{path}: the key {stem}.key is missing", hint="client certificates come in pairs: .cert, .key"
                    )
                context.load_cert_chain(path, f"{stem}.key")
            elif extension == ".key" and client_certificate and os.path.basename(stem) + ".cert" not in names:
                raise RegistryConfigError(
                    f"{path}: the certificate {stem}.cert is missing",
                    hint="client certificates come in pairs: .cert, .key (authorities are called .crt)",
                )
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or getattr(error, "reason", "") or "not in PEM form"
        raise RegistryConfigError(f"{folder}: a certificate cannot be read: {reason}") from error
    return context
