"""What the doctor concludes, and the checks that can be made without a privilege."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.build import doctor_checks
from pywerf.build.doctor import Check, rung_checks, verdict
from pywerf.build.doctor_containers import cgroup_hierarchy, cgroups, docker, limits_hint, networks
from pywerf.isolation.cgroups import Hierarchy
from pywerf.isolation.ladder import RungProbe
from pywerf.linux.probes import Attempt

NO = Attempt("make private namespaces", errno.EPERM, "Operation not permitted")
YES = Attempt("do it")


def probes(*works: int) -> tuple[RungProbe, ...]:
    return tuple(
        RungProbe(rung, YES if rung in works else NO, "" if rung in works else f"hint {rung}") for rung in range(1, 6)
    )


@pytest.mark.parametrize(("works", "rung"), [((1, 5), 1), ((2, 3, 5), 2), ((3, 4, 5), 3), ((4, 5), 4), ((5,), 5)])
def test_the_rung_is_the_one_that_auto_takes(works: tuple[int, ...], rung: int) -> None:
    diagnosis = verdict(probes(*works), (), writable=True)
    assert (diagnosis.rung, diagnosis.can_build) == (rung, True)
    assert ("no RUN" in diagnosis.summary) is (rung == 5)


def test_nothing_can_be_built_without_a_store() -> None:
    diagnosis = verdict(probes(1, 5), (), writable=False)
    assert (diagnosis.rung, diagnosis.can_build) == (0, False)
    assert "store" in diagnosis.summary


def test_every_rung_is_shown_with_its_probe() -> None:
    checks = rung_checks(probes(2, 4, 5))
    assert [check.name[0] for check in checks] == ["1", "2", "3", "4", "5"]
    assert [check.state for check in checks] == ["missing", "ok", "missing", "ok", "ok"]
    assert checks[0].detail == "cannot make private namespaces: Operation not permitted (EPERM)"
    assert (checks[0].hint, checks[0].errno) == ("hint 1", errno.EPERM)


def hierarchy(version: int, *controllers: str, own: str = "/") -> Hierarchy:
    return Hierarchy(version, f"/sys/fs/cgroup/{version}", controllers, own)


@pytest.mark.parametrize(
    ("hierarchies", "shown"),
    [
        ((), "none"),
        ((hierarchy(1, "cpu", "cpuacct"), hierarchy(1, "name=systemd")), "v1: cpu cpuacct"),
        ((hierarchy(2, "cpu", "memory", own="/a.scope"),), "v2: cpu memory; this process is in /a.scope"),
        ((hierarchy(1, "memory"), hierarchy(2)), "hybrid: memory"),
        ((hierarchy(2),), "v2; this process is in /"),
    ],
)
def test_cgroups(hierarchies: tuple[Hierarchy, ...], shown: str) -> None:
    assert cgroup_hierarchy(hierarchies) == shown


def test_limits_are_tried() -> None:
    checks = cgroups()
    assert [check.name for check in checks[1:]] == ["limits of memory", "limits of cpu", "limits of cpuset"]
    for check in checks[1:]:
        assert check.state in ("ok", "missing")
        assert bool(check.hint) is (check.state == "missing")


@pytest.mark.parametrize("rung", [4, 5])
def test_limits_are_not_tried_where_there_are_none(rung: int) -> None:
    assert [(check.state, check.hint) for check in cgroups(rung)[1:]] == [("info", "")] * 3


@pytest.mark.parametrize(
    ("found", "contained", "root", "hint"),
    [
        ((), False, True, "mount -t cgroup2"),
        ((hierarchy(2, "cpu"),), True, True, "--cgroupns host --volume /sys/fs/cgroup"),
        (
            (hierarchy(1, "cpu"), hierarchy(2)),
            True,
            True,
            "with --volume /sys/fs/cgroup:/sys/fs/cgroup, or with --privileged",
        ),
        ((hierarchy(2, "cpu"),), False, True, "boot with"),
        ((hierarchy(2, "cpu"),), False, False, "systemd-run --user --scope -p Delegate=yes"),
        ((hierarchy(1, "cpu"), hierarchy(2)), False, False, "run it as root"),
    ],
)
def test_what_would_give_limits(found: tuple[Hierarchy, ...], contained: bool, root: bool, hint: str) -> None:
    assert hint in limits_hint(found, contained=contained, root=root, mapped=False)


@pytest.mark.parametrize("found", [(hierarchy(1, "cpu"), hierarchy(2)), (hierarchy(1, "memory"),)])
def test_what_would_give_limits_in_an_ordinary_users_container(found: tuple[Hierarchy, ...]) -> None:
    assert "as the machine's own root" in limits_hint(found, contained=True, root=True, mapped=True)


def test_one_network_is_enough(tmp_path: Path) -> None:
    tun = tmp_path / "tun"
    assert [(check.state, check.hint) for check in networks(lambda name: None, str(tun))] == [
        ("missing", "apt-get install passt"),
        ("missing", "apt-get install slirp4netns"),
        ("info", ""),
    ]
    find = {"slirp4netns": "/bin/slirp4netns"}.get
    assert [(check.name, check.state) for check in networks(find, str(tun))] == [
        ("pasta", "info"),
        ("slirp4netns", "ok"),
        ("tun", "missing"),
    ]
    tun.write_text("")
    assert networks(find, str(tun))[-1].state == "ok"


def test_a_device_that_cannot_be_opened_has_a_way_to_it(tmp_path: Path) -> None:
    hint = doctor_checks.device_hint(str(tmp_path / "fuse"))
    assert hint in ("modprobe fuse", f"start this container with --device {tmp_path}/fuse")
    (tmp_path / "fuse").write_text("")
    assert doctor_checks.device_hint(str(tmp_path / "fuse")) == f"chmod 666 {tmp_path}/fuse"


def test_fuse_is_missing_only_where_the_kernel_mounts_no_overlay(tmp_path: Path) -> None:
    (tmp_path / "fuse").write_text("")
    program = tmp_path / "fuse-overlayfs"
    program.write_text("#!/bin/sh\necho fuse-overlayfs: version 1.10\n")
    program.chmod(0o755)
    for wanted in (True, False):
        assert doctor_checks.fuse(str(program), wanted=wanted, device=str(tmp_path / "fuse")).state == "info"
    none = doctor_checks.fuse(None, wanted=True, device=str(tmp_path / "fuse"))
    assert (none.state, none.hint) == ("missing", "apt-get install fuse-overlayfs")
    unwanted = doctor_checks.fuse(None, wanted=False, device=str(tmp_path / "fuse"))
    assert (unwanted.state, unwanted.hint) == ("info", "")
    assert "apt-get install fuse-overlayfs" in unwanted.detail
    shut = doctor_checks.fuse(str(program), wanted=True, device=str(tmp_path / "none"))
    assert (shut.state, shut.hint) == ("missing", doctor_checks.device_hint(str(tmp_path / "none")))


def test_without_any_runtime_the_first_one_is_missing() -> None:
    checks = doctor_checks.runtimes(lambda name: None)
    assert [(check.name, check.hint) for check in checks if check.state == "missing"] == [
        ("crun", "apt-get install crun")
    ]


def test_the_store_may_not_be_there_yet(tmp_path: Path) -> None:
    checks = doctor_checks.store(str(tmp_path / "a/b"))
    assert (checks[0].state, checks[0].detail) == ("ok", f"{tmp_path}/a/b (it will be made)")
    assert checks[1].name == "space"
    assert doctor_checks.nearest(str(tmp_path / "a/b")) == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_registries_conf_is_shown(tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text("[[registry]\n")
    (check,) = doctor_checks.registries({"CONTAINERS_REGISTRIES_CONF": str(conf)})
    assert check.state == "missing"
    assert str(conf) in check.detail
    conf.write_text("")
    assert doctor_checks.registries({"CONTAINERS_REGISTRIES_CONF": str(conf)})[0] == Check(
        "registry", "registries.conf", "ok", str(conf)
    )


@pytest.fixture
def answer(tmp_path: Path) -> Iterator[list[bytes]]:
    """A Unix socket that answers one request with what is put into the list."""
    answers: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answers[0])

        thread = threading.Thread(target=serve)
        thread.start()
        yield answers
        thread.join()


@pytest.mark.parametrize(
    ("data", "state", "says"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"Version": "24.0.7"}', "ok", "version 24.0.7 at unix:///"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"Version": "1", "ApiVersion": "1.43"}', "ok", "version 1 (API 1.43) at unix:///"),
        (b"HTTP/1.0 200 OK\r\n\r\n[]", "missing", "it does not answer as Docker does"),
        (b"nonsense", "missing", "none at unix:///"),
    ],
)
def test_a_docker_daemon_is_asked_for_its_version(
    tmp_path: Path, answer: list[bytes], data: bytes, state: str, says: str
) -> None:
    answer.append(data)
    (check,) = docker({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"})
    assert check.state == state
    assert says in check.detail


def test_no_docker_daemon_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    (check,) = docker({"DOCKER_HOST": f"unix://{tmp_path}/none"})
    assert (check.state, check.errno) == ("missing", errno.ENOENT)
    assert check.detail == f"none at unix://{tmp_path}/none: No such file or directory; the embedded engine needs none"
    assert check.hint in ("systemctl start docker", "apt-get install docker.io")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        (check,) = docker({"DOCKER_HOST": f"tcp://127.0.0.1:{server.getsockname()[1]}"})
    assert (check.state, check.errno) == ("missing", errno.ECONNREFUSED)
    assert "DOCKER_HOST" in check.hint
    assert "not asked" in docker({"DOCKER_HOST": "ssh://host"})[0].detail
    assert "not asked" in docker({"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1"})[0].detail
    assert "names no host and port" in docker({"DOCKER_HOST": "tcp://127.0.0.1"})[0].detail


def test_runtimes_say_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "crun"
    tool.write_text("#!/bin/sh\necho library version 9\necho crun version 1.2.3\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {check.name: check for check in doctor_checks.runtimes()}
    assert checks["crun"].detail.startswith(f"crun version 1.2.3 ({tool})")
    assert set(checks) == {"crun", "runc", "kata-runtime", "kata", "runsc"}


def test_every_hint_is_for_something_missing() -> None:
    for check in (*doctor_checks.subordinate_ids(), *doctor_checks.settings(), *doctor_checks.security()):
        assert bool(check.hint) is (check.state == "missing"), check
