"""What a `werf build` that builds nothing costs in a large git repository, beside `git status` there.

    python benchmarks/git_status.py [--work DIR] [--files N] [--reps N] [--werf FILE]     (`scripts/bench git-status`)

A repository of 50,000 files and a Dockerfile that copies them all is built once, and again when its files are old
enough to be trusted: without `--repo`, and with a docker-registry of this machine. Then all commands take turns. Ends
with 1 when a build takes more than a second of processor time, or more than twice that of `git status`.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support import services

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
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            make_repository(folder, args.files)
        with services.registry(work / "registry") as registry:
            build = [args.werf, "build"]
            commands = {
                "git status": ["git", "status"],
                "werf build": build,
                "werf build --repo": [*build, "--repo", f"{registry}/large"],
            }
            seen = measure(commands, folder, env, args.reps)
    finally:
        if args.work is None:
            shutil.rmtree(work, ignore_errors=True)
    good = True
    for name, found in seen.items():
        used, clock = (statistics.median(one[kind] for one in found) for kind in (0, 1))
        ratio, by_clock = (
            statistics.median(one[kind] / other[kind] for one, other in zip(found, seen["git status"], strict=True))
            for kind in (0, 1)
        )
        print(f"{name}: {used:.3f} s of processor time, {clock:.3f} s by the clock ({ratio:.2f} and {by_clock:.2f})")
        good = good and used <= BAR_SECONDS and ratio <= BAR_RATIO
    return 0 if good else 1


def measure(
    commands: dict[str, list[str]], folder: Path, env: dict[str, str], reps: int
) -> dict[str, list[tuple[float, float]]]:
    """The costs of the commands, in turns, when there is nothing left to be done for any of them."""
    for argv in commands.values():
        cost(argv, folder, env)
    time.sleep(SETTLED)
    for argv in commands.values():
        cost(argv, folder, env)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(reps):
        for name, argv in commands.items():
            seen[name].append(cost(argv, folder, env))
    return seen


if __name__ == "__main__":
    sys.exit(main())
