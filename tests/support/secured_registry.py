"""A real docker-registry behind TLS with an authority of its own, and with passwords."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support import machine
from support.services import stop, wait_for

USER, PASSWORD = "alice", "s3cret"
# bcrypt of the password above, as `htpasswd -B` writes it
HTPASSWD = "alice:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n"


class SecuredRegistry:
    """Where it is, and the certificates: `certs` is a folder as --cert-dir takes it."""

    def __init__(self, host: str, certs: Path) -> None:
        self.host = host
        self.certs = certs


def make_certificates(folder: Path, client: bool) -> None:
    """An authority `ca.crt`, a server certificate for 127.0.0.1, and maybe a client's pair, made with openssl."""
    openssl = machine.require("openssl")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    ca = folder / "ca.crt"
    machine.run(openssl, "req", "-x509", *key, "-keyout", folder / "ca.pem", "-out", ca, "-subj", "/CN=test authority")
    for name, usage in (("server", "serverAuth"), *((("client", "clientAuth"),) if client else ())):
        request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        machine.run(
            openssl, "req", *key[:-2], "-keyout", folder / f"{name}.key", "-out", request, "-subj", f"/CN={name}"
        )
        signed = ("-CA", ca, "-CAkey", folder / "ca.pem", "-CAcreateserial", "-days", "2", "-extfile", extensions)
        machine.run(openssl, "x509", "-req", "-in", request, "-out", folder / f"{name}.cert", *signed)


@contextlib.contextmanager
def secured_registry(folder: Path, *, client_certificates: bool = False) -> Iterator[SecuredRegistry]:
    """A registry with its data in `folder`: HTTPS, and passwords or client certificates."""
    program = machine.require("docker-registry")
    made = folder / "made"
    certs = folder / "certs"
    made.mkdir(parents=True)
    certs.mkdir()
    make_certificates(made, client_certificates)
    (certs / "ca.crt").write_bytes((made / "ca.crt").read_bytes())
    host = f"127.0.0.1:{machine.free_port()}"
    tls: dict[str, object] = {"certificate": str(made / "server.cert"), "key": str(made / "server.key")}
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host, "tls": tls},
    }
    if client_certificates:
        tls["clientcas"] = [str(made / "ca.crt")]
        for extension in ("cert", "key"):
            (certs / f"client.{extension}").write_bytes((made / f"client.{extension}").read_bytes())
    else:
        (made / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(made / "htpasswd")}}
    (folder / "config.json").write_text(json.dumps(config))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.json")], stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        wait_for("docker-registry", lambda: _speaks_tls(host), process, log)
        yield SecuredRegistry(host, certs)
    finally:
        stop(process)


def _speaks_tls(host: str) -> bool:
    name, _, port = host.partition(":")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((name, int(port)), timeout=2) as plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False
