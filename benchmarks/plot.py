"""Line charts with logarithmic axes, side by side, as one SVG file; nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["Panel", "write_svg"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 440, 340, 58, 44, 16, 48
# Colours that are told apart by colour-blind readers, too (Okabe and Ito), on light and dark pages.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_INK, _GRID = "#666666", "#99999955"


@dataclass(frozen=True)
class Panel:
    """One chart: `series` has y by x, by name; all of them are above zero."""

    title: str
    x_label: str
    y_label: str
    series: dict[str, dict[int, float]]


def write_svg(path: Path, panels: list[Panel]) -> None:
    """Write the charts into one picture."""
    width = _WIDTH * len(panels)
    size = f'viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({_WIDTH * number},0)">')
        parts.extend(_panel(panel))
        parts.append("</g>")
    parts.append("</svg>\n")
    path.write_text("\n".join(parts), encoding="utf-8")


def _panel(panel: Panel) -> list[str]:
    xs = [x for points in panel.series.values() for x in points]
    ys = [y for points in panel.series.values() for y in points.values()]
    x_from, x_to = log10(min(xs)), log10(max(xs))
    y_from, y_to = floor(log10(min(ys))), ceil(log10(max(ys)))
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (log10(x) - x_from) / ((x_to - x_from) or 1) * inner_width,
            _TOP + (y_to - log10(y)) / ((y_to - y_from) or 1) * inner_height,
        )

    parts = [_text(_LEFT, 18, panel.title, size=14, weight="bold")]
    for power in range(y_from, y_to + 1):
        left, height = place(min(xs), 10.0**power)
        parts.append(_line((left, height), (left + inner_width, height), _GRID))
        parts.append(_text(left - 6, height + 4, f"{10.0**power:g}", anchor="end"))
    for x in sorted(set(xs)):
        across, top = place(x, 10.0**y_to)
        parts.append(_line((across, top), (across, top + inner_height), _GRID))
        parts.append(_text(across, _TOP + inner_height + 16, f"{x:,}", anchor="middle"))
    parts.append(_text(_LEFT + inner_width / 2, _HEIGHT - 10, panel.x_label, anchor="middle"))
    parts.append(_text(_LEFT - 46, _TOP - 10, panel.y_label))
    # What is linear goes along this one: from the lower left corner, as far as it stays inside.
    ratio = min(max(xs) / min(xs), 10.0 ** (y_to - y_from))
    parts.append(
        _line(
            place(min(xs), 10.0**y_from), place(min(xs) * ratio, 10.0**y_from * ratio), _INK, dash="2 4", name="linear"
        )
    )
    for (name, points), color in zip(panel.series.items(), _COLORS, strict=False):
        dots = [(*place(x, y), y) for x, y in sorted(points.items())]
        line = " ".join(f"{left:.1f},{top:.1f}" for left, top, _ in dots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        for left, top, value in dots:
            title = f"<title>{escape(name)}: {value:.3f}</title>"
            parts.append(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{color}">{title}</circle>')
    for row, ((name, _), color) in enumerate(zip(panel.series.items(), _COLORS, strict=False)):
        parts.append(_line((_LEFT + 10, _TOP + 12 + 16 * row), (_LEFT + 30, _TOP + 12 + 16 * row), color, width=2))
        parts.append(_text(_LEFT + 36, _TOP + 16 + 16 * row, name))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}" text-anchor="{anchor}" font-size="{size}"'
        f' font-weight="{weight}">{escape(text)}</text>'
    )


def _line(
    start: tuple[float, float], end: tuple[float, float], color: str, *, width: int = 1, dash: str = "", name: str = ""
) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    title = f"<title>{escape(name)}</title>" if name else ""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="{color}"'
        f' stroke-width="{width}"{dashes}>{title}</line>'
    )
