from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pywerf.graph.op import ContextOp, CopyOp, ExecMount, ExecOp, HttpOp, ImageOp, InlineFile, MkdirOp, Op, Owner
from pywerf.graph.source_range import SourceRange
from pywerf.graph.vertex import Vertex
from pywerf.oci.digest import Digest

RUN = ExecOp(argv=("true",))
OPS: list[Op] = [
    ImageOp("a", Digest.of(b""), ()),
    ImageOp("a", Digest.of(b"1"), (Digest.of(b""),)),
    ContextOp(""),
    ContextOp("a"),
    HttpOp("a"),
    HttpOp("a", "sha256:…"),
    CopyOp(("a",), "/b", False),
    CopyOp(("a",), "/b", True),
    CopyOp(("a", "b"), "/b", False),
    CopyOp(("a",), "/b", False, owner=Owner("1")),
    CopyOp(("a",), "/b", False, owner=Owner("1", "2")),
    CopyOp(("a",), "/b", False, chmod="755"),
    CopyOp(("a",), "/b", False, unpack=True),
    CopyOp(("a",), "/b", False, keep_owner=True),
    CopyOp(("a",), "/b", False, link=True),
    CopyOp(("a",), "/b", False, exclude=("x",)),
    CopyOp((), "/b", False, files=(InlineFile("a", b""),)),
    MkdirOp("a"),
    MkdirOp("a", Owner("1")),
    RUN,
    ExecOp(argv=("true", "")),
    ExecOp(argv=("true",), env=("A=b",)),
    ExecOp(argv=("true",), cwd="/x"),
    ExecOp(argv=("true",), user="x"),
    ExecOp(argv=("true",), network="none"),
    ExecOp(argv=("true",), mounts=(ExecMount("cache", "/x"),)),
    ExecOp(argv=("true",), mounts=(ExecMount("tmpfs", "/x"),)),
    ExecOp(argv=("true",), script=InlineFile("x", b"true")),
]


def test_other_ops_have_other_digests() -> None:
    assert len({Vertex(op).op_digest for op in OPS}) == len(OPS)


def test_equal_ops_on_equal_inputs_are_the_same() -> None:
    one = Vertex(RUN, (Vertex(ContextOp("a")), None))
    two = Vertex(ExecOp(argv=("true",)), (Vertex(ContextOp("a")), None))
    assert one is not two
    assert (one.op_digest, one.definition) == (two.op_digest, two.definition)


def test_names_and_places_are_for_people() -> None:
    plain = Vertex(RUN)
    shown = Vertex(
        RUN,
        name="[1/2] RUN true",
        source=SourceRange("Dockerfile", 3, 4),
        ignore_cache=True,
        hidden_env=("http_proxy=x",),
    )
    assert shown.definition == plain.definition
    assert repr(shown) == "<Vertex [1/2] RUN true>"
    assert repr(plain) == "<Vertex ExecOp>"
    assert str(shown.source) == "Dockerfile:3"


def test_inputs_and_their_order_count() -> None:
    a, b = Vertex(ContextOp("a")), Vertex(ContextOp("b"))
    definitions = [
        Vertex(RUN, inputs).definition for inputs in ((), (None,), (a,), (b,), (a, b), (b, a), (a, None), (None, a))
    ]
    assert len(set(definitions)) == len(definitions)
    assert len({Vertex(RUN, inputs).op_digest for inputs in ((), (a,), (b, a))}) == 1


def test_many_steps_need_no_deep_stack() -> None:
    def chain() -> Vertex:
        vertex = Vertex(ContextOp(""))
        for number in range(5000):
            vertex = Vertex(ExecOp(argv=(str(number),)), (vertex, vertex))
        return vertex

    assert chain().definition == chain().definition


@given(st.lists(st.text()), st.text())
def test_any_text_has_a_digest(argv: list[str], cwd: str) -> None:
    """Names that are not UTF-8 come as surrogates (os.fsdecode)."""
    op = ExecOp(argv=tuple(argv), cwd=cwd)
    assert Vertex(op).op_digest == Vertex(msgspec.structs.replace(op)).op_digest


def test_names_that_are_not_utf_8_differ() -> None:
    digests = {Vertex(CopyOp((name,), "/", True)).op_digest for name in ("\udcff", "\udcfe", "?", "\\udcff")}
    assert len(digests) == 4
