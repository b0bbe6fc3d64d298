"""A request to the daemon that is answered by a stream of JSON objects, and that ends what it started when closed."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from pywerf.backend.docker.daemon import Daemon

__all__ = ["events"]


def events(
    daemon: Daemon,
    path: str,
    body: Iterable[bytes] | None,
    headers: Mapping[str, str],
    what: str,
    *,
    before_stop: Callable[[], None] | None = None,
) -> Generator[dict[str, Any], None, None]:
    """POST `path` with a body in chunks, and give the objects of the answer as they come.

    Closing the iterator closes the connection, by which the daemon gives up what it was doing. What making the body
    raises is raised. `before_stop` as with `Daemon.conversation`. Raises BuildStopped, and BuildError and the other
    kinds of `errors.explain` for a status that is no success.
    """
    with daemon.conversation(before_stop) as connection, daemon.translated(what):
        try:
            connection.putrequest("POST", daemon.path(path))
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is None:
                connection.putheader("Content-Length", "0")
                connection.endheaders()
            else:
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders()
                for chunk in body:
                    if chunk:
                        connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the daemon has seen enough: its answer says why
        response = connection.getresponse()
        if response.status not in (200, 201):
            raise daemon.refused(response.status, response.read(1 << 16), what)
        for line in response:
            if line.strip():
                event: Any = json.loads(line)
                if isinstance(event, dict):
                    yield event
