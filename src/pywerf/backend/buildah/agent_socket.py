"""RUN --mount=type=ssh: a socket of the step's own in front of the user's agent.

The agent's socket belongs to the user alone, and often its folder, too. The step gets one with the owner and mode
that it asks for; what is said on it is passed on, and it is gone when the step ends.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType

from pywerf.errors import BuildError
from pywerf.linux import owners

__all__ = ["AgentSocket"]

_CHUNK = 1 << 14


class AgentSocket:
    """A context manager: while it is entered `path` is a socket; who connects to it gets what `connect` opens."""

    def __init__(self, connect: Callable[[], socket.socket], path: str, *, uid: int, gid: int, mode: int) -> None:
        self._connect = connect
        self.path = path
        self._owner = (uid, gid)
        self._mode = mode
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    def __enter__(self) -> AgentSocket:
        """Raises BuildError when the agent does not answer."""
        self._connect().close()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind()
            owners.set_owner(self.path, *self._owner)
            os.chmod(self.path, self._mode)
            self._listener.listen()
        except BaseException:
            self._listener.close()
            raise
        threading.Thread(target=self._accept, name="ssh-agent", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            for end in (self._listener, *self._open):
                try:
                    end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
                except OSError:
                    continue  # its other side is gone already
        self._listener.close()

    def _bind(self) -> None:
        """Through the folder's descriptor: the address of a socket has room for 107 bytes alone (unix(7))."""
        folder = os.open(os.path.dirname(self.path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(self.path)}")
        finally:
            os.close(folder)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                agent = self._connect()
            except BuildError:
                client.close()
                continue
            with self._lock:
                if self._closed:
                    client.close()
                    agent.close()
                    return
                self._open |= {client, agent}
            back = threading.Thread(target=self._pass_on, args=(agent, client), name="ssh-agent", daemon=True)
            back.start()
            threading.Thread(target=self._both_ways, args=(client, agent, back), name="ssh-agent", daemon=True).start()

    def _both_ways(self, client: socket.socket, agent: socket.socket, back: threading.Thread) -> None:
        self._pass_on(client, agent)
        back.join()
        with self._lock:
            self._open -= {client, agent}
        client.close()
        agent.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return  # one of the two has gone: there is nobody to tell
