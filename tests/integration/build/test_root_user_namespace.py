"""Root's containers in user namespaces of their own: the image is plain root's, whoever root in there is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine
from support.bases import pull_base
from support.isolations import run_output
from support.werf import Werf

pytestmark = pytest.mark.integration

IDS = "--userns-uid-map=0:500000:65536"
RANGE = "root:500000:65536\n"
FREE, MAPS = "100000-165535", "--userns-uid-map and -gid-map"
ISOLATIONS: dict[str, tuple[str, ...]] = {
    "chroot": ("--isolation=chroot",),
    "crun": ("--isolation=rootless", "--runtime=crun"),
    "runc": ("--isolation=oci", "--runtime=runc"),
}
OWNERS = Path(__file__).with_name("owners.Dockerfile").read_text()


@pytest.fixture(scope="module")
def store(service_folder: Path, debian_layout: Path, busybox_layout: Path) -> Werf:
    """Root's `werf`, on a store with the bases `base` (busybox) and `debian`."""
    machine.require_root()
    werf = Werf(service_folder / "root-userns", service_folder / "root-userns-home")
    werf.env.pop("WERF_BUILDAH_MODE", None)
    pull_base(werf.run, debian_layout)
    werf.run("buildah", "tag", "base", "debian")
    pull_base(werf.run, busybox_layout)
    return werf


@pytest.fixture(params=list(ISOLATIONS))
def flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return ISOLATIONS[request.param]


def with_subids(
    werf: Werf, folder: Path, text: str, *argv: str | Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """`werf` where /etc/subuid and /etc/subgid say `text`: in a mount namespace, the machine's own stay as they are."""
    (folder / "subids").write_text(text)
    script = f'for one in subuid subgid; do mount --bind {folder}/subids /etc/$one; done; exec "$@"'
    words = ("unshare", "-m", "--propagation=private", "sh", "-ec", script, "sh", *werf.command)
    return machine.run(*words, *argv, env=werf.env, check=check)


def context_of(folder: Path, text: str) -> Path:
    context = folder / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(text)
    os.utime(context / "Dockerfile", (0, 0))
    return context


def test_owners_modes_capabilities_and_devices_are_those_of_plain_root(
    store: Werf, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    context = context_of(tmp_path, OWNERS.replace("FROM base", "FROM debian"))
    build = ("buildah", "build", "-q", "--no-cache", "--timestamp=0")
    wanted = store.run(*build, context).stdout
    assert store.run(*build, *flags, IDS, context).stdout == wanted


def test_a_range_of_roots_puts_containers_of_a_runtime_into_it(store: Werf, tmp_path: Path) -> None:
    context = context_of(
        tmp_path, "FROM base\nRUN cat /proc/self/uid_map /proc/self/gid_map; id -u; echo x > /dev/stdout\n"
    )
    build = ("buildah", "build", "--no-cache", "--progress=plain", context)
    for owner in ("root", "containers"):
        for flags in (ISOLATIONS["crun"], ISOLATIONS["runc"]):
            done = with_subids(store, tmp_path, RANGE.replace("root", owner), *build, *flags)
            assert done.stderr.splitlines()[0].endswith("in user namespaces of their own: 0 is 500000 (65536 ids)")
            assert [line.split() for line in run_output(done)] == [["0", "500000", "65536"]] * 2 + [["0"], ["x"]]
    done = with_subids(store, tmp_path, RANGE, *build, *ISOLATIONS["crun"], "--userns=host")
    assert done.stderr.splitlines()[0].endswith("plain root containers (no user namespace of their own: --userns host)")
    assert run_output(done)[0].split() == ["0", "0", "4294967295"]
    done = with_subids(store, tmp_path, RANGE, *build, *ISOLATIONS["chroot"])
    assert run_output(done)[0].split() == ["0", "0", "4294967295"]
    done = with_subids(store, tmp_path, RANGE, *build, *ISOLATIONS["chroot"], "--userns=auto")
    assert run_output(done)[0].split() == ["0", "500000", "65536"]


def test_without_a_range_the_line_says_how_to_get_one(store: Werf, tmp_path: Path) -> None:
    context = context_of(tmp_path, "FROM base\nRUN cat /proc/self/uid_map\n")
    build = ("buildah", "build", "--no-cache", "--progress=plain", context)
    done = with_subids(store, tmp_path, "ci:100000:65536\n", *build, *ISOLATIONS["crun"])
    first = done.stderr.splitlines()[0]
    assert (
        "as plain root containers (no user namespace of their own: /etc/subuid and /etc/subgid have no range" in first
    )
    assert "`usermod --add-subuids 165536-231071 --add-subgids 165536-231071 root` gives one" in first


def test_a_namespace_that_nobody_can_have_is_refused_before_the_build(store: Werf, tmp_path: Path) -> None:
    context = context_of(tmp_path, "FROM base\nRUN touch /never\n")
    for words in (
        ("buildah", "build", *ISOLATIONS["chroot"], "--userns=private", context),
        ("buildah", "build", *ISOLATIONS["crun"], "--userns=auto", context),
        ("run", "--userns=private", "base", "--", "true"),
    ):
        done = with_subids(store, tmp_path, "", *words, check=False)
        assert done.returncode != 0
        assert done.stderr.splitlines() == [
            "Error: --userns: /etc/subuid and /etc/subgid have no range for root or containers",
            f"Hint: usermod --add-subuids {FREE} --add-subgids {FREE} root; or give ids with {MAPS}",
        ]


def test_maps_of_the_users_and_namespaces_of_others(store: Werf, tmp_path: Path, flags: tuple[str, ...]) -> None:
    context = context_of(
        tmp_path, "FROM base\nRUN cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g / /bin/sh\n"
    )
    build = ("buildah", "build", "--no-cache", "--progress=plain", *flags, context)
    done = store.run(*build, "--userns-uid-map=0:7:1,1:300000:9", "--userns-gid-map=0:400000:10")
    words = [line.split() for line in run_output(done)]
    assert words == [["0", "7", "1"], ["1", "300000", "9"], ["0", "400000", "10"], ["0:0"], ["0:0"]]
    words = ["unshare", "--user", "sh", "-c", "echo; exec sleep 600"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as sleeper:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{sleeper.pid}/{name}").write_text("0 600000 100")
        done = store.run(*build, f"--userns=/proc/{sleeper.pid}/ns/user")
        assert run_output(done)[0].split() == ["0", "600000", "100"]
        sleeper.kill()
    done = store.run(*build, "--userns-uid-map=1:7:1", check=False)
    assert done.returncode != 0
    assert "--userns-uid-map: 0 is not mapped" in done.stderr


MOUNTS = r"""
FROM base AS stage
RUN mkdir -p /out/d && echo of-stage > /out/d/f && chown 33:45 /out/d/f && ln -s d /out/l
FROM base
RUN --mount=type=bind,from=stage,source=/out/d,target=/part --mount=type=bind,from=stage,source=out/l/f,target=/one \
    --mount=type=bind,from=stage,target=/whole,rw \
    cat /part/f /one /whole/out/l/f && stat -c '%u:%g' /part/f /one && touch /whole/new && ! touch /part/new
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch --mount=type=secret,id=s \
    --mount=type=bind,source=Dockerfile,target=/here --mount=type=bind,from=other,source=sub,target=/sub \
    stat -c '%u:%g' $(find /cache) /scratch /here /sub /sub/file /volume /run/secrets/s \
 && touch /cache/$WHO /scratch/x && chown 33:44 /cache/$WHO && cat /run/secrets/s && grep -c FROM /here \
 && echo v > /volume/$WHO
USER nobody
RUN --network=none id -u && ! touch /root/x 2>/dev/null
"""


def test_what_is_mounted_has_the_owners_that_it_has_for_plain_root(
    store: Werf, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub/file").write_text("x")
    os.chown(other / "sub/file", 12, 34)
    (tmp_path / "volume").mkdir(mode=0o700)
    (tmp_path / "secret").write_text("words\n")
    text = MOUNTS.replace("target=/cache", f"target=/cache,id={tmp_path}")
    context = context_of(tmp_path, text.replace("$WHO", "plain"))
    build = (
        *("buildah", "build", "--no-cache", "--progress=plain", f"--secret=id=s,src={tmp_path}/secret"),
        *(f"--build-context=other={other}", f"--volume={tmp_path}/volume:/volume", *flags, context),
    )
    store.run(*build)
    context_of(tmp_path, text.replace("$WHO", "mapped"))
    done = store.run(*build, IDS)
    said = [line for line in done.stderr.splitlines() if line.startswith("#") and line.count(" ") >= 2]
    output = [line.split(" ", 2)[2] for line in said]
    assert (output.count("of-stage"), output.count("33:45")) == (3, 2)
    assert output.count("33:44") == 1  # what the plain build left in the cache
    assert set(output) & {"65534:65534", "12:34"} == set()  # a context's files are root's
    assert "words" in output
    assert "65534" in output
    volume = ("--volume", f"{tmp_path}/volume:/volume:O")
    store.run("run", IDS, *volume, "base", "--", "sh", "-c", "rm /volume/plain && mknod /volume/null c 1 3")
    assert {path.name for path in (tmp_path / "volume").iterdir()} == {"plain", "mapped"}
    assert (tmp_path / "volume/mapped").stat().st_uid == (tmp_path / "volume/plain").stat().st_uid == 0


def test_debian_packages_with_users_and_capabilities_are_installed(
    store: Werf, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    context = context_of(
        tmp_path,
        "FROM debian\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends iputils-ping libcap2-bin openssh-client"
        " && getcap /usr/bin/ping && stat -c '%A %U:%G' /usr/bin/ssh-agent\n"
        "RUN adduser --system --group --home /var/lib/svc svc && stat -c '%U:%G' /var/lib/svc\n",
    )
    said = store.run("buildah", "build", "--no-cache", "--progress=plain", "-t", "apt", *flags, IDS, context).stderr
    assert "/usr/bin/ping cap_net_raw=ep" in said
    assert "-rwxr-sr-x root:_ssh" in said
    assert "svc:svc" in said
    assert store.run("run", "apt", "--", "getcap", "/usr/bin/ping").stdout == "/usr/bin/ping cap_net_raw=ep\n"


def test_a_container_of_run(store: Werf, tmp_path: Path) -> None:
    done = store.run("run", IDS, "base", "--", "sh", "-c", "id -u; cat /proc/self/uid_map; exit 3", check=False)
    assert done.returncode == 3
    assert done.stdout.split() == ["0", "0", "500000", "65536"]
    store.env["WERF_BUILDAH_MODE"] = "native-rootless"
    try:
        for runtime in ("crun", "runc"):
            done = store.run("run", f"--runtime={runtime}", "--network=private", IDS, "base", "--", "ip", "addr")
            assert "10.0.2.100" in done.stdout
    finally:
        del store.env["WERF_BUILDAH_MODE"]


def test_a_program_that_only_root_may_read_is_no_hindrance(store: Werf, tmp_path: Path, flags: tuple[str, ...]) -> None:
    import pywerf

    tmp_path.chmod(0o700)
    machine.run("cp", "-r", Path(pywerf.__file__).parent, tmp_path / "pywerf")
    context = context_of(tmp_path, "FROM base\nRUN cat /proc/self/uid_map && mknod /device c 1 3\n")
    words = (*store.command, "buildah", "build", "--no-cache", "--progress=plain", *flags, IDS, context)
    done = machine.run(*words, env={**store.env, "PYTHONPATH": str(tmp_path)})
    assert run_output(done)[0].split() == ["0", "500000", "65536"]


@pytest.fixture
def ramfs(tmp_path: Path) -> Iterator[Path]:
    """A file system that can do little, and no idmapped mounts."""
    folder = tmp_path / "ramfs"
    folder.mkdir()
    machine.run("mount", "-t", "ramfs", "ramfs", folder)
    yield folder
    machine.run("umount", "-l", folder)


def test_a_file_system_that_cannot_map_owners(store: Werf, ramfs: Path, tmp_path: Path, busybox_layout: Path) -> None:
    werf = Werf(ramfs / "store", store.home)
    werf.env.pop("WERF_BUILDAH_MODE", None)
    driver = ("--storage-driver=vfs",)
    pull_base(werf.run, busybox_layout, *driver)
    context = context_of(tmp_path, "FROM base\nRUN cat /proc/self/uid_map\n")
    build = ("buildah", "build", "--progress=plain", *driver, context)
    done = with_subids(werf, tmp_path, RANGE, *build, *ISOLATIONS["crun"])
    first = done.stderr.splitlines()[0]
    assert "as plain root containers (no user namespace of their own: cannot map the owners of" in first
    assert run_output(done)[0].split() == ["0", "0", "4294967295"]
    done = werf.run(*build, "--isolation=chroot", "--no-cache", IDS, check=False)
    assert done.returncode != 0
    assert "Dockerfile:2: cannot map the owners of" in done.stderr
    assert "idmapped mounts" in done.stderr


# A process exchanges a folder for symlinks that lead to the victim's folder, by name and by `..`, while devices are
# made in it; the supervisor that makes them is root of the machine. The name exists in the container, too.
RACE = r"""
FROM base
RUN mkdir -p VICTIM /r/real && cd /r && \
 ( while :; do ln -sfn VICTIM x; ln -sfn ../../../../../../../../VICTIM x; ln -sfn real x; ln -sfn /volume x; \
   ln -sfn /proc/1/root/VICTIM x; ln -sfn /proc/self/cwd/../../../VICTIM x; done ) & \
 cd /r; i=0; while [ $i -lt 200 ]; do i=$((i+1)); mknod x/node$i c 1 3; mknod /proc/self/cwd/x/own$i c 1 3; \
 mknod /proc/self/root/../../..VICTIM/root$i c 1 3; done 2>/dev/null; kill %1; \
 ! mknod /volume/node c 1 3 2>/dev/null && ls -l VICTIM /r/real | grep -c ^c
"""


def test_no_race_of_paths_makes_the_supervisor_touch_the_host(
    store: Werf, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    victim, volume = tmp_path / "victim", tmp_path / "volume"
    for folder in (victim, volume):
        folder.mkdir(mode=0o777)
        (folder / "file").write_text("untouched")
    context = context_of(tmp_path, RACE.replace("VICTIM", str(victim)))
    build = ("buildah", "build", "--no-cache", "--progress=plain", f"--volume={volume}:/volume", *flags, IDS, context)
    done = store.run(*build)
    assert int(run_output(done)[-1]) > 0
    assert os.listdir(victim) == os.listdir(volume) == ["file"]


def test_nothing_stays_mounted_and_no_process_is_left(store: Werf, tmp_path: Path) -> None:
    context = context_of(tmp_path, "FROM base\nRUN sleep 7654321 & false\n")
    for flags in ISOLATIONS.values():
        assert store.run("buildah", "build", *flags, IDS, context, check=False).returncode != 0
    mounts = Path("/proc/self/mountinfo").read_text()
    assert f"{store.root}" not in mounts
    assert "pywerf/linux" not in mounts
    assert "7654321" not in machine.run("ps", "-eo", "args").stdout
