"""Folders with certificates: which one counts, and what in it cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from pywerf.errors import RegistryConfigError
from pywerf.registry.tls import certificate_folder, client_context


def test_the_first_folder_that_exists(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert certificate_folder("registry.invalid:5000", "", environ) == ""
    own = tmp_path / ".config/containers/certs.d/registry.invalid:5000"
    own.mkdir(parents=True)
    assert certificate_folder("registry.invalid:5000", "", environ) == str(own)
    assert certificate_folder("registry.invalid", "", environ) == ""
    assert certificate_folder("registry.invalid:5000", str(tmp_path), environ) == str(tmp_path)
    with pytest.raises(RegistryConfigError, match="no such folder"):
        certificate_folder("registry.invalid", str(tmp_path / "none"), environ)


def test_verification_is_on_unless_told(tmp_path: Path) -> None:
    context = client_context("", verify=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert client_context("", verify=False).verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("name", "message"),
    [("ca.crt", "cannot be read"), ("me.cert", r"me\.key is missing"), ("me.key", r"me\.cert is missing")],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_text("no certificate")
    with pytest.raises(RegistryConfigError, match=message):
        client_context(str(tmp_path), verify=True)


def test_client_certificates_are_for_the_registry_alone(tmp_path: Path) -> None:
    (tmp_path / "me.cert").write_text("no certificate")
    client_context(str(tmp_path), verify=True, client_certificate=False)  # not even looked at
