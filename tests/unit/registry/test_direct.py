"""HTTP below registries: connections of our own, and by a proxy; both have to behave in the same way."""

from __future__ import annotations

import gzip
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import RegistryError
from pywerf.registry.direct import MAX_HEADERS, MAX_LINE, Direct
from pywerf.registry.http import body_chunks, read_limited
from pywerf.registry.http_message import CutShort, NoAnswer
from pywerf.registry.proxied import Proxied
from pywerf.registry.responses import release
from pywerf.registry.retry import Broken
from support.scripted_server import ScriptedServer, scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"

Open = Callable[[str], Direct | Proxied]


def no_context() -> ssl.SSLContext:
    raise AssertionError("no TLS here")


@contextmanager
def direct(timeout: float = 5.0) -> Iterator[Direct]:
    with closing(Direct(no_context, connect_timeout=timeout, read_timeout=timeout)) as way:
        yield way


@contextmanager
def spoken(kind: str, server: ScriptedServer) -> Iterator[Direct | Proxied]:
    """A way to the server: without a proxy, or with the server as its own proxy."""
    if kind == "direct":
        with direct() as way:
            yield way
        return
    with closing(Proxied(f"http://{server.host}", None, connect_timeout=5, read_timeout=5)) as way:
        yield way


def get(way: Direct | Proxied, server: ScriptedServer, method: str = "GET") -> bytes:
    response = way.request(method, f"http://{server.host}/v2/", {}, None)
    body = b"".join(iter(partial(response.read, 100), b""))
    response.release()
    return body


@pytest.fixture(params=["direct", "proxied"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_a_response_says(kind: str) -> None:
    answer = b"HTTP/1.1 404 Not here\r\nA: 1\r\nContent-Length: 3\r\na:  2 \r\n\r\nno!"
    with scripted(answer) as server, spoken(kind, server) as way:
        response = way.request("GET", f"http://{server.host}/v2/a?b=c", {"X-Mine": "yes"}, None)
        assert (response.status, response.reason, response.left) == (404, "Not here", 3)
        assert (response.headers.get("A"), response.headers.getlist("a")) == ("1, 2", ["1", "2"])
        assert (response.headers.get("none"), response.headers.get("none", "x")) == ("", "x")
        assert (response.read(2), response.read(2), response.read(2), response.left) == (b"no", b"!", b"", 0)
        response.release()
        response.close()
        assert (response.read(2), response.left) == (b"", 0)
    lines = server.heads[0].split(b"\r\n")
    assert lines[0].split(b" ")[0::2] == [b"GET", b"HTTP/1.1"]
    assert lines[0].split(b" ")[1].endswith(b"/v2/a?b=c")
    assert {b"X-Mine: yes", b"Accept-Encoding: identity", f"Host: {server.host}".encode()} <= set(lines)


def test_connections_are_kept(kind: str) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    continued = b"HTTP/1.1 100 Continue\r\n\r\n" + OK
    with scripted(OK, chunked, EMPTY, continued, OK) as server, spoken(kind, server) as way:
        assert [get(way, server) for _ in range(5)] == [b"hello", b"abc", b"", b"hello", b"hello"]
    assert server.connections == 1


def test_the_answer_to_a_head_has_no_body(kind: str) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 123456789\r\n\r\n"
    with scripted(large, OK) as server, spoken(kind, server) as way:
        response = way.request("HEAD", f"http://{server.host}/", {}, None)
        assert (response.headers.get("content-length"), response.read(9)) == ("123456789", b"")
        release(response)
        assert get(way, server) == b"hello"
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
)
def test_connections_that_end_are_made_anew(kind: str, answer: bytes) -> None:
    with scripted(answer, OK) as server, spoken(kind, server) as way:
        assert [get(way, server) for _ in range(2)] == [b"hello", b"hello"]
    assert server.connections == 2


def test_a_connection_that_the_server_has_closed_meanwhile(kind: str) -> None:
    # the server says nothing of it: it has no more answers for this connection
    with scripted(OK) as first, spoken(kind, first) as way:
        get(way, first)
        port = int(first.host.rpartition(":")[2])
        first.close()
        with socket.create_server(("127.0.0.1", port)) as second, second:
            response: list[bytes] = []

            def answered() -> None:
                connection, _ = second.accept()
                with connection:
                    response.append(connection.recv(1000))
                    connection.sendall(OK)

            thread = threading.Thread(target=answered)
            thread.start()
            assert get(way, first) == b"hello"
            thread.join()
        assert response[0].startswith(b"GET ")


def test_a_body_that_nobody_reads_ends_the_connection(kind: str) -> None:
    with scripted(OK, OK) as server, spoken(kind, server) as way:
        way.request("GET", f"http://{server.host}/", {}, None).release()
        assert get(way, server) == b"hello"
    assert server.connections == 2


def test_requests_with_bodies(kind: str) -> None:
    with scripted(EMPTY, EMPTY, EMPTY) as server, spoken(kind, server) as way:
        for body in (b"", b"12345", iter([b"123", b"", b"45"])):
            sent = {"Content-Length": "5"} if not isinstance(body, bytes) else {}
            way.request("PUT", f"http://{server.host}/", sent, body).release()
    assert server.bodies == [b"", b"12345", b"12345"]
    assert b"Content-Length: 0\r\n" in server.heads[0]
    assert server.connections == 1


def test_what_a_body_raises_goes_through(kind: str) -> None:
    def body() -> Iterator[bytes]:
        yield b"123"
        raise KeyError("mine")

    with scripted(EMPTY, EMPTY) as server, spoken(kind, server) as way, pytest.raises(KeyError, match="mine"):
        way.request("PUT", f"http://{server.host}/", {"Content-Length": "5"}, body())


def test_an_answer_before_the_end_of_the_body() -> None:
    refused = b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n"
    with scripted(refused, unread=True) as server, direct() as way:
        chunks = itertools.repeat(b"x" * 65536, 2000)
        try:
            response = way.request("PUT", f"http://{server.host}/", {"Content-Length": str(65536 * 2000)}, chunks)
        except (ConnectionError, NoAnswer):
            return  # the kernel has thrown the answer away together with the connection
        assert response.status == 413
        response.close()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * MAX_LINE + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"HTTP/1.1 200",
    ],
)
def test_what_is_no_answer(answer: bytes | None) -> None:
    with scripted(answer) as server, direct() as way, pytest.raises((NoAnswer, ConnectionError)):
        get(way, server)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 50\r\nConnection: close\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n",
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n9\r\nhello",
    ],
)
def test_bodies_that_end_too_early(kind: str, body: bytes) -> None:
    with scripted(b"HTTP/1.1 200 OK\r\n" + body) as server, spoken(kind, server) as way, pytest.raises(NoAnswer):
        get(way, server)


@pytest.mark.parametrize("chunks", [b"z\r\nhello\r\n0\r\n\r\n", b"3\r\nhello\r\n0\r\n\r\n", b"-1\r\n\r\n0\r\n\r\n"])
def test_chunks_that_are_none(chunks: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks
    with scripted(answer) as server, direct() as way, pytest.raises(CutShort):
        get(way, server)


def test_a_server_that_says_nothing(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        way: Direct | Proxied = Direct(no_context, connect_timeout=0.1, read_timeout=0.1)
        if kind == "proxied":
            way = Proxied(f"http://{address}", None, connect_timeout=0.1, read_timeout=0.1)
        with closing(way), pytest.raises((TimeoutError, NoAnswer)) as caught:
            way.request("GET", f"http://{address}/", {}, None)
        error: BaseException | None = caught.value
        while error is not None and not isinstance(error, TimeoutError):
            error = error.__cause__
        assert isinstance(error, TimeoutError)


@pytest.mark.parametrize("url", ["http:///v2/", "ftp://host/", "http://host:99999/", "http://host:x/", "http://[::1/"])
def test_what_is_no_address(url: str) -> None:
    with direct() as way, pytest.raises(ValueError, match=r"."):
        way.request("GET", url, {}, None)


def test_nothing_can_be_smuggled_into_a_request() -> None:
    with scripted(EMPTY) as server, direct() as way:
        with pytest.raises(ValueError, match="several lines"):
            way.request("GET", f"http://{server.host}/", {"A": "x\r\nB: y"}, None)
        way.request("GET", f"http://{server.host}/a b\u00e9?c d%20&e=%2F", {}, None).release()
    assert server.heads[0].startswith(b"GET /a%20b%C3%A9?c%20d%20&e=%2F HTTP/1.1\r\n")


def answer_with(data: bytes, coding: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def test_documents_may_be_compressed_unasked(kind: str) -> None:
    packed = gzip.compress(b"hello" * 1000)
    answers = (answer_with(packed, "gzip"), answer_with(packed[:-20], "gzip"), answer_with(b"no zip", "gzip"))
    with scripted(*answers) as server, spoken(kind, server) as way:
        url = f"http://{server.host}/"
        response = way.request("GET", url, {}, None)
        assert read_limited(response, 5000, "doc", url) == b"hello" * 1000
        for _ in range(2):
            with pytest.raises(Broken, match="too early"):
                read_limited(way.request("GET", url, {}, None), 5000, "doc", url)


def test_a_document_has_a_limit_even_when_it_is_compressed(kind: str) -> None:
    bomb = answer_with(gzip.compress(b"\0" * (64 << 20)), "gzip")
    with scripted(bomb, OK) as server, spoken(kind, server) as way:
        url = f"http://{server.host}/"
        for limit in (1 << 20, 4):
            with pytest.raises(RegistryError, match=f"longer than {limit} bytes"):
                read_limited(way.request("GET", url, {}, None), limit, "doc", url)


def test_pieces_of_a_body(kind: str) -> None:
    with scripted(OK, OK) as server, spoken(kind, server) as way:
        url = f"http://{server.host}/"
        assert list(body_chunks(way.request("GET", url, {}, None), "blob", url)) == [b"hello"]
        pieces = body_chunks(way.request("GET", url, {}, None), "blob", url)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]  # it is a generator
        assert server.connections == 1


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.integers(1, 300))
def test_chunks_make_the_body_that_was_cut(pieces: list[bytes], amount: int) -> None:
    coded = b"".join(b"%X;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    with scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded, OK) as server, direct() as way:
        response = way.request("GET", f"http://{server.host}/", {}, None)
        read = list(iter(partial(response.read, amount), b""))
        assert b"".join(read) == b"".join(pieces)
        assert all(len(one) == amount for one in read[:-1])
        response.release()
        assert get(way, server) == b"hello"
    assert server.connections == 1


@given(st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", OK[:-5], b"HTTP/1.1 200 OK\r\n\r\n"]))
def test_any_answer_is_read_or_refused(garbage: bytes, before: bytes) -> None:
    with scripted(before + garbage + b"\r\nconnection: close") as server, direct() as way:
        try:
            get(way, server)
        except (NoAnswer, ConnectionError):
            pass
