"""A RUN as a container."""

from __future__ import annotations

import pytest

from pywerf.backend.buildah.exec_spec import DEFAULT_PATH, container_env, container_spec, read_small_file, user_in
from pywerf.errors import BuildError, IsolationError
from pywerf.graph.op import ExecOp
from pywerf.isolation.spec import ContainerSpec
from pywerf.linux.mount import Mount
from support.memory_tree import MemoryTree, link

IMAGE = MemoryTree(
    {
        "etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
        "etc/group": "app:x:1001:\nstaff:x:50:app\nusers:x:100:other,app\n",
        "up": link("../../etc/passwd"),
    }
)
ROOTFS = Mount("bind", "/somewhere")
DEFAULTS = ContainerSpec(rootfs=ROOTFS, argv=(), shm_size=1 << 20, mounts=(Mount("bind", "/v", "/v"),))


def _spec(op: ExecOp, *, hidden: tuple[str, ...] = ()) -> ContainerSpec:
    return container_spec(op, ROOTFS, IMAGE, hidden_env=hidden, defaults=DEFAULTS, mounts=(Mount("tmpfs", "t", "/t"),))


def test_links_in_the_image_stay_in_it() -> None:
    assert read_small_file(IMAGE, "up").startswith(b"root:")
    assert read_small_file(IMAGE, "etc") == b""
    assert read_small_file(IMAGE, "none") == b""
    assert read_small_file(None, "etc/passwd") == b""


def test_a_huge_account_file_is_refused() -> None:
    with pytest.raises(BuildError, match="too many"):
        read_small_file(MemoryTree({"etc/passwd": "x" * 100}), "etc/passwd", limit=99)


def test_the_user_with_supplementary_groups() -> None:
    user = user_in(IMAGE, "app")
    assert (user.uid, user.gid, set(user.groups), user.home) == (1000, 1001, {1001, 50, 100}, "/home/app")
    assert user_in(IMAGE, "app:staff").groups == (50,)
    assert user_in(IMAGE, "4242").uid == 4242


def test_the_environment() -> None:
    env = dict(
        item.split("=", 1) for item in container_env(("A=1", "A=2", "B=x=y"), ("http_proxy=p", "A=0"), "/home/app")
    )
    assert env == {"A": "2", "B": "x=y", "http_proxy": "p", "PATH": DEFAULT_PATH, "HOME": "/home/app"}
    assert dict(item.split("=", 1) for item in container_env(("HOME=/x", "PATH=/p"), (), ""))["HOME"] == "/x"
    assert "HOME=/" in container_env((), (), "")
    assert "A=2" in container_env(("A=1",), ("A=0",), "/", ("A=2",))


def test_a_container() -> None:
    spec = _spec(ExecOp(argv=("true",), cwd="/w", user="app", env=("A=1",)), hidden=("P=2",))
    assert (spec.argv, spec.cwd, spec.uid, spec.gid) == (("true",), "/w", 1000, 1001)
    assert {"A=1", "P=2", "HOME=/home/app"} <= set(spec.env)
    assert [mount.target for mount in spec.mounts] == ["/v", "/t"]
    assert spec.shm_size == 1 << 20
    assert not spec.privileged
    assert {file[0] for file in spec.files} == {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"}


def test_a_mount_is_not_hidden_by_a_generated_file() -> None:
    """`RUN --mount=type=bind,target=/etc/hosts`, or on a folder above it."""

    def generated(*targets: str) -> set[str]:
        mounts = tuple(Mount("bind", "/m", target) for target in targets)
        op = ExecOp(argv=("true",))
        spec = container_spec(op, ROOTFS, IMAGE, hidden_env=(), defaults=DEFAULTS, mounts=mounts)
        return {file[0] for file in spec.files}

    assert generated("/etc/hosts") == {"/etc/resolv.conf", "/etc/hostname"}
    assert generated("/etc") == set()
    assert generated("/etc/host", "/etc/hosts.d") == {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"}


def test_insecure_is_privileged() -> None:
    assert _spec(ExecOp(argv=("true",), insecure=True)).privileged


def test_the_hosts_name() -> None:
    files = {file[0]: file[1] for file in _spec(ExecOp(argv=("true",), hostname="foo")).files}
    assert files["/etc/hostname"] == b"foo\n"
    assert b"foo" in files["/etc/hosts"].split()
    assert _spec(ExecOp(argv=("true",))).hostname == ""
    assert _spec(ExecOp(argv=("true",), network="none")).hostname != ""


def test_hosts_that_were_added() -> None:
    files = {file[0]: file[1] for file in _spec(ExecOp(argv=("true",), add_hosts=("db:10.0.0.5",))).files}
    assert b"10.0.0.5\tdb" in files["/etc/hosts"]


def test_a_user_that_nobody_knows() -> None:
    with pytest.raises(IsolationError, match="unable to find user ghost"):
        _spec(ExecOp(argv=("true",), user="ghost"))


def test_further_groups_of_the_user() -> None:
    def groups(user: str, *more: str) -> tuple[int, ...]:
        op = ExecOp(argv=("true",), user=user)
        return container_spec(op, ROOTFS, IMAGE, hidden_env=(), defaults=DEFAULTS, groups=more).groups

    assert groups("app", "7", "staff", "users") == (1001, 50, 100, 7)
    assert groups("4242", "staff") == (0, 50)
    assert groups("app:staff", "app") == (50, 1001)
    with pytest.raises(IsolationError, match="unable to find group nobody-knows"):
        groups("app", "nobody-knows")
