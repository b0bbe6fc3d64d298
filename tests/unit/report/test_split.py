"""`--logsplit`: a view for each platform."""

from __future__ import annotations

from pywerf.oci.platform import Platform
from pywerf.report.split import SplitReporter
from support.recorder import Recorder


class Views:
    """Makes a recorder for each platform that is asked for."""

    def __init__(self) -> None:
        self.common = Recorder()
        self.parts: dict[str, Recorder] = {}

    def part(self, platform: Platform) -> Recorder:
        assert str(platform) not in self.parts
        self.parts[str(platform)] = Recorder()
        return self.parts[str(platform)]


def test_steps_go_where_they_belong() -> None:
    views = Views()
    split = SplitReporter(views.common, views.part)
    names = (
        "[internal] load build context",
        "[linux/arm64 1/2] RUN make",
        "[linux/amd64 base 1/2] COPY [a/b] /",
        "[linux/arm/v7 1/2] RUN make",
        "[linux/arm/v6 1/2] RUN make",
        "[stage-1 1/2] RUN [linux/arm64 x]",
        "[1/2] RUN x",
        "[x/y 1/2",
    )
    for number, name in enumerate(names):
        split.step_started(number, name, source=f"Dockerfile:{number}")
        split.step_output(number, f"of {number}".encode())
        split.step_finished(number, "done")
    split.step_progress(1, "layer", 1, 2)
    split.step_progress(0, "layer", 3, 4)
    split.message("info", "hello")
    split.close()
    assert [step[0] for step in views.common.steps] == [names[0], *names[5:7]]
    assert views.common.messages == ["hello"]
    assert views.common.progress == [("layer", 3, 4)]
    assert list(views.parts) == ["linux/arm64", "linux/amd64", "linux/arm/v7", "x/y"]
    assert views.parts["linux/arm64"].steps == [(names[1], "Dockerfile:1", "done", b"of 1")]
    assert views.parts["linux/arm64"].progress == [("layer", 1, 2)]
    assert [step[0] for step in views.parts["linux/arm/v7"].steps] == [names[3], names[4]]


def test_platforms_that_are_known_have_a_view_at_once() -> None:
    views = Views()
    split = SplitReporter(views.common, views.part, [Platform.parse("linux/arm64"), Platform.parse("linux/386")])
    assert list(views.parts) == ["linux/arm64", "linux/386"]
    split.step_started(1, "[linux/386 1/1] RUN x")
    assert [step[0] for step in views.parts["linux/386"].steps] == ["[linux/386 1/1] RUN x"]
