"""Layers of real overlay mounts: the same change gives the same bytes from overlay and from a plain copy, and they
make the same tree again."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.errors import ArchiveError
from pywerf.layer.apply import apply_layer
from pywerf.layer.diff import DiffSummary, diff_trees, write_overlay_diff, write_tree
from pywerf.layer.tar_write import TarWriter
from support.trees import collect, tree

pytestmark = pytest.mark.integration

CLAMP = 1_600_000_000  # later than everything in the base, earlier than what a test does
MountOverlay = Callable[..., Path]
Write = Callable[[TarWriter], DiffSummary]

# Each is run by a shell in the merged tree; then the names that the layer has to hold (None: not looked at).
CHANGES: dict[str, tuple[str, list[str] | None]] = {
    "nothing": ("true", []),
    "create": ("echo new > usr/bin/new", ["usr", "usr/bin", "usr/bin/new"]),
    "create deep": ("mkdir -p a/b/c && echo x > a/b/c/d", ["a", "a/b", "a/b/c", "a/b/c/d"]),
    "append": ("echo more >> etc/hosts", ["etc", "etc/hosts"]),
    "append in a deep folder": (
        "echo more >> usr/lib/deep/er/file",
        ["usr", "usr/lib", "usr/lib/deep", "usr/lib/deep/er", "usr/lib/deep/er/file"],
    ),
    "same size and time, other content": (
        "printf HOSTS > etc/hosts; echo >> etc/hosts; touch -d @1500000000.25 etc/hosts",
        ["etc", "etc/hosts"],
    ),
    "rewritten as it was": ("echo hosts > etc/hosts; touch -d @1500000000.25 etc/hosts", []),
    "chmod and back": ("chmod 644 etc/passwd; chmod 600 etc/passwd", []),
    "chmod": ("chmod 640 etc/passwd", ["etc", "etc/passwd"]),
    "chmod of a folder": ("chmod 700 usr/lib/deep", ["usr", "usr/lib", "usr/lib/deep"]),
    "chown": ("chown 5:6 etc/hosts", ["etc", "etc/hosts"]),
    "chown of a link": ("chown -h 5:6 usr/bin/alias", ["usr", "usr/bin", "usr/bin/alias"]),
    "touch": ("touch etc/hosts", ["etc", "etc/hosts"]),
    "delete": ("rm etc/hosts", ["etc", "etc/.wh.hosts"]),
    "delete a folder": ("rm -r usr/lib", ["usr", "usr/.wh.lib"]),
    "delete at the top": ("rm -r etc", [".wh.etc"]),
    "delete what two layers have": ("rm both/b", ["both", "both/.wh.b"]),
    "delete a merged folder": ("rm -r both", [".wh.both"]),
    "create and delete": ("echo x > etc/x; rm etc/x", ["etc"]),
    "create and delete again": ("echo x > etc/x; rm etc/x; touch -d @1500000000.25 etc", []),
    "delete and create as it was": (
        "cp -a etc/hosts ../kept; rm etc/hosts; mv ../kept etc/hosts",
        ["etc"],
    ),
    "opaque folder": (
        "rm -r both; mkdir both; echo n > both/n",
        ["both", "both/.wh.a", "both/.wh.b", "both/.wh.c", "both/n"],
    ),
    "opaque folder with the same names": (
        "rm -r both; mkdir both; echo 9 > both/a; ln -s b both/b",
        ["both", "both/.wh.c", "both/a", "both/b"],
    ),
    "opaque folder over an opaque one": (
        "rm -r opaque; mkdir opaque; echo 1 > opaque/hidden",
        ["opaque", "opaque/.wh.visible", "opaque/hidden"],
    ),
    "name that a whiteout below hides": ("mkdir gone; echo y > gone/y", ["gone", "gone/y"]),
    "rename": ("mv etc/hosts etc/hosts.new", ["etc", "etc/.wh.hosts", "etc/hosts.new"]),
    "rename a folder": ("mv usr/lib/deep usr/lib/moved", None),
    "rename over another": ("mv etc/hosts etc/passwd", ["etc", "etc/.wh.hosts", "etc/passwd"]),
    "swap folders": ("mv usr/lib x; mv usr/bin usr/lib; mv x usr/bin", None),
    "file in place of a folder": ("rm -r usr/lib/deep; echo f > usr/lib/deep", ["usr", "usr/lib", "usr/lib/deep"]),
    "folder in place of a file": (
        "rm etc/hosts; mkdir etc/hosts; echo x > etc/hosts/x",
        ["etc", "etc/hosts", "etc/hosts/x"],
    ),
    "link in place of a folder": ("rm -r var/log; ln -s /tmp var/log", ["var", "var/log"]),
    "folder in place of a link": ("rm usr/bin/alias; mkdir usr/bin/alias", ["usr", "usr/bin", "usr/bin/alias"]),
    "other target": ("ln -sfn elsewhere usr/bin/alias", ["usr", "usr/bin", "usr/bin/alias"]),
    "hard links": ("echo x > new; ln new new2; mkdir d; ln new d/new3", ["d", "d/new3", "new", "new2"]),
    "hard link to what was there": ("ln etc/hosts etc/zhosts", ["etc", "etc/hosts", "etc/zhosts"]),
    "hard link before what was there": ("ln etc/hosts a", ["a", "etc", "etc/hosts"]),
    "hard link to a link": ("ln -s t s1; ln s1 s2", ["s1", "s2"]),
    "one of two hard links deleted": ("rm usr/bin/tool2", ["usr", "usr/bin", "usr/bin/.wh.tool2"]),
    "xattr set": ("setfattr -n user.new -v 1 etc/hosts", ["etc", "etc/hosts"]),
    "xattr changed": ("setfattr -n user.mark -v 2 etc/marked", ["etc", "etc/marked"]),
    "xattr removed": ("setfattr -x user.mark etc/marked", ["etc", "etc/marked"]),
    "xattr of a folder": ("setfattr -n user.mark -v 2 var/log", ["var", "var/log"]),
    "capability": ("cp usr/bin/ping p; setcap cap_net_raw,cap_net_admin+eip p", ["p"]),
    "capability lost": ("setcap -r usr/bin/ping", ["usr", "usr/bin", "usr/bin/ping"]),
    "set-user-ID": ("chmod 6711 usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping", ["usr", "usr/bin", "usr/bin/ping"]),
    "devices": ("mknod dev1 b 7 300; mknod dev2 c 300 1000000; mkfifo -m 600 p", ["dev1", "dev2", "p"]),
    "device changed": ("rm var/null; mknod var/null c 1 5", ["var", "var/null"]),
    "socket": ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'", []),
    "socket in place of a file": (
        "rm etc/hosts; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"etc/hosts\")'",
        ["etc", "etc/.wh.hosts"],
    ),
    "names": (
        r"""mkdir 'Ünï ☃' "$(printf 'l\351gacy')"
        echo > "$(printf 'l\351gacy/\377')"; echo > "$(printf 'new\nline')"
        mkdir -p "$(printf '%0100d/%0100d' 1 2)"; echo > "$(printf '%0100d/%0100d/%0200d' 1 2 3)" """,
        None,
    ),
    "order": (
        "mkdir a a/b 'a b' a.b; echo > a-b; echo > a/z; echo > 'a b/z'; echo > a!",
        ["a", "a/b", "a/z", "a b", "a b/z", "a!", "a-b", "a.b"],
    ),
    "sparse and large": (
        "truncate -s 3M sparse; echo end >> sparse; head -c 2500000 /dev/zero | tr '\\0' x > large",
        ["large", "sparse"],
    ),
    "many in an old folder": ("for i in $(seq 30 60); do echo $i > usr/lib/f$i; done; rm usr/lib/f3 usr/lib/f30", None),
    "root's mode": ("chmod 711 .", []),
}


def layer_of(write: Write) -> tuple[bytes, DiffSummary]:
    chunks: list[bytes] = []
    writer = TarWriter(chunks.append, clamp=CLAMP)
    summary = write(writer)
    writer.close()
    return b"".join(chunks), summary


def sh(script: str, folder: Path) -> None:
    done = subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Both:
    """A change made in an overlay mount and in a plain copy of the same tree, and its layer from each."""

    def __init__(self, folder: Path, base: tuple[Path, Path], mount_overlay: MountOverlay) -> None:
        self.lowers = base
        self.upper = folder / "upper"
        self.mount_overlay = mount_overlay
        self.merged = mount_overlay(base, self.upper)
        self.before = folder / "before"
        self.copy = folder / "copy"
        for target in (self.before, self.copy):
            subprocess.run(["cp", "-a", "--preserve=all", f"{self.merged}/.", str(target)], check=True)
        marker = folder / "marker"
        marker.touch()
        self.since_ns = marker.stat().st_ctime_ns
        self.folder = folder

    def overlay(self, **options: object) -> tuple[bytes, DiffSummary]:
        lowers = [str(lower) for lower in self.lowers]
        return layer_of(lambda writer: write_overlay_diff(str(self.upper), lowers, writer, **options))  # type: ignore[arg-type]

    def plain(self, **options: object) -> tuple[bytes, DiffSummary]:
        return layer_of(lambda writer: diff_trees(str(self.copy), str(self.before), writer, **options))  # type: ignore[arg-type]

    def check(self) -> bytes:
        """The layer, after everything that has to hold for it."""
        data, summary = self.overlay()
        entries = collect(data)
        assert summary.entries == len(entries)
        assert summary.whiteouts == sum(os.path.basename(name).startswith(".wh.") for name in entries)
        assert summary.empty is (not entries)
        assert [name for name, _ in self._differences(data, self.plain()[0])] == []
        assert self.plain()[0] == data
        assert self.plain(since_ns=self.since_ns)[0] == data
        expected = {name: entry for name, entry in tree(self.merged, times=False).items() if entry[0][:5] != "0o140"}  # type: ignore[index]
        # Unpacked for overlay, it shows the same tree, and gives the same layer.
        unpacked = self.folder / "unpacked"
        unpacked.mkdir()
        applied = apply_layer([data], str(unpacked), form="overlay")
        assert applied.implicit == ()
        assert tree(self.mount_overlay((unpacked, *self.lowers)), times=False) == expected
        lowers = [str(lower) for lower in self.lowers]
        assert layer_of(lambda writer: write_overlay_diff(str(unpacked), lowers, writer))[0] == data
        # Unpacked into a plain tree, it makes the same tree.
        plain = self.folder / "plain"
        subprocess.run(["cp", "-a", "--preserve=all", f"{self.before}/.", str(plain)], check=True)
        apply_layer([data], str(plain), form="plain")
        assert tree(plain, times=False) == expected
        assert layer_of(lambda writer: diff_trees(str(plain), str(self.before), writer))[0] == data
        return data

    @staticmethod
    def _differences(one: bytes, other: bytes) -> list[tuple[str, object]]:
        first = {name: info.get_info() for name, info in collect(one).items()}
        second = {name: info.get_info() for name, info in collect(other).items()}
        return [
            (name, (first.get(name), second.get(name)))
            for name in first | second
            if first.get(name) != second.get(name)
        ]


@pytest.fixture
def both(tmp_path: Path, base: tuple[Path, Path], mount_overlay: MountOverlay) -> Both:
    return Both(tmp_path, base, mount_overlay)


@pytest.mark.parametrize("change", CHANGES)
def test_change(both: Both, change: str) -> None:
    script, names = CHANGES[change]
    sh(script, both.merged)
    sh(script, both.copy)
    if change == "root's mode":  # its own layer entry is asked for
        assert both.overlay()[1].empty
        assert both.plain()[1].empty
        data, _ = both.overlay(root_entry=True)
        assert data == both.plain(root_entry=True)[0]
        assert [(name, info.mode) for name, info in collect(data).items()] == [(".", 0o711)]
        return
    data = both.check()
    if names is not None:
        assert list(collect(data)) == names


OPERATIONS = (
    "echo {n} > {a}",
    "echo {n} >> {a}",
    "mkdir {a}",
    "mkdir -p {a}/{b}",
    "rm {a}",
    "rm -r {a}",
    "rm -r {a}; mkdir {a}; echo {n} > {a}/{b}",
    "ln -s {b} {a}",
    "chmod 7{m} {a}",
    "mv -T {a} {b}",
    "touch -d @150000{n} {a}",
    "mkfifo {a}",
    "setfattr -n user.r -v {n} {a}",
    "cp -a {a} {b}",
)


@pytest.mark.parametrize("seed", range(6))
def test_random_changes(both: Both, seed: int) -> None:
    rng = random.Random(seed)
    names = ["etc", "both", "gone", "opaque", "usr/lib", "usr/lib/deep", "usr/lib/f1", "etc/hosts", "both/a", "both/b"]
    names += ["opaque/hidden", "opaque/visible", "new", "new/a", "both/new", "usr/lib/deep/er/file", "var", "var/log"]
    for _ in range(25):
        operation = rng.choice(OPERATIONS).format(
            a=rng.choice(names), b=rng.choice(names), n=rng.randrange(1000, 9999), m=rng.choice(["00", "55", "77"])
        )
        for folder in (both.merged, both.copy):
            subprocess.run(["sh", "-c", operation], cwd=folder, capture_output=True, check=False)
    both.check()


MOUNT_POINTS = ("dev", "dev/pts", "etc/resolv.conf", "run/secrets/key", "run/secrets", "run")


def make_mount_points(folder: Path) -> None:
    sh("mkdir -p dev/pts run/secrets; touch etc/resolv.conf run/secrets/key", folder)


def test_mount_points_leave_no_trace(both: Both) -> None:
    for folder in (both.merged, both.copy):
        make_mount_points(folder)
    assert both.overlay(ignore=MOUNT_POINTS)[1].empty
    assert both.plain(ignore=MOUNT_POINTS)[1].empty
    assert not both.overlay()[1].empty


def test_mount_points_that_the_command_used_stay(both: Both) -> None:
    for folder in (both.merged, both.copy):
        make_mount_points(folder)
        sh("echo 1 > run/file; echo nameserver > etc/resolv.conf; rm etc/hosts", folder)
    data, _ = both.overlay(ignore=MOUNT_POINTS)
    assert data == both.plain(ignore=MOUNT_POINTS)[0]
    assert list(collect(data)) == ["etc", "etc/.wh.hosts", "etc/resolv.conf", "run", "run/file"]


def test_mount_points_in_new_folders(both: Both) -> None:
    for folder in (both.merged, both.copy):
        sh("mkdir -p app/cache app/data; touch app/config; echo 1 > app/file", folder)
    ignore = ("app/cache", "app/config")
    data, _ = both.overlay(ignore=ignore)
    assert data == both.plain(ignore=ignore)[0]
    assert list(collect(data)) == ["app", "app/data", "app/file"]


def test_removed_mount_points_do_not_change_their_folders(both: Both) -> None:
    for folder in (both.merged, both.copy):
        sh("touch etc/resolv.conf; rm etc/resolv.conf", folder)
    assert both.overlay(ignore=("etc/resolv.conf",))[1].empty
    assert both.plain(ignore=("etc/resolv.conf",))[1].empty


@pytest.mark.parametrize("place", ["etc", "fresh"])
def test_file_that_looks_like_a_whiteout_is_an_error(both: Both, place: str) -> None:
    for folder in (both.merged, both.copy):
        sh(f"mkdir -p {place}; touch {place}/.wh.hosts", folder)
    with pytest.raises(ArchiveError, match=rf"{place}/\.wh\.hosts"):
        both.overlay()
    with pytest.raises(ArchiveError, match=rf"{place}/\.wh\.hosts"):
        both.plain()
    data, _ = layer_of(lambda writer: write_tree(str(both.copy), writer, whiteout_names=True))
    assert f"{place}/.wh.hosts" in collect(data)


def test_whole_tree_gives_the_tree(both: Both, tmp_path: Path) -> None:
    chunks: list[bytes] = []
    writer = TarWriter(chunks.append, subsecond=True)
    write_tree(str(both.merged), writer)
    writer.close()
    target = tmp_path / "target"
    target.mkdir()
    apply_layer(chunks, str(target), form="plain")
    assert tree(target) == tree(both.merged)


def test_user_xattr_marks(tmp_path: Path, base: tuple[Path, Path], mount_overlay: MountOverlay) -> None:
    """`userxattr`, as in a user namespace: removals and opaque folders have user.overlay.* marks."""
    near, far = base
    subprocess.run(["setfattr", "-x", "trusted.overlay.opaque", str(near / "opaque")], check=True)
    subprocess.run(["setfattr", "-n", "user.overlay.opaque", "-v", "y", str(near / "opaque")], check=True)
    upper = tmp_path / "upper"
    merged = mount_overlay((near, far), upper, options=",userxattr")
    expected = {"opaque": (), "opaque/visible": ()}
    assert [name for name in tree(merged) if name.startswith("opaque")] == list(expected)
    sh("rm -r both; mkdir both; echo n > both/n; rm etc/hosts; rm -r opaque; mkdir opaque; echo 1 > opaque/x", merged)
    assert os.getxattr(upper / "both", "user.overlay.opaque") == b"y"
    data, _ = layer_of(lambda writer: write_overlay_diff(str(upper), [str(near), str(far)], writer))
    assert list(collect(data)) == [
        "both", "both/.wh.a", "both/.wh.b", "both/.wh.c", "both/n", "etc", "etc/.wh.hosts", "opaque",
        "opaque/.wh.visible", "opaque/x",
    ]  # fmt: skip
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    apply_layer([data], str(unpacked), form="overlay", overlay_xattr="user")
    assert tree(mount_overlay((unpacked, near, far), options=",userxattr"), times=False) == tree(merged, times=False)


def test_set_group_id_folders_do_not_own_what_is_unpacked(tmp_path: Path) -> None:
    chunks: list[bytes] = []
    writer = TarWriter(chunks.append)
    writer.directory("d", 0o2755, 3, 50, 0)
    writer.file_bytes("d/of root", 0o644, 0, 0, 0, b"")
    writer.file_bytes("d/of another", 0o644, 7, 8, 0, b"")
    writer.close()
    for form in ("plain", "overlay"):
        root = tmp_path / form
        root.mkdir()
        apply_layer(chunks, str(root), form=form)  # type: ignore[arg-type]
        apply_layer(chunks, str(root), form=form)  # type: ignore[arg-type]
        owners = {name: entry[1:3] for name, entry in tree(root).items()}
        assert owners == {"d": (3, 50), "d/of root": (0, 0), "d/of another": (7, 8)}


@pytest.mark.parametrize(
    "change", ["delete", "delete a folder", "opaque folder", "opaque folder over an opaque one", "rename"]
)
def test_fuse_overlayfs(both: Both, tmp_path: Path, change: str) -> None:
    """Its upper directories hold files of its own beside the marks; the layer is the same."""
    if shutil.which("fuse-overlayfs") is None:
        pytest.fail("fuse-overlayfs is needed: install the Debian package of that name")
    upper, work, merged = (tmp_path / f"fuse-{name}" for name in ("upper", "work", "merged"))
    for folder in (upper, work, merged):
        folder.mkdir()
    lowers = [str(lower) for lower in both.lowers]
    options = f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work}"
    subprocess.run(["fuse-overlayfs", "-o", options, str(merged)], check=True, capture_output=True)
    try:
        sh(CHANGES[change][0], merged)
    finally:
        subprocess.run(["umount", str(merged)], check=True)
    sh(CHANGES[change][0], both.copy)
    data, _ = layer_of(lambda writer: write_overlay_diff(str(upper), lowers, writer, whiteout_files=True))
    assert list(collect(data)) == CHANGES[change][1]
    assert data == both.plain()[0]
