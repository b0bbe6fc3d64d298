"""The classic builder's words as steps; which of its images are ours to remove; what /build is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pywerf.backend.contract import DockerfileBuild
from pywerf.backend.docker.classic import ClassicProgress, query
from pywerf.backend.docker.progress import Steps
from pywerf.build.dockerfile_build import dockerfile_steps
from pywerf.errors import BuildError, ContainerFailed
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.platform import Platform
from support.recorder import Recorder

A, B, C = "a" * 12, "b" * 12, "c" * 12
DOCKERFILE = dockerfile_steps(parse(b"FROM x\nRUN one\nRUN two\n"))


def played(*words: str | dict[str, Any]) -> tuple[ClassicProgress, Recorder]:
    recorder = Recorder()
    progress = ClassicProgress(DOCKERFILE, Steps(recorder, iter(range(1, 99)).__next__))
    for word in words:
        progress.take({"stream": word} if isinstance(word, str) else word)
    return progress, recorder


FIRST = ("Step 1/3 : FROM x", "\n", f" ---> {A}\n")
CACHED = ("Step 2/3 : RUN one", "\n", " ---> Using cache\n", f" ---> {B}\n")
RUN = ("Step 3/3 : RUN two", "\n", f" ---> Running in {C}\n", "said\n", "\x1b[91mbad\n\x1b[0m")


def test_a_build() -> None:
    image = f"sha256:{'d' * 64}"
    end = (f"Removing intermediate container {C}\n", f" ---> {'d' * 12}\n", {"aux": {"ID": image}})
    progress, recorder = played(*FIRST, *CACHED, *RUN, *end, f"Successfully built {'d' * 12}\n")
    assert str(progress.finish()) == image
    assert recorder.steps == [
        ("[1/3] FROM x", "Dockerfile:1", "done", b""),
        ("[2/3] RUN one", "Dockerfile:2", "cached", b""),
        ("[3/3] RUN two", "Dockerfile:3", "done", b"said\nbad\n"),
    ]
    assert progress.made == [("d" * 12, B)]  # not the base, not what was cached


def test_a_failure() -> None:
    with pytest.raises(ContainerFailed, match=r"Dockerfile:3: \[3/3\] RUN two: exit code 7") as caught:
        played(*FIRST, *CACHED, *RUN, {"errorDetail": {"code": 7, "message": "returned a non-zero code: 7"}})
    assert caught.value.status == 7


def test_an_end_without_an_image() -> None:
    progress, _ = played(*FIRST)
    with pytest.raises(BuildError, match="broke off"):
        progress.finish()


def test_an_interruption() -> None:
    progress, recorder = played(*FIRST, *CACHED, *RUN)
    progress.give_up()
    assert (progress.last, progress.container, progress.made) == (B, C, [])
    assert recorder.steps[-1][2] == "cancelled"


def test_query() -> None:
    build = DockerfileBuild(
        b"",
        tags=("a:1", "b"),
        target="t",
        build_args={"A": "1"},
        labels={"l": "v"},
        add_hosts=("h:1.1.1.1",),
        network="host",
        platforms=(Platform.parse("linux/arm64"),),
        no_cache=True,
        pull=True,
        squash=True,
        cache_from=("c",),
        shm_size=5,
        ulimits=("nofile=1:2", "core=3"),
    )
    pairs = query(build, "D")
    assert [value for key, value in pairs if key == "t"] == ["a:1", "b"]
    found = dict(pairs)
    for key, value in (("dockerfile", "D"), ("target", "t"), ("networkmode", "host"), ("extrahosts", "h:1.1.1.1")):
        assert found[key] == value
    assert [found[key] for key in ("nocache", "pull", "squash", "rm", "forcerm")] == ["1"] * 5
    assert (found["platform"], found["shmsize"]) == ("linux/arm64", "5")
    assert json.loads(found["buildargs"]) == {"A": "1"}
    assert json.loads(found["labels"]) == {"l": "v"}
    assert json.loads(found["cachefrom"]) == ["c"]
    assert json.loads(found["ulimits"]) == [
        {"Name": "nofile", "Soft": 1, "Hard": 2},
        {"Name": "core", "Soft": 3, "Hard": 3},
    ]
    assert query(DockerfileBuild(b""), "D") == [("dockerfile", "D"), ("rm", "1"), ("forcerm", "1")]


def test_what_newer_builders_say_of_containers_is_no_output() -> None:
    _, recorder = played(*FIRST, *CACHED, *RUN, f" ---> Removed intermediate container {C}\n")
    assert recorder.steps[-1][3] == b"said\nbad\n"
