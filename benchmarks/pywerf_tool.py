"""pywerf beside the other builders of peers.py (the harness that times them): `scripts/bench` calls this.

    python benchmarks/pywerf_tool.py FOLDER-OF-PEERS.PY ARGUMENTS OF PEERS.PY…

The tools `pywerf-chroot` and `pywerf-rootless` are added to the harness' own; everything else is the harness' own
doing. $PYWERF_COMMAND is the `werf` to time; without it the one beside the Python that runs this.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any


def load_harness(folder: Path) -> Any:
    """The module peers.py of a folder."""
    spec = importlib.util.spec_from_file_location("peers", folder / "peers.py")
    if spec is None or spec.loader is None:
        sys.exit(f"{folder}: no peers.py there")
    module = importlib.util.module_from_spec(spec)
    sys.modules["peers"] = module
    spec.loader.exec_module(module)
    return module


def make_tool_class(peers: Any) -> type:
    """The adapter, a subclass of the harness' Tool."""

    class Pywerf(peers.Tool):  # type: ignore[misc]  # a class of a module loaded at run time
        """`werf buildah` with a store of its own. Every command is a process from its start to its end."""

        def __init__(self, name: str, mode: str, user: str | None = None, cases: Any = None) -> None:
            super().__init__(name)
            self.mode = mode
            self.user = user
            self.root = self.home / "root"
            if cases is not None:
                self.cases = set(cases)
            beside = Path(sys.executable).parent / "werf"
            given = os.environ.get("PYWERF_COMMAND")
            self.command = [given] if given else [str(beside)] if beside.exists() else [sys.executable, "-m", "pywerf"]

        def missing(self) -> str | None:
            if os.geteuid() != 0:
                return "needs root"
            if self.user is None:
                return None
            if peers.quiet(["id", self.user]):
                return f"no user {self.user}"
            if peers.quiet(["runuser", "-u", self.user, "--", *self.command, "--version"]):
                return f"{self.user} cannot call {self.command[0]}: set PYWERF_COMMAND"
            return None

        def prefix(self, verb: str) -> list[str]:
            argv = [*self.command, "buildah", verb, "--root", str(self.root), "--buildah-mode", self.mode]
            if self.user is None:
                return argv
            home = [f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.home / 'xdg'}", f"PATH={peers.S.path}"]
            return ["runuser", "-u", self.user, "--", "env", "-C", str(self.home), *home, *argv]

        def wipe(self) -> None:
            """Remove the whole store, mounts first."""
            for line in reversed(Path("/proc/mounts").read_text().splitlines()):
                point = line.split()[1]
                if point.startswith(f"{self.home}/"):
                    peers.quiet(["umount", "-l", point])
            subprocess.run(["rm", "-rf", str(self.home)], check=True)
            self.home.mkdir(parents=True)
            if self.user is not None:
                (self.home / "xdg").mkdir(mode=0o700)
                for path in (self.home, self.home / "xdg"):
                    shutil.chown(path, self.user, self.user)

        def clean(self, base: bool) -> None:
            """An empty store; with `base` a copy of one that has pulled and unpacked the base and nothing else."""
            self.wipe()
            if not base:
                return
            pristine = peers.S.work / "tools" / f"{self.name}-base"
            if not pristine.exists():
                self.sh([*self.prefix("build"), "--no-cache", "-t", "base-run", *self.case_argv("base-run")])
                self.sh([*self.prefix("rmi"), "base-run"])
                shutil.rmtree(pristine, ignore_errors=True)
                subprocess.run(["cp", "-a", str(self.root), str(pristine)], check=True)
            else:
                subprocess.run(["cp", "-a", str(pristine), str(self.root)], check=True)

        def case_argv(self, case: str) -> list[str]:
            return ["-f", str(peers.S.case(case) / "Dockerfile"), str(peers.S.context(case))]

        def build(self, case: str, tag: str, cached: bool = False) -> None:
            self.run(self.build_argv(case, tag, cached))

        def build_argv(self, case: str, tag: str, cached: bool) -> list[str]:
            flags = ["--network", "host", "-t", tag]
            if not cached:
                flags.append("--no-cache")
            return [*self.prefix("build"), *flags, *self.case_argv(case)]

        def build_push(self, case: str, tag: str, dest: str, compression: str) -> None:
            self.run(self.build_argv(case, tag, False), part="build")
            self.push(tag, dest, compression)

        def push(self, tag: str, dest: str, compression: str) -> None:
            argv = [*self.prefix("push"), "--tls-verify=false", "--compression-format", compression]
            self.run([*argv, tag, f"docker://{dest}"], part="push")

        def pull(self, ref: str, compression: str) -> None:
            self.run([*self.prefix("pull"), "--tls-verify=false", ref])

    return Pywerf


def compile_package() -> None:
    """Byte code for pywerf, as pip makes it when it installs a package; an editable install may have none."""
    if "PYWERF_COMMAND" in os.environ:
        return  # that one was installed
    spec = importlib.util.find_spec("pywerf")
    if spec is not None and spec.origin is not None:
        compileall.compile_dir(Path(spec.origin).parent, quiet=2)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    compile_package()
    folder = Path(sys.argv[1])
    peers = load_harness(folder)
    tool_class = make_tool_class(peers)
    their_tools = peers.make_tools

    def make_tools() -> dict[str, Any]:
        return {
            "pywerf-chroot": tool_class("pywerf-chroot", "native-chroot"),
            "pywerf-rootless": tool_class("pywerf-rootless", "native-chroot", peers.S.user, peers.ROOTLESS),
            **their_tools(),
        }

    peers.make_tools = make_tools
    sys.argv = [str(folder / "peers.py"), *sys.argv[2:]]
    peers.main()


if __name__ == "__main__":
    main()
