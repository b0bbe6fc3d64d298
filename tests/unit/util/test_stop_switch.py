"""Work that another thread gives up."""

from __future__ import annotations

import threading

import pytest

from pywerf.errors import BuildStopped
from pywerf.util.stop_switch import StopSwitch


def test_what_goes_on_is_stopped_once_and_nothing_begins_after() -> None:
    switch, calls = StopSwitch(), []
    ended, told = threading.Event(), threading.Event()

    def stop() -> None:
        calls.append("stopped")
        ended.set()

    def work() -> None:
        with switch.during(stop):
            told.set()
            assert ended.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    assert told.wait(20)
    with switch.during(lambda: calls.append("over")):
        switch.check()
    switch.stop()
    switch.stop()
    thread.join()
    assert calls == ["stopped"]
    with pytest.raises(BuildStopped):
        switch.check()
    with pytest.raises(BuildStopped), switch.during(stop):
        raise AssertionError
