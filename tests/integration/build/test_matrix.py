"""One Dockerfile, whoever builds it, with whatever isolation and storage driver: one image, or a clear error.

docs/matrix.md shows what came of it. When that has changed: PYWERF_WRITE_MATRIX=1 python -m pytest THIS-FILE
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from support import inside, machine, matrix, services
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

# Owners, set-id bits, a file capability, devices, a fifo, links, removals, opaque and replaced directories, mounts.
# Every RUN gives the same bytes each time when its times are clamped.
DOCKERFILE = r"""
FROM BASE AS one
COPY setcap /sbin/setcap
RUN mkdir -p /srv/app/deep /srv/gone/deep /srv/opaque && echo hi > /srv/app/file && chown 1000:50 /srv/app \
 && chown 65534:65533 /srv/app/file && echo x > /srv/gone/deep/x && echo old > /srv/opaque/old \
 && mkdir -m 2775 /srv/group && chown 0:50 /srv/group && touch /srv/group/inherits
RUN cp /bin/busybox /sbin/suid && chown 1000:1 /sbin/suid && chmod 6755 /sbin/suid
RUN mkdir /special && cp /sbin/setcap /special/capable && setcap /special/capable && mknod /special/null c 1 3 \
 && mknod -m 600 /special/disk b 8 17 && mkfifo /special/fifo && chown 7:8 /special/disk /special/fifo
RUN ln -s file /srv/app/link && chown -h 5:6 /srv/app/link && ln /srv/app/file /srv/app/hard && rm -r /srv/gone \
 && rm -r /srv/opaque && mkdir /srv/opaque && echo new > /srv/opaque/new && rm /etc/os-release \
 && mkdir /etc/os-release && rm -r /home && echo file > /home && mv /srv/app/deep /srv/app/renamed
RUN --mount=type=bind,source=setcap,target=/bound --mount=type=tmpfs,target=/scratch \
    test -s /bound && echo x > /scratch/x && echo null > /dev/null \
 && ls -ln /srv/app /srv/opaque | awk '{print $1, $3, $4, $9}' > /listing
COPY --chown=1000:50 --chmod=640 setcap /srv/copied
USER 1000:50
WORKDIR /srv/work/here
RUN id > /tmp/id && cat /srv/app/file > /tmp/read
FROM BASE
COPY --from=one /srv /srv
COPY --from=one /special /special
COPY --from=one /sbin/suid /opt/
COPY --from=one /listing /tmp/id /tmp/read /tmp/
RUN chown 3:4 /special && rm /opt/suid && ls -R /srv > /listing
ENV A=b
CMD ["sh"]
"""
SPECIAL = re.compile(r"(?<!/)setcap /special/capable.*?chown 7:8 /special/disk /special/fifo", re.DOTALL)

# For those who can run nothing.
WITHOUT_RUN = r"""
FROM BASE AS one
COPY --chown=1000:50 --chmod=4755 setcap /sbin/
ADD --chown=7:8 setcap /srv/added/
FROM BASE
WORKDIR /srv/work/here
COPY --from=one /srv /sbin/setcap /srv/
ENV A=b
CMD ["sh"]
"""

TEXTS = {
    "full": DOCKERFILE,
    # gVisor makes neither devices nor file capabilities, and keeps fifos in its memory.
    "plainer": SPECIAL.sub("true", DOCKERFILE),
    "without RUN": WITHOUT_RUN,
}

# Gives cap_net_raw=ep: busybox has neither setcap(8) nor setfattr(1).
SETCAP = """
#include <sys/xattr.h>
int main(int count, char **words) {
    unsigned value[5] = {0x02000001, 1 << 13, 0, 0, 0};
    return count != 2 || setxattr(words[1], "security.capability", value, sizeof value, 0) != 0;
}
"""

# Stores and contexts are in $WORK, the base and the contexts in $SHARED.
START = """
set +e
cell() {
    echo "## $1 $2"; store=$WORK/$2; text=$SHARED/$3; shift 3; driver=$1; shift
    [ -e $store.pulled ] || werf buildah pull -q --root $store $driver oci:$SHARED/base:base >/dev/null 2>&1
    touch $store.pulled
    if werf buildah build -q --root $store --no-cache --timestamp 0 $driver "$@" "$text" > $WORK/id 2> $WORK/errors
    then werf buildah inspect --root $store $driver $(cat $WORK/id)
    else cat $WORK/errors
    fi
}
"""


@pytest.fixture(scope="module")
def shared(common_folder: Path, busybox_layout: Path) -> Path:
    """The base and the contexts, for everybody."""
    folder = common_folder / "matrix"
    folder.mkdir()
    shutil.copytree(busybox_layout, folder / "base")
    (folder / "setcap.c").write_text(SETCAP)
    machine.run(machine.require("gcc"), "-static", "-Os", "-s", "-o", folder / "setcap", folder / "setcap.c")
    blobs = folder / "base/blobs"
    index = json.loads((folder / "base/index.json").read_text())
    manifest = json.loads((blobs / index["manifests"][0]["digest"].replace(":", "/")).read_text())
    base = manifest["config"]["digest"].partition(":")[2]
    for name, text in TEXTS.items():
        context = folder / name.replace(" ", "-")
        context.mkdir()
        (context / "Dockerfile").write_text(text.replace("BASE", base))
        shutil.copy(folder / "setcap", context)
        (context / "setcap").chmod(0o755)
        for path in (context / "setcap", context / "Dockerfile"):
            os.utime(path, (5, 5))
    machine.run("chmod", "-R", "a+rX", folder)
    return folder


def row(run: Callable[[str], CompletedProcess[str]], caller: str, shared: str, work: str) -> dict[str, str]:
    """Every cell of a caller: the digests of what was built, or the error. `run` runs a shell script."""
    cells = []
    for _, isolation, driver in matrix.cells():
        text = matrix.text_of(caller, isolation).replace(" ", "-")
        flags = shlex.join((*matrix.ISOLATIONS[isolation], *matrix.OWN.get(caller, ())))
        # the flags of the driver are one word for `cell`, to be split by it
        cells.append(f"cell {isolation} {driver} {text} '{' '.join(matrix.DRIVERS[driver])}' {flags}")
    said = run(f"SHARED={shared}; WORK={work}\n{START}" + "\n".join(cells)).stdout
    found = {}
    for part in said.split("## ")[1:]:
        name, _, text = part.partition("\n")
        found[name] = matrix.digests(text) if text.startswith("{") else matrix.first_error(text, shared, work)
    return found


@pytest.fixture(scope="module")
def wanted(shared: Path, root: Werf) -> dict[str, str]:
    """What root builds of each text with nothing named."""
    found = {}
    for name in TEXTS:
        store = ("--root", shared.parent / "matrix-wanted")
        root.run("buildah", "pull", "-q", *store, f"oci:{shared}/base:base")
        context = shared / name.replace(" ", "-")
        image = root.run("buildah", "build", "-q", "--timestamp=0", *store, context).stdout.strip()
        found[name] = matrix.digests(root.run("buildah", "inspect", *store, image).stdout)
    return found


@pytest.fixture(scope="module")
def root(service_folder: Path) -> Werf:
    machine.require_root()
    werf = Werf(service_folder / "matrix", service_folder / "matrix-home")
    del werf.env["WERF_BUILDAH_MODE"]
    return werf


def check(caller: str, found: dict[str, str], wanted: dict[str, str]) -> None:
    """Cells that can be have the image of root's build, the others the error that docs/matrix.md shows."""
    for name, isolation, driver in matrix.cells():
        if matrix.can_be(caller, isolation, driver):
            assert found[name] == wanted[matrix.text_of(caller, isolation)], f"{caller}: {name}"
        else:
            assert found[name].startswith("Error: "), f"{caller}: {name}: {found[name]}"
    matrix.compare(caller, found)


@pytest.mark.parametrize("caller", ["root", "root with user namespaces"])
def test_root(shared: Path, root: Werf, wanted: dict[str, str], caller: str) -> None:
    work = shared.parent / caller.replace(" ", "-")
    work.mkdir()
    function = f'werf() {{ {shlex.join(root.command)} "$@"; }}\n'

    def run(script: str) -> CompletedProcess[str]:
        return machine.run("sh", "-c", function + script, env=root.env)

    check(caller, row(run, caller, f"{shared}", f"{work}"), wanted)


@pytest.fixture
def fuse_for_all() -> Iterator[None]:
    """/dev/fuse as udev gives it to users; a machine without udev may have it for root alone."""
    mode = os.stat("/dev/fuse").st_mode & 0o777
    os.chmod("/dev/fuse", 0o666)
    yield
    os.chmod("/dev/fuse", mode)


@pytest.mark.usefixtures("fuse_for_all")
@pytest.mark.parametrize(
    ("fixture", "caller"),
    [
        ("builder", "user with subordinate ids"),
        ("one_id_user", "user with one id"),
        ("plain_user", "user without namespaces"),
    ],
)
def test_users(request: pytest.FixtureRequest, fixture: str, caller: str, shared: Path, wanted: dict[str, str]) -> None:
    user: User = request.getfixturevalue(fixture)
    work = user.write("matrix/script", "").parent

    def run(script: str) -> CompletedProcess[str]:
        return user.run("sh", user.write("matrix/script", user.werf_function() + script))

    found = row(run, caller, f"{shared}", f"{work}")
    check(caller, {name: text.replace(user.name, "USER") for name, text in found.items()}, wanted)


def test_root_in_a_plain_docker_container(
    shared: Path, docker: services.Docker, service_folder: Path, wanted: dict[str, str]
) -> None:
    engine = inside.docker_engine(docker, shared)
    caller = "root in a Docker container"
    check(caller, row(engine.run, caller, inside.SHARED, "/var"), wanted)


def test_a_kernel_of_its_own_makes_no_devices(shared: Path, root: Werf, wanted: dict[str, str]) -> None:
    """What the table's runsc cells leave out, and what becomes of it."""
    store = ("--root", shared.parent / "matrix-wanted")
    for step in ("setcap /sbin/setcap", "mknod /null c 1 3"):
        context = shared / "special"
        context.mkdir(exist_ok=True)
        base = (shared / "full/Dockerfile").read_text().split()[1]
        (context / "Dockerfile").write_text(f"FROM {base}\nCOPY --from=bin setcap /sbin/\nRUN {step}\n")
        flags = (*store, *matrix.ISOLATIONS["runsc"], f"--build-context=bin={shared / 'full'}")
        done = root.run("buildah", "build", *flags, context, check=False)
        assert done.returncode != 0
        assert f"Dockerfile:3: [3/3] RUN {step}: exit code 1" in done.stderr
