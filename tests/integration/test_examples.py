"""Every example is built, and does what its README says."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import image_compare, machine, services
from support.werf import Werf

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples"
BUILT = {"static-site", "python-service", "c-program", "reproducible"}


def test_every_example_has_a_test() -> None:
    # projects are those of test_example_projects.py
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir()]
    assert {path.name for path in folders if not (path / "werf.yaml").exists()} == BUILT


@contextmanager
def running(werf: Werf, image: str) -> Iterator[Callable[..., bytes]]:
    """The image's service in a container; yields a function that asks it, and waits until it is up."""
    port = machine.free_port()
    process = werf.start("run", "-e", f"PORT={port}", image)

    def ask(path: str = "/", data: bytes | None = None) -> bytes:
        end = time.monotonic() + 40
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=5) as response:
                    content: bytes = response.read()
                    return content
            except urllib.error.HTTPError:
                raise
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"{image} does not answer: {process.communicate()[0].decode()}", pytrace=False)
                time.sleep(0.1)

    try:
        yield ask
    finally:
        services.stop(process)
        assert process.stdout is not None
        process.stdout.close()


def test_static_site(hub_werf: Werf) -> None:
    hub_werf.build(EXAMPLES / "static-site", "site")
    with running(hub_werf, "site") as ask:
        assert b"Built without a daemon" in ask()
        assert ask("/sitemap.txt").split() == [b"./about.html", b"./index.html"]


def test_python_service(hub_werf: Werf) -> None:
    hub_werf.build(EXAMPLES / "python-service", "counter")
    with running(hub_werf, "counter") as ask:
        assert json.loads(ask()) == {"count": 0, "user": 1000}
        ask(data=b"")
        assert json.loads(ask())["count"] == 1


def test_c_program(hub_werf: Werf, tmp_path: Path) -> None:
    hub_werf.build(EXAMPLES / "c-program", "primes")
    assert hub_werf.run("run", "primes", "--", "5").stdout == "2 3 5 7 11\n"
    assert hub_werf.run("run", "primes").stdout.split()[-1] == "71"
    image = image_compare.read_image(hub_werf.export("primes", tmp_path / "primes.tar"))
    assert set(image.files) - {""} == {"primes"}


def test_reproducible(make_werf: Callable[[str], Werf], tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        iid = tmp_path / f"{name}.iid"
        werf = make_werf(name)
        werf.build(EXAMPLES / "reproducible", "words", "--timestamp", "1700000000", "--iidfile", iid)
        digests.append(iid.read_text())
    assert digests[0] == digests[1]
