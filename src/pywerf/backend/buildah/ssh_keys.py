"""Private keys from files, for the agent of `--ssh ID=KEYFILE`: RSA, ECDSA and Ed25519."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from pywerf.backend.buildah.key_agent import AgentKey, string
from pywerf.errors import BuildError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

__all__ = ["load_key"]

_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_SHA2_256 = 2  # SSH_AGENT_RSA_SHA2_256
_SHA2_512 = 4  # SSH_AGENT_RSA_SHA2_512
_CURVES = {
    "secp256r1": ("nistp256", "SHA256"),
    "secp384r1": ("nistp384", "SHA384"),
    "secp521r1": ("nistp521", "SHA512"),
}
_KINDS = "RSA, ECDSA (nistp256, nistp384, nistp521) and Ed25519 keys"


def load_key(path: str) -> AgentKey:
    """The key of a file in OpenSSH's form or PEM. Raises BuildError; a key with a passphrase is refused."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise BuildError(f"ssh key {path}: {error.strerror}") from error
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    except ImportError as error:
        raise BuildError(
            "--ssh with a key file needs the package cryptography",
            hint="pip install cryptography, or give the socket of an ssh-agent",
        ) from error
    load = serialization.load_ssh_private_key if _OPENSSH in data else serialization.load_pem_private_key
    try:
        key = load(data, password=None)
    except TypeError as error:
        raise _locked(path) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower():
            raise _locked(path) from error
        raise BuildError(
            f"ssh key {path}: it is no private key that can be read", hint=f"{_KINDS} can, in OpenSSH's form or PEM"
        ) from error
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        return _Rsa(key, _blob(public), path)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _Ed25519(key, _blob(public), path)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _Ecdsa(key, _blob(public), path)
    raise BuildError(f"ssh key {path}: a key of this kind is not supported", hint=f"{_KINDS} are")


def _locked(path: str) -> BuildError:
    return BuildError(
        f"ssh key {path}: it is protected by a passphrase",
        hint="add it to an agent (ssh-add) and pass --ssh ID, or the agent's socket",
    )


def _blob(public: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    line: bytes = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]  # of each kind
    return base64.b64decode(line.split(b" ")[1])


class _Key:
    def __init__(self, blob: bytes, path: str) -> None:
        self.blob = blob
        self.comment = os.path.basename(path)


class _Rsa(_Key):
    def __init__(self, key: RSAPrivateKey, blob: bytes, path: str) -> None:
        super().__init__(blob, path)
        self._key = key

    def sign(self, data: bytes, flags: int) -> bytes:
        """RFC 8332; without a flag the old SHA-1 form (RFC 4253)."""
        from cryptography.hazmat.primitives import hashes

        if flags & _SHA2_512:
            return self._signed(b"rsa-sha2-512", data, hashes.SHA512())
        if flags & _SHA2_256:
            return self._signed(b"rsa-sha2-256", data, hashes.SHA256())
        return self._signed(b"ssh-rsa", data, hashes.SHA1())

    def _signed(self, name: bytes, data: bytes, digest: HashAlgorithm) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        return string(name) + string(self._key.sign(data, PKCS1v15(), digest))


class _Ed25519(_Key):
    def __init__(self, key: Ed25519PrivateKey, blob: bytes, path: str) -> None:
        super().__init__(blob, path)
        self._key = key

    def sign(self, data: bytes, flags: int) -> bytes:
        """RFC 8709."""
        return string(b"ssh-ed25519") + string(self._key.sign(data))


class _Ecdsa(_Key):
    def __init__(self, key: EllipticCurvePrivateKey, blob: bytes, path: str) -> None:
        super().__init__(blob, path)
        self._key = key

    def sign(self, data: bytes, flags: int) -> bytes:
        """RFC 5656, section 3.1.2: the signature is two numbers, in a string of their own."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        curve, digest = _CURVES[self._key.curve.name]
        r, s = decode_dss_signature(self._key.sign(data, ECDSA(getattr(hashes, digest)())))
        return string(f"ecdsa-sha2-{curve}".encode()) + string(string(_number(r)) + string(_number(s)))


def _number(value: int) -> bytes:
    """The bytes of an mpint (RFC 4251, section 5): the first bit is a sign."""
    return value.to_bytes(value.bit_length() // 8 + 1)
