"""Several processes on one store at once, and processes that are killed at any moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.snapshot.overlay import OverlaySnapshotter
from pywerf.store import gc
from pywerf.store.store import Store

pytestmark = pytest.mark.integration

StartWorker = Callable[..., "subprocess.Popen[bytes]"]
KILLS = 12


def test_processes_that_write_at_once(
    start_worker: StartWorker, check_whole: Callable[[str], int], tmp_path: Path
) -> None:
    turns = 24
    workers = [start_worker(number, turns) for number in range(3)]
    for worker in workers:
        with worker:
            worker.communicate(timeout=120)
        assert worker.returncode == 0
    root = str(tmp_path / "store")
    assert check_whole(root) == 3 * turns * 3 // 4
    with Store.open(root) as store:
        for number in range(3):
            assert store.memo.get("worker", str(number)) == str(turns - 1).encode()


def test_a_store_that_is_made_by_several_at_once(start_worker: StartWorker, tmp_path: Path) -> None:
    for _ in range(3):
        workers = [start_worker(number, 1) for number in range(3)]
        for worker in workers:
            with worker:
                worker.communicate(timeout=120)
            assert worker.returncode == 0
        (tmp_path / "store").rename(tmp_path / f"store-{os.urandom(4).hex()}")


def test_killed_at_any_moment_the_store_is_whole(
    start_worker: StartWorker, check_whole: Callable[[str], int], tmp_path: Path
) -> None:
    root = str(tmp_path / "store")
    rng = random.Random(os.urandom(8))
    for number in range(KILLS):
        with start_worker(number) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
            time.sleep(rng.random() * 0.1)
            worker.kill()
        check_whole(root)
    # What the killed ones left is found by the next command, and by the collector when it is old.
    with Store.open(root) as store:
        driver = OverlaySnapshotter(store.driver_dir("overlay"))
        for record in store.layers.list():
            assert record.snapshot is not None
            assert driver.exists(record.snapshot)
            snapshot = driver.prepare(record.snapshot, None)
            assert snapshot.committed
            assert driver.view(snapshot).lstat("file") is not None
        long_ago = time.time() - 1000
        for folder, _, files in os.walk(root):
            for path in (folder, *(f"{folder}/{name}" for name in files)):
                os.utime(path, (long_ago, long_ago), follow_symlinks=False)
        gc.collect(store, keep_cache_for=0, remove_snapshot=lambda _, id: driver.remove(id))
    check_whole(root)


def test_locks_and_leases_go_with_their_process(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    Store.open(root).close()
    script = (
        "import sys, time\n"
        "from pywerf.store.store import Store\n"
        "store = Store.open(sys.argv[1])\n"
        "with store.lock('name'), store.lease('snapshot', 'one'), store.tmp_dir() as path:\n"
        "    print(path, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        path = holder.stdout.readline().strip()
        with Store.open(root) as store:
            with store.lock("name", wait=False) as held:
                assert not held
            with store.unleased("snapshot", "one") as free:
                assert not free
            assert os.path.isdir(path)
        holder.kill()
    with Store.open(root) as store:
        with store.lock("name", wait=False) as held:
            assert held
        with store.unleased("snapshot", "one") as free:
            assert free
        assert not os.path.exists(path)
