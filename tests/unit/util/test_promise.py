from __future__ import annotations

import threading

import pytest

from pywerf.util.promise import Promise, run_in_thread


def test_a_promise_that_is_kept_already() -> None:
    promise = Promise.of(None)
    assert promise.done
    assert promise.result() is None
    assert promise.result() is None


def test_result_waits_for_the_value() -> None:
    promise: Promise[str] = Promise()
    got: list[str] = []
    waiting = [threading.Thread(target=lambda: got.append(promise.result())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert not promise.done
    assert got == []
    promise.resolve("here")
    for thread in waiting:
        thread.join()
    assert got == ["here"] * 3


def test_the_error_is_raised_by_every_result_and_by_no_wait() -> None:
    promise: Promise[int] = Promise()
    error = ValueError("broken")
    promise.fail(error)
    promise.wait()
    assert promise.done
    for _ in range(2):
        with pytest.raises(ValueError, match="broken") as caught:
            promise.result()
        assert caught.value is error


def test_a_thread_keeps_its_promise() -> None:
    go = threading.Event()

    def work() -> str:
        go.wait()
        return threading.current_thread().name

    promise = run_in_thread(work, "worker-7")
    assert not promise.done
    go.set()
    assert promise.result() == "worker-7"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_whatever_ends_a_thread_reaches_who_waits(error: BaseException) -> None:
    def work() -> None:
        raise error

    promise = run_in_thread(work, "failing")
    with pytest.raises(type(error)) as caught:
        promise.result()
    assert caught.value is error


def test_threads_do_not_keep_the_program_from_ending() -> None:
    seen: Promise[bool] = run_in_thread(lambda: threading.current_thread().daemon, "daemon")
    assert seen.result()
