"""sprig's functions of paths, URLs, encodings, checksums, the network."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from pywerf.config.template.sprig.convert import define, to_string
from pywerf.config.template.values import FunctionError

__all__ = ["FUNCTIONS"]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# Paths (Go's path and filepath)


def _clean(path: str) -> str:
    if not path:
        return "."
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def _base(path: str) -> str:
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _dir(path: str) -> str:
    return _clean(path[: path.rfind("/") + 1])


def _ext(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rfind(".") :] if "." in name else ""


def _is_abs(path: str) -> bool:
    return path.startswith("/")


# Encodings


def _b64dec(text: str) -> str:
    import base64
    import binascii

    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True).decode(
            "utf-8", "surrogateescape"
        )
    except (binascii.Error, ValueError):
        return "illegal base64 data"


def _b32dec(text: str) -> str:
    import base64
    import binascii

    try:
        return base64.b32decode(text).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return "illegal base32 data"


def _b64enc(text: str) -> str:
    import base64

    return base64.b64encode(_bytes(text)).decode()


def _b32enc(text: str) -> str:
    import base64

    return base64.b32encode(_bytes(text)).decode()


def _sum(algorithm: str) -> Any:
    def run(text: str) -> str:
        import hashlib

        return hashlib.new(algorithm, _bytes(text)).hexdigest()

    return run


def _adler32(text: str) -> str:
    import zlib

    return str(zlib.adler32(_bytes(text)))


# URLs and the network


def _url_parse(text: str) -> dict[str, Any]:
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise FunctionError(f"unable to parse url: {error}") from error
    userinfo, at, host = parts.netloc.rpartition("@")
    opaque = "" if parts.netloc or parts.path.startswith("/") or not parts.scheme else parts.path
    return {
        "scheme": parts.scheme,
        "host": host,
        "hostname": parts.hostname or "",
        "path": "" if opaque else unquote(parts.path),
        "query": parts.query,
        "opaque": opaque,
        "fragment": unquote(parts.fragment),
        "userinfo": userinfo if at else "",
    }


def _url_join(parts: Any) -> str:
    from urllib.parse import quote

    if not isinstance(parts, Mapping):
        raise FunctionError("urlJoin: a map is expected, like that of urlParse")

    def part(name: str) -> str:
        value = parts.get(name, "")
        if not isinstance(value, str):
            raise FunctionError(f"unable to parse {name} key, must be of type string, but is {to_string(value)}")
        return value

    scheme, host, path, query = part("scheme"), part("host"), part("path"), part("query")
    userinfo, fragment, opaque = part("userinfo"), part("fragment"), part("opaque")
    out = f"{scheme}:" if scheme else ""
    if opaque:
        out += opaque
    else:
        if scheme or host or userinfo:
            if host or path or userinfo:
                out += "//"
            out += (f"{userinfo}@" if userinfo else "") + host
        if path and not path.startswith("/") and host:
            out += "/"
        out += quote(path, safe="/$&+,:;=@!'()*~")
    out += f"?{query}" if query else ""
    return out + (f"#{quote(fragment, safe='/$&+,:;=@?!()*~')}" if fragment else "")


def _host_by_name(name: str) -> str:
    import random
    import socket

    try:
        addresses = socket.gethostbyname_ex(name)[2]
    except (OSError, UnicodeError):
        return ""
    return random.choice(addresses) if addresses else ""


def _uuid() -> str:
    import uuid

    return str(uuid.uuid4())


FUNCTIONS = dict(
    (
        define("base", _base, "string"),
        define("dir", _dir, "string"),
        define("clean", _clean, "string"),
        define("ext", _ext, "string"),
        define("isAbs", _is_abs, "string"),
        define("osBase", _base, "string"),
        define("osDir", _dir, "string"),
        define("osClean", _clean, "string"),
        define("osExt", _ext, "string"),
        define("osIsAbs", _is_abs, "string"),
        define("b64enc", _b64enc, "string"),
        define("b64dec", _b64dec, "string"),
        define("b32enc", _b32enc, "string"),
        define("b32dec", _b32dec, "string"),
        define("sha1sum", _sum("sha1"), "string"),
        define("sha256sum", _sum("sha256"), "string"),
        define("sha512sum", _sum("sha512"), "string"),
        define("adler32sum", _adler32, "string"),
        define("urlParse", _url_parse, "string"),
        define("urlJoin", _url_join, "any"),
        define("getHostByName", _host_by_name, "string"),
        define("uuidv4", _uuid),
    )
)
