"""What a run of the harness came to: pywerf's times over each peer's, geometric means, and the bars it has to meet.

    python benchmarks/summary.py RESULTS.jsonl

Prints Markdown. Times are medians of wall seconds; a tool that failed a case has no time there, and the failure is
told. Ends with 1 where a bar is missed.
"""

from __future__ import annotations

import json
import statistics
import sys
from math import exp, log
from pathlib import Path

OURS, OURS_ROOTLESS = "pywerf-chroot", "pywerf-rootless"
BUILDAH, BUILDAH_ROOTLESS = "buildah-chroot", "buildah-rootless"

Medians = dict[str, dict[str, float]]  # seconds by case and tool


def medians(rows: list[dict[str, object]]) -> Medians:
    """The median time of each tool in each case."""
    times: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if "seconds" in row:
            times.setdefault((str(row["case"]), str(row["tool"])), []).append(float(str(row["seconds"])))
    found: Medians = {}
    for (case, tool), values in times.items():
        found.setdefault(case, {})[tool] = statistics.median(values)
    return found


def geometric_mean(values: list[float]) -> float:
    return exp(sum(map(log, values)) / len(values)) if values else 0.0


def push_only(rows: list[dict[str, object]]) -> Medians:
    """The times of pushes without the builds before them."""
    pushes = []
    for row in rows:
        parts = row.get("parts")
        if isinstance(parts, dict) and "push" in parts:
            pushes.append({**row, "seconds": parts["push"]})
    return medians(pushes)


def table(found: Medians, tools: list[str]) -> list[str]:
    """All medians, the fastest peer, and our time over each peer's."""
    peers = [tool for tool in tools if not tool.startswith("pywerf")]
    lines = ["| case | " + " | ".join(tools) + " | of the fastest peer |", "| --- |" + " ---: |" * (len(tools) + 1)]
    for case, times in found.items():
        cells = [f"{times[tool]:.3g}" if tool in times else "" for tool in tools]
        others = {tool: times[tool] for tool in peers if tool in times}
        last = ""
        if others and OURS in times:
            best = min(others, key=others.__getitem__)
            last = f"{times[OURS] / others[best]:.2f} ({best})"
        lines.append(f"| {case} | " + " | ".join(cells) + f" | {last} |")
    ratios = []
    for tool in tools:
        ours = OURS_ROOTLESS if tool in (OURS_ROOTLESS, BUILDAH_ROOTLESS) else OURS
        common = [times[ours] / times[tool] for times in found.values() if ours in times and tool in times]
        ratios.append(f"{geometric_mean(common):.2f}" if common and tool != ours else "")
    lines.append("| pywerf over it, geometric mean | " + " | ".join(ratios) + " | |")
    return lines


def bars(found: Medians, pushes: Medians) -> list[tuple[str, str, bool]]:
    """(what is asked, what was measured, whether it is met); only what was measured."""
    out: list[tuple[str, str, bool]] = []
    slower = []
    over_buildah, over_fastest = [], []
    for case, times in found.items():
        peers = {tool: value for tool, value in times.items() if not tool.startswith("pywerf")}
        if OURS not in times or not peers:
            continue
        best = min(peers.values())
        over_fastest.append(times[OURS] / best)
        if times[OURS] >= best:
            slower.append(f"{case} {times[OURS] / best:.2f}")
        if BUILDAH in peers:
            over_buildah.append(times[OURS] / peers[BUILDAH])
    if over_fastest:
        out.append(("faster than every peer in every case", ", ".join(slower) or "all", not slower))
        mean = geometric_mean(over_fastest)
        out.append(("geometric mean over the fastest peer: at most 0.7", f"{mean:.2f}", mean <= 0.7))
    if over_buildah:
        mean = geometric_mean(over_buildah)
        out.append(("geometric mean over buildah: at most 0.33", f"{mean:.2f}", mean <= 1 / 3))
    ten = found.get("cached-ten-runs", {})
    if OURS in ten:
        out.append(("cached ten RUNs: at most 0.12 s", f"{ten[OURS]:.3f} s", ten[OURS] <= 0.12))
        if BUILDAH in ten:
            ratio = ten[OURS] / ten[BUILDAH]
            out.append(("cached ten RUNs over buildah: at most 0.5", f"{ratio:.2f}", ratio <= 0.5))
    small = found.get("cached-smallfiles", {})
    if OURS in small:
        out.append(("nothing changed in 20,000 files: at most 0.25 s", f"{small[OURS]:.3f} s", small[OURS] <= 0.25))
    gzip = pushes.get("push-bigfile-gzip", {})
    if OURS in gzip and "docker-classic" in gzip:
        ratio = gzip["docker-classic"] / gzip[OURS]
        out.append(("push of 1 GiB with gzip: at least 5 times as fast as docker's", f"{ratio:.1f}", ratio >= 5))
    return out


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    tools = list(dict.fromkeys(str(row["tool"]) for row in rows))
    found, pushes = medians(rows), push_only(rows)
    print("Wall seconds, medians\n")
    print("\n".join(table(found, tools)))
    if pushes:
        print("\nThe pushes alone\n")
        print("\n".join(table(pushes, [tool for tool in tools if any(tool in times for times in pushes.values())])))
    peaks: dict[str, float] = {}
    for row in rows:
        if "rss_mb" in row:
            peaks[str(row["tool"])] = max(peaks.get(str(row["tool"]), 0.0), float(row["rss_mb"]))
    print("\nPeak memory, MB: " + ", ".join(f"{tool} {peak:.0f}" for tool, peak in peaks.items()))
    for row in rows:
        if "error" in row:
            print(f"\nfailed: {row['case']}, {row['tool']}: {row['error']}")
    checked = bars(found, pushes)
    print("\n| bar | measured | |\n| --- | --- | --- |")
    for asked, measured, met in checked:
        print(f"| {asked} | {measured} | {'met' if met else 'MISSED'} |")
    return 0 if all(met for _, _, met in checked) else 1


if __name__ == "__main__":
    sys.exit(main())
