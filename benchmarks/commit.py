"""What a RUN costs after its command has ended, beside `tar | sha256sum` of the files that it made.

    python benchmarks/commit.py [--work DIR] [--reps N]        (as root; `scripts/bench commit` calls this)

Two commands: one makes 30,000 files of 1 KiB, the other copies five files of 205 MiB. The time line of the build
(`--trace`) tells when the command ended and when its layer had been read, compared and hashed; that, until the
build's end, is the commit. Turns are taken with `tar cf - FILES | sha256sum`. Ends with 1 where the commit takes
more than 1.5 times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from growth import BUSYBOX, Builder  # the folder of this file is on the path

BAR = 1.5
MIB = 1 << 20
MANY = (
    "mkdir /data; for d in $(seq 300); do mkdir /data/$d; for f in $(seq 100); do"
    " printf '%01024d' $f > /data/$d/$f; done; done"
)


def write_case(folder: Path, name: str) -> Path:
    """A context whose last instruction makes the files, in /data."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "busybox")
    lines = ["FROM scratch", "COPY busybox /bin/busybox", 'SHELL ["/bin/busybox", "sh", "-c"]']
    if name == "many files":
        lines.append(f"RUN {MANY}")
    else:
        (folder / "big").mkdir()
        rng = random.Random(1)
        for number in range(5):
            with open(folder / "big" / f"blob{number}", "wb") as file:
                for _ in range(205):
                    file.write(rng.randbytes(MIB))
        lines.append("RUN --mount=type=bind,target=/context cp -r /context/big /data")
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    return folder


def committed(builder: Builder, context: Path, trace: Path) -> float:
    """Build; the seconds from the end of the last command to the end of the build."""
    argv = [*builder.command, "buildah", "build", "-q", "--root", str(builder.root), "--no-cache"]
    os.sync()
    subprocess.run([*argv, "--trace", str(trace), str(context)], check=True, stdout=subprocess.DEVNULL)
    document = json.loads(trace.read_text())
    events = [event for event in document["traceEvents"] if event.get("ph") == "X"]
    steps = [event for event in events if event.get("cat") == "step"]
    hashes = [event for event in events if event.get("cat") == "hash"]
    last = max(steps, key=lambda event: event["ts"])
    ended = last["ts"] + last["dur"]
    return float(max(event["ts"] + event["dur"] for event in hashes) - ended) / 1e6


def tarred(folder: Path) -> float:
    """The seconds of `tar | sha256sum`."""
    os.sync()
    start = time.perf_counter()
    subprocess.run(
        ["sh", "-c", 'tar cf - -C "$1" . | sha256sum', "tar", str(folder)], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "pywerf-commit")
    parser.add_argument("--reps", type=int, default=5)
    args = parser.parse_args()
    missed = False
    print("| case | commit | tar, sha256sum | ratio |\n| --- | --- | --- | --- |")
    for name in ("many files", "big files"):
        context = write_case(args.work / name.replace(" ", "-"), name)
        builder = Builder(args.work / "root", cpu=False)
        ours, theirs = [], []
        for _ in range(args.reps):
            builder.forget()
            ours.append(committed(builder, context, args.work / "trace.json"))
            made = [path for path in (builder.root / "snapshots").glob("*/*/fs/data") if path.is_dir()]
            theirs.append(tarred(made[0]))
        builder.forget()
        shutil.rmtree(context)
        a, b = statistics.median(ours), statistics.median(theirs)
        missed = missed or a > BAR * b
        print(f"| {name} | {a:.3f} | {b:.3f} | {a / b:.2f} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
