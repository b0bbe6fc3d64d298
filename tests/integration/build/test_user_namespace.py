"""Rungs 2 and 3 for real: ordinary users' builds in user namespaces, beside the same builds of root."""

from __future__ import annotations

import json
import os
import signal as signals
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.bases import pull_base
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

DETERMINISTIC = Path(__file__).with_name("owners.Dockerfile").read_text()

MACHINE = os.uname().machine


def diff_ids(inspect: str) -> list[str]:
    found = json.loads(inspect)["OCIv1"]["rootfs"]["diff_ids"]
    assert isinstance(found, list)
    return found


Call = Callable[..., subprocess.CompletedProcess[str]]


def build_both(werf: Call, layout: Path, context: Path | str, *flags: str) -> list[tuple[str, list[str]]]:
    """(image id, diff ids) of the Dockerfile's first stage and of its last."""
    pull_base(werf, layout, *flags)
    results = []
    for stage in (["--target", "one"], []):
        image = werf("buildah", "build", *flags, "-q", "--timestamp", "0", *stage, context).stdout.strip()
        results.append((image, diff_ids(werf("buildah", "inspect", *flags, image).stdout)))
    return results


@pytest.fixture(scope="module")
def of_root(
    shared_werf: Werf, debian_for_all: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, list[str]]]:
    """What root's build of DETERMINISTIC gives."""
    assert MACHINE == "x86_64", "the Dockerfile of this test has the number of a system call of x86_64"
    context = tmp_path_factory.mktemp("deterministic")
    (context / "Dockerfile").write_text(DETERMINISTIC)
    os.utime(context / "Dockerfile", (0, 0))
    (context / "Dockerfile").chmod(0o644)
    return build_both(shared_werf.run, debian_for_all, context)


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_a_users_image_is_roots_image(
    builder: User, debian_for_all: Path, of_root: list[tuple[str, list[str]]], driver: str
) -> None:
    os.utime(builder.write("same/Dockerfile", DETERMINISTIC), (0, 0))
    flags = ("--root", str(builder.home / f"store-{driver}"), "--storage-driver", driver)
    assert build_both(builder.werf, debian_for_all, "same", *flags) == of_root


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_the_image_of_a_user_with_one_id_is_roots_image(
    one_id_user: User, debian_for_all: Path, of_root: list[tuple[str, list[str]]], driver: str
) -> None:
    os.utime(one_id_user.write("same/Dockerfile", DETERMINISTIC), (0, 0))
    flags = ("--root", str(one_id_user.home / f"store-{driver}"), "--storage-driver", driver)
    assert build_both(one_id_user.werf, debian_for_all, "same", *flags) == of_root


def test_debian_packages_with_users_and_capabilities_are_installed(builder: User, debian_for_all: Path) -> None:
    pull_base(builder.werf, debian_for_all)
    builder.write(
        "apt/Dockerfile",
        "FROM base\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends iputils-ping libcap2-bin openssh-client"
        " && getcap /usr/bin/ping && stat -c '%A %U:%G' /usr/bin/ssh-agent\n"
        "RUN adduser --system --group --home /var/lib/svc svc && stat -c '%U:%G' /var/lib/svc\n",
    )
    said = builder.werf("buildah", "build", "-t", "apt", "apt").stderr
    assert "/usr/bin/ping cap_net_raw=ep" in said
    assert "-rwxr-sr-x root:_ssh" in said
    assert "svc:svc" in said


RUN_ME = r"""
FROM base
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t --mount=type=secret,id=s \
    --mount=type=bind,source=Dockerfile,target=/here \
    echo kept > /cache/x && echo gone > /t/x && cat /run/secrets/s && grep -c FROM /here && echo x > /dev/null
RUN --network=none ip addr | grep -c 'inet 127.0.0.1'
RUN id -u && kill -0 1 && ps && ls -l /dev/zero && head -c 3 /dev/zero | wc -c && ! mount -t tmpfs t /tmp
USER nobody
RUN id -u && ! touch /root/x 2>/dev/null
"""


def test_mounts_networks_and_users_work_in_the_namespace(builder: User, busybox_for_all: Path) -> None:
    pull_base(builder.werf, busybox_for_all)
    builder.write("run/Dockerfile", RUN_ME)
    secret = builder.write("secret", "the-secret\n", 0o600)
    done = builder.werf("buildah", "build", "--no-cache", "--secret", f"id=s,src={secret}", "-t", "ran", "run")
    words = [line.split(" ", 2) for line in done.stderr.splitlines()]
    output = [one[2] for one in words if len(one) == 3 and one[1].replace(".", "", 1).isdecimal()]
    assert "the-secret" in output
    assert {"0", "65534", "3", "1"} <= set(output)


def test_what_a_user_built_can_be_run_pushed_and_removed(builder: User, busybox_for_all: Path, registry: str) -> None:
    pull_base(builder.werf, busybox_for_all)
    builder.write("push/Dockerfile", "FROM base\nRUN echo pushed > /x && chown 12:34 /x\n")
    builder.werf("buildah", "build", "-t", f"{registry}/user:1", "push")
    assert builder.werf("run", f"{registry}/user:1", "--", "cat", "/x").stdout == "pushed\n"
    builder.werf("buildah", "push", f"{registry}/user:1")
    builder.werf("buildah", "rmi", f"{registry}/user:1")
    builder.werf("buildah", "pull", f"{registry}/user:1")
    assert builder.werf("run", f"{registry}/user:1", "--", "stat", "-c", "%u:%g", "/x").stdout == "12:34\n"


def test_files_that_are_written_for_the_user_are_theirs(builder: User, busybox_for_all: Path) -> None:
    pull_base(builder.werf, busybox_for_all)
    builder.write("out/Dockerfile", "FROM base\nRUN echo 1 > /x && chown 12:34 /x\n")
    builder.werf(
        "buildah", "build", "--iidfile", "iid", "-o", "type=local,dest=tree", "-o", "type=oci,dest=a.tar", "out"
    )
    uid = builder.home.stat().st_uid
    for name in ("iid", "a.tar", "tree", "tree/x", "tree/bin/busybox"):
        assert (builder.home / name).lstat().st_uid == uid, name


def test_unshare_shows_files_as_the_namespace_has_them(builder: User) -> None:
    said = builder.werf("buildah", "unshare", "sh", "-c", "id -u; cat /proc/self/uid_map; exit 3", check=False)
    assert said.returncode == 3
    lines = said.stdout.split()
    assert lines[:4] == ["0", "0", str(builder.home.stat().st_uid), "1"]
    builder.write("owned", "x")
    builder.werf("buildah", "unshare", "chown", "12:34", "owned")
    assert (builder.home / "owned").stat().st_uid > 12
    assert builder.werf("buildah", "unshare", "stat", "-c", "%u:%g", "owned").stdout == "12:34\n"
    assert builder.werf("buildah", "unshare", "sh", "-c", "echo $WERF_BUILDAH_ROOT").stdout == f"{builder.root}\n"


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_no_container_outlives_a_build_that_was_stopped(builder: User, busybox_for_all: Path, signal: str) -> None:
    pull_base(builder.werf, busybox_for_all)
    builder.write("slow/Dockerfile", f"FROM base\nRUN echo begun && sleep 98765{len(signal)}\n")
    user = builder.werf_process("buildah", "build", "slow")
    with user as process:
        assert process.stderr is not None
        assert any(b"begun" in line and b"RUN" not in line for line in process.stderr)
        process.send_signal(getattr(signals, f"SIG{signal}"))
        process.wait(30)
    end = time.monotonic() + 30
    while sleepers := [one for one in Path("/proc").glob("[0-9]*") if f"98765{len(signal)}" in command_line(one)]:
        assert time.monotonic() < end, sleepers
        time.sleep(0.05)
    builder.write("slow/Dockerfile", "FROM base\nRUN true\n")
    builder.werf("buildah", "build", "slow")


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def test_unshare_says_when_there_is_no_namespace(plain_user: User) -> None:
    done = plain_user.werf("buildah", "unshare", "true", check=False)
    assert done.returncode == 125
    assert "no /etc/subuid range" in done.stderr
