from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import InvalidDocument
from pywerf.oci.document import encode, json_decoder, load_object
from support.examples import examples


@pytest.mark.parametrize("data", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a":}', b"[" * 100_000, b'{"a":' * 50_000])
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match=r"^the thing is not valid JSON"):
        load_object(data, "the thing")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"[]", "a list"), (b'"x"', "a string"), (b"null", "nothing"), (b"true", "a boolean"), (b"1.5", "a number")],
)
def test_only_objects_are_documents(data: bytes, kind: str) -> None:
    with pytest.raises(InvalidDocument, match=f"^config: expected an object, got {kind}$"):
        load_object(data, "config")


DOCUMENT = {
    "text": "x",
    "number": 5,
    "flag": True,
    "none": None,
    "list": ["a", "b"],
    "mixed": ["a", 1],
    "map": {"k": "v"},
    "odd": {"k": 1},
    "set": {"b": {}, "a": {}},
    "objects": [{"in": "side"}, 7],
}


def test_fields_that_are_there() -> None:
    fields = load_object(json.dumps(DOCUMENT).encode(), "doc")
    assert fields.get("text", str, "") == fields.need("text", str) == "x"
    assert fields.get("number", int, 0) == 5
    assert fields.get("flag", bool, False) is True
    assert fields.strings("list") == ("a", "b")
    assert fields.string_map("map") == {"k": "v"}
    assert fields.keys("set") == ("a", "b")
    inside = fields.object("map")
    assert inside is not None
    assert inside.where == "doc.map"


def test_missing_and_null_are_the_same() -> None:
    fields = load_object(json.dumps(DOCUMENT).encode(), "doc")
    for key in ("none", "missing"):
        assert fields.get(key, str, "default") == "default"
        assert fields.strings(key) is None
        assert fields.string_map(key) == {}
        assert fields.keys(key) == ()
        assert fields.objects(key) == []
        assert fields.object(key) is None


def test_complaints_name_the_field() -> None:
    fields = load_object(json.dumps(DOCUMENT).encode(), "doc")
    for call, message in (
        (lambda: fields.get("text", int, 0), "doc.text: expected int, got a string"),
        (lambda: fields.get("flag", int, 0), "doc.flag: expected int, got a boolean"),
        (lambda: fields.need("missing", str), "doc.missing: expected str, got nothing"),
        (lambda: fields.need("number", str), "doc.number: expected str, got a number"),
        (lambda: fields.strings("mixed"), "doc.mixed: expected a list of strings"),
        (lambda: fields.strings("text"), "doc.text: expected a list of strings"),
        (lambda: fields.string_map("odd"), "doc.odd: expected an object of strings"),
        (lambda: fields.objects("map"), "doc.map: expected list, got an object"),
        (lambda: fields.objects("objects"), r"doc.objects\[1\]: expected an object, got a number"),
        (lambda: fields.object("list"), "doc.list: expected an object, got a list"),
    ):
        with pytest.raises(InvalidDocument, match=f"^{message}$"):
            call()


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@examples(50)
@given(st.dictionaries(TEXT, JSON, max_size=3))
def test_what_is_encoded_is_read_again(value: dict[str, object]) -> None:
    data = encode(value)
    assert load_object(data, "x").value == value
    assert json.loads(data.decode()) == value


def test_half_a_character_becomes_the_replacement_character() -> None:
    """As Go's encoding/json has it; Python's own reader lets surrogates through."""
    value = load_object(rb'{"label": "a\ud800b", "pair": "\ud83d\ude00"}', "x").value
    assert json.loads(encode(value)) == {"label": "a\ufffdb", "pair": "\U0001f600"}


def test_the_order_of_keys_is_kept() -> None:
    assert encode({"b": 1, "a": "ü"}) == '{"b":1,"a":"ü"}'.encode()


# decoders

# Types that nobody has decoded yet, by four threads at once; without a lock msgspec crashes after some hundred.
RACE = """
import sys, threading, types
from pywerf.oci.document import json_decoder
sys.setswitchinterval(1e-6)
SOURCE = '''
from __future__ import annotations
import msgspec
class Inner(msgspec.Struct):
    digest: str
    timestamp: int = 0
class Outer(msgspec.Struct):
    id: Inner
    other: Inner | None = None
    labels: dict[str, str] = {}
    members: tuple[Inner, ...] = ()
'''
DATA = b'{"id": {"digest": "a"}, "labels": {"a": "b"}, "members": [{"digest": "x"}]}'
for number in range(400):
    module = sys.modules[f"m{number}"] = types.ModuleType(f"m{number}")
    exec(compile(SOURCE, module.__name__, "exec"), module.__dict__)
    barrier = threading.Barrier(4)
    found = []
    def work():
        barrier.wait()
        found.append(json_decoder(module.Outer).decode(DATA))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(found) == 4 and all(one == found[0] for one in found)
"""


class Pair(msgspec.Struct):
    """A type."""

    a: int
    b: int = 0


def test_one_decoder_for_all() -> None:
    assert json_decoder(Pair).decode(b'{"a": 1}') == Pair(1)
    assert json_decoder(Pair) is json_decoder(Pair)


def test_many_threads_may_be_the_first() -> None:
    subprocess.run([sys.executable, "-c", RACE], check=True, timeout=300)
