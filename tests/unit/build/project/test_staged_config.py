"""Configs of staged images."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pywerf.build.project.dockerfile_digest import BaseConfig, DigestInput
from pywerf.build.project.staged_config import apply_step, finish_step, without_triggers
from pywerf.build.project.staged_plan import Step, plan_parts
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.platform import Platform
from support.memory_tree import MemoryTree

BEFORE = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["A=1", "PATH=/bin"], "Cmd": ["old"], "Labels": {"a": "1"}, "OnBuild": ["RUN x"], "Own": 1},
    "history": [{"created_by": "ARG old", "empty_layer": True}, {"created_by": "first"}],
    "rootfs": {"type": "layers", "diff_ids": []},
}


def last_step(text: str, **args: str) -> Step:
    given = DigestInput(
        dockerfile=parse(f"FROM busybox\n{text}\n".encode(), "Dockerfile"),
        build_args=args,
        platform=Platform.parse("linux/amd64"),
        context=MemoryTree({}),
        base=lambda name, platform: BaseConfig(),
    )
    found = plan_parts(given, lambda name, platform: "")
    return found.last.step


def applied(text: str, **args: str) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(apply_step(json.dumps(BEFORE).encode(), last_step(text, **args), {"b": "2"}))
    return changed


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("ENV B=$A$V A=2", "Env", ["A=2", "PATH=/bin", "B=3"]),
        ("LABEL c=3", "Labels", {"a": "1", "b": "2", "c": "3"}),
        ("CMD x", "Cmd", ["/bin/sh", "-c", "x"]),
        ("ENTRYPOINT x", "Cmd", None),
        ("CMD mine\nENTRYPOINT x", "Cmd", ["old"]),
        ("USER u", "User", "u"),
        ("EXPOSE 1-2", "ExposedPorts", {"1/tcp": {}, "2/tcp": {}}),
        ("VOLUME /v", "Volumes", {"/v": {}}),
        ("STOPSIGNAL INT", "StopSignal", "INT"),
        ("HEALTHCHECK CMD x", "Healthcheck", {"Test": ["CMD-SHELL", "x"]}),
        ('SHELL ["a"]', "Shell", ["a"]),
        ("ONBUILD RUN y", "OnBuild", ["RUN y"]),
        ("ONBUILD RUN y\nUSER u", "OnBuild", ["RUN y"]),
        ("USER u", "OnBuild", None),
    ],
)
def test_an_instruction_changes_its_field(text: str, field: str, value: object) -> None:
    changed = applied(f"ARG V\n{text}", V="3")
    assert changed["config"].get(field) == value
    assert changed["config"]["Own"] == 1, "what is not known stays"
    assert changed["config"]["Labels"]["b"] == "2"
    assert len(changed["history"]) == 3
    assert changed["history"][-1]["empty_layer"]


def test_the_history_tells_of_it_and_the_maintainer_is_the_author() -> None:
    changed = applied("MAINTAINER me")
    assert (changed["author"], changed["history"][-1]["created_by"]) == ("me", "MAINTAINER me")
    fixed = apply_step(json.dumps(BEFORE).encode(), last_step("USER u"), {}, epoch="0")
    assert json.loads(fixed)["created"] == "1970-01-01T00:00:00Z"


def test_what_was_built_gets_its_triggers_back_and_loses_the_args_of_one_instruction() -> None:
    lines = [*BEFORE["history"], {"created_by": "ARG A=1", "empty_layer": True}, {"created_by": "RUN |1 A=1 x"}]
    built = json.dumps({**BEFORE, "config": {"Env": ["A=1"]}, "history": lines}).encode()
    step = last_step("ONBUILD RUN y\nARG A=1\nRUN x")
    found = json.loads(finish_step(built, step))
    assert found["config"] == {"Env": ["A=1"], "OnBuild": ["RUN y"]}
    assert [line["created_by"] for line in found["history"]] == ["ARG old", "first", "RUN |1 A=1 x"]
    classic = [{"created_by": "/bin/sh -c #(nop)  ARG A=1", "empty_layer": True}, {"created_by": "x"}]
    found = json.loads(finish_step(json.dumps({"history": classic}).encode(), step))
    assert [line["created_by"] for line in found["history"]] == ["x"]


def test_a_copy_without_triggers_is_the_project_s() -> None:
    found = json.loads(without_triggers(json.dumps(BEFORE).encode(), {"werf": "shop"}))
    assert "OnBuild" not in found["config"]
    assert found["config"]["Labels"] == {"a": "1", "werf": "shop"}
    assert found["history"] == BEFORE["history"]
