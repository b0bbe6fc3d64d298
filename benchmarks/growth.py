"""How the time of a build grows with its context and with its Dockerfile: `scripts/bench growth` calls this.

    python benchmarks/growth.py [--work DIR] [--out PICTURE.svg] [--files N,…] [--steps N,…] [--reps N] [--cpu]

Contexts of 1,000 to 100,000 files are built once, again with nothing changed, and again with one file changed;
Dockerfiles of 10 to 300 RUN instructions are built once and again. Each time is the least of some repetitions. Beside
the contexts stands `tar cf - FILES | sha256sum`, which shows how the file system itself grows. What is measured goes
to DIR/growth.json and as a table to stdout; both axes of the picture are logarithmic, and the dotted line in it is
linear growth: what is steeper grows faster than its input. Ends with 1 where a build does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from plot import Panel, write_svg  # the folder of this file is on the path

FILES = (1_000, 3_000, 10_000, 30_000, 100_000)
STEPS = (10, 30, 100, 300)
FILES_A_FOLDER = 100
# Between the two largest inputs times may grow this much faster than the input, for noise.
STEEPEST = 1.15
REFERENCE = "tar, sha256sum"
BUSYBOX = "/bin/busybox"

Times = dict[str, dict[int, float]]  # seconds by series and size


class Builder:
    """`werf buildah build` with a store of its own."""

    def __init__(self, root: Path, cpu: bool) -> None:
        self.root = root
        self.cpu = cpu
        beside = Path(sys.executable).parent / "werf"
        given = os.environ.get("PYWERF_COMMAND")
        self.command = [given] if given else [str(beside)] if beside.exists() else [sys.executable, "-m", "pywerf"]

    def build(self, context: Path) -> float:
        """The seconds that a build takes."""
        argv = [*self.command, "buildah", "build", "-q", "--root", str(self.root), "-t", "growth", str(context)]
        clock, used = cost(argv)
        return used if self.cpu else clock

    def forget(self) -> None:
        """Remove the store."""
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            point = line.split()[1]
            if point.startswith(f"{self.root}/"):
                subprocess.run(["umount", "-l", point], check=True)
        shutil.rmtree(self.root, ignore_errors=True)


def cost(argv: Sequence[str]) -> tuple[float, float]:
    """(seconds by the clock, processor seconds) of a command with its children; ends the program when it fails."""
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"exit {process.returncode}: {' '.join(argv)}")
    return took, usage.ru_utime + usage.ru_stime


def tarred(folder: Path) -> tuple[float, float]:
    """The same of `tar cf - FILES | sha256sum`."""
    return cost(["sh", "-c", 'tar cf - -C "$1" . | sha256sum', "tar", str(folder)])


def write_context(folder: Path, count: int) -> None:
    """`count` files of about 200 bytes, a hundred a folder, and a Dockerfile that copies them all."""
    rng = random.Random(count)
    for number in range(0, count, FILES_A_FOLDER):
        inner = folder / f"part{number // 10_000:02d}" / f"dir{number // FILES_A_FOLDER:04d}"
        inner.mkdir(parents=True)
        for file in range(number, min(number + FILES_A_FOLDER, count)):
            (inner / f"file{file:06d}.txt").write_bytes(rng.randbytes(rng.randint(100, 300)))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /app/\n")


def write_steps(folder: Path, count: int) -> None:
    """A Dockerfile of `count` RUN instructions on nothing but a busybox."""
    folder.mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "busybox")
    lines = ["FROM scratch", "COPY busybox /bin/busybox"]
    lines += [f'RUN ["/bin/busybox", "touch", "/file{number}"]' for number in range(count)]
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")


def measure_files(work: Path, sizes: list[int], reps: int, cpu: bool) -> Times:
    """First build, no-op rebuild, rebuild with one changed file, and tar beside them; by number of files."""
    times: Times = {"first build": {}, "one file changed": {}, "nothing changed": {}, REFERENCE: {}}
    for size in sizes:
        context = work / f"files-{size}"
        shutil.rmtree(context, ignore_errors=True)
        write_context(context, size)
        time.sleep(2.5)  # what has just been written is not trusted to be what it will be
        builder = Builder(work / "root", cpu)
        first, plain = [], []
        for _ in range(max(1, reps // 2)):
            plain.append(tarred(context)[1 if cpu else 0])
            builder.forget()
            first.append(builder.build(context))
        times["first build"][size], times[REFERENCE][size] = min(first), min(plain)
        builder.build(context)
        times["nothing changed"][size] = min(builder.build(context) for _ in range(reps))
        victim = sorted(context.rglob("*.txt"))[size // 2]
        changed = []
        for rep in range(reps):
            victim.write_text(f"changed {rep} {time.time_ns()}")
            changed.append(builder.build(context))
        times["one file changed"][size] = min(changed)
        builder.forget()
        shutil.rmtree(context)
        print(f"{size} files: " + ", ".join(f"{name} {found[size]:.3f}" for name, found in times.items()), flush=True)
    return times


def measure_steps(work: Path, sizes: list[int], reps: int, cpu: bool) -> Times:
    """First build and no-op rebuild; by number of instructions."""
    times: Times = {"first build": {}, "nothing changed": {}}
    for size in sizes:
        context = work / f"steps-{size}"
        shutil.rmtree(context, ignore_errors=True)
        write_steps(context, size)
        builder = Builder(work / "root", cpu)
        first = []
        for _ in range(max(1, reps // 2)):
            builder.forget()
            first.append(builder.build(context))
        times["first build"][size] = min(first)
        builder.build(context)
        times["nothing changed"][size] = min(builder.build(context) for _ in range(reps))
        builder.forget()
        shutil.rmtree(context)
        print(f"{size} RUNs: " + ", ".join(f"{name} {found[size]:.3f}" for name, found in times.items()), flush=True)
    return times


def growth(times: dict[int, float]) -> float:
    """The exponent of growth between the two largest sizes: 1 is linear."""
    from math import log

    if len(times) < 2:
        return 0.0
    small, large = sorted(times)[-2:]
    return log(times[large] / times[small]) / log(large / small)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "pywerf-growth")
    parser.add_argument("--out", type=Path, help="file for the picture")
    parser.add_argument("--files", default=",".join(map(str, FILES)))
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="processor seconds, which other work disturbs less")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    panels = []
    document = {}
    steep = []
    what = "processor seconds" if args.cpu else "seconds"
    for title, unit, sizes, function in (
        ("COPY of a context", "files", args.files, measure_files),
        ("RUN after RUN", "instructions", args.steps, measure_steps),
    ):
        numbers = [int(word) for word in sizes.split(",") if word]
        if not numbers:
            continue
        times = function(args.work, numbers, args.reps, args.cpu)
        document[unit] = times
        panels.append(Panel(title, unit, what, times))
        print(f"\n| {unit} | " + " | ".join(times) + " |\n| --- |" + " --- |" * len(times))
        for number in numbers:
            print(f"| {number:,} | " + " | ".join(f"{found[number]:.3f}" for found in times.values()) + " |")
        for name, found in times.items():
            exponent = growth(found)
            print(f"{name}: grows with the power {exponent:.2f} of the {unit} at the end")
            if exponent > STEEPEST and name != REFERENCE:
                steep.append(f"{unit}: {name} ({exponent:.2f})")
    (args.work / "growth.json").write_text(json.dumps(document, indent=1))
    if args.out is not None:
        write_svg(args.out, panels)
    if steep:
        print("steeper than linear: " + "; ".join(steep))
    return 1 if steep else 0


if __name__ == "__main__":
    sys.exit(main())
