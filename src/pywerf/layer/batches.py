"""What a walk finds, in order: plain files in batches, some of them read by other processes, and all else between."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from pywerf.layer.pack import Packer
from pywerf.layer.readers import Reader, ReaderLost
from pywerf.layer.tar_write import TarWriter

if TYPE_CHECKING:
    from pywerf.layer.pack import Left, Linked

__all__ = ["MANY", "Batches"]

MANY = 2000
"""From so many files on, other processes read, too: fewer are read in about the time that a process takes to start."""

_MOST = 3  # processes beside this one
_FILES = 128  # in a batch
_WEIGHT = 32 << 10  # bytes of names and headers in a batch
_HEADERS = 4 << 10  # bytes: more between files would be copied to another process and back for nothing
_HELD = 4 << 20  # bytes made here that wait for what stands before them

_Batch: TypeAlias = list[bytes | tuple[bytes, list[bytes]]]  # as `pack` has it


class _Sent:
    """A batch that a process reads; `done` of its `files` have been received."""

    __slots__ = ("batch", "done", "files", "reader")

    def __init__(self, batch: _Batch, files: int, reader: Reader) -> None:
        self.batch = batch
        self.files = files
        self.reader = reader
        self.done = 0


class _Made:
    """Entries that have been made; `left` tells the files left over between them: offset, path, what it is."""

    __slots__ = ("data", "entries", "left", "size")

    def __init__(self, data: bytes, entries: int, left: list[tuple[int, bytes, Linked | None]]) -> None:
        self.data = data
        self.entries = entries
        self.left = left
        self.size = len(data) + sum(len(linked[-1]) for _, _, linked in left if linked is not None)


class Batches:
    """Writes files of the tree `root` to `writer`, and what is written to `between` in between.

    `left_over` is called with the path of each file that a Packer leaves over, and what it tells of that file; it
    writes to `writer`, and its turn comes when everything before that file has been written. Up to `readers` processes
    (by default as many as there are other processors, three at most) are started once there have been `many` files;
    when one is lost, this process reads what that one should have read. A few MiB wait for their turn at most.
    Use it as a context manager: leaving it ends the processes; `finish` writes what waits.
    """

    def __init__(
        self,
        writer: TarWriter,
        root: bytes,
        left_over: Callable[[bytes, Linked | None], object],
        *,
        readers: int | None = None,
        many: int = MANY,
    ) -> None:
        self.between = TarWriter(self._put_between, clamp=writer.clamp, subsecond=writer.subsecond)
        self._out = writer
        self._root = root
        self._left_over = left_over
        self._packer = Packer(root, writer.clamp, subsecond=writer.subsecond)
        self._most = min(_MOST, len(os.sched_getaffinity(0)) - 1) if readers is None else readers
        self._readers: list[Reader] = []
        self._many = many
        self._seen = 0
        self._batch: _Batch = []
        self._files = 0
        self._weight = 0
        self._waiting: deque[_Sent | _Made] = deque()
        self._held = 0

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in self._readers:
            reader.close()

    def put(self, folder: bytes, names: list[bytes]) -> None:
        """The files with these names in a folder, whose path is relative and ends with a slash."""
        self.between.flush()
        at = 0
        while at < len(names):
            some = names[at : at + _FILES - self._files]
            at += len(some)
            last = self._batch[-1] if self._batch else b""
            if isinstance(last, tuple) and last[0] == folder:
                last[1].extend(some)
            else:
                self._batch.append((folder, some))
            self._files += len(some)
            self._weight += len(folder) + sum(map(len, some))
            if self._files >= _FILES or self._weight >= _WEIGHT:
                self._cut()

    def finish(self) -> None:
        """Write everything that waits."""
        self.between.flush()
        self._cut()
        self._advance(wait=True)
        self._out.entries += self.between.entries
        self.between.entries = 0

    def _put_between(self, data: bytes) -> None:
        if len(data) <= _HEADERS:
            self._batch.append(data)
            self._weight += len(data)
            return
        self._cut()
        self._add(_Made(data, 0, []))

    def _cut(self) -> None:
        """The batch at hand is whole: let it be read by a process that has time, or here."""
        batch, files = self._batch, self._files
        self._batch, self._files, self._weight = [], 0, 0
        if not batch:
            return
        self._seen += files
        if self._seen >= self._many:
            self._start()
        self._advance()
        for reader in sorted(self._readers, key=_waiting):
            if files and reader.send(batch):
                self._waiting.append(_Sent(batch, files, reader))
                return
        self._read(batch, 0, self._add)

    def _start(self) -> None:
        while self._most > 0:
            self._most -= 1
            try:
                self._readers.append(Reader(self._root, self._out.clamp, subsecond=self._out.subsecond))
            except OSError:  # it works without, only slower
                self._most = 0

    def _read(self, batch: _Batch, done: int, put: Callable[[_Made], object]) -> None:
        """Read the files of a batch after the first `done` here."""

        def made(data: bytes, number: int, left: list[Left]) -> None:
            nonlocal done
            put(_made(batch, data, number - done, left))
            done = number

        self._packer.pack(batch, made, done)

    def _add(self, made: _Made) -> None:
        if not self._waiting:
            self._write(made)
            return
        self._waiting.append(made)
        self._held += made.size
        if self._held >= _HELD:
            self._advance(wait=True)

    def _advance(self, *, wait: bool = False) -> None:
        """Write what has its turn; `wait`: until nothing waits."""
        while self._waiting:
            head = self._waiting[0]
            if isinstance(head, _Made):
                self._held -= head.size
                self._write(head)
            elif wait or head.reader.ready():
                self._receive(head)
            else:
                return
            self._waiting.popleft()

    def _receive(self, sent: _Sent) -> None:
        reader = sent.reader
        try:
            while sent.done < sent.files:
                data, number, left = reader.receive()
                self._write(_made(sent.batch, data, number - sent.done, left))
                sent.done = number
        except ReaderLost:
            if reader in self._readers:
                self._readers.remove(reader)
                reader.close()
            self._read(sent.batch, sent.done, self._write)
        else:
            reader.waiting -= 1

    def _write(self, made: _Made) -> None:
        data, at = made.data, 0
        for offset, path, linked in made.left:
            if offset > at:
                self._out.put_made(data[at:offset], 0)
                at = offset
            self._left_over(path, linked)
        self._out.put_made(data[at:], made.entries)


def _waiting(reader: Reader) -> int:
    return reader.waiting


def _made(batch: _Batch, data: bytes, files: int, left: list[Left]) -> _Made:
    """What was made of so many files more of a batch."""
    if not left:
        return _Made(data, files, [])
    paths = [item[0] + name for item in batch if isinstance(item, tuple) for name in item[1]]
    return _Made(data, files - len(left), [(offset, paths[number], linked) for offset, number, linked in left])
