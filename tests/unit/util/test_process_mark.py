"""Marks of processes."""

from __future__ import annotations

import subprocess
import sys

from pywerf.util.process_mark import is_gone, process_mark


def test_this_process_lives() -> None:
    assert is_gone(process_mark()) is False


def test_a_process_that_has_ended_is_gone() -> None:
    code = "from pywerf.util.process_mark import process_mark; print(process_mark())"
    mark = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert is_gone(mark) is True


def test_another_process_of_the_same_number_is_not_the_one() -> None:
    boot, number, began = process_mark().split("/")
    assert is_gone(f"{boot}/{number}/{int(began) - 1}") is True


def test_of_another_machine_nothing_is_known() -> None:
    assert is_gone("another-boot/1/1") is None
    assert is_gone("") is None
    assert is_gone(process_mark().split("/")[0]) is None
