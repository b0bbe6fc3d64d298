"""What a build of a project says of its images, in werf's manner: a block an image, a paragraph a stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.build.project.storage.model import StageDescription
from pywerf.config.werf_yaml.model import shown_name

if TYPE_CHECKING:
    from pywerf.build.project.results import BuiltImage, BuiltStage
    from pywerf.util.events import Reporter

__all__ = ["ImageBlock", "found_line", "stage_lines", "summary_lines", "tell_plan"]

MIN_WIDTH = 30
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class ImageBlock:
    """The lines of one image. `live`: told at once, which is fit for one image at a time; else together, at the end.

    `pretty` draws a box around them; lines that are longer than `width` (0: any) go on in the next one.
    """

    def __init__(self, reporter: Reporter, title: str, *, live: bool, pretty: bool = True, width: int = 0) -> None:
        self._reporter = reporter
        self._title = title
        self._live = live
        self._pretty = pretty
        self._width = width
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._emit(f"┌ {title}" if pretty else title)

    def line(self, text: str) -> None:
        """A line of the block."""
        for part in _folded(text, self._width - 2):
            self._emit(f"│ {part}".rstrip() if self._pretty else f"  {part}".rstrip())

    def lines(self, texts: Sequence[str]) -> None:
        """Several lines."""
        for text in texts:
            self.line(text)

    def now(self, text: str) -> None:
        """A line that is of use before the block's end; where the block waits it is told beside it."""
        self.line(text)
        if not self._live:
            self._reporter.message("info", f"{self._title}: {text}")

    def close(self, *, failed: bool = False) -> None:
        """The block's end, with the time that it took."""
        seconds = f"{time.monotonic() - self._began:.2f} seconds"
        end = f"{self._title} ({seconds}){' FAILED' if failed else ''}"
        self._emit(f"└ {end}" if self._pretty else end)
        if self._lines:
            self._reporter.message("info", "\n".join(self._lines))
            self._lines.clear()

    def _emit(self, line: str) -> None:
        if self._live:
            self._reporter.message("info", line)
        else:
            with self._lock:
                self._lines.append(line)


def found_line(where: str, stage: BuiltStage) -> str:
    """That a stage, `IMAGE/STAGE`, need not be built."""
    if stage.source == "secondary":
        return f"Use image of a secondary storage for {where}"
    return f"Use previously built image for {where}"


def stage_lines(
    stage: StageDescription, before: StageDescription | None = None, *, platform: str = "", network: str = ""
) -> list[str]:
    """What a stage is, a line each thing. `before` is the stage before it, to whose size its own is compared."""
    size = human_size(stage.size)
    if before is not None:
        difference = stage.size - before.size
        size += f" ({'-' if difference < 0 else '+'}{human_size(abs(difference))})"
    pairs = [
        ("name", stage.name),
        ("id", stage.image_id.short),
        ("created", _time(stage.created)),
        ("size", size),
        ("commit", stage.commit),
        ("platform", platform),
        ("network", network),
    ]
    return [f"{key:>10}: {value}" for key, value in pairs if value]


def summary_lines(images: Sequence[BuiltImage]) -> list[str]:
    """One line an image: what became of it, and in which time."""
    width = max((len(shown_name(image.name)) for image in images), default=0)
    found = []
    for image in images:
        state = "built" if image.rebuilt else "found"
        found.append(f"{shown_name(image.name):<{width}}  {state}  {image.seconds:.2f} seconds")
    return found


def tell_plan(sets: Sequence[Sequence[str]], workers: int, reporter: Reporter) -> None:
    """Which images are built at the same time, when there are several."""
    if sum(map(len, sets)) < 2:
        return
    lines = [f"building no more than {workers} images at the same time"]
    lines += [f"set #{number}: {', '.join(map(shown_name, each))}" for number, each in enumerate(sets)]
    for line in lines:
        reporter.message("info", line)


def human_size(count: int) -> str:
    """Bytes in binary units: `12.3 MiB`."""
    amount = float(count)
    unit = 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount /= 1024
        unit += 1
    return f"{count} B" if not unit else f"{amount:.1f} {_UNITS[unit]}"


def _folded(text: str, width: int) -> list[str]:
    """A line in pieces of a width; what follows a colon goes on below itself."""
    if width < MIN_WIDTH or len(text) <= width:
        return [text]
    indent = text.find(": ") + 2 if ": " in text[:20] else 0
    first, rest = text[:width], text[width:]
    step = width - indent
    return [first, *(" " * indent + rest[at : at + step] for at in range(0, len(rest), step))]


def _time(nanoseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(nanoseconds // 1_000_000_000)) if nanoseconds else ""
