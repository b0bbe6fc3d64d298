"""What a `werf build` that builds nothing costs in a large git repository, beside `git status` there.

    python benchmarks/git_status.py [--work DIR] [--files N] [--reps N] [--werf FILE]     (`scripts/bench git-status`)

A repository of 50,000 files and a Dockerfile that copies them all is built once, and again when its files are old
enough to be trusted. Then both commands take turns. Ends with 1 when the build takes more than a second of processor
time, or more than twice that of `git status`.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

BAR_SECONDS, BAR_RATIO = 1.0, 2.0
A_FOLDER = 50
SETTLED = 3.0
"""Seconds until files are old enough: see git_memory.py."""


def make_repository(folder: Path, files: int) -> None:
    """A commit of small files, fifty a folder, with a Dockerfile that copies all of them."""
    for number in range(files):
        place = folder / f"d{number // 2500:03}" / f"s{number // A_FOLDER % 50:02}"
        if number % A_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"f{number}.txt").write_text(f"file {number}\n" * 3)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n")
    (folder / "werf.yaml").write_text("project: large\nconfigVersion: 1\n---\nimage: app\ndockerfile: Dockerfile\n")
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"], ["gc", "-q"]):
        subprocess.run([*git, *words], check=True)


def cost(argv: Sequence[str], folder: Path, env: dict[str, str]) -> tuple[float, float]:
    """(processor time, seconds by the clock) of a command, with its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(argv, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for the repository (default: a temporary one)")
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--reps", type=int, default=11)
    parser.add_argument("--werf", default=os.environ.get("PYWERF_COMMAND", "werf"))
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="pywerf-git-status-"))
    folder = work / "repository"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env.update(WERF_BUILDAH_MODE="auto", WERF_HOME=str(work / "home"), WERF_BUILDAH_ROOT=str(work / "store"))
    commands = {"git status": ["git", "status"], "werf build": [args.werf, "build"]}
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            make_repository(folder, args.files)
        cost(commands["werf build"], folder, env)
        time.sleep(SETTLED)
        cost(commands["werf build"], folder, env)
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(args.reps):
            for name, argv in commands.items():
                seen[name].append(cost(argv, folder, env))
    finally:
        if args.work is None:
            shutil.rmtree(work, ignore_errors=True)
    used = {name: statistics.median(one for one, _ in found) for name, found in seen.items()}
    for name, found in seen.items():
        clock = statistics.median(one for _, one in found)
        print(f"{name}: {used[name]:.3f} s of processor time, {clock:.3f} s by the clock (medians of {args.reps})")
    ratio = statistics.median(
        one / other for (one, _), (other, _) in zip(seen["werf build"], seen["git status"], strict=True)
    )
    print(f"ratio of processor time: {ratio:.2f}")
    return 0 if used["werf build"] <= BAR_SECONDS and ratio <= BAR_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
