"""Storage drivers in builds: kernel overlay, fuse-overlayfs and vfs give one image; errors; very many layers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import machine, services
from support.werf import Werf

pytestmark = pytest.mark.integration

FUSE = "/usr/bin/fuse-overlayfs"
WITH_FUSE = ("--storage-opt", f"overlay.mount_program={FUSE}")
DRIVERS: dict[str, tuple[str, ...]] = {"overlay": (), "fuse": WITH_FUSE, "vfs": ("--storage-driver", "vfs")}

# Removed, replaced and merged directories, removed files, links, owners, modes, xattrs of three layers on each other.
DOCKERFILE = r"""
FROM BASE
RUN mkdir -p /a/b/c /gone/deep && echo 1 > /a/b/c/f && echo 2 > /a/x && echo 3 > /gone/deep/f && echo s > /a/same \
 && ln /a/x /a/y && mkfifo /a/p && ln -s x /a/l && chown 1000:50 /a/x && chmod 4711 /bin/busybox
RUN rm -r /a/b && mkdir -p /a/b && echo new > /a/b/new && rm /a/y && rm -r /gone && chmod 700 /a && mv /a/l /a/m \
 && rm /etc/passwd && mkdir /etc/passwd && rm -r /home && echo file > /home
RUN ls -R /a /home /etc > /listing && echo more >> /a/same && mkdir /gone && echo back > /gone/f
RUN --mount=type=bind,from=BASE,target=/from,source=/etc ls -R /from >> /listing
USER 1000
RUN id > /tmp/id
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    return tmp_path / "context"


def build(werf: Werf, layout: Path, context: Path, *flags: str, text: str = DOCKERFILE) -> str:
    base = werf.run("buildah", "pull", "-q", *flags, f"oci:{layout}:base").stdout.strip()
    (context / "Dockerfile").write_text(text.replace("BASE", base))
    return werf.run("buildah", "build", "-q", "--timestamp", "0", *flags, context).stdout.strip()


def programs(folder: Path) -> list[int]:
    """The running fuse-overlayfs of a store."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words = (one / "cmdline").read_text()
        except OSError:
            continue
        if words.startswith(FUSE) and str(folder) in words:
            found.append(int(one.name))
    return found


def nothing_is_left(werf: Werf) -> None:
    end = time.monotonic() + 60
    while left := programs(werf.root):
        assert time.monotonic() < end, left
        time.sleep(0.05)
    assert services.mounts_below(werf.root) == []


def test_all_drivers_give_the_same_image(make_werf: Callable[[str], Werf], busybox_layout: Path, context: Path) -> None:
    machine.require("fuse-overlayfs")
    images = {}
    for name, flags in DRIVERS.items():
        werf = make_werf(name)
        images[name] = build(werf, busybox_layout, context, *flags)
        nothing_is_left(werf)
    assert len(set(images.values())) == 1, images


NAMESPACE = """
import os, sys
from pywerf.linux import syscalls
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{child}/{name}", "w").write("0 0 65536")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_in_a_user_namespace_they_give_it_too(
    make_werf: Callable[[str], Werf], busybox_layout: Path, context: Path
) -> None:
    """Overlay keeps its marks in user.* there, and fuse-overlayfs has forms of its own for them."""
    images = {"root": build(make_werf("root"), busybox_layout, context)}
    for name, flags in DRIVERS.items():
        werf = make_werf(f"namespace-{name}")
        werf.command = [sys.executable, "-c", NAMESPACE, *werf.command]
        images[name] = build(werf, busybox_layout, context, *flags)
        nothing_is_left(werf)
    assert len(set(images.values())) == 1, images


def test_one_store_is_mounted_by_the_kernel_and_by_the_program_in_turns(
    make_werf: Callable[[str], Werf], busybox_layout: Path, context: Path
) -> None:
    expected = build(make_werf("expected"), busybox_layout, context)
    werf = make_werf("turns")
    steps = DOCKERFILE.strip().splitlines()
    base = ""
    runs = "\n".join(steps).split("\nRUN")
    for count in range(2, len(runs) + 1):
        flags = WITH_FUSE if count % 2 else ()
        base = build(werf, busybox_layout, context, *flags, text="\nRUN".join(runs[:count]) + "\n")
    assert base == expected


@pytest.fixture
def passed_through(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that the kernel lets no overlay stand on, and that can hold all its marks."""
    machine.require_root()
    for name in ("real", "seen"):
        (tmp_path / name).mkdir()
    machine.run(machine.require("bindfs"), tmp_path / "real", tmp_path / "seen")
    yield tmp_path / "seen"
    services.unmount_below(tmp_path / "seen")


@pytest.fixture
def on_overlay(tmp_path: Path) -> Iterator[Path]:
    """A folder on an overlay, which can hold no overlay's marks either."""
    machine.require_root()
    stack = tmp_path / "stack"
    for name in ("lower", "upper", "work", "merged"):
        (stack / name).mkdir(parents=True)
    options = f"lowerdir={stack}/lower,upperdir={stack}/upper,workdir={stack}/work"
    machine.run("mount", "-t", "overlay", "overlay", "-o", options, stack / "merged")
    yield stack / "merged"
    services.unmount_below(stack)


def on(werf: Werf, folder: Path) -> Werf:
    werf.root = folder / "store"
    werf.env["WERF_BUILDAH_ROOT"] = str(werf.root)
    return werf


def test_where_the_kernel_cannot_the_program_is_found(
    werf: Werf, passed_through: Path, busybox_layout: Path, context: Path
) -> None:
    on(werf, passed_through)
    image = build(werf, busybox_layout, context)
    assert build(werf, busybox_layout, context, "--storage-driver", "overlay") == image
    assert os.listdir(werf.root / "snapshots") == ["overlay"]
    assert werf.run("run", image, "--", "cat", "/gone/f").stdout == "back\n"
    assert "/a/b:\nnew\n" in werf.run("run", image, "--", "cat", "/listing").stdout
    nothing_is_left(werf)


def test_with_neither_overlay_is_an_error_with_both_reasons_and_auto_is_vfs(
    werf: Werf, on_overlay: Path, busybox_layout: Path, context: Path
) -> None:
    on(werf, on_overlay)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nRUN true\n")
    done = werf.run("buildah", "build", "--storage-driver", "overlay", context, check=False)
    assert done.returncode == 125
    both = "by the kernel: mounting overlay: Invalid argument (EINVAL); by fuse-overlayfs: looking at what"
    assert f"overlay cannot be used here: {both}" in done.stderr
    assert "--storage-driver vfs works everywhere" in done.stderr
    pulled = werf.run("buildah", "pull", f"oci:{busybox_layout}:base")
    (context / "Dockerfile").write_text(f"FROM {pulled.stdout.strip()}\nRUN true > /made\n")
    said = pulled.stderr + werf.run("buildah", "build", context).stderr
    assert both in said
    assert "falling back to vfs" in said
    assert len(os.listdir(werf.root / "snapshots/vfs")) >= 2
    assert "falling back" not in werf.run("buildah", "build", context).stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--storage-driver", "zfs"), "unknown storage driver 'zfs'"),
        (("--storage-opt", "size=3"), "--storage-opt size=3: unknown option"),
        (("--storage-opt", "mount_program=fuse"), "not an absolute path"),
    ],
)
def test_unknown_drivers_and_options_are_wrong_usage(werf: Werf, flags: tuple[str, ...], says: str) -> None:
    done = werf.run("buildah", "images", *flags, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert not werf.root.exists()


@pytest.mark.parametrize("value", ["", "auto", "default", "overlay"])
def test_these_mean_overlay(werf: Werf, busybox_layout: Path, context: Path, value: str) -> None:
    werf.env["WERF_BUILDAH_STORAGE_DRIVER"] = value
    build(werf, busybox_layout, context, text="FROM BASE\nRUN true\n")
    assert os.listdir(werf.root / "snapshots") == ["overlay"]


@pytest.mark.parametrize(("made", "other"), [("overlay", "vfs"), ("fuse", "vfs"), ("vfs", "overlay"), ("vfs", "fuse")])
def test_a_store_of_one_driver_is_refused_by_the_other_which_says_how_images_move(
    werf: Werf, busybox_layout: Path, context: Path, made: str, other: str
) -> None:
    """The kernel's overlay and the program share one: see above."""
    driver, another = ("vfs" if name == "vfs" else "overlay" for name in (made, other))
    image = build(werf, busybox_layout, context, *DRIVERS[made], text="FROM BASE\nRUN echo x > /x\n")
    explicit = (*DRIVERS[other], f"--storage-driver={another}")
    done = werf.run("buildah", "build", *explicit, context, check=False)
    assert done.returncode == 125
    assert f"was made with the {driver} driver, not with {another}" in done.stderr
    assert "buildah push IMAGE oci:DIR" in done.stderr
    assert os.listdir(werf.root / "snapshots") == [driver]
    assert werf.run("run", *DRIVERS[made], image, "--", "cat", "/x").stdout == "x\n"  # as it was


def test_the_variable_is_refused_by_its_name(werf: Werf) -> None:
    done = werf.run("buildah", "images", check=False, env={"WERF_BUILDAH_STORAGE_DRIVER": "zfs"})
    assert done.returncode == 2
    assert "unknown storage driver 'zfs'" in done.stderr
    assert "overlay" in done.stderr
    assert "vfs" in done.stderr


def test_an_option_of_another_driver_is_an_error(werf: Werf, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nRUN true\n")
    done = werf.run("buildah", "build", "--storage-driver", "vfs", *WITH_FUSE, context, check=False)
    assert "mount_program is for the overlay driver" in done.stderr


def test_a_program_that_is_none_is_an_error(werf: Werf, busybox_layout: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nRUN true\n")
    done = werf.run("buildah", "build", "--storage-opt", "mount_program=/bin/false", context, check=False)
    assert done.returncode == 125
    assert "overlay cannot be mounted by /bin/false: fuse-overlayfs: " in done.stderr
    done = werf.run("buildah", "build", "--storage-opt", "mount_program=/no/such", context, check=False)
    assert "/no/such cannot be executed" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_build_leaves_no_program_and_no_mount(
    werf: Werf, busybox_layout: Path, context: Path, number: signal.Signals
) -> None:
    base = werf.run("buildah", "pull", "-q", *WITH_FUSE, f"oci:{busybox_layout}:base").stdout.strip()
    (context / "Dockerfile").write_text(f"FROM {base}\nRUN echo begun && sleep 600\n")
    process = werf.start("buildah", "build", *WITH_FUSE, context)
    assert process.stdout is not None
    assert any(b"begun" in line and b"RUN" not in line for line in process.stdout)
    assert len(programs(werf.root)) == 1
    process.send_signal(number)
    process.stdout.close()
    process.wait(60)
    nothing_is_left(werf)
    (context / "Dockerfile").write_text(f"FROM {base}\nRUN true\n")
    werf.run("buildah", "build", *WITH_FUSE, context)


# ---------------------------------------------------------------- many layers

LAYERS = 520  # an overlay has at most 500 lower layers


@pytest.fixture(scope="module")
def many(shared_werf: Werf, busybox_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of more layers than the kernel stacks, made by ourselves, as an OCI layout."""
    folder = tmp_path_factory.mktemp("many")
    base = shared_werf.run("buildah", "pull", "-q", f"oci:{busybox_layout}:base").stdout.strip()
    lines = [f"FROM {base}"]
    for number in range(LAYERS):
        (folder / f"f{number}").write_text(f"{number}\n")
        lines.append(f"COPY f{number} /d{number % 7}/f{number}")
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    image = shared_werf.run("buildah", "build", "-q", "--timestamp", "0", folder, timeout=1200).stdout.strip()
    shared_werf.run("buildah", "push", "-q", image, f"oci:{folder}/layout:many", timeout=600)
    return folder / "layout"


ON_MANY = """
FROM BASE
RUN cat /d[0-6]/f* | wc -l > /count && cat /d0/f0 /d1/f519 >> /count && rm -r /d3 && mkdir /d3 && touch /d3/new /d1/new
RUN ls /d3 > /d3-listing && ls /d1 | wc -l > /d1-count
"""


def test_a_command_runs_on_hundreds_of_layers_with_every_driver(
    make_werf: Callable[[str], Werf], many: Path, context: Path
) -> None:
    images = {}
    for name, flags in DRIVERS.items():
        werf = make_werf(name)
        base = werf.run("buildah", "pull", "-q", *flags, f"oci:{many}:many", timeout=900).stdout.strip()
        (context / "Dockerfile").write_text(ON_MANY.replace("BASE", base))
        command = ("buildah", "build", "-q", "--timestamp", "0", *flags, context)
        images[name] = werf.run(*command, timeout=900).stdout.strip()
        shown = werf.run("run", *flags, images[name], "--", "cat", "/count", "/d3-listing", "/d1-count", timeout=600)
        assert shown.stdout.split() == [str(LAYERS), "0", "519", "new", "76"]
        nothing_is_left(werf)
    assert len(set(images.values())) == 1, images
