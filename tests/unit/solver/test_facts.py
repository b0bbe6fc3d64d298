"""What is written down of steps: readable, and without secrets."""

from __future__ import annotations

import json

from pywerf.graph.op import CopyOp, ExecMount, ExecOp, InlineFile, MkdirOp, Owner
from pywerf.graph.vertex import Vertex
from pywerf.solver.facts import SECRET, facts_of


def test_a_command() -> None:
    below = Vertex(MkdirOp("/app"), (None,), name="[2/3] WORKDIR /app")
    op = ExecOp(
        ("/bin/sh", "-c", "make all"),
        env=("PATH=/bin", "VERSION=1.2", "EMPTY="),
        cwd="/app",
        mounts=(ExecMount("cache", "/c", id="c", sharing="locked", mode=0o755),),
        script=InlineFile("EOF", b"text"),
    )
    facts = facts_of(Vertex(op, (below,), name="[3/3] RUN make all", args=("VERSION",)), "clamp 0")
    assert facts["name"] == "[3/3] RUN make all"
    assert facts["on"] == "[2/3] WORKDIR /app"
    assert facts["salt"] == "clamp 0"
    assert facts["op"]["command"] == "make all"
    assert facts["op"]["env"] == {"PATH": "/bin", "VERSION": "1.2", "EMPTY": ""}
    assert facts["op"]["args"] == ["VERSION"]
    assert facts["op"]["mounts"] == ["type=cache,target=/c,id=c,sharing=locked,mode=755"]
    assert facts["op"]["inline"]["EOF"].startswith("sha256:")
    assert "USER" not in facts["op"]
    json.dumps(facts)


def test_files() -> None:
    op = CopyOp(("a", "b"), "/to", True, owner=Owner("app", "web"), chmod="755", link=True, exclude=("*.o",))
    facts = facts_of(Vertex(op, (None, None), name="COPY a b /to/"), "")
    assert facts["op"] == {
        "sources": ["a", "b"],
        "destination": "/to/",
        "--chown": "app:web",
        "--chmod": "755",
        "--link": "true",
        "--exclude": ["*.o"],
    }
    assert "on" not in facts
    assert "salt" not in facts


def test_secrets_are_not_written_down() -> None:
    op = ExecOp(
        ("/bin/sh", "-c", "curl https://me:hunter2@host/"),
        env=("API_TOKEN=hunter2", "DB_PASSWORD=hunter2", "URL=https://me:hunter2@host/", "PUBLIC_KEY=shown"),
        mounts=(ExecMount("secret", "/run/secrets/x", id="x"),),
    )
    facts = facts_of(Vertex(op, (None,), name="ADD https://me:hunter2@host/ /"), "")
    assert "hunter2" not in json.dumps(facts)
    assert facts["op"]["env"]["API_TOKEN"].startswith(SECRET)
    assert facts["op"]["env"]["PUBLIC_KEY"] == "shown"
    changed = Vertex(ExecOp(op.argv, ("API_TOKEN=other",)), (None,))
    assert facts_of(changed, "")["op"]["env"]["API_TOKEN"] != facts["op"]["env"]["API_TOKEN"]
