"""Whose ids a container of root's has, and what is planned for it."""

from __future__ import annotations

import errno
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import IsolationError
from pywerf.isolation.chroot import setup_failed, unmapped
from pywerf.isolation.plan import HostFacts, make_plan
from pywerf.isolation.spec import ContainerSpec, IdMap, Namespaces
from pywerf.isolation.user_namespace import RootIds, check_user, facts_inside, plan_user, range_hint, root_ids
from pywerf.linux import syscalls as sys
from pywerf.linux.mount import Mount
from pywerf.linux.stage import FUSE, MAPPING

FACTS = HostFacts("x86_64", (1 << 41) - 1)
IDS = RootIds((IdMap(0, 100_000, 65_536),), (IdMap(0, 200_000, 10),))


def spec(**fields: Any) -> ContainerSpec:
    return ContainerSpec(rootfs=Mount("bind", "/image"), argv=("true",), **fields)


def user(default: RootIds | None = IDS, *, always: bool = False, **namespaces: Any) -> dict[str, Any] | None:
    return plan_user(spec(namespaces=Namespaces(**namespaces)), FACTS, default, always=always)


@pytest.mark.parametrize(
    ("subuid", "subgid", "first"),
    [
        ("root:100000:65536\n", "root:300000:5\n", 100_000),
        ("ci:1:1\n0:100:5\ncontainers:7:7\n", "root:1:1\n", 100),
        ("containers:700:7\n", "containers:800:7\n", 700),
        ("root:1:1\ncontainers:700:7\n", "containers:800:7\n", 700),
        ("root:1:1\n", "", None),
        ("ci:100000:65536\n", "ci:100000:65536\n", None),
        ("", "", None),
    ],
)
def test_the_ranges_of_root_or_of_containers_are_roots(subuid: str, subgid: str, first: int | None) -> None:
    found = root_ids(subuid, subgid)
    assert (found and found.uids[0].host) == first
    assert found is None or found.uids[0].container == found.gids[0].container == 0


@given(st.lists(st.tuples(st.integers(1, 1 << 30), st.integers(1, 1 << 20)), min_size=1, max_size=5))
def test_ranges_follow_each_other_inside(ranges: list[tuple[int, int]]) -> None:
    text = "".join(f"root:{first}:{count}\n" for first, count in ranges)
    found = root_ids(text, text)
    assert found is not None
    assert [(one.host, one.length) for one in found.uids] == ranges
    assert all(
        one.container + one.length == two.container for one, two in zip(found.uids, found.uids[1:], strict=False)
    )


def test_the_hint_gives_a_range_that_nobody_has() -> None:
    hint = range_hint("ci:100000:65536\n", "other:200000:65536\n")
    assert hint == "usermod --add-subuids 265536-331071 --add-subgids 265536-331071 root"


def test_nothing_is_asked_for() -> None:
    assert user() is None
    assert user(user="host") is None
    assert user(None, always=True) is None
    assert user(always=True, user="host") is None


def test_own_ranges_maps_and_namespaces_of_others() -> None:
    made = user(user="private")
    assert made is not None
    assert (made["uid_map"], made["gid_map"], made["path"]) == ("0 100000 65536\n", "0 200000 10\n", "")
    assert user(always=True) == made
    ids = (IdMap(0, 5, 1), IdMap(1, 300_000, 9))
    made = user(user="private", uid_map=ids, gid_map=(IdMap(0, 6, 2),))
    assert made is not None
    assert (made["uid_map"], made["gid_map"]) == ("0 5 1\n1 300000 9\n", "0 6 2\n")
    made = user(user="/proc/7/ns/user")
    assert made is not None
    assert (made["uid_map"], made["path"]) == ("", "/proc/7/ns/user")


def test_namespaces_of_others_are_joined_while_that_is_allowed() -> None:
    wanted = spec(network="private", namespaces=Namespaces(user="private", uts="/run/uts", network="/run/net"))
    made = plan_user(wanted, FACTS, IDS)
    assert made is not None
    assert made["join"] == [("namespace", sys.CLONE_NEWUTS, "/run/uts"), ("namespace", sys.CLONE_NEWNET, "/run/net")]
    stage = make_plan(wanted, facts_inside(FACTS), (), made)["stage"]
    assert not [operation for operation in stage if operation[0] == "namespace"]
    assert ("bind", "/sys", "sys") in stage  # the network is not the namespace's own


@pytest.mark.parametrize(
    ("default", "namespaces", "said"),
    [
        (None, {"user": "private"}, "/etc/subuid and /etc/subgid have no range for root or containers"),
        (IDS, {"uid_map": (IdMap(1, 5, 1),), "gid_map": (IdMap(0, 5, 1),)}, "--userns-uid-map: 0 is not mapped"),
        (IDS, {"uid_map": (IdMap(0, 5, 1),), "gid_map": (IdMap(2, 5, 1),)}, "--userns-gid-map: 0 is not mapped"),
    ],
)
def test_what_has_no_root_is_refused(default: RootIds | None, namespaces: dict[str, Any], said: str) -> None:
    with pytest.raises(IsolationError, match=said):
        user(default, **namespaces)


def test_what_nobody_can_have_is_known_before_the_build() -> None:
    asked = Namespaces(user="private")
    for rung, default, says in (
        (1, None, "no range for root"),
        (2, IDS, "ordinary user"),
        (3, IDS, "ordinary user"),
        (4, IDS, "rung 4"),
    ):
        with pytest.raises(IsolationError, match=says):
            check_user(asked, rung, default)
    with pytest.raises(IsolationError, match="--userns: because") as refused:
        check_user(asked, 1, None, why="because", hint="do it")
    assert refused.value.hint == "do it; or give ids with --userns-uid-map and -gid-map"
    check_user(asked, 1, IDS)
    check_user(asked, 5, None)
    check_user(Namespaces(user="host"), 2, None)
    check_user(Namespaces(user="/proc/7/ns/user"), 1, None)


def test_an_ordinary_users_containers_have_the_namespace_of_the_build() -> None:
    inside = facts_inside(FACTS)
    assert plan_user(spec(), inside, IDS, always=True) is None
    with pytest.raises(IsolationError, match="ordinary user"):
        plan_user(spec(namespaces=Namespaces(user="private")), inside, IDS)


def test_a_plan_in_there_is_that_of_a_user_namespace_with_real_devices() -> None:
    made = make_plan(spec(privileged=True), facts_inside(FACTS), (), user(user="private"))
    assert made["rootfs"]["attributes"] & sys.MOUNT_ATTR_NODEV  # whatever its root may: it is not the machine's
    assert made["supervision"]["real_devices"]
    assert ("carried", "proc", "proc") in made["stage"]
    assert not [operation for operation in made["stage"] if operation[0] == "device"]
    plain = make_plan(spec(), FACTS)
    assert (plain["user"], plain["supervision"]) == (None, None)
    rootless = make_plan(spec(), msgspec.structs.replace(FACTS, device_nodes=False, own_sysfs=False))
    assert not rootless["supervision"]["real_devices"]


def test_an_apparmor_profile_that_is_not_loaded() -> None:
    error = setup_failed("set the apparmor label mine", errno.ENOENT, "No such file or directory")
    assert error.message == "--security-opt apparmor=mine: the kernel has no such profile"
    assert "apparmor_parser -r FILE" in (error.hint or "")
    assert setup_failed("set the apparmor label mine", errno.EINVAL, "Invalid argument").message.endswith("argument")


def test_who_cannot_map_owners_is_told_who_can() -> None:
    assert "--storage-driver vfs" in (unmapped(MAPPING + FUSE, "Invalid argument").hint or "")
    error = unmapped(f"{MAPPING}/srv", "Invalid argument")
    assert error.message == "cannot map the owners of /srv: Invalid argument"
    assert "--userns host" in (error.hint or "")
