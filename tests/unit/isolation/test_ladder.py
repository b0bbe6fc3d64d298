"""Which rung a mode takes, what is said when none is left, and which setting would raise one."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from pywerf.errors import IsolationError, UsageError
from pywerf.isolation.ladder import (
    Choice,
    HostSettings,
    RungProbe,
    check_mode,
    check_platform,
    decide,
    free_subids,
    hint_for,
    no_containers,
    with_hints,
)
from pywerf.isolation.runtimes import find_runtime
from pywerf.isolation.spec import IdMap, Namespaces
from pywerf.isolation.user_namespace import RootIds
from pywerf.linux.probes import Attempt

NO = Attempt("make private namespaces", errno.EPERM, "Operation not permitted")
NO_IDS = Attempt("map subordinate ids", 0, "no /etc/subuid range for 'ci'")
NO_ROOT = Attempt("chroot as root", errno.EPERM, "this process is not root's")
NO_NAMESPACE = Attempt("make a user namespace", errno.EPERM, "Operation not permitted")
YES = Attempt("make private namespaces")


def rungs(*works: int) -> list[RungProbe]:
    attempts = {1: NO, 2: NO_IDS, 3: NO_NAMESPACE, 4: NO_ROOT, 5: YES}
    return [RungProbe(rung, YES if rung in works else attempts[rung], f"hint {rung}") for rung in attempts]


@pytest.mark.parametrize(("works", "rung"), [((1, 2, 5), 1), ((2, 5), 2), ((3, 5), 3), ((4, 5), 4), ((5,), 5)])
def test_auto_takes_the_first_rung_that_works(works: tuple[int, ...], rung: int) -> None:
    choice = decide("auto", rungs(*works))
    assert choice.rung == rung
    assert [probe.rung for probe in choice.failed] == list(range(1, rung))


def test_no_rung_below_the_one_taken_is_probed() -> None:
    asked = []

    def probes() -> Iterator[RungProbe]:
        for probe in rungs(1, 2, 5):
            asked.append(probe.rung)
            yield probe

    decide("auto", probes())
    assert asked == [1]


def test_a_mode_that_needs_containers_fails_with_the_probes_that_failed() -> None:
    with pytest.raises(IsolationError) as caught:
        decide("native-chroot", rungs(5))
    assert caught.value.message == (
        "mode native-chroot cannot be used here: rung 1: cannot make private namespaces: "
        "Operation not permitted (EPERM); rung 2: cannot map subordinate ids: no /etc/subuid range for 'ci'; "
        "rung 3: cannot make a user namespace: Operation not permitted (EPERM); "
        "rung 4: cannot chroot as root: this process is not root's (EPERM)"
    )
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("hint 3")


def test_the_first_line_says_mode_rung_and_reason() -> None:
    assert decide("auto", rungs(1)).line == "mode auto: rung 1, private namespaces as root"
    line = decide("auto", rungs(2)).line
    assert line.startswith(
        "mode auto: rung 2, private namespaces in a user namespace with subordinate ids (cannot make"
    )
    assert "EPERM" in line


def test_a_command_without_containers_is_an_error_that_names_every_rung_tried() -> None:
    error = no_containers(decide("auto", rungs(5)), "RUN cannot be executed")
    assert error.message.startswith("RUN cannot be executed: rung 1: ")
    assert "rung 2: cannot map subordinate ids" in error.message
    assert "rung 3: cannot make a user namespace" in error.message
    assert "rung 4: cannot chroot as root" in error.message


def test_only_the_last_rung_has_no_containers() -> None:
    assert [Choice("auto", rung).has_containers for rung in range(1, 6)] == [True, True, True, True, False]
    assert [Choice("auto", rung).has_mounts for rung in range(1, 6)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("mode", "isolation", "means"),
    [
        ("", "", "auto"),
        ("auto", "", "auto"),
        ("default", "", "auto"),
        ("native-chroot", "", "native-chroot"),
        ("", "chroot", "native-chroot"),
        ("native-rootless", "chroot", "native-chroot"),
        ("native-rootless", "", "native-rootless"),
        ("auto", "oci", "native-rootless"),
        ("native-chroot", "rootless", "native-rootless"),
    ],
)
def test_modes(mode: str, isolation: str, means: str) -> None:
    assert check_mode(mode, isolation) == means


@pytest.mark.parametrize("mode", ["chroot", "AUTO", " auto", "native", "docker "])
def test_another_mode_is_wrong_usage_and_shows_all_that_are_right(mode: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_mode(mode)
    assert repr(mode) in caught.value.message
    assert "WERF_BUILDAH_MODE" in caught.value.message
    assert caught.value.hint == "it is one of auto, default, native-chroot, native-rootless, docker"


def test_the_docker_mode_is_not_the_embedded_engine() -> None:
    with pytest.raises(UsageError, match="embedded engine"):
        check_mode("docker", "chroot")


@pytest.mark.parametrize(("works", "rung"), [(1, 1), (2, 2)])
def test_a_runtime_needs_namespaces_and_more_than_one_id(works: int, rung: int) -> None:
    probes = [RungProbe(number, YES if number >= works else NO) for number in range(1, 6)]
    assert decide("native-rootless", probes).rung == rung
    with pytest.raises(IsolationError, match=r"mode native-rootless cannot be used here: rung 1: .*; rung 2: "):
        decide("native-rootless", [RungProbe(number, NO if number < 3 else YES) for number in range(1, 6)])


def test_the_first_line_names_the_runtime_and_whose_user_namespace_it_has() -> None:
    runtime = find_runtime("crun", lambda name: f"/bin/{name}")
    assert Choice("native-rootless", 1, runtime=runtime).line == (
        "mode native-rootless: rung 1, private namespaces as root; containers by crun (/bin/crun), "
        "as plain root containers (no user namespace of their own)"
    )
    assert Choice("native-rootless", 2, runtime=runtime).line.endswith("ids; containers by crun (/bin/crun)")


def test_the_line_says_whose_containers_those_of_root_are() -> None:
    runtime = find_runtime("crun", lambda name: f"/bin/{name}")
    ids = RootIds((IdMap(0, 100_000, 65_536),), (IdMap(0, 5, 1),))
    choice = Choice("native-rootless", 1, runtime=runtime, ids=ids)
    assert choice.line.endswith("(/bin/crun), in user namespaces of their own: 0 is 100000 (65536 ids)")
    assert choice.line_for(Namespaces(user="host")).endswith(
        "containers (no user namespace of their own: --userns host)"
    )
    assert choice.line_for(Namespaces(user="/run/user")).endswith("(/bin/crun), in the user namespace /run/user")
    maps = (IdMap(0, 7, 1), IdMap(1, 100_000, 10))
    own = Namespaces(user="private", uid_map=maps, gid_map=maps)
    assert choice.line_for(own).endswith("in user namespaces of their own: 0 is 7, 1 is 100000 (10 ids)")
    without = Choice("native-rootless", 1, runtime=runtime, no_ids="because")
    assert without.line.endswith("as plain root containers (no user namespace of their own: because)")
    plain = Choice("native-chroot", 1)
    assert plain.line_for(own).endswith(
        "root; containers in user namespaces of their own: 0 is 7, 1 is 100000 (10 ids)"
    )
    assert plain.line_for(Namespaces(user="private")).endswith("; containers in user namespaces of their own")
    assert (
        plain.line
        == plain.line_for(Namespaces(user="host"))
        == "mode native-chroot: rung 1, private namespaces as root"
    )


def test_an_unknown_isolation_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="unknown isolation 'vm'"):
        check_mode("auto", "vm")


@pytest.mark.parametrize(
    "release", ["6.1.0-13-amd64", "5.15.153.1-microsoft-standard-WSL2", "6.6.87.2-microsoft-standard-WSL2+"]
)
def test_linux_and_wsl2_are_fine(release: str) -> None:
    check_platform("linux", release)


@pytest.mark.parametrize(
    ("platform", "release", "says", "hints"),
    [
        ("linux", "4.4.0-19041-Microsoft", "WSL1", "wsl --set-version"),
        ("darwin", "23.1.0", "macOS", "virtual machine"),
        ("win32", "10", "Windows", "WSL2"),
        ("cygwin", "3.5", "Windows", "WSL2"),
        ("freebsd14", "14.0", "freebsd14", "virtual machine"),
    ],
)
def test_other_systems_are_told_what_to_use_instead(platform: str, release: str, says: str, hints: str) -> None:
    with pytest.raises(IsolationError) as caught:
        check_platform(platform, release)
    assert says in caught.value.message
    assert caught.value.hint is not None
    assert hints in caught.value.hint


USER = HostSettings(user="ci")
DENIED = Attempt("make a user namespace", errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize(
    ("rung", "attempt", "settings", "hint"),
    [
        (1, NO, USER, "sudo"),
        (1, NO, HostSettings(root=True), "CAP_SYS_ADMIN"),
        (1, NO, HostSettings(root=True, contained=True), "--privileged"),
        (2, NO_IDS, USER, "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ci"),
        (2, NO_IDS, HostSettings(user="1000"), "echo 1000:100000:65536 | tee -a /etc/subuid /etc/subgid"),
        (2, Attempt("map subordinate ids", 0, "newuidmap is not installed"), USER, "apt-get install uidmap"),
        (2, DENIED, HostSettings(apparmor_restricts=1), "apparmor_restrict_unprivileged_userns=0"),
        (2, DENIED, HostSettings(unprivileged_clone=0), "kernel.unprivileged_userns_clone=1"),
        (2, DENIED, HostSettings(max_user_namespaces=0), "user.max_user_namespaces"),
        (2, Attempt("make a user namespace", errno.ENOSPC, "No space"), USER, "user.max_user_namespaces"),
        (2, DENIED, HostSettings(contained=True), "seccomp=unconfined"),
        (2, Attempt("make a user namespace", errno.EINVAL, "Invalid argument"), USER, "CONFIG_USER_NS"),
        (2, DENIED, USER, "seccomp filter"),
        (4, NO, USER, "CAP_SYS_CHROOT"),
        (5, NO, USER, ""),
        (1, YES, USER, ""),
    ],
)
def test_hints(rung: int, attempt: Attempt, settings: HostSettings, hint: str) -> None:
    given = hint_for(rung, attempt, settings)
    assert hint in given
    assert bool(given) is bool(hint)


def test_ids_help_nobody_whom_the_kernel_refuses_user_namespaces() -> None:
    contained = HostSettings(user="ci", contained=True)
    refused = with_hints((NO, NO_IDS, DENIED, YES, YES), contained)
    assert "seccomp=unconfined" in refused[1].hint
    assert "usermod" in with_hints((NO, NO_IDS, YES, YES, YES), contained)[1].hint


@pytest.mark.parametrize(
    ("files", "first"),
    [
        ((), 100_000),
        (("",), 100_000),
        (("a:100000:65536\n",), 165_536),
        (("a:100000:65536\n", "a:300000:10\nb:200000:65536"), 300_010),
        (("a:1000:5\nnonsense\nx:y:z\n",), 100_000),
    ],
)
def test_the_range_that_is_proposed_is_free(files: tuple[str, ...], first: int) -> None:
    assert free_subids(*files) == first
