"""Modes and the rungs that they come to, on this machine: as root, and as users with and without subordinate ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.build.rungs import circumstances
from support import machine
from support.bases import pull_base
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return tmp_path / "context"


@pytest.mark.parametrize(
    ("mode", "flags", "means"),
    [
        ("", [], "auto"),
        ("auto", [], "auto"),
        ("default", [], "auto"),
        ("native-chroot", [], "native-chroot"),
        ("auto", ["--buildah-mode", "native-chroot"], "native-chroot"),
        ("", ["--isolation", "chroot"], "native-chroot"),
    ],
)
def test_root_takes_the_first_rung_and_the_first_line_says_so(
    werf: Werf, context: Path, mode: str, flags: list[str], means: str
) -> None:
    done = werf.run("buildah", "build", *flags, context, env={"WERF_BUILDAH_MODE": mode})
    assert done.stderr.splitlines()[0] == f"mode {means}: rung 1, private namespaces as root"


@pytest.mark.parametrize(("who", "rung"), [("builder", "2"), ("one_id_user", "3")])
def test_that_containers_worked_in_a_user_namespace_is_remembered(
    request: pytest.FixtureRequest, who: str, rung: str
) -> None:
    """Mounts are tried once, in a process that is not the launcher's, and anew when something has changed."""
    user: User = request.getfixturevalue(who)
    user.write("kept/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    file = user.root / "rung"

    def mounts() -> int:
        words = (
            machine.require("strace"),
            "-f",
            "-qq",
            "-e",
            "trace=mount",
            "-e",
            "signal=none",
            "-o",
            user.home / "trace",
        )
        done = machine.run(*words, *user.werf_words("buildah", "build", "kept"))
        assert f"rung {rung}" in done.stderr.splitlines()[0]
        return (user.home / "trace").read_text().count('mount("proc", ')

    for _ in range(2):  # the first one makes the store
        user.werf("buildah", "build", "kept")
    kept = file.read_text()
    assert kept.endswith(f"\n{rung}\n")
    assert mounts() == 0
    file.write_text(kept.replace("\n", "\nother\n", 1))
    assert mounts() == 1
    assert file.read_text() == kept


def test_that_the_first_rung_worked_is_remembered_for_the_same_circumstances_alone(
    werf: Werf, plain_user: User, context: Path
) -> None:
    for _ in range(2):
        werf.run("buildah", "build", context)
    kept = (werf.root / "rung").read_text()
    assert kept == circumstances()
    trace = werf.run("buildah", "build", context, env={"PYTHONPROFILEIMPORTTIME": "1"}).stderr
    assert "pywerf.build.rungs" in trace
    assert "pywerf.linux.syscalls" not in trace
    (werf.root / "rung").write_text(kept.replace("0", "1", 1))
    assert "rung 1" in werf.run("buildah", "build", context).stderr.splitlines()[0]
    assert (werf.root / "rung").read_text() == kept
    plain_user.write("other/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    plain_user.write(".local/share/pywerf/rung", kept)
    assert "rung 5" in plain_user.werf("buildah", "build", "other").stderr.splitlines()[0]


def test_a_quiet_build_says_nothing(werf: Werf, context: Path) -> None:
    assert werf.run("buildah", "build", "-q", context).stderr == ""


@pytest.mark.parametrize(
    ("mode", "flags", "code", "says"),
    [
        ("chroot", [], 2, "unknown mode 'chroot'"),
        ("auto", ["--buildah-mode=nonsense"], 2, "unknown mode 'nonsense'"),
        ("docker", [], 2, "are the embedded engine"),
        ("native-rootless", ["--runtime=nope"], 125, "the OCI runtime nope is not installed"),
        ("auto", ["--isolation=oci", "--runtime=/no/where"], 125, "the OCI runtime /no/where is not there"),
    ],
)
def test_modes_that_cannot_be_are_refused_before_anything_is_made(
    werf: Werf, context: Path, mode: str, flags: list[str], code: int, says: str
) -> None:
    done = werf.run("buildah", "build", *flags, context, env={"WERF_BUILDAH_MODE": mode}, check=False)
    assert done.returncode == code
    assert says in done.stderr
    assert "hint" in done.stderr.lower()
    assert not werf.root.exists()


def test_a_user_with_subordinate_ids_takes_the_second_rung(builder: User) -> None:
    builder.write("context/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    done = builder.werf("buildah", "build", "context")
    assert done.stderr.splitlines()[0] == (
        "mode auto: rung 2, private namespaces in a user namespace with subordinate ids "
        "(cannot make private namespaces: Operation not permitted (EPERM))"
    )


def test_a_user_without_subordinate_ids_takes_the_third_rung(one_id_user: User) -> None:
    one_id_user.write("context/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    done = one_id_user.werf("buildah", "build", "context")
    assert done.stderr.splitlines()[0] == (
        "mode auto: rung 3, private namespaces in a user namespace with one id (cannot make private namespaces: "
        "Operation not permitted (EPERM); cannot map subordinate ids: no /etc/subuid range for "
        f"'{one_id_user.name}')"
    )


def test_a_mode_with_containers_names_the_probes_that_failed(plain_user: User) -> None:
    mode = {"WERF_BUILDAH_MODE": "native-chroot"}
    done = plain_user.werf("buildah", "images", "--root", "never", env=mode, check=False)
    assert done.returncode == 125
    assert "rung 1: cannot make private namespaces: Operation not permitted (EPERM)" in done.stderr
    assert f"rung 2: cannot map subordinate ids: no /etc/subuid range for '{plain_user.name}'" in done.stderr
    assert "rung 3: cannot make a user namespace: Operation not permitted (EPERM)" in done.stderr
    assert not (plain_user.home / "never").exists()


def test_stores_of_root_and_of_users_are_told_apart(
    builder: User, make_werf: Callable[[str], Werf], busybox_for_all: Path, common_folder: Path
) -> None:
    """Files of a user's snapshots belong to subordinate ids, and their marks are in another namespace of xattrs."""
    pull_base(builder.werf, busybox_for_all)
    builder.write("run/Dockerfile", "FROM base\nRUN true > /made\n")
    builder.werf("buildah", "build", "-t", "theirs", "run")
    werf = make_werf("unused")
    done = werf.run("run", "--root", builder.root, "theirs", "--", "true", check=False)
    assert done.returncode != 0
    assert "was made with a user namespace with the ids 0 " in done.stderr
    assert "call werf as the user who made the store" in done.stderr
