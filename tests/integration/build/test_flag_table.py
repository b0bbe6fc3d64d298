"""The table of flags by isolation in docs/limits-and-security.md, cell by cell: what it says works, the rest fails.

All flags that work go into one build, each with a command that shows it; every other one is a build of its own, whose
error has to name the flag or what it needs, and what else can.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support import inside, services
from support.isolations import ISOLATIONS, Isolated, run_output
from support.users import User

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[3] / "docs/limits-and-security.md"
COLUMNS = {
    "chroot-root": "chroot, root",
    "chroot-user": "chroot, rung 2",
    "chroot-one-id": "chroot, rung 3",
    "crun-root": "crun, runc",
    "crun-user": "crun, runc",
    "runc-root": "crun, runc",
    "runc-user": "crun, runc",
    "runsc-root": "runsc",
    "runsc-user": "runsc",
    "plain": "chroot, rung 4",
}
# What an error's hint names: another isolation, another value, or who may.
WAYS = "rungs 1 to 3|--isolation |--runtime crun|leave it out|Delegate=yes|as root|CAP_SYS_ADMIN|needs root"
HINT = re.compile(f"Hint: .*({WAYS})")


ROOTS = "500000 65536"  # root's own range, where a test gives it one


class Row(NamedTuple):
    """`flags` of one line of the table; `script` prints `shows` where they work, if anything of it can be seen.

    `alone`: not together with others.
    """

    flags: str
    script: str = "echo done"
    shows: str | Callable[[str], bool] = "done"
    alone: bool = False


MAP = "echo $(cat /proc/self/uid_map /proc/self/gid_map)"
GVISORS_OWN = "0 0 4294967295 0 0 4294967295"  # its kernel knows of no other namespace

# By the flags as the first column has them; {} is a folder of the caller's, {ids} a user with subordinate ids (those
# that this process's /etc/subuid has for it: {range}), {namespace} a user namespace.
ROWS = {
    "`--memory`, `--memory-swap`": Row("--memory=256m --memory-swap=300m"),
    "`--cpu-shares`": Row("--cpu-shares=512"),
    "`--cpu-quota`, `--cpu-period`": Row("--cpu-quota=90000 --cpu-period=100000"),
    "`--cpuset-cpus`": Row("--cpuset-cpus=0"),
    "`--cpuset-mems`": Row("--cpuset-mems=0"),
    "`--cgroup-parent`": Row("--cgroup-parent=/pywerf-table", alone=True),
    "`--shm-size`": Row("--shm-size=5m", "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", "5120"),
    "`--ulimit` of core, cpu, data, fsize, memlock, nofile, nproc, rss, stack": Row(
        "--ulimit=nofile=70:80 --ulimit=core=0", "echo $(ulimit -Sn; ulimit -Hn; ulimit -c)", "70 80 0"
    ),
    "`--ulimit` of locks, msgqueue, nice, rtprio, rttime, sigpending": Row(
        "--ulimit=sigpending=90:100", "ulimit -i", "90"
    ),
    "`--cap-add`": Row("--cap-add=sys_chroot", "chroot / /bin/true && echo yes", "yes"),
    "`--cap-drop`": Row("--cap-drop=chown", "chown 1 /tmp 2>/dev/null || echo no", "no"),
    "`--security-opt seccomp=FILE`": Row(
        "--security-opt=seccomp={}/profile.json", "mkdir /no 2>&1 | wc -l", "1", alone=True
    ),
    "`--security-opt seccomp=unconfined`": Row("--security-opt=seccomp=unconfined", alone=True),
    "`--security-opt no-new-privileges`": Row("--security-opt=no-new-privileges", alone=True),
    "`--security-opt apparmor=unconfined`, `label=disable`": Row(
        "--security-opt=apparmor=unconfined --security-opt=label=disable"
    ),
    "`--device`": Row("--device=/dev/zero:/dev/deep/z", "head -c 3 /dev/deep/z | wc -c", "3"),
    "`--volume` with `rw`, `ro`": Row(
        "--volume={}:/rw --volume={}:/ro:ro",
        "cat /ro/file; touch /ro/x 2>/dev/null || test -w /rw && echo ro",
        "kept ro",
    ),
    "`--volume` with `O`": Row("--volume={}:/over:O", "echo more > /over/file; cat /over/file", "more"),
    "`--volume` with `U`": Row("--volume={}/owned:/owned:U", "stat -c %u /owned", "0"),
    "`--volume` with `noexec`": Row("--volume={}:/data:noexec", "cat /data/file", "kept", alone=True),
    "`--dns`, `--dns-search`, `--dns-option`": Row(
        "--dns=192.0.2.53 --dns-search=a.example --dns-option=ndots:3", "cat /etc/resolv.conf | wc -l", "3"
    ),
    "`--network host`": Row("--network=host"),
    "`--network none`": Row("--network=none", "ip link | grep -c ^[1-9]", lambda text: text in "012", alone=True),
    "`--network private`": Row("--network=private", "ip link | grep -c tap0", "1", alone=True),
    "`--network ns:PATH`": Row("--network=ns:/proc/self/ns/net", alone=True),
    "`--pid host`": Row("--pid=host", alone=True),
    "`--ipc host`": Row("--ipc=host", alone=True),
    "`--uts host`": Row("--uts=host", alone=True),
    "`--cgroupns host`": Row("--cgroupns=host", alone=True),
    "`--pid`, `--ipc`, `--uts`, `--cgroupns private`": Row(
        "--pid=private --ipc=private --uts=private --cgroupns=private", alone=True
    ),
    "`--userns private`": Row("--userns=private", MAP, f"0 {ROOTS} 0 {ROOTS}", alone=True),
    "`--userns host`": Row("--userns=host", alone=True),
    "`--userns ns:PATH`": Row("--userns=ns:{namespace}", MAP, "0 700000 100 0 700000 100", alone=True),
    "`--userns-uid-map`, `--userns-gid-map`": Row(
        "--userns-uid-map=0:300000:65536 --userns-gid-map=0:400000:70000",
        MAP,
        "0 300000 65536 0 400000 70000",
        alone=True,
    ),
    "`--userns-uid-map-user`, `--userns-gid-map-group`": Row(
        "--userns-uid-map-user={ids} --userns-gid-map-group={ids}", MAP, "0 {range} 0 {range}", alone=True
    ),
}


def table() -> dict[str, dict[str, str]]:
    """The page's table: line, column: cell."""
    lines = PAGE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| flag | chroot, root"))
    _, *columns = [cell.strip() for cell in lines[start].strip("|").split(" | ")]
    found: dict[str, dict[str, str]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        found[name] = dict(zip(columns, cells, strict=True))
    return found


def test_every_line_of_the_table_is_tried() -> None:
    assert list(table()) == list(ROWS)
    for name, cells in table().items():
        assert set(cells) == set(COLUMNS.values()), name
        assert set(cells.values()) <= {"works", "error", "with cgroups", "as root"}, name


class Caller(NamedTuple):
    """How one isolation is asked: `build` gives the status, what the RUN printed, and the error with its hint."""

    name: str
    build: Callable[[str, list[str]], tuple[int, list[str], str]]
    folder: str
    cgroups: bool
    words: dict[str, str]
    own_kernel: bool = False

    def fill(self, text: str) -> str:
        """A row's text with what is the caller's own."""
        for name, value in {"": self.folder, **self.words}.items():
            text = text.replace(f"{{{name}}}", value)
        return text


def check(caller: Caller) -> None:
    """Every cell of a column."""
    cells = {name: cells[COLUMNS[caller.name]] for name, cells in table().items()}
    holds = {"works": True, "error": False, "with cgroups": caller.cgroups, "as root": caller.name.endswith("-root")}
    works = {name for name, cell in cells.items() if holds[cell]}
    together = [name for name in ROWS if name in works and not ROWS[name].alone]
    groups = [together, *([name] for name in ROWS if name in works and ROWS[name].alone)]
    for group in groups:
        flags = [caller.fill(flag) for name in group for flag in shlex.split(ROWS[name].flags)]
        script = "; ".join(f"echo {number}=$({ROWS[name].script})" for number, name in enumerate(group))
        status, printed, error = caller.build(script, flags)
        assert status == 0, f"{caller.name}: {group}: {error}"
        shown = dict(line.split("=", 1) for line in printed if "=" in line)
        for number, name in enumerate(group):
            value, wanted = shown.get(str(number), ""), ROWS[name].shows
            fits = value == caller.fill(wanted) if isinstance(wanted, str) else wanted(value)
            fits = fits or (caller.own_kernel and ROWS[name].script == MAP and value == GVISORS_OWN)
            assert fits, f"{caller.name}: {name} shows {value!r}"
    for name in ROWS:
        if name not in works:
            flags = [caller.fill(flag) for flag in shlex.split(ROWS[name].flags)]
            status, _, error = caller.build("echo ran", flags)
            assert status != 0, f"{caller.name}: {name} is not refused"
            assert HINT.search(error), f"{caller.name}: {name}: {error}"


def prepare(write: Callable[[str, str], Path]) -> str:
    """A folder of the caller's, to mount and to read from."""
    rule = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}'
    write("table/profile.json", f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}')
    write("table/owned/file", "owned\n")
    return str(write("table/file", "kept\n").parent)


@contextlib.contextmanager
def user_namespace(maps: str) -> Iterator[str]:
    """The path of one that is there."""
    with subprocess.Popen(["unshare", "--user", "sh", "-c", "echo; exec sleep 900"], stdout=subprocess.PIPE) as sleeper:
        try:
            assert sleeper.stdout is not None
            sleeper.stdout.readline()
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{sleeper.pid}/{name}").write_text(maps)
            yield f"/proc/{sleeper.pid}/ns/user"
        finally:
            sleeper.kill()


def with_range_for_root(folder: Path) -> tuple[str, ...]:
    """Words that start a command which sees a range for root in subuid(5) and subgid(5)."""
    for kind in ("subuid", "subgid"):
        own = f"root:{ROOTS.replace(' ', ':')}\n"
        (folder / kind).write_text(Path(f"/etc/{kind}").read_text() + own)
    script = f'for one in subuid subgid; do mount --bind {folder}/$one /etc/$one; done; exec "$@"'
    return ("unshare", "-m", "--propagation=private", "sh", "-ec", script, "sh")


@pytest.mark.xdist_group("tun")
@pytest.mark.parametrize("isolated", [name for name in ISOLATIONS if name in COLUMNS], indirect=True)
def test_a_column(isolated: Isolated, builder: User, tun_for_all: None, tmp_path: Path) -> None:
    by_root = isolated.name.endswith("-root")
    _, first, count = next(
        line.split(":") for line in Path("/etc/subuid").read_text().splitlines() if line.startswith(builder.name + ":")
    )

    def build(script: str, flags: list[str]) -> tuple[int, list[str], str]:
        started = {"before": with_range_for_root(tmp_path)} if by_root and "--userns=private" in flags else {}
        done = isolated.build(script, *flags, check=False, **started)
        return done.returncode, run_output(done), done.stderr

    checks = json.loads(isolated.werf("host", "doctor", "--json").stdout)["checks"]
    limits = {check["state"] for check in checks if check["name"].startswith("limits of")}
    with user_namespace("0 700000 100") as namespace:
        words = {
            "ids": builder.name,
            "range": f"{first} {count}",
            "namespace": namespace if by_root else "/proc/self/ns/user",
        }
        check(Caller(isolated.name, build, prepare(isolated.write), limits == {"ok"}, words, isolated.own_kernel))


def test_the_column_of_the_fourth_rung(docker: services.Docker, busybox_layout: Path, service_folder: Path) -> None:
    """In a container of dockerd without further rights, where nothing can be mounted."""
    shared = service_folder / "table"
    shutil.copytree(busybox_layout, shared / "base")
    engine = inside.docker_engine(docker, shared)
    root = f"export WERF_BUILDAH_ROOT={inside.SHARED}/store\n"
    engine.run(f"{root}werf buildah tag $(werf buildah pull -q oci:{inside.SHARED}/base:base) base")

    def write(path: str, text: str) -> Path:
        file = shared / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def build(script: str, flags: list[str]) -> tuple[int, list[str], str]:
        write("context/Dockerfile", f"FROM base\nRUN {script}\n")
        words = shlex.join(["--no-cache", "--progress=plain", *flags, f"{inside.SHARED}/context"])
        ids = "echo someone:100000:65536 | tee -a /etc/subuid /etc/subgid\n"
        done = engine.run(f"{root}{ids}werf buildah build {words}", check=False)
        assert "rung 4" in done.stderr.splitlines()[0] or "Error" in done.stderr
        return done.returncode, run_output(done), done.stderr

    prepare(write)
    names = {"ids": "someone", "range": "100000 65536", "namespace": "/proc/self/ns/user"}
    check(Caller("plain", build, f"{inside.SHARED}/table", cgroups=False, words=names))
