"""What is checked in the virtual machine of scripts/vm: pure cgroup v2, systemd, AppArmor, sysctls. Run by its root.

Standard library only. Every check is told; the status is 1 when one has failed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PYTHON = "env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/src:/opt/packages python3 -m pywerf"
OWN = "/cgroups$(cut -d : -f 3 /proc/self/cgroup)"
SEE = f"cd {OWN}; echo $(cat memory.max memory.swap.max); cat cpu.max cpu.weight cpuset.cpus cpuset.mems"
LIMITS = "--memory=256m --memory-swap=300m --cpu-shares=512 --cpu-quota=50000 --cpuset-cpus=0 --cpuset-mems=0"
SHOWN = ["268435456 46137344", "50000 100000", "20", "0", "0"]
SEEING = "--cgroupns=host --volume=/sys/fs/cgroup:/cgroups:ro"
SCOPE = "systemd-run --quiet --user --scope -p Delegate=yes"
DELEGATED = "/sys/fs/cgroup/delegated"
WAYS = ("--isolation=chroot", "--isolation=oci --runtime=crun", "--isolation=oci --runtime=runc")

failed: list[str] = []
checks: list[Callable[[], None]] = []


def check(function: Callable[[], None]) -> Callable[[], None]:
    """A check: a function that asserts."""
    checks.append(function)
    return function


class Said:
    """How a command ended, and all that it said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.text = done.stdout + done.stderr

    def __contains__(self, words: str) -> bool:
        return words in self.text


def run(command: str, user: str = "root") -> Said:
    """A command line as a user, after a login."""
    if user != "root":
        uid = subprocess.check_output(["id", "-u", user], text=True).strip()
        command = shlex.join(["su", "-", user, "-c", f"export XDG_RUNTIME_DIR=/run/user/{uid}; {command}"])
    said = Said(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False))
    print(f"  {user}: {command}\n" + "".join(f"    {line}\n" for line in said.text.splitlines()), flush=True)
    return said


def werf(words: str, user: str = "root", by: str = "") -> Said:
    """`werf` as a user, started by `by`."""
    return run(f"{by} {PYTHON} {words}", user)


def limited(flags: str, user: str = "root", by: str = "", script: str = SEE) -> Said:
    """A RUN with flags that shows its own cgroup."""
    folder = f"/tmp/context-{user}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/Dockerfile", "w", encoding="utf-8") as file:
        file.write(f"FROM base\nRUN {script}\n")
    return werf(f"buildah build --no-cache --progress=plain {SEEING} {flags} {folder}", user, by)


def seen(said: Said) -> list[str]:
    """The lines that the RUN printed."""
    lines = [line.split(" ", 2) for line in said.text.splitlines() if line.startswith("#")]
    return [words[2] for words in lines if len(words) == 3 and words[1].replace(".", "", 1).isdigit()]


def doctor(user: str = "root", by: str = "") -> dict[str, dict[str, str]]:
    """Its checks by name, and the summary."""
    said = run(f"{by} {PYTHON} host doctor --json", user)
    document = json.loads(said.text)
    assert said.status == (0 if document["canBuild"] else 1)
    return {"": {"detail": document["summary"], "rung": str(document["rung"])}} | {
        one["name"]: one for one in document["checks"]
    }


def limits_of(found: dict[str, dict[str, str]]) -> set[str]:
    """The states of the three kinds of limits."""
    return {one["state"] for name, one in found.items() if name.startswith("limits of")}


@contextmanager
def sysctl(name: str, value: str) -> Iterator[None]:
    """A setting of the kernel, for as long as it is needed."""
    path = "/proc/sys/" + name.replace(".", "/")
    with open(path, encoding="ascii") as file:
        before = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(before)


@check
def the_machine_has_version_2_alone() -> None:
    found = doctor()
    assert found["hierarchy"]["detail"].startswith("v2: ")
    assert limits_of(found) == {"ok"}
    assert "apparmor" in found["modules"]["detail"]
    assert found["AppArmor"]["detail"] == "enabled"


@check
def roots_limits() -> None:
    for way in WAYS:
        said = limited(f"{way} {LIMITS}")
        assert (said.status, seen(said)) == (0, SHOWN), way
    said = limited("--memory=64m", script="head -c 200000000 /dev/zero | tail -n 1 | wc -c; echo end")
    assert "200000000" not in seen(said)


@check
def an_ordinary_user_has_none_without_a_part_of_the_tree() -> None:
    said = limited("--memory=256m", "ids")
    assert said.status
    assert "--memory: no cgroup can be made" in said
    assert "systemd-run --user --scope -p Delegate=yes" in said
    found = doctor("ids")
    assert limits_of(found) == {"missing"}
    assert "systemd-run --user --scope -p Delegate=yes" in found["limits of memory"]["hint"]


@check
def the_hint_gives_them() -> None:
    """A scope of systemd's; the controllers are those that it passes on to users."""
    assert doctor("ids", SCOPE)["limits of memory"]["state"] == "ok"
    for way in WAYS:
        said = limited(f"{way} --memory=256m --memory-swap=300m", "ids", SCOPE, f"cat {OWN}/memory.max")
        assert (said.status, seen(said)) == (0, ["268435456"]), way


@check
def a_part_that_root_has_given() -> None:
    """Without systemd: a cgroup whose files are the user's, in which the command is started (cgroups(7))."""
    os.makedirs(f"{DELEGATED}/inner", exist_ok=True)
    for folder in ("/sys/fs/cgroup", DELEGATED):
        with open(f"{folder}/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write("+memory +cpu +cpuset")
    run(f"chown -R ids {DELEGATED}")
    # not su, whose login puts the process into a session's cgroup
    become = "env HOME=/home/ids setpriv --reuid=ids --regid=ids --init-groups"
    join = f"sh -c 'echo 0 > {DELEGATED}/inner/cgroup.procs; cd /home/ids; exec {become} sh -c \"$0\"'"
    for way in WAYS:
        folder = "/tmp/context-ids"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/Dockerfile", "w", encoding="utf-8") as file:
            file.write(f"FROM base\nRUN {SEE}\n")
        command = f"{PYTHON} buildah build --no-cache --progress=plain {SEEING} {way} {LIMITS} {folder}"
        said = run(f"{join} {shlex.quote(command)}")
        assert (said.status, seen(said)) == (0, SHOWN), way
    left = [name for name in os.listdir(DELEGATED) if name.startswith("pywerf")]
    assert left == [], left


@check
def one_id_has_limits_as_well() -> None:
    said = limited("--memory=256m", "one", SCOPE, f"cat {OWN}/memory.max")
    assert "rung 3" in said
    assert (said.status, seen(said)) == (0, ["268435456"])


@check
def user_namespaces_that_are_switched_off() -> None:
    for name, value, hint in (
        ("kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ):
        with sysctl(name, value):
            found = doctor("ids")
            assert found[""]["rung"] == "5", name
            assert found[name]["state"] == "missing"
            rung = next(one for key, one in found.items() if key.startswith("2 "))
            assert (rung["hint"], found[name]["hint"]) == (hint, hint)
            said = limited("", "ids", script="true")
            assert said.status
            assert hint in said
            run(hint)
            found = doctor("ids")
            assert found[""]["rung"] == "2", name
            assert found["space"]["state"] in (
                "ok",
                "missing",
            )  # the disk is small: that alone keeps nobody from building


PROFILE = """\
profile pywerf-check flags=(attach_disconnected) {
  file,
  capability,
  mount,
  umount,
  pivot_root,
  network,
  signal,
  ptrace,
  unix,
  deny /secret w,
}
"""


@check
def an_apparmor_profile() -> None:
    with open("/tmp/profile", "w", encoding="utf-8") as file:
        file.write(PROFILE)
    assert run("apparmor_parser -r /tmp/profile").status == 0
    script = (
        "cat /proc/self/attr/current; echo 1 > /other && echo wrote; (echo 1 > /secret) 2>/dev/null || echo refused"
    )
    for way in WAYS:
        said = limited(f"{way} --security-opt apparmor=pywerf-check", script=script)
        assert said.status == 0, way
        assert "pywerf-check (enforce)" in said, way
        assert "wrote" in seen(said), way
        assert "refused" in seen(said), way
        said = limited(f"{way} --security-opt apparmor=nobody-has-loaded-it", script="true")
        assert said.status, way
        assert "apparmor=nobody-has-loaded-it: the kernel has no such profile" in said, way
        assert "apparmor_parser -r" in said, way
    said = limited("--security-opt apparmor=unconfined", script="cat /proc/self/attr/current")
    assert "unconfined" in seen(said)


def main() -> int:
    """Run the checks whose names begin with an argument, or all."""
    for user in ("ids", "one"):
        run(f"loginctl enable-linger {user}")
    for user in ("root", "ids", "one"):
        werf(f"buildah tag $({PYTHON} buildah pull -q oci:/opt/busybox:base) base", user)
    for one in checks:
        if sys.argv[1:] and not one.__name__.startswith(tuple(sys.argv[1:])):
            continue
        print(one.__name__, flush=True)
        try:
            one()
        except AssertionError as error:
            import traceback

            traceback.print_exc(file=sys.stdout)
            failed.append(f"{one.__name__}: {error}")
        print(f"{'FAILED' if failed and failed[-1].startswith(one.__name__) else 'passed'} {one.__name__}", flush=True)
    print(f"{len(failed)} failed", *failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
