"""Rung 4 for real: `werf` in containers that dockerd and podman run without extra rights builds what root builds."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import inside, machine, services
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

# Owners, set-id bits, file capabilities, fifos, links, removals, replaced directories, mounts of all kinds. Every RUN
# gives the same bytes each time when its times are clamped.
DETERMINISTIC = r"""
FROM base AS one
RUN useradd -m -u 1234 app && sed -i 's/^app:\([^:]*\):[0-9]*:/app:\1:1:/' /etc/shadow && rm -f /etc/*- \
 && mkdir -p /srv/app && echo hi > /srv/app/x && chown app:app /srv/app && chown 65534:65533 /srv/app/x
RUN cp /bin/true /usr/local/bin/suid && chown app:daemon /usr/local/bin/suid && chmod 6755 /usr/local/bin/suid
RUN cp /bin/true /usr/local/bin/cap && setcap cap_net_raw=ep /usr/local/bin/cap
RUN mkfifo /fifo && ln -s x /link && rm -rf /usr/share/doc/bash && mkdir -p /usr/share/doc/bash \
 && touch /usr/share/doc/bash/new && rm /etc/issue && ln /etc/passwd /passwd && mv /usr/share/perl5 /usr/share/perl55 \
 && install -d -m 1777 -o app -g 33 /sticky && touch -d @5 /etc/motd
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/tmp --mount=type=secret,id=s,target=/etc/sec/ret \
    --mount=type=bind,source=Dockerfile,target=/here/is/it \
    echo kept >> /cache/x && wc -l < /cache/x > /lines && echo gone > /tmp/x && wc -c < /etc/sec/ret > /secret-size \
 && grep -c FROM /here/is/it > /froms && echo gone > /dev/shm/x && echo null > /dev/null && cat /dev/null
COPY --chown=app:app Dockerfile /home/app/
USER app
WORKDIR /home/app/work
RUN echo user > mine && id > id && head -c 5 /dev/zero > zeros && test "$(head -c 9 /dev/urandom | wc -c)" = 9
VOLUME /vol
FROM scratch
COPY --from=one /usr/local/bin /bin
COPY --from=one /srv /srv
"""

BUILD = """
export WERF_BUILDAH_ROOT=$STORE
base=$(werf buildah pull -q oci:$SHARED/base:base)
cp -r $SHARED/context $WORK && cd $WORK && sed -i "s/^FROM base/FROM $base/" Dockerfile && touch -d @0 Dockerfile
printf s3cret > $WORK.secret
for stage in '--target one' ''; do
    werf buildah build -q --timestamp 0 --secret id=s,src=$WORK.secret $stage . > id
    echo "image $(cat id)"
    rm id
done
"""


def results(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("image ")]


@pytest.fixture(scope="module")
def shared(service_folder: Path, python_layout: Path) -> Path:
    folder = service_folder / "shared-with-containers"
    (folder / "context").mkdir(parents=True)
    (folder / "context/Dockerfile").write_text(DETERMINISTIC)
    (folder / "context/Dockerfile").chmod(0o644)
    shutil.copytree(python_layout, folder / "base")
    return folder


@pytest.fixture(scope="module")
def of_root(shared_werf: Werf, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What root's own build (rung 1, overlay) gives."""
    work = tmp_path_factory.mktemp("rung1") / "work"
    script = (
        f'SHARED={shared} STORE={work}-store WORK={work}\nwerf() {{ {" ".join(shared_werf.command)} "$@"; }}\nset -e\n'
    )
    done = machine.run("sh", "-c", script + BUILD, env=shared_werf.env, timeout=900)
    assert len(results(done.stdout)) == 2
    return results(done.stdout)


@pytest.fixture(scope="module")
def in_docker(docker: services.Docker, shared: Path) -> inside.Engine:
    return inside.docker_engine(docker, shared)


@pytest.fixture(scope="module")
def in_podman(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[inside.Engine]:
    with inside.podman_engine(tmp_path_factory.mktemp("podman"), shared) as engine:
        yield engine


@pytest.fixture(scope="module")
def in_rootless_podman(common_folder: Path, builder: User, shared: Path) -> Iterator[inside.Engine]:
    """An ordinary user's podman."""
    folder = common_folder / "podman"
    readable = folder / "shared"
    shutil.copytree(shared, readable)
    with inside.rootless_podman_engine(folder, readable, builder) as engine:
        yield engine


INSIDE = f"SHARED={inside.SHARED} STORE=/var/lib/pywerf WORK=/work\n"


def test_a_plain_docker_container_builds_roots_image(in_docker: inside.Engine, of_root: list[str]) -> None:
    assert results(in_docker.run(INSIDE + BUILD).stdout) == of_root


def test_a_plain_podman_container_builds_roots_image(in_podman: inside.Engine, of_root: list[str]) -> None:
    """There root may not make devices either."""
    assert results(in_podman.run(INSIDE + BUILD).stdout) == of_root


def test_a_container_of_an_ordinary_users_podman_builds_roots_image(
    in_rootless_podman: inside.Engine, of_root: list[str]
) -> None:
    """Root there is root of a user namespace, whose other ids are subordinate ones."""
    assert results(in_rootless_podman.run(INSIDE + BUILD).stdout) == of_root


def test_what_the_doctor_prescribes_in_an_ordinary_users_podman(in_rootless_podman: inside.Engine) -> None:
    plain = diagnosis(in_rootless_podman)
    assert plain["rung"] == 4
    for rung, name in (
        (1, "1 private namespaces as root"),
        (3, "3 private namespaces in a user namespace with one id"),
    ):
        (hint,) = [check["hint"] for check in plain["checks"] if check["name"] == name]
        flags = shlex.split(hint.removeprefix(START).partition(" (")[0].partition(", or ")[0])
        after = diagnosis(in_rootless_podman, *flags)
        assert (after["rung"], states(after)[name]) == (rung, "ok")
        for check in after["checks"]:
            if check["name"].startswith("limits"):
                assert check["state"] == "missing"
                assert "as the machine's own root" in check["hint"]


APT = """
base=$(werf buildah pull -q oci:$SHARED/base:base)
mkdir /apt && cd /apt
cat > Dockerfile <<END
FROM $base
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends iputils-ping postgresql >/dev/null \
 && getcap /usr/bin/ping && stat -c 'owner %U:%G' /var/lib/postgresql/15/main && su postgres -c 'id -un'
CMD ["sh", "-c", "pg_ctlcluster 15 main start && su postgres -c 'psql -tAc \\"select 6*7\\"'"]
END
werf buildah build -t pg:1 . 2>&1
werf buildah push -q pg:1 docker-archive:$SHARED/NAME.tar:pg-NAME:1
"""


def check_apt(engine: inside.Engine, name: str, docker: services.Docker, shared: Path) -> None:
    said = engine.run(INSIDE + APT.replace("NAME", name)).stdout
    first = said.splitlines()[0]
    assert first.startswith("mode auto: rung 4, ")
    assert "cannot make private namespaces: Operation not permitted (EPERM)" in first
    assert "/usr/bin/ping cap_net_raw=ep" in said
    assert "owner postgres:postgres" in said
    docker.run("load", "-q", "-i", shared / f"{name}.tar")
    done = docker.run("run", "--rm", "--network=host", f"pg-{name}:1")
    assert done.stdout == "42\n"


def test_debian_packages_with_users_and_capabilities_are_installed_in_docker(
    in_docker: inside.Engine, docker: services.Docker, shared: Path
) -> None:
    check_apt(in_docker, "docker", docker, shared)


def test_debian_packages_with_users_and_capabilities_are_installed_in_podman(
    in_podman: inside.Engine, docker: services.Docker, shared: Path
) -> None:
    check_apt(in_podman, "podman", docker, shared)


SMALL = """
base=$(werf buildah pull -q oci:$SHARED/base:base)
mkdir /small && cd /small
printf "FROM $base\\n%s\\n" "$STEP" > Dockerfile
werf buildah build FLAGS . 2>&1
"""


def small(engine: inside.Engine, step: str, *flags: str, build: str = "", check: bool = True) -> str:
    script = INSIDE + f"STEP='{step}'\n" + SMALL.replace("FLAGS", build)
    return engine.run(script, *flags, check=check).stdout


def test_what_it_says_and_refuses(in_docker: inside.Engine) -> None:
    said = small(in_docker, "RUN true")
    assert "rung 4, chroot as root, without mounts" in said.splitlines()[0]
    assert "arning" not in said
    assert "no CAP_MKNOD" in small(in_docker, "RUN true", "--cap-drop=MKNOD")
    refused = small(in_docker, "RUN --network=none true", check=False)
    assert "Dockerfile:2" in refused
    assert "--network none needs a network namespace: rung 4" in refused
    refused = small(in_docker, "RUN true", build="--storage-driver overlay", check=False)
    assert "overlay cannot be used on rung 4" in refused
    assert "rung 4" in small(in_docker, "RUN true", build="--buildah-mode native-chroot").splitlines()[0]


def test_without_chroot_it_is_the_fifth_rung(in_docker: inside.Engine) -> None:
    assert "rung 5" in small(in_docker, "ENV A=b", "--cap-drop=SYS_CHROOT").splitlines()[0]
    refused = small(in_docker, "RUN true", "--cap-drop=SYS_CHROOT", check=False)
    assert "rung 4: cannot chroot as root: this process has no CAP_SYS_CHROOT" in refused


START = "start this container with "


def diagnosis(engine: inside.Engine, *flags: str) -> dict[str, Any]:
    """What the doctor says in a container that is started with further flags."""
    done = engine.run("werf host doctor --json", *flags)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["canBuild"]
    return report


def states(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in report["checks"]}


@pytest.mark.parametrize("engine", ["in_docker", "in_podman"])
def test_what_the_doctor_prescribes_helps(request: pytest.FixtureRequest, engine: str) -> None:
    """In a plain container it finds rung 4; each flag that it names for what is missing is tried, and gives it."""
    container: inside.Engine = request.getfixturevalue(engine)
    plain = diagnosis(container)
    assert plain["rung"] == 4
    by_hint: dict[str, list[str]] = {}
    for check in plain["checks"]:
        if check["state"] == "missing" and check["hint"].startswith(START) and check["group"] != "docker":
            by_hint.setdefault(check["hint"], []).append(check["name"])
    assert {name for names in by_hint.values() for name in names} >= {"1 private namespaces as root"}
    for hint, names in by_hint.items():
        flags = shlex.split(hint.removeprefix(START).partition(" (")[0].partition(", or ")[0])
        after = diagnosis(container, *flags)
        given = {name for name in names if states(after)[name] == "ok"}
        rungs = {int(name[0]) for name in names if name[0].isdigit()}
        # who may make namespaces may still have no subordinate ids: rung 2 has that hint next
        assert {name for name in names if not name[0].isdigit()} <= given, (hint, after)
        assert bool(rungs) is any(name[0].isdigit() for name in given), (hint, after)
        assert after["rung"] == min((int(name[0]) for name in given if name[0].isdigit()), default=4), hint
        if after["rung"] == 1:
            check_limits(container, after, flags)


def check_limits(container: inside.Engine, report: dict[str, Any], flags: list[str]) -> None:
    """Limits of memory and processors, which there are on the first rungs alone, by what the doctor says there."""
    missing = [check for check in report["checks"] if check["name"].startswith("limits") and check["state"] != "ok"]
    for hint in {check["hint"] for check in missing}:
        assert hint.startswith(START), missing
        more = shlex.split(hint.removeprefix(START).partition(", or ")[0])
        assert {
            diagnosed for name, diagnosed in states(diagnosis(container, *flags, *more)).items() if "limits" in name
        } == {"ok"}


# What must not succeed, with a word for each. What this rung cannot promise is written down in docs/modes.md: that no
# signals are sent to other processes of the container around `werf`, and a filter of system calls of its own.
ATTACKS = {
    "escaped": "mkdir /x; chroot /x/../.. /bin/true",
    "sources-seen": "ls /opt/src || ls /opt/packages",
    "shared-seen": f"ls {inside.SHARED} || cat /..{inside.SHARED}/mark /proc/1/root{inside.SHARED}/mark",
    "written": f"echo x > {inside.SHARED}/mark || echo x > /../..{inside.SHARED}/mark",
    "mounted": "mount -t tmpfs t /mnt || mount -o bind /etc /mnt || mount -t proc p /mnt",
    "unshared": "unshare -m true || unshare -p -f true",
    "joined": "nsenter -t 1 -m true",
    "named": "hostname other",
    "module": "touch /m.ko && insmod /m.ko",
    "disk-read": "mknod /disk b 254 0 && head -c 1 /disk | grep -c .",
    "memory-read": "mknod /mem c 1 1 && head -c 1 /mem | grep -c .",
    "kernel-log": "dmesg",
    "processes-seen": "ls -d /proc/[0-9]*",
    "descriptor": "test -e /proc/self/fd/3 || for fd in 3 4 5 6 7 8 9; do eval echo x >&$fd && exit 0; done; false",
    "clock": "date -s 2001-01-01",
}


@pytest.mark.parametrize("engine", ["in_docker", "in_podman"])
def test_a_command_sees_and_changes_nothing_of_the_outer_container(
    request: pytest.FixtureRequest, shared: Path, engine: str
) -> None:
    setting = Path("/proc/sys/kernel/panic")
    before = setting.read_text()
    (shared / "mark").write_text("host\n")
    (shared / "mark").chmod(0o666)
    tries = "".join(f"({command}) >/dev/null 2>&1 && echo got {word}; " for word, command in ATTACKS.items())
    # its /proc are files of its own: writing there reaches nobody
    tries += "echo 77 > /proc/sys/kernel/panic; "
    said = small(request.getfixturevalue(engine), f"RUN {tries} echo got to the end")
    assert [line.partition(" got ")[2] for line in said.splitlines() if " got " in line and "RUN" not in line] == [
        "to the end"
    ]
    assert (shared / "mark").read_text() == "host\n"
    assert setting.read_text() == before


def test_run_with_a_volume_and_a_terminal(in_docker: inside.Engine) -> None:
    script = """
base=$(werf buildah pull -q oci:$SHARED/base:base)
mkdir /vol; echo one > /vol/a
werf run -v /vol:/v $base -- sh -c 'cat /v/a; echo two > /v/b; exit 3' || echo status $?
cat /vol/b
cat > pty.sh <<END
exec python3 -m pywerf run -t $base -- sh -c 'test -t 1 && echo terminal'
END
python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' sh pty.sh
"""
    assert in_docker.run(INSIDE + script).stdout.split() == ["one", "status", "3", "two", "terminal"]
