"""Rung 5 for real: a user who may make neither namespaces nor owners builds what needs no RUN, as root builds it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.bases import pull_base
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

Call = Callable[..., subprocess.CompletedProcess[str]]

DOCKERFILE = """
FROM base AS one
WORKDIR /srv/app
COPY Dockerfile data* x/
COPY --chown=mail:adm --chmod=640 Dockerfile /etc/motd
ADD archive.tar /opt/
FROM scratch
COPY --from=one /dev /dev2
COPY --from=one /usr/bin/perl* /b/
COPY --from=one /srv /etc/motd /opt /srv/
COPY --from=one /bin/bash /bin/
ENV A=b
CMD ["/bin/bash"]
"""


def write_context(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data/file").write_text("content\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    subprocess.run(["tar", "--owner=7", "--group=8", "-C", folder, "-cf", folder / "archive.tar", "data"], check=True)
    for path in (folder / "data/file", folder / "data", folder / "Dockerfile", folder / "archive.tar"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (5, 5))


def build_both(werf: Call, layout: Path, context: Path) -> list[tuple[str, list[str]]]:
    pull_base(werf, layout)
    results = []
    for stage in (["--target", "one"], []):
        image = werf("buildah", "build", "-q", "--timestamp", "9", *stage, context).stdout.strip()
        found = json.loads(werf("buildah", "inspect", image).stdout)["OCIv1"]["rootfs"]["diff_ids"]
        results.append((image, found))
    return results


def test_what_needs_no_run_is_built_as_root_builds_it(
    plain_user: User, shared_werf: Werf, debian_for_all: Path, common_folder: Path
) -> None:
    context = common_folder / "norun"
    write_context(context)
    ours = build_both(plain_user.werf, debian_for_all, context)
    assert ours == build_both(shared_werf.run, debian_for_all, context)
    below = {path.name for path in (plain_user.root / "snapshots").rglob("*")}
    assert below == set(), "something was unpacked"


def test_the_first_line_says_why_there_are_no_containers(plain_user: User) -> None:
    plain_user.write("first/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    assert plain_user.werf("buildah", "build", "first").stderr.splitlines()[0] == (
        "mode auto: rung 5, no containers: everything but RUN (cannot make private namespaces: Operation not permitted "
        f"(EPERM); cannot map subordinate ids: no /etc/subuid range for '{plain_user.name}'; "
        "cannot make a user namespace: Operation not permitted (EPERM); "
        "cannot chroot as root: this process is not root's (EPERM))"
    )


def test_run_names_line_rung_and_way_out(plain_user: User, busybox_for_all: Path) -> None:
    pull_base(plain_user.werf, busybox_for_all)
    plain_user.write("run/Dockerfile", "FROM base\nCOPY Dockerfile /\nRUN true\n")
    done = plain_user.werf("buildah", "build", "run", check=False)
    assert done.returncode == 125
    assert "Dockerfile:3: a command cannot be run on rung 5 (no containers: everything but RUN)" in done.stderr
    assert "seccomp" in done.stderr, "the hint is about what forbids namespaces"
    done = plain_user.werf("run", "base", "--", "true", check=False)
    assert done.returncode != 0
    assert "a command cannot be run on rung 5" in done.stderr


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_a_driver_that_is_asked_for_is_not_ignored(plain_user: User, driver: str) -> None:
    plain_user.write("driver/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    done = plain_user.werf("buildah", "build", "--storage-driver", driver, "driver", check=False)
    assert done.returncode == 125
    assert f"the {driver} driver cannot be used on rung 5" in done.stderr


def test_outputs_pushes_and_pulls_need_no_privilege(plain_user: User, busybox_for_all: Path, registry: str) -> None:
    pull_base(plain_user.werf, busybox_for_all)
    plain_user.write("out/Dockerfile", "FROM base\nCOPY --chown=1:2 Dockerfile /here\n")
    name = f"{registry}/plain:1"
    plain_user.werf(
        *("buildah", "build", "-t", name, "-o", "type=local,dest=tree", "-o", "type=tar,dest=tree.tar"), "out"
    )
    assert (plain_user.home / "tree/here").read_text().startswith("FROM base")
    assert (plain_user.home / "tree/bin/busybox").stat().st_uid == plain_user.home.stat().st_uid
    listing = subprocess.run(
        ["tar", "-tvf", plain_user.home / "tree.tar"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[1] for line in listing.splitlines() if line.endswith(" here")] == ["1/2"]
    plain_user.werf("buildah", "push", name)
    plain_user.werf("buildah", "rmi", name)
    plain_user.werf("buildah", "pull", name)
    assert name.rpartition(":")[0] in plain_user.werf("buildah", "images").stdout


def test_a_layer_that_is_not_what_its_image_says_is_refused(
    plain_user: User, busybox_layout: Path, common_folder: Path
) -> None:
    """The config names another diff_id than the layer has."""
    import hashlib
    import shutil

    layout = common_folder / "wrong"
    shutil.copytree(busybox_layout, layout)
    index = json.loads((layout / "index.json").read_text())

    def blob(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    def put(value: object) -> tuple[str, int]:
        data = json.dumps(value).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blob(digest).write_bytes(data)
        return digest, len(data)

    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    config = json.loads(blob(manifest["config"]["digest"]).read_text())
    config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
    manifest["config"]["digest"], manifest["config"]["size"] = put(config)
    index["manifests"][0]["digest"], index["manifests"][0]["size"] = put(manifest)
    (layout / "index.json").write_text(json.dumps(index))
    subprocess.run(["chmod", "-R", "a+rX", layout], check=True)
    done = plain_user.werf("buildah", "pull", f"oci:{layout}:base", check=False)
    assert done.returncode == 125
    assert "expected sha256:0000" in done.stderr
