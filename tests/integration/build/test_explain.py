"""`--explain` and `werf buildah explain` with real builds: what was changed is what is named."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from support.werf import Werf

pytestmark = pytest.mark.integration


@pytest.fixture
def context(tmp_path: Path, busybox: str) -> Path:
    folder = tmp_path / "context"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("print(1)\n")
    (folder / "src" / "lib.py").write_text("lib = 1\n")
    (folder / "Dockerfile").write_text(
        f"FROM {busybox} AS build\n"
        "ARG VERSION=1\n"
        "ARG API_TOKEN\n"
        "RUN echo $VERSION > /version\n"
        f"FROM {busybox}\n"
        "COPY src/ /app/\n"
        "COPY --from=build /version /version\n"
        "RUN --mount=type=bind,source=src/lib.py,target=/lib.py cat /lib.py > /copy\n"
    )
    return folder


def stories(werf: Werf, *argv: str) -> dict[str, dict[str, Any]]:
    found = json.loads(werf.run("buildah", "explain", "--json", *argv).stdout)["steps"]
    return {story["name"].partition("] ")[2]: story for story in found}


COPY, RUN, VERSION = "COPY src/ /app/", "RUN echo $VERSION > /version", "COPY --from=build /version /version"


def test_a_build_and_what_was_changed_after_it(werf: Werf, context: Path) -> None:
    done = werf.build(context, "app:1", "--explain")
    assert f"{COPY}: nothing like it was built before" in done.stderr
    time.sleep(0.2)
    (context / "src" / "app.py").write_text("print(2)\n")
    (context / "src" / "new.py").write_text("")
    done = werf.build(context, "app:2", "--explain")
    assert f"{COPY}: src/app.py changed, src/new.py is new\n" in done.stderr
    assert f"{RUN}: cached (made " in done.stderr
    found = stories(werf)
    assert [change["what"] for change in found[COPY]["changes"]] == ["src/app.py", "src/new.py"]
    change = found[COPY]["changes"][0]
    assert change["old"] != change["new"]
    assert all(value.startswith("sha256:") for value in (change["old"], change["new"]))
    assert found[VERSION]["reason"] == f"it follows {COPY}, which changed"
    assert found[RUN]["cached"]
    assert not found[COPY]["cached"]
    # what the image before was made of is still known
    before = stories(werf, "app:1")
    assert before[COPY]["reason"] == "nothing like it was built before"
    assert list(stories(werf, "COPY src")) == [COPY]
    assert list(stories(werf, "2/4")) == [COPY]


def test_arguments_and_no_secret(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1", "--build-arg", "VERSION=1.2", "--build-arg", "API_TOKEN=hunter2")
    done = werf.build(context, "app:2", "--explain", "--build-arg", "VERSION=1.3", "--build-arg", "API_TOKEN=sesame9")
    assert f"{RUN}: ARG API_TOKEN changed, ARG VERSION 1.2 -> 1.3\n" in done.stderr
    assert f"{VERSION}: version changed\n" in done.stderr
    shown = done.stderr + werf.run("buildah", "explain", "--json").stdout
    assert "hunter2" not in shown
    assert "sesame9" not in shown


def test_the_instruction_itself_and_the_mount(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1")
    text = (context / "Dockerfile").read_text()
    (context / "Dockerfile").write_text(text.replace("echo $VERSION >", "echo v$VERSION >"))
    werf.build(context, "app:2")
    assert stories(werf)["RUN echo v$VERSION > /version"]["reason"] == f"the instruction was {RUN}"
    (context / "src" / "lib.py").write_text("lib = 2\n")
    werf.build(context, "app:3")
    (run,) = [story for name, story in stories(werf).items() if name.startswith("RUN --mount")]
    assert run["changes"][0]["what"] == "src/lib.py"


def test_reasons_that_are_no_difference(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1")
    werf.build(context, "app:1")
    assert all(story["cached"] for name, story in stories(werf).items() if name.startswith(("RUN", "COPY")))
    werf.build(context, "app:1", "--no-cache-filter", "build")
    found = stories(werf)
    assert "--no-cache" in found[RUN]["reason"]
    assert found[COPY]["cached"]
    werf.build(context, "app:1", "--cache-ttl", "1ms")
    assert "--cache-ttl" in stories(werf)[COPY]["reason"]
    werf.build(context, "app:1", "--cache-ttl", "1h")
    assert stories(werf)[COPY]["cached"]
    done = werf.build(context, "app:1", "--cache-ttl", "0")
    assert "CACHED" not in done.stderr


def test_a_build_that_fails(werf: Werf, context: Path) -> None:
    werf.build(context, "app:1")
    with (context / "Dockerfile").open("a") as file:
        file.write("RUN exit 3\n")
    done = werf.build(context, "app:2", "--explain", check=False)
    assert done.returncode == 3
    assert f"{COPY}: cached" in done.stderr
    shown = werf.run("buildah", "explain").stdout
    assert "RUN exit 3: failed" in shown
    assert "the build failed: " in shown


def test_what_is_not_known(werf: Werf, context: Path, busybox: str) -> None:
    done = werf.run("buildah", "explain", check=False)
    assert "no build is remembered" in done.stderr
    werf.build(context, "app:1")
    assert "neither an image nor a step" in werf.run("buildah", "explain", "app:9", check=False).stderr
    werf.run("buildah", "pull", busybox)
    assert "is not remembered" in werf.run("buildah", "explain", busybox, check=False).stderr


def test_the_log_is_bounded_and_written_when_something_is_new(werf: Werf, context: Path) -> None:
    from pywerf.store.store import Store

    werf.build(context, "app:1")
    werf.build(context, "app:1")
    with Store.open(str(werf.root)) as store:
        after_two = store.memo.keys("build")
    werf.build(context, "app:1")
    with Store.open(str(werf.root)) as store:
        assert store.memo.keys("build") == after_two
    assert len(after_two) == 2
