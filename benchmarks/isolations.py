"""Time per RUN of each isolation beside buildah's own: isolations.py [ROUNDS]

Root, the busybox base of the tests, a build of ten RUN instructions less one of a single RUN: the cost of nine, without
a build's start and end. The builders take turns; of each the median is taken. What is counted is the processor time of
everything that a build starts, and the time until it ends. Every RUN makes a layer (`--layers` of buildah).
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pywerf.linux import syscalls

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import bases, services

RUNS = 10
RUNC = "--runtime=runc"
# isolation: (ours, buildah's). Debian's crun does not start on hosts with both cgroup hierarchies unless it is helped,
# as only we do: buildah has runc there.
PAIRS = {
    "chroot": (("--isolation=chroot",), ("--isolation=chroot",)),
    "oci, runc": (("--isolation=oci", RUNC), ("--isolation=oci", RUNC)),
    "oci, crun (buildah: runc)": (("--isolation=oci", "--runtime=crun"), ("--isolation=oci", RUNC)),
    "rootless, runc": (("--isolation=rootless", RUNC), ("--isolation=rootless", RUNC)),
}
Cost = tuple[float, float]


def measure(argv: list[str]) -> Cost:
    """(processor time, time) of a command with all that it leaves behind, which this process inherits."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    passed = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr.decode()[-2000:]}")
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, passed


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    folder = Path(tempfile.mkdtemp(prefix="pywerf-isolations-", dir="/var/tmp"))
    try:
        run(folder, rounds)
    finally:
        services.unmount_below(folder)
        shutil.rmtree(folder)


def run(folder: Path, rounds: int) -> None:
    base = folder / "base"
    base.mkdir()
    bases.rootfs_tar(bases.busybox_base(), base / "base.tar")
    (base / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    store = {name: ("--root", f"{folder}/{name}") for name in ("pywerf", "buildah")}
    programs = {
        "pywerf": ([sys.executable, "-m", "pywerf", "buildah"], list(store["pywerf"])),
        "buildah": (["buildah", *store["buildah"], "--runroot", f"{folder}/run", "--storage-driver", "overlay"], []),
    }
    for name, (argv, flags) in programs.items():
        subprocess.run([*argv, "build", "-q", *flags, "-t", "base", str(base)], check=True, capture_output=True)
        for count in (1, RUNS):
            context = folder / f"{name}-{count}"
            context.mkdir()
            steps = "".join(f"RUN echo {number} > /file\n" for number in range(count))
            (context / "Dockerfile").write_text(f"FROM localhost/base\n{steps}")
    costs: dict[tuple[str, str], list[Cost]] = {(name, pair): [] for pair in PAIRS for name in programs}
    for _ in range(rounds + 1):
        for isolation, pair in PAIRS.items():
            for name, own in zip(("pywerf", "buildah"), pair, strict=True):
                argv, flags = programs[name]
                build = [*argv, "build", "-q", "--no-cache", "--layers", "--network=host", *flags, *own]
                once, often = (measure([*build, f"{folder}/{name}-{count}"]) for count in (1, RUNS))
                cpu, wall = (more - less for less, more in zip(once, often, strict=True))
                costs[name, isolation].append((cpu / (RUNS - 1), wall / (RUNS - 1)))
    print("| isolation | buildah | pywerf | ratio | buildah, wall | pywerf, wall | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for isolation in PAIRS:
        line = isolation
        for kind in (0, 1):
            # the first round warms up
            theirs, ours = (
                statistics.median(cost[kind] for cost in costs[name, isolation][1:]) for name in ("buildah", "pywerf")
            )
            line += f" | {theirs * 1000:.0f} | {ours * 1000:.0f} | {ours / theirs:.2f}"
        print(f"| {line} |")


if __name__ == "__main__":
    main()
