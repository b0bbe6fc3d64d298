from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pywerf.errors import ContextError, DigestMismatch
from pywerf.oci.digest import Digest
from pywerf.source.http import Validators, fetch, filename_of

BODY = b"content " * 50_000
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


class Server(ThreadingHTTPServer):
    """Answers from a script: for each path a list of (status, headers, body), the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        answers = self.server.answers.get(self.path, [(404, {}, b"")])
        status, headers, body = answers[0] if len(answers) == 1 else answers.pop(0)
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests read `requests`."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download(server: Server) -> None:
    server.answers["/dir/a%20b.txt?x=1"] = [(200, {"ETag": '"1"', "Last-Modified": DATE}, BODY)]
    out = io.BytesIO()
    seen: list[tuple[int, int]] = []
    result = fetch(f"{server.url}/dir/a%20b.txt?x=1#part", out, progress=lambda done, total: seen.append((done, total)))
    assert out.getvalue() == BODY
    assert result.digest == Digest.of(BODY)
    assert (result.size, result.filename, result.etag, result.last_modified) == (len(BODY), "a b.txt", '"1"', DATE)
    assert result.mtime == 1445412480
    assert not result.not_modified
    assert seen[-1] == (len(BODY), len(BODY))
    (_, headers), *_ = server.requests
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers


def test_no_name_and_no_time(server: Server) -> None:
    server.answers["/"] = [(200, {"Last-Modified": "yesterday"}, b"x")]
    result = fetch(server.url + "/", io.BytesIO())
    assert (result.filename, result.mtime, result.etag) == ("download", 0, "")


def test_what_is_encoded_stays_as_it_is(server: Server) -> None:
    server.answers["/x"] = [(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b not really")]
    out = io.BytesIO()
    fetch(f"{server.url}/x", out)
    assert out.getvalue() == b"\x1f\x8b not really"


@pytest.mark.parametrize(
    ("disposition", "url", "name"),
    [
        ("", "http://h/a/b.tar", "b.tar"),
        ("", "http://h/a/b/", "b"),
        ("", "http://h/a/%2e%2e", ""),
        ("", "http://h/a%2Fb", "b"),
        ("", "http://h", ""),
        ('attachment; filename="x y.txt"', "http://h/b", "x y.txt"),
        ("attachment; filename=/etc/passwd", "http://h/b", "passwd"),
        ("attachment; filename=..", "http://h/b", "b"),
        ("attachment; filename=a/", "http://h/b", "b"),
        ("attachment; filename*=UTF-8''%e2%82%ac", "http://h/b", "€"),
        ("inline", "http://h/b", "b"),
    ],
)
def test_names(disposition: str, url: str, name: str) -> None:
    assert filename_of(url, disposition) == name


def test_not_modified(server: Server) -> None:
    server.answers["/x"] = [(304, {}, b"")]
    out = io.BytesIO()
    result = fetch(f"{server.url}/x", out, validators=Validators('"1"', DATE))
    assert result.not_modified
    assert (result.digest, result.size, result.etag, result.mtime) == (None, 0, '"1"', 1445412480)
    assert out.getvalue() == b""
    assert server.requests[0][1]["if-none-match"] == '"1"'
    assert "if-modified-since" not in server.requests[0][1]
    fetch(f"{server.url}/x", out, validators=Validators(last_modified=DATE))
    assert server.requests[1][1]["if-modified-since"] == DATE
    with pytest.raises(ContextError, match="304"):
        fetch(f"{server.url}/x", out)


def test_a_server_that_ignores_the_question_but_sends_the_same_etag(server: Server) -> None:
    server.answers["/x"] = [(200, {"ETag": 'W/"1"'}, BODY)]
    assert fetch(f"{server.url}/x", io.BytesIO(), validators=Validators('"1"')).not_modified
    result = fetch(f"{server.url}/x", io.BytesIO(), validators=Validators('"2"'))
    assert not result.not_modified
    assert result.size == len(BODY)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_checksums(server: Server, algorithm: str) -> None:
    server.answers["/x"] = [(200, {}, BODY)]
    right = Digest(algorithm, hashlib.new(algorithm, BODY).hexdigest())
    assert fetch(f"{server.url}/x", io.BytesIO(), checksum=right).digest == Digest.of(BODY)
    wrong = Digest(algorithm, hashlib.new(algorithm, b"").hexdigest())
    with pytest.raises(DigestMismatch) as caught:
        fetch(f"{server.url}/x", io.BytesIO(), checksum=wrong)
    assert caught.value.expected == str(wrong)
    assert len(server.requests) == 2  # the same bytes would come again


def test_passing_failures_are_tried_again(server: Server) -> None:
    server.answers["/x"] = [
        (503, {"Retry-After": "0"}, b"later"),
        (200, {"Content-Length": "1000"}, b"cut off"),
        (200, {}, BODY),
    ]
    out = io.BytesIO(b"before")
    out.seek(6)
    result = fetch(f"{server.url}/x", out, backoff=0.001)
    assert out.getvalue() == b"before" + BODY
    assert result.digest == Digest.of(BODY)
    assert len(server.requests) == 3


def test_the_last_failure_is_told(server: Server) -> None:
    server.answers["/x"] = [(500, {}, b"")]
    with pytest.raises(ContextError, match="the server answered 500"):
        fetch(f"{server.url}/x", io.BytesIO(), retries=2, backoff=0.001)
    assert len(server.requests) == 3
    with pytest.raises(ContextError, match="cannot be downloaded"):
        fetch("http://127.0.0.1:1/x", io.BytesIO(), retries=1, backoff=0.001)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_lasting_failures_are_told_at_once(server: Server, status: int) -> None:
    server.answers["/x"] = [(status, {}, b"page")]
    out = io.BytesIO()
    with pytest.raises(ContextError, match=f"the server answered {status}"):
        fetch(f"{server.url}/x", out, backoff=0.001)
    assert len(server.requests) == 1
    assert out.getvalue() == b""


def test_redirects(server: Server) -> None:
    server.answers["/a.txt"] = [(302, {"Location": "/b"}, b"")]
    server.answers["/b"] = [(307, {"Location": f"{server.url}/c"}, b"")]
    server.answers["/c"] = [(200, {}, b"here")]
    result = fetch(f"{server.url}/a.txt", io.BytesIO())
    assert result.digest == Digest.of(b"here")
    assert result.url == f"{server.url}/c"
    assert result.filename == "a.txt"
    server.answers["/loop"] = [(301, {"Location": "/loop"}, b"")]
    with pytest.raises(ContextError, match="redirects"):
        fetch(f"{server.url}/loop", io.BytesIO())
    server.answers["/out"] = [(302, {"Location": "file:///etc/passwd"}, b"")]
    with pytest.raises(ContextError, match="not an http or https URL"):
        fetch(f"{server.url}/out", io.BytesIO())


def test_credentials_stay_within_one_origin(server: Server) -> None:
    server.answers["/a"] = [(302, {"Location": "/b"}, b"")]
    other = server.url.replace("127.0.0.1", "localhost")
    server.answers["/b"] = [(302, {"Location": f"{other}/c"}, b"")]
    server.answers["/c"] = [(200, {}, b"x")]
    fetch(server.url.replace("://", "://user:se%20cret@") + "/a", io.BytesIO(), headers={"X-Other": "1"})
    sent = [headers.get("authorization") for _, headers in server.requests]
    assert sent == ["Basic dXNlcjpzZSBjcmV0", "Basic dXNlcjpzZSBjcmV0", None]
    assert server.requests[2][1]["x-other"] == "1"


def test_no_secret_in_a_message(server: Server) -> None:
    url = server.url.replace("://", "://user:secret@") + "/missing"
    with pytest.raises(ContextError) as caught:
        fetch(url, io.BytesIO())
    assert "secret" not in str(caught.value)
    assert "user:xxxxx@" in str(caught.value)


def test_proxies(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("://", "://u:p@"))
    server.answers["http://far.invalid/x"] = [(200, {}, b"by proxy")]
    out = io.BytesIO()
    fetch("http://far.invalid/x", out)
    assert out.getvalue() == b"by proxy"
    assert server.requests[0][1]["proxy-authorization"] == "Basic dTpw"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.answers["/direct"] = [(200, {}, b"direct")]
    fetch(f"{server.url}/direct", out)
    assert server.requests[1][0] == "/direct"


@pytest.mark.parametrize("url", ["ftp://h/x", "http://", "file:///etc/passwd", "x"])
def test_other_urls(url: str) -> None:
    with pytest.raises(ContextError, match="not an http or https URL"):
        fetch(url, io.BytesIO())
