"""Files of OCI hooks: what they say, which of them count, and for which containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import UsageError
from pywerf.isolation.hooks import Conditions, Hook, injected, parse_hook, read_hooks

PROGRAM = {"path": "/bin/true"}


def document(**fields: Any) -> bytes:
    return json.dumps(
        {"version": "1.0.0", "hook": PROGRAM, "when": {"always": True}, "stages": ["prestart"]} | fields
    ).encode()


def test_a_hook() -> None:
    hook = parse_hook(
        document(
            hook={"path": "/bin/x", "args": ["x", "-v"], "env": ["A=b"], "timeout": 5},
            when={"always": True, "annotations": {"^a$": "b"}, "commands": ["sh$"], "hasBindMounts": False},
            stages=["prestart", "poststop"],
        )
    )
    assert hook == Hook(
        "/bin/x",
        ("x", "-v"),
        ("A=b",),
        5,
        ("prestart", "poststop"),
        Conditions(True, (("^a$", "b"),), ("sh$",), False),
    )
    assert hook.to_json() == {"path": "/bin/x", "args": ["x", "-v"], "env": ["A=b"], "timeout": 5}
    assert parse_hook(document()).to_json() == PROGRAM


def test_the_old_format() -> None:
    old = {"hook": "/bin/x", "arguments": ["-v"], "stage": ["prestart"], "cmd": ["sh$"], "hasbindmounts": True}
    hook = parse_hook(json.dumps(old).encode())
    assert hook.to_json() == {"path": "/bin/x", "args": ["/bin/x", "-v"]}
    assert hook.when == Conditions(commands=("sh$",), bind_mounts=True, any_of=True)
    with pytest.raises(ValueError, match="stages and stage are the same"):
        parse_hook(json.dumps(old | {"stages": []}).encode())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "no JSON"),
        (b"[]", "an object is expected"),
        (document(version="2.0.0"), "version '2.0.0' is unknown"),
        (document(hook={}), "path"),
        (document(hook={"path": "x"}), "the path of a hook is absolute, not 'x'"),
        (document(stages=[]), "no stages"),
        (document(stages=["later"]), "unknown stage 'later': it is one of prestart, "),
        (document(when={"commands": ["("]}), "'[(]' is no regular expression"),
        (document(when={"annotations": {"a": "["}}), "is no regular expression"),
        (document(when={"always": 1}), "always"),
        (b'{"version": "1.0.0"}', "missing required field"),
    ],
)
def test_what_is_wrong(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_hook(data)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text() | st.sampled_from(["version", "hook", "when", "stages"]), x),
    ).map(lambda x: json.dumps(x).encode())
)
def test_any_file_is_a_hook_or_wrong(data: bytes) -> None:
    try:
        assert parse_hook(data).path.startswith("/")
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("when", "command", "mounts", "holds"),
    [
        (Conditions(), "/bin/sh", True, False),
        (Conditions(always=True), "/bin/sh", False, True),
        (Conditions(always=False), "/bin/sh", False, False),
        (Conditions(commands=(".*/init$", "sh$")), "/bin/sh", False, True),
        (Conditions(commands=("^sh$",)), "/bin/sh", False, False),
        (Conditions(commands=("^/[[:alpha:]]+/sh$",)), "/bin/sh", False, True),
        (Conditions(bind_mounts=True), "/bin/sh", True, True),
        (Conditions(bind_mounts=True), "/bin/sh", False, False),
        (Conditions(bind_mounts=False), "/bin/sh", True, False),
        (Conditions(always=True, commands=("other",)), "/bin/sh", False, False),
        (Conditions(always=True, annotations=(("a", "b"),)), "/bin/sh", False, False),
        (Conditions(commands=("other",), bind_mounts=True, any_of=True), "/bin/sh", True, True),
        (Conditions(commands=("other",), bind_mounts=True, any_of=True), "/bin/sh", False, False),
    ],
)
def test_conditions(when: Conditions, command: str, mounts: bool, holds: bool) -> None:
    assert when.hold(command, {}, bind_mounts=mounts) is holds


def test_annotations_match_by_key_and_value() -> None:
    when = Conditions(annotations=(("^com\\.example\\.", "x$"),))
    assert when.hold("sh", {"com.example.a": "y", "com.example.b": "max"}, bind_mounts=False)
    assert not when.hold("sh", {"com.example.a": "y", "other": "max"}, bind_mounts=False)


def test_what_a_container_gets() -> None:
    hooks = (
        Hook("/a", stages=("prestart", "poststop"), when=Conditions(always=True)),
        Hook("/b", stages=("prestart",), when=Conditions(commands=("sh$",))),
        Hook("/c", stages=("prestart",), when=Conditions(commands=("python",))),
    )
    assert injected(hooks, "/bin/sh", bind_mounts=False) == {
        "prestart": [{"path": "/a"}, {"path": "/b"}],
        "poststop": [{"path": "/a"}],
    }


def test_folders(tmp_path: Path) -> None:
    for folder, names in (("one", ("b.json", "a.json", "C.json", "x.txt")), ("two", ("b.json",))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_bytes(document(hook=PROGRAM | {"args": [folder, name]}))
    found = read_hooks([str(tmp_path / "one"), str(tmp_path / "two")])
    assert [hook.args for hook in found] == [("one", "a.json"), ("two", "b.json"), ("one", "C.json")]


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--hooks-dir .*/gone: No such file or directory"):
        read_hooks([str(tmp_path / "gone")])
    (tmp_path / "a.json").write_bytes(b"{")
    with pytest.raises(UsageError, match=r"a\.json: no JSON"):
        read_hooks([str(tmp_path)])
    (tmp_path / "a.json").write_bytes(document(hook={"path": "/no/such/program"}))
    with pytest.raises(UsageError, match=r"a\.json: /no/such/program: there is no such program"):
        read_hooks([str(tmp_path)])
    (tmp_path / "a.json").write_bytes(document(hook={"path": "/no/such/program"}, stages=["startContainer"]))
    assert len(read_hooks([str(tmp_path)])) == 1
    (tmp_path / "b.json").mkdir()
    with pytest.raises(UsageError, match=r"b\.json: Is a directory"):
        read_hooks([str(tmp_path)])
