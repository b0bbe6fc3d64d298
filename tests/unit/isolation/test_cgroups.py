"""Which cgroups a container gets on v1, v2 and hybrid hosts, and what is written into them."""

from __future__ import annotations

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.cgroups import (
    Hierarchy,
    Place,
    Setting,
    cpu_weight,
    find_hierarchies,
    hierarchy_mode,
    place_cgroups,
    settings_v1,
    settings_v2,
)
from pywerf.isolation.spec import Resources

V1 = """\
25 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
V1_OWN = "4:memory:/user.slice\n3:cpuset:/\n2:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/session-1.scope\n"
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
V2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V2_OWN = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n"
ALL = ("cpuset", "cpu", "io", "memory", "pids")


def hierarchies(mountinfo: str, own: str, v2: tuple[str, ...] = ()) -> tuple[Hierarchy, ...]:
    return find_hierarchies(mountinfo, own, "0::/init.scope\n4:memory:/\n", v2)


def test_v1_has_one_hierarchy_a_controller() -> None:
    found = hierarchies(V1, V1_OWN)
    assert found == (
        Hierarchy(1, "/sys/fs/cgroup/cpu,cpuacct", ("cpu", "cpuacct"), "/user.slice"),
        Hierarchy(1, "/sys/fs/cgroup/memory", ("memory",), "/user.slice"),
        Hierarchy(1, "/sys/fs/cgroup/cpuset", ("cpuset",)),
        Hierarchy(1, "/sys/fs/cgroup/systemd", ("name=systemd",), "/user.slice/session-1.scope"),
    )


def test_v2_has_one_for_all() -> None:
    (found,) = hierarchies(V2, V2_OWN, ALL)
    assert (found.version, found.mount, found.controllers, found.init) == (2, "/sys/fs/cgroup", ALL, "/init.scope")
    assert found.own.endswith("/run-1.scope")


def test_hybrid_has_both() -> None:
    found = hierarchies(HYBRID, V1_OWN + "0::/user.slice\n", ("hugetlb",))
    assert [one.version for one in found] == [1, 1, 1, 1, 2]
    assert found[-1].controllers == ("hugetlb",)


def test_in_a_container_paths_begin_at_the_mount() -> None:
    shown = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n"
    (found,) = hierarchies(shown, "4:memory:/docker/abc/sub\n")
    assert found.own == "/sub"
    (found,) = hierarchies(shown, "4:memory:/elsewhere\n")
    assert found.own == "/"
    # a mount from outside of the cgroup namespace begins at `..`
    (found,) = hierarchies("30 25 0:26 /.. /sys/fs/cgroup rw - cgroup2 none rw\n", "0::/../x\n")
    assert found.own == "/x"


def test_a_second_mount_of_a_hierarchy_does_not_count() -> None:
    again = V2 + "99 25 0:26 / /mnt/other\\040one rw - cgroup2 cgroup2 rw\n"
    assert [one.mount for one in hierarchies(again, V2_OWN)] == ["/sys/fs/cgroup"]
    assert hierarchies("99 25 0:26 / /mnt/other\\040one rw - cgroup2 cgroup2 rw\n", V2_OWN)[0].mount == "/mnt/other one"


def values(settings: tuple[Setting, ...]) -> dict[str, str]:
    return {setting.file: setting.value for setting in settings}


def test_the_files_of_v1() -> None:
    asked = Resources(1 << 30, 3 << 30, 512, 50_000, 100_000, "0-1", "0")
    assert list(values(settings_v1(asked)).items()) == [
        ("memory.limit_in_bytes", "1073741824"),
        ("memory.memsw.limit_in_bytes", "3221225472"),
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
    ]
    assert settings_v1(Resources()) == ()


def test_the_files_of_v2() -> None:
    asked = Resources(1 << 30, 3 << 30, 1024, 50_000, None, "0-1", "0")
    assert list(values(settings_v2(asked)).items()) == [
        ("memory.max", "1073741824"),
        ("memory.swap.max", "2147483648"),
        ("cpu.weight", "39"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
    ]
    assert values(settings_v2(Resources(cpu_quota=-1, cpu_period=5000))) == {"cpu.max": "max 5000"}


def test_swap_is_as_much_again_unless_it_is_said_and_unlimited_at_minus_one() -> None:
    default = Resources(memory=100)
    assert Setting("memory", "memory.memsw.limit_in_bytes", "200", optional=True) in settings_v1(default)
    assert Setting("memory", "memory.swap.max", "100", optional=True) in settings_v2(default)
    unlimited = Resources(memory=100, memory_swap=-1)
    assert Setting("memory", "memory.memsw.limit_in_bytes", "-1") in settings_v1(unlimited)
    assert Setting("memory", "memory.swap.max", "max") in settings_v2(unlimited)


@pytest.mark.parametrize(("shares", "weight"), [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (1 << 30, 10_000)])
def test_shares_as_weight(shares: int, weight: int) -> None:
    assert cpu_weight(shares) == weight


def place(resources: Resources, parent: str, found: tuple[Hierarchy, ...]) -> dict[str, Place]:
    return {one.hierarchy.mount: one for one in place_cgroups(resources, parent, found)}


def test_v1_makes_them_below_our_own_where_a_limit_is() -> None:
    made = place(Resources(memory=1, cpuset_cpus="0"), "", hierarchies(V1, V1_OWN))
    assert {mount: one.parents for mount, one in made.items()} == {
        "/sys/fs/cgroup/memory": ("/sys/fs/cgroup/memory/user.slice",),
        "/sys/fs/cgroup/cpuset": ("/sys/fs/cgroup/cpuset",),
    }
    assert made["/sys/fs/cgroup/memory"].controllers == ("memory",)


def test_v2_tries_our_own_and_then_those_above() -> None:
    (one,) = place(Resources(memory=1), "", hierarchies(V2, V2_OWN, ALL)).values()
    assert one.parents == (
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope",
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice",
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service",
        "/sys/fs/cgroup/user.slice/user-1000.slice",
        "/sys/fs/cgroup/user.slice",
        "/sys/fs/cgroup",
    )
    assert not one.fixed


def test_hybrid_takes_each_controller_where_it_is() -> None:
    found = hierarchies(HYBRID, V1_OWN + "0::/user.slice\n", ("cpuset", "pids"))
    found = tuple(one for one in found if "cpuset" not in one.controllers or one.version == 2)
    made = place(Resources(memory=1, cpuset_mems="0"), "", found)
    assert {mount: one.controllers for mount, one in made.items()} == {
        "/sys/fs/cgroup/memory": ("memory",),
        "/sys/fs/cgroup/unified": ("cpuset",),
    }


def test_a_parent_is_absolute_or_below_that_of_process_1_and_in_every_hierarchy() -> None:
    v2 = hierarchies(V2, V2_OWN, ALL)
    (one,) = place(Resources(), "/builds/ci", v2).values()
    assert (one.parents, one.fixed, one.settings) == (("/sys/fs/cgroup/builds/ci",), True, ())
    (one,) = place(Resources(), "builds", v2).values()
    assert one.parents == ("/sys/fs/cgroup/init.scope/builds",)
    assert len(place(Resources(), "/x", hierarchies(V1, V1_OWN))) == 4


@pytest.mark.parametrize(
    ("resources", "parent", "mounts", "said"),
    [
        (Resources(memory=1), "", "", "--memory: this machine has no cgroup hierarchy with the memory controller"),
        (Resources(cpuset_cpus="0"), "", V2, "--cpuset-cpus and --cpuset-mems: this machine has no"),
        (Resources(), "/x", "", "--cgroup-parent: this machine has no cgroup hierarchy"),
        (Resources(), "/x/../..", V2, "--cgroup-parent /x/../..: a path cannot have"),
    ],
)
def test_what_cannot_be_is_refused(resources: Resources, parent: str, mounts: str, said: str) -> None:
    with pytest.raises(IsolationError) as caught:
        place_cgroups(resources, parent, hierarchies(mounts, V2_OWN, ("cpu",)))
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("lines", "mode"),
    [
        (["24 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"], ("v2", "/sys/fs/cgroup")),
        (["24 1 0:1 / /sys/fs/cgroup/cpu rw shared:1 - cgroup cgroup rw,cpu"], ("v1", "")),
        (
            [
                "24 1 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw",
                "25 1 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
                "26 1 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            ],
            ("hybrid", "/sys/fs/cgroup/unified"),
        ),
        (["24 1 0:1 / / rw - ext4 /dev/sda rw"], ("none", "")),
    ],
)
def test_the_mode_of_a_host(lines: list[str], mode: tuple[str, str]) -> None:
    assert hierarchy_mode("\n".join(lines)) == mode
