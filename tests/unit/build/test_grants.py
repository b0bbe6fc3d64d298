"""What is lent to a build: tokens and the agent for git."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from pywerf.build.grants import Grants
from pywerf.errors import BuildError


def test_tokens_for_git(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-host\n")
    grants = Grants((f"id=GIT_AUTH_TOKEN.example.org,src={tmp_path}/token", "id=GIT_AUTH_TOKEN,env=NO_SUCH_VARIABLE"))
    assert grants.git_token("example.org") == "of-the-host"
    assert grants.git_token("other.example.org") == ""


def test_headers_for_git(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("Bearer of-the-host\n")
    (tmp_path / "all").write_text("basic dTpw")
    (tmp_path / "two").write_text("Bearer x\r\nHost: elsewhere")
    flags = ("GIT_AUTH_HEADER.one,src={}/one", "GIT_AUTH_HEADER,src={}/all", "GIT_AUTH_HEADER.two,src={}/two")
    grants = Grants(tuple(f"id={flag.format(tmp_path)}" for flag in flags))
    assert grants.git_header("one") == "Bearer of-the-host"
    assert grants.git_header("other") == "basic dTpw"
    assert Grants().git_header("one") == ""
    with pytest.raises(BuildError, match="no HTTP header"):
        grants.git_header("two")


def test_an_agent_is_offered_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", "mine")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        grants = Grants(ssh=(f"default={path}",))
        (tmp_path / "work").mkdir()
        with ExitStack() as stack:
            for _ in range(2):
                grants.offer_agent(stack, str(tmp_path / "work"))
            assert os.environ["SSH_AUTH_SOCK"] == str(tmp_path / "work/agent")
        assert os.environ["SSH_AUTH_SOCK"] == "mine"
        with ExitStack() as stack:
            Grants().offer_agent(stack, str(tmp_path))
            assert os.environ["SSH_AUTH_SOCK"] == "mine"
