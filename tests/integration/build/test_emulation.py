"""What the kernel refuses to ordinary users, emulated: packages, hostile commands, the supervisor's end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import machine
from support.bases import pull_base
from support.isolations import Isolated
from support.services import Docker
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

POSTGRES = r"""
FROM base
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    iputils-ping libcap2-bin postgresql && getcap /usr/bin/ping && stat -c '%U %u %a' /var/lib/postgresql/*/main \
 && su postgres -c id && rm -rf /var/lib/apt/lists
RUN mkdir /work && chown postgres:postgres /work && mknod /work/zero c 1 5
USER postgres
RUN id -un && touch /work/mine && test "$(stat -c %U:%G /work/mine)" = postgres:postgres
"""

IN_DOCKER = r"""
set -e
stat -c '%U:%G %a %n' /var/lib/postgresql/15/main /work/mine /etc/postgresql/15/main/pg_hba.conf
stat -c '%F %t,%T' /work/zero
getcap /usr/bin/ping
/usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/15/main \
  -o "-c config_file=/etc/postgresql/15/main/postgresql.conf" -w -t 60 -l /tmp/log start
psql -Atc "select 'answer ' || 6 * 7" postgres
/usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/15/main -m immediate stop
"""


@pytest.fixture(params=["root", "builder", "one_id_user"])
def installer(request: pytest.FixtureRequest) -> Isolated:
    """Root on rung 1, a user on rung 2, and one on rung 3; containers of docker and podman are on rung 4, see there."""
    if request.param == "root":
        # The store of this fixture's root has another base under that name.
        werf: Werf = request.getfixturevalue("werf")

        def write(path: str, text: str) -> Path:
            file = werf.home / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            return file

        return Isolated("root", machine.run, werf.run, write, (), werf.words)
    one: User = request.getfixturevalue(request.param)
    return Isolated(one.name, one.run, one.werf, one.write, (), one.werf_on_terminal)


def test_packages_with_users_and_capabilities_are_installed_and_run_in_docker(
    installer: Isolated, debian_for_all: Path, docker: Docker
) -> None:
    pull_base(installer.werf, debian_for_all)
    context = installer.write("pg/Dockerfile", POSTGRES).parent
    name = f"{installer.name}/pg"
    archive = ("-o", f"type=docker,dest={context.parent}/pg.tar,name={name}:1")
    said = installer.werf("buildah", "build", "-t", name, *archive, context, timeout=900).stderr
    assert "/usr/bin/ping cap_net_raw=ep" in said
    assert "postgres 100 700" in said
    assert "uid=100(postgres) gid=102(postgres) groups=102(postgres),101(ssl-cert)" in said
    loaded = docker.run("load", "-i", context.parent / "pg.tar").stdout.strip().split("image: ")[-1].split("ID: ")[-1]
    lines = docker.run("run", "--rm", "--network=none", loaded, "bash", "-c", IN_DOCKER).stdout.splitlines()
    assert lines[:3] == [
        "postgres:postgres 700 /var/lib/postgresql/15/main",
        "postgres:postgres 644 /work/mine",
        "postgres:postgres 640 /etc/postgresql/15/main/pg_hba.conf",
    ]
    assert "character special file 1,5" in lines
    assert "/usr/bin/ping cap_net_raw=ep" in lines
    assert "answer 42" in lines


CHROOTED = r"""
FROM base
RUN mkdir -p /jail/etc /jail/d && cp -a /bin /lib /lib64 /usr /jail/ 2>/dev/null; touch /etc/target /jail/etc/target \
 && ln -s /etc/target /jail/link && ln -s /etc /jail/d/etc \
 && chroot /jail chown 5:6 /link && chroot /jail sh -c 'cd /d && chown 7 etc/../etc/target' \
 && chroot /jail mknod /d/etc/node c 1 3 && echo "outside $(stat -c %u:%g /etc/target)" \
 && echo "inside $(chroot /jail stat -L -c %u:%g /link)" && test -e /jail/etc/node && ! test -e /etc/node
"""


def test_paths_of_a_process_with_another_root_stay_in_it(one_id_user: User, debian_for_all: Path) -> None:
    pull_base(one_id_user.werf, debian_for_all)
    one_id_user.write("jail/Dockerfile", CHROOTED)
    said = one_id_user.werf("buildah", "build", "--no-cache", "jail").stderr
    assert "outside 0:0" in said
    assert "inside 7:6" in said


# Two processes exchange a folder for symlinks that lead to the victim's folder, by name and by `..`; others meanwhile
# change owners and make files through it. The name exists in the container, too.
RACE = r"""
FROM base
RUN mkdir -p VICTIM /r/real && cd /r && touch real/file VICTIM/file && cp -a real good && \
 ( while :; do ln -sfn VICTIM x; ln -sfn ../../../../../../../../VICTIM x; ln -sfn real x; \
   ln -sfn /proc/1/root/VICTIM x; ln -sfn /proc/self/cwd/../../../VICTIM x; done ) & \
 cd /r; i=0; while [ $i -lt 100 ]; do i=$((i+1)); chown 1234:1234 x/file; mknod x/node$i c 1 3; chown -h 77 x; \
 chown 5:5 x; su nobody -s /bin/sh -c "mkdir x/dir$i" ; done 2>/dev/null; kill %1; true
"""


def test_no_race_of_paths_makes_the_supervisor_touch_the_host(one_id_user: User, debian_for_all: Path) -> None:
    victim = one_id_user.write("victim/file", "untouched").parent
    before = victim.stat()
    pull_base(one_id_user.werf, debian_for_all)
    one_id_user.write("race/Dockerfile", RACE.replace("VICTIM", str(victim)))
    one_id_user.werf("buildah", "build", "--no-cache", "race")
    assert os.listdir(victim) == ["file"]
    for path, status in ((victim, before), (victim / "file", (victim / "file").stat())):
        assert os.listxattr(path) == []
        assert (path.stat().st_uid, path.stat().st_mtime_ns) == (before.st_uid, status.st_mtime_ns)


def supervisors(below: int) -> list[int]:
    """The processes that hold a listener of seccomp, of those that descend from `below`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if "pywerf.linux.child" not in (process / "cmdline").read_text():
                continue
            links = [os.readlink(fd) for fd in (process / "fd").iterdir()]
        except OSError:
            continue
        if "anon_inode:seccomp notify" in links and below in ancestors(int(process.name)):
            found.append(int(process.name))
    return found


def ancestors(pid: int) -> set[int]:
    found = set()
    while pid > 1:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            break
        pid = next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))
        found.add(pid)
    return found


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_end_of_the_supervisor_is_the_end_of_the_container(one_id_user: User, busybox_for_all: Path) -> None:
    pull_base(one_id_user.werf, busybox_for_all)
    one_id_user.write("die/Dockerfile", "FROM base\nRUN chown 5 /etc && echo begun && sleep 987654\n")
    process = one_id_user.werf_process("buildah", "build", "--no-cache", "die")
    with process:
        assert process.stderr is not None
        assert any(b"begun" in line and b"RUN" not in line for line in process.stderr)
        found = supervisors(process.pid)
        assert len(found) == 1
        os.kill(found[0], signal.SIGKILL)
        rest = process.stderr.read().decode()
        assert process.wait(60) == 125
    assert "the container was ended: the process that supervised its system calls has ended" in rest
    wait_until(lambda: not [one for one in Path("/proc").glob("[0-9]*") if "987654" in _command_line(one)])


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


SEEN = r"""
FROM base
RUN chown 5 /etc && ! ls -l /proc/[0-9]*/fd | grep "seccomp notify" && ! ps | grep "[p]ython" \
 && kill -9 -1; echo "signals $?"
USER 1000:44
RUN id -u && touch /tmp/a && ls -ln /tmp/a && echo left
"""


def test_commands_neither_see_nor_reach_the_supervisor(one_id_user: User, busybox_for_all: Path) -> None:
    pull_base(one_id_user.werf, busybox_for_all)
    one_id_user.write("reach/Dockerfile", SEEN)
    said = one_id_user.werf("buildah", "build", "--no-cache", "reach").stderr
    assert "signals" in said
    assert "left" in said
    assert "1000     44" in said


def test_capabilities_that_are_taken_away_are_missed(one_id_user: User, busybox_for_all: Path) -> None:
    """chown(2), setuid(2) and mknod(2) need what they need for root, too."""
    pull_base(one_id_user.werf, busybox_for_all)
    done = one_id_user.werf("run", "base", "--", "sh", "-c", "chown 5 /etc; stat -c %u /etc")
    assert done.stdout == "5\n"
    for capability, command in (("CAP_CHOWN", "chown 5 /etc"), ("CAP_MKNOD", "mknod /x c 1 3")):
        done = one_id_user.werf("run", "--cap-drop", capability, "base", "--", "sh", "-c", command, check=False)
        assert done.returncode == 1, done
        assert "Operation not permitted" in done.stderr


def test_a_users_run_is_killed_with_its_build(one_id_user: User, busybox_for_all: Path) -> None:
    pull_base(one_id_user.werf, busybox_for_all)
    one_id_user.write("slow/Dockerfile", "FROM base\nRUN echo begun && sleep 987655\n")
    process: subprocess.Popen[bytes] = one_id_user.werf_process("buildah", "build", "--no-cache", "slow")
    with process:
        assert process.stderr is not None
        assert any(b"begun" in line and b"RUN" not in line for line in process.stderr)
        process.kill()
    wait_until(lambda: not [one for one in Path("/proc").glob("[0-9]*") if "987655" in _command_line(one)])
    wait_until(lambda: not supervisors(process.pid))
