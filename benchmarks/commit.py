"""What a RUN costs after its command has ended, beside `tar | sha256sum` of the files that it made.

    python benchmarks/commit.py [--work DIR] [--reps N] [--mib N]        (as root; `scripts/bench commit` calls this)

Two commands: one makes 30,000 files of 1 KiB, the other five files of together 1 GiB. By the clock: the time line of
the build (`--trace`) tells when the command ended and when its layer had been read, compared and hashed; that, until
the build's end, is the commit. By processor time: what the build takes, without what the command itself takes (it is
called by `time`) and without a build whose command does nothing. Turns are taken with `tar cf - FILES | sha256sum`.
Ends with 1 where the commit takes more than 1.5 times as much, by processor time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from growth import BUSYBOX, Builder, cost, tarred  # the folder of this file is on the path

BAR = 1.5
MANY = "for d in $(seq 300); do mkdir /data/$d; for f in $(seq 100); do printf '%01024d' $f > /data/$d/$f; done; done"
BIG = "for n in 1 2 3 4 5; do dd if=/dev/zero of=/data/blob$n bs=64k count={count} 2>/dev/null; done"


def write_case(folder: Path, command: str) -> Path:
    """A context with two Dockerfiles: `Dockerfile` runs the command, which makes files; `idle` does nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "busybox")
    for name, words in (("Dockerfile", f"/bin/busybox mkdir /data; {command}"), ("idle", "exit 0")):
        run = ["/bin/busybox", "time", "-p", "-o", "/time", "/bin/busybox", "sh", "-c", words]
        (folder / name).write_text(f"FROM scratch\nCOPY busybox /bin/busybox\nRUN {json.dumps(run)}\n")
    return folder


def committed(builder: Builder, context: Path, trace: Path) -> tuple[float, float, Path]:
    """(seconds by the clock from the end of the command to the end of its layer, processor seconds, the files)."""
    argv = [*builder.command, "buildah", "build", "-q", "--root", str(builder.root), "--trace", str(trace)]
    builder.forget()
    _, idle = cost([*argv, "-f", str(context / "idle"), str(context)])
    builder.forget()
    _, used = cost([*argv, str(context)])
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("ph") == "X"]
    last = max((event for event in events if event.get("cat") == "step"), key=lambda event: event["ts"])
    hashed = max(event["ts"] + event["dur"] for event in events if event.get("cat") == "hash")
    (times,) = (builder.root / "snapshots").glob("*/*/fs/time")
    command = sum(float(line.split()[1]) for line in times.read_text().splitlines() if line[:4] in ("user", "sys "))
    return float(hashed - last["ts"] - last["dur"]) / 1e6, used - command - idle, times.parent / "data"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "pywerf-commit")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--mib", type=int, default=1024, help="how much the second command writes")
    args = parser.parse_args()
    missed = False
    print("| case | commit, s (processor) | tar, sha256sum | ratio | by processor time |\n|" + " --- |" * 5, flush=True)
    for name, command in (("many files", MANY), ("big files", BIG.format(count=args.mib * 16 // 5))):
        context = write_case(args.work / name.replace(" ", "-"), command)
        builder = Builder(args.work / "root", cpu=False)
        ours, theirs = [], []
        for _ in range(args.reps):
            took, processor, made = committed(builder, context, args.work / "trace.json")
            ours.append((took, processor))
            theirs.append(tarred(made))
        builder.forget()
        shutil.rmtree(context)
        clock, used = (statistics.median(one[n] for one in ours) for n in (0, 1))
        their_clock, their_used = (statistics.median(one[n] for one in theirs) for n in (0, 1))
        missed = missed or used > BAR * their_used
        print(
            f"| {name} | {clock:.3f} ({used:.3f}) | {their_clock:.3f} ({their_used:.3f}) |"
            f" {clock / their_clock:.2f} | {used / their_used:.2f} |",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
