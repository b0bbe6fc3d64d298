"""Secrets do not come through, in whatever pieces output comes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pywerf.report.masked import MaskedReporter
from support.recorder import Recorder

SECRETS = ["hunter-2-hunter", "aaaa", "first line\nsecond line\n", "no"]


def output(pieces: list[bytes]) -> bytes:
    recorder = Recorder()
    masked = MaskedReporter(recorder, SECRETS)
    masked.step_started(1, "RUN cat")
    for piece in pieces:
        masked.step_output(1, piece)
    masked.step_finished(1, "done")
    data = recorder.steps[0][3]
    assert isinstance(data, bytes)
    return data


def test_secrets_are_hidden_by_their_lines() -> None:
    said = b"a hunter-2-hunter, and\nfirst line\nsecond line\nno\n"
    assert output([said]) == b"a ***, and\n***\n***\nno\n"


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(0, 6))
def test_pieces_make_no_difference(cuts: list[int], extra: int) -> None:
    said = b"x hunter-2-hunter hunter-2-hunt" + b"a" * (3 + extra) + b" first lin"
    places = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    cut = output([said[begin:end] for begin, end in itertools.pairwise(places)])
    assert cut.startswith(b"x *** hunter-2-hunt")
    assert b"aaaa" not in cut
    assert cut.endswith(b" first lin"), "what only begins like a secret is told in the end"


def test_names_errors_and_messages_are_told_without_secrets() -> None:
    recorder = Recorder()
    masked = MaskedReporter(recorder, SECRETS)
    masked.step_started(1, "RUN echo aaaa")
    masked.step_finished(1, "failed", error="aaaa failed")
    masked.message("warning", "hunter-2-hunter")
    assert "aaaa" not in repr(recorder.__dict__)
    assert "hunter-2" not in repr(recorder.__dict__)
