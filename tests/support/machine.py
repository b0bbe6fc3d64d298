"""What the tests ask of the machine: tools, free ports, a cache folder, how it reaches packages."""

from __future__ import annotations

import configparser
import contextlib
import fcntl
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require(tool: str, package: str = "") -> str:
    """The path of a program. Fails the test when it is missing: nothing is skipped silently."""
    found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
    if found is None:
        pytest.fail(f"{tool} is missing; hint: apt-get install {package or tool} (scripts/test does it)", pytrace=False)
    return found


def require_root() -> None:
    """Fails the test when it does not run as root."""
    if os.geteuid() != 0:
        pytest.fail("this test mounts and chroots: it needs root; hint: sudo scripts/test", pytrace=False)


def run(
    *argv: str | Path,
    check: bool = True,
    env: dict[str, str] | None = None,
    cwd: str | Path | None = None,
    stdin: bytes | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run a program without a terminal; a failure shows its command and everything it said."""
    done = subprocess.run(
        [str(word) for word in argv],
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env=env,
        cwd=cwd,
        timeout=timeout,
        check=False,
    )
    result = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and result.returncode:
        pytest.fail(
            f"exit {result.returncode}: {' '.join(result.args)}\n{result.stdout[-6000:]}\n{result.stderr[-6000:]}",
            pytrace=False,
        )
    return result


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cache_dir() -> Path:
    """Where bases and the judges' answers stay between runs: $PYWERF_TEST_CACHE or ~/.cache/pywerf-tests."""
    folder = Path(os.environ.get("PYWERF_TEST_CACHE") or Path.home() / ".cache" / "pywerf-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(name: str) -> Iterator[Path]:
    """The cache folder, held by this process alone for what `name` stands for (xdist has several)."""
    folder = cache_dir()
    with open(folder / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def debian_mirror() -> str:
    """The Debian mirror that this machine uses itself, from its apt sources; deb.debian.org on other systems."""
    folder = Path("/etc/apt")
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        for uri in re.findall(r"^(?:deb\s+(?:\[[^]]*\]\s+)?|URIs:\s*)(\S+)", text, re.MULTILINE):
            if uri.rstrip("/").endswith("/debian"):
                return str(uri).rstrip("/")
    return "http://deb.debian.org/debian"


def apt_settings() -> str:
    """The lines of apt's configuration that say how this machine reaches its mirror: proxies, certificates, clocks."""
    if shutil.which("apt-config") is None:
        return ""
    dump = run("apt-config", "dump").stdout
    wanted = re.compile(r"^Acquire::(.*Proxy|.*Verify|.*CaInfo|Check-|.*Timeout|Retries|ForceIPv)", re.IGNORECASE)
    lines = [line for line in dump.splitlines() if wanted.match(line) and not line.rstrip().endswith('"";')]
    for scheme in ("http", "https"):
        proxy = os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY")
        if proxy:
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return "".join(f"{line}\n" for line in lines)


def ca_bundle() -> bytes:
    """The certificate authorities that this machine trusts, local ones included; empty when there are none."""
    for name in (os.environ.get("PIP_CERT"), os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"):
        if name and Path(name).is_file():
            return Path(name).read_bytes()
    return b""


PIP_NETWORK_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")


def pip_settings(cert: str = "") -> str:
    """A pip.conf that reaches the package index as this machine does; `cert` is where the bundle will be."""
    values: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    home = Path.home()
    parser.read(
        ["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf", os.environ.get("PIP_CONFIG_FILE", "")]
    )
    for option in PIP_NETWORK_OPTIONS:
        value = os.environ.get(f"PIP_{option.upper().replace('-', '_')}") or parser.get("global", option, fallback="")
        # folders of this machine are not there in a container
        words = [word for word in value.split() if not word.startswith(("file:", "/"))]
        if words:
            values[option] = " ".join(words)
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if proxy:
        values.setdefault("proxy", proxy)
    if cert:
        values["cert"] = cert
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
