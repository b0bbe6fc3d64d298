"""`werf host doctor` on this machine: for root, for users, and where nothing can be built."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from support import machine
from support.users import User, user
from support.werf import Werf

pytestmark = pytest.mark.integration

GROUPS = set(
    "host ladder ids sysctl security cgroups runtimes network docker registry store storage".split()  # noqa: SIM905
)


def ladder(document: dict[str, Any]) -> list[tuple[str, int]]:
    return [(check["state"], check["errno"]) for check in document["checks"] if check["group"] == "ladder"]


def test_root_stands_on_the_first_rung(werf: Werf) -> None:
    document = json.loads(werf.run("host", "doctor", "--json").stdout)
    assert (document["canBuild"], document["rung"]) == (True, 1)
    assert {check["group"] for check in document["checks"]} == GROUPS
    assert ladder(document)[0] == ("ok", 0)
    named = {check["name"]: check for check in document["checks"]}
    assert named["overlay"]["state"] == "ok"
    assert named["crun"]["detail"].startswith("crun version")
    assert not werf.root.exists()


def test_users_see_the_errno_and_the_way_up(builder: User, one_id_user: User, plain_user: User) -> None:
    document = json.loads(builder.werf("host", "doctor", "--json").stdout)
    assert document["rung"] == 2
    assert ladder(document)[:2] == [("missing", 1), ("ok", 0)]
    assert {check["name"]: check["state"] for check in document["checks"]}["overlay"] == "ok"
    document = json.loads(one_id_user.werf("host", "doctor", "--json").stdout)
    assert document["rung"] == 3
    assert ladder(document)[:3] == [("missing", 1), ("missing", 0), ("ok", 0)]
    assert {check["name"]: check["state"] for check in document["checks"]}["overlay"] == "ok"
    hints = [check["hint"] for check in document["checks"] if check["group"] == "ladder"]
    assert hints[1].startswith("usermod --add-subuids ")
    assert hints[1].endswith(one_id_user.name)
    document = json.loads(plain_user.werf("host", "doctor", "--json").stdout)
    assert (document["canBuild"], document["rung"]) == (True, 5)
    assert [check["errno"] for check in document["checks"] if check["group"] == "ladder"][2] == 1


def test_people_get_a_list(builder: User) -> None:
    said = builder.werf("host", "doctor").stdout
    assert "ladder:\n  - 1 private namespaces as root" in said
    assert "hint: run it as root: sudo werf" in said
    assert said.endswith("images can be built: rung 2, private namespaces in a user namespace with subordinate ids\n")


def test_where_nothing_can_be_written_nothing_can_be_built(plain_user: User) -> None:
    done = plain_user.werf("host", "doctor", "--root", "/nowhere/store", check=False)
    assert done.returncode == 1
    assert "nothing can be built" in done.stdout


def test_the_hint_gives_the_rung(common_folder: Path) -> None:
    """What the doctor proposes to a user without ids is a command that raises them to the second rung."""
    with user(common_folder, f"pywh{os.getpid()}", subids=False) as one:
        document = json.loads(one.werf("host", "doctor", "--json").stdout)
        assert document["rung"] == 3
        hint = next(check["hint"] for check in document["checks"] if check["name"].startswith("2 "))
        machine.run(*shlex.split(hint))
        assert json.loads(one.werf("host", "doctor", "--json").stdout)["rung"] == 2
