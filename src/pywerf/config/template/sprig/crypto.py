"""sprig's functions of keys, certificates and passwords."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from pywerf.config.template.sprig.convert import define, to_string
from pywerf.config.template.values import FunctionError, Struct

__all__ = ["FUNCTIONS"]

_AES_BLOCK = 16
_TEMPLATES = {
    "maximum": ("anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"),
    "long": (
        "CvcvnoCvcvCvcv", "CvcvCvcvnoCvcv", "CvcvCvcvCvcvno", "CvccnoCvcvCvcv", "CvccCvcvnoCvcv", "CvccCvcvCvcvno",
        "CvcvnoCvccCvcv", "CvcvCvccnoCvcv", "CvcvCvccCvcvno", "CvcvnoCvcvCvcc", "CvcvCvcvnoCvcc", "CvcvCvcvCvccno",
        "CvccnoCvccCvcv", "CvccCvccnoCvcv", "CvccCvccCvcvno", "CvcvnoCvccCvcc", "CvcvCvccnoCvcc", "CvcvCvccCvccno",
        "CvccnoCvcvCvcc", "CvccCvcvnoCvcc", "CvccCvcvCvccno",
    ),
    "medium": ("CvcnoCvc", "CvcCvcno"),
    "short": ("Cvcn",),
    "basic": ("aaanaaan", "aannaaan", "aaannaaa"),
    "pin": ("nnnn",),
}  # fmt: skip
_CHARACTERS = {
    "V": "AEIOU",
    "C": "BCDFGHJKLMNPQRSTVWXYZ",
    "v": "aeiou",
    "c": "bcdfghjklmnpqrstvwxyz",
    "A": "AEIOUBCDFGHJKLMNPQRSTVWXYZ",
    "a": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
    "n": "0123456789",
    "o": "@&%?,=[]_:-+*$#!'^~;()/.",
    "x": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
}
_SEED = b"com.lyndir.masterpassword"


def _derive_password(counter: int, kind: str, password: str, user: str, site: str) -> str:
    """The algorithm of Master Password."""
    import hmac
    import struct

    templates = _TEMPLATES.get(kind)
    if templates is None:
        return f"cannot find password template {kind}"
    salt = _SEED + struct.pack(">I", len(user)) + user.encode()
    try:
        key = hashlib.scrypt(password.encode(), salt=salt, n=32768, r=8, p=2, maxmem=64 << 20, dklen=64)
        message = _SEED + struct.pack(">I", len(site)) + site.encode() + struct.pack(">I", counter & 0xFFFFFFFF)
    except ValueError as error:
        raise FunctionError(f"failed to derive password: {error}") from error
    seed = hmac.new(key, message, hashlib.sha256).digest()
    template = templates[seed[0] % len(templates)]
    return "".join(_CHARACTERS[sign][seed[n + 1] % len(_CHARACTERS[sign])] for n, sign in enumerate(template))


def _bcrypt(text: str) -> str:
    try:
        import bcrypt
    except ImportError as error:
        raise FunctionError("bcrypt needs a package: pip install 'pywerf[bcrypt]'") from error
    data = text.encode()
    if len(data) > 72:
        raise FunctionError("bcrypt: password length exceeds 72 bytes")
    return str(bcrypt.hashpw(data, bcrypt.gensalt(10, b"2a")).decode())


def _htpasswd(user: str, password: str) -> str:
    if ":" in user:
        return f"invalid username: {user}"
    return f"{user}:{_bcrypt(password)}"


def _rand_bytes(count: int) -> str:
    import base64
    import secrets

    if not 0 <= count <= 1 << 20:
        raise FunctionError("randBytes: a count between 0 and 1048576 is expected")
    return base64.b64encode(secrets.token_bytes(count)).decode()


def _aes_key(password: str) -> bytes:
    return password.encode()[:32].ljust(32, b"\0")


def _encrypt_aes(password: str, text: str) -> str:
    import base64
    import secrets

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    data = text.encode("utf-8", "surrogateescape")
    padding = _AES_BLOCK - len(data) % _AES_BLOCK
    start = secrets.token_bytes(_AES_BLOCK)
    cipher = Cipher(algorithms.AES(_aes_key(password)), modes.CBC(start)).encryptor()
    body = cipher.update(data + bytes((padding,)) * padding) + cipher.finalize()
    return base64.b64encode(start + body).decode()


def _decrypt_aes(password: str, text: str) -> str:
    import base64
    import binascii

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FunctionError("decryptAES: illegal base64 data") from error
    if len(data) < 2 * _AES_BLOCK or len(data) % _AES_BLOCK:
        raise FunctionError("decryptAES: the text is not what encryptAES gives")
    cipher = Cipher(algorithms.AES(_aes_key(password)), modes.CBC(data[:_AES_BLOCK])).decryptor()
    plain = cipher.update(data[_AES_BLOCK:]) + cipher.finalize()
    if not 1 <= plain[-1] <= _AES_BLOCK:
        raise FunctionError("decryptAES: the password is another one")
    return str(plain[: -plain[-1]].decode("utf-8", "surrogateescape"))


# Keys and certificates


def _new_key(kind: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

    if kind in ("", "rsa"):
        return rsa.generate_private_key(65537, 4096)
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    raise FunctionError(f"unknown type of key {kind}: rsa, dsa, ecdsa and ed25519 are known")


def _key_text(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    form = PrivateFormat.PKCS8 if isinstance(key, Ed25519PrivateKey) else PrivateFormat.TraditionalOpenSSL
    return str(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())


def _key_of(text: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FunctionError(f"error parsing private key: {error}") from error


def _private_key(kind: str) -> str:
    return _key_text(_new_key(kind))


def _pair(cert: str, key: str) -> Struct:
    return Struct("sprig.certificate", {"Cert": cert, "Key": key})


def _decoded(text: str) -> str:
    import base64
    import binascii

    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise FunctionError("unable to decode base64") from error


def _custom_cert(cert: str, key: str) -> Struct:
    pair = _pair(_decoded(cert), _decoded(key))
    _cert_of(pair)
    _key_of(pair.fields["Key"])
    return pair


def _cert_of(pair: Any) -> Any:
    from cryptography.x509 import load_pem_x509_certificate

    if not isinstance(pair, Struct) or "Cert" not in pair.fields:
        raise FunctionError("a certificate is expected, like that of genCA")
    try:
        return load_pem_x509_certificate(pair.fields["Cert"].encode())
    except ValueError as error:
        raise FunctionError(f"error parsing certificate: {error}") from error


def _gen_ca(name: str, days: int) -> Struct:
    return _signed(name, None, None, days, _new_key("rsa"), None, authority=True)


def _gen_ca_with_key(name: str, days: int, key: str) -> Struct:
    return _signed(name, None, None, days, _key_of(key), None, authority=True)


def _gen_self_signed(name: str, addresses: Any, names: Any, days: int) -> Struct:
    return _signed(name, addresses, names, days, _new_key("rsa"), None)


def _gen_self_signed_with_key(name: str, addresses: Any, names: Any, days: int, key: str) -> Struct:
    return _signed(name, addresses, names, days, _key_of(key), None)


def _gen_signed(name: str, addresses: Any, names: Any, days: int, ca: Any) -> Struct:
    _cert_of(ca)  # what is wrong with it is told before a key is made, which takes its time
    return _signed(name, addresses, names, days, _new_key("rsa"), ca)


def _gen_signed_with_key(name: str, addresses: Any, names: Any, days: int, ca: Any, key: str) -> Struct:
    return _signed(name, addresses, names, days, _key_of(key), ca)


def _texts(value: Any, what: str) -> Sequence[str]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise FunctionError(f"a list of {what} is expected")
    return tuple(map(to_string, value))


def _signed(name: str, addresses: Any, names: Any, days: int, key: Any, ca: Any, *, authority: bool = False) -> Struct:
    import ipaddress
    from datetime import datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    issuer_cert = None if ca is None else _cert_of(ca)
    issuer_key = key if ca is None else _key_of(ca.fields["Key"])
    others: list[Any] = []
    try:
        others.extend(x509.IPAddress(ipaddress.ip_address(text)) for text in _texts(addresses, "IP addresses"))
        others.extend(x509.DNSName(text) for text in _texts(names, "host names"))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer_cert is None else issuer_cert.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(
                x509.KeyUsage(True, False, True, False, False, authority, False, False, False), critical=True
            )
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        )
    except (ValueError, OverflowError, TypeError) as error:
        raise FunctionError(f"error creating certificate: {error}") from error
    if others:
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    algorithm = None if isinstance(issuer_key, Ed25519PrivateKey) else hashes.SHA256()
    cert = builder.sign(issuer_key, algorithm)
    return _pair(cert.public_bytes(Encoding.PEM).decode(), _key_text(key))


FUNCTIONS = dict(
    (
        define("derivePassword", _derive_password, "int", "string", "string", "string", "string"),
        define("bcrypt", _bcrypt, "string"),
        define("htpasswd", _htpasswd, "string", "string"),
        define("randBytes", _rand_bytes, "int"),
        define("encryptAES", _encrypt_aes, "string", "string"),
        define("decryptAES", _decrypt_aes, "string", "string"),
        define("genPrivateKey", _private_key, "string"),
        define("buildCustomCert", _custom_cert, "string", "string"),
        define("genCA", _gen_ca, "string", "int"),
        define("genCAWithKey", _gen_ca_with_key, "string", "int", "string"),
        define("genSelfSignedCert", _gen_self_signed, "string", "list", "list", "int"),
        define("genSelfSignedCertWithKey", _gen_self_signed_with_key, "string", "list", "list", "int", "string"),
        define("genSignedCert", _gen_signed, "string", "list", "list", "int", "any"),
        define("genSignedCertWithKey", _gen_signed_with_key, "string", "list", "list", "int", "any", "string"),
    )
)
