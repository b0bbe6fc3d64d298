"""Builds with OCI runtimes: the images are those of chroot isolation, and failures are the runtime's own words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support import machine
from support.bases import pull_base
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

RUNTIMES = ["crun", "runc"]
DOCKERFILE = r"""# syntax=docker/dockerfile:1
FROM base
WORKDIR /work
COPY Dockerfile /context/
RUN echo hello > file && chown 1000:50 file && chmod 4755 file && ln file other && mkdir -p made/here
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch \
    --mount=type=bind,source=Dockerfile,target=/bound/Dockerfile \
    test -s /bound/Dockerfile && echo cached > /cache/file && echo gone > /scratch/file && echo kept > /work/kept
RUN --mount=type=secret,id=key cat /run/secrets/key | wc -c > length
RUN <<END
#!/bin/sh
rm -r made; echo script > /work/script
END
USER 1000:50
RUN id > /tmp/id; echo $HOME >> /tmp/id; cat /proc/self/limits > /dev/null
RUN --network=none cat /proc/net/dev | tail -n +3 | cut -d: -f1 > /tmp/interfaces
"""


# runsc has a /dev and a network of its own: no scripts below /dev, no /proc/net of Linux.
PLAINER = r"""FROM base
WORKDIR /work
RUN echo hello > file && chown 1000:50 file && chmod 4755 file && ln file other && mkdir -p made/here
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch \
    --mount=type=bind,source=Dockerfile,target=/bound/Dockerfile \
    test -s /bound/Dockerfile && echo cached > /cache/file && echo gone > /scratch/file && echo kept > /work/kept
RUN --mount=type=secret,id=key cat /run/secrets/key | wc -c > length; rm -r made
USER 1000:50
RUN id > /tmp/id; echo $HOME >> /tmp/id
"""


def build(werf: Any, context: str | Path, *flags: str) -> tuple[str, str]:
    """(image id, first line)"""
    done = werf(
        *("buildah", "build", "--timestamp=1700000000", "--no-cache", "--secret=id=key,env=KEY", *flags, context),
        env={"KEY": "secret words"},
    )
    return done.stdout.strip(), done.stderr.splitlines()[0]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(DOCKERFILE)
    return tmp_path / "context"


def test_root_builds_the_same_image_with_every_runtime(werf: Werf, busybox_layout: Path, context: Path) -> None:
    pull_base(werf.run, busybox_layout)
    wanted, _ = build(werf.run, context, "--isolation=chroot")
    for runtime in RUNTIMES:
        made, first = build(werf.run, context, "--isolation=oci", f"--runtime={runtime}")
        assert f"mode native-rootless: rung 1, private namespaces as root; containers by {runtime} (" in first
        assert made == wanted, runtime


def test_a_user_builds_the_same_image_with_every_runtime(
    werf: Werf, busybox_layout: Path, context: Path, builder: User, busybox_for_all: Path
) -> None:
    pull_base(werf.run, busybox_layout)
    wanted, _ = build(werf.run, context, "--isolation=chroot")
    pull_base(builder.werf, busybox_for_all)
    builder.write("oci/Dockerfile", DOCKERFILE)
    for runtime in RUNTIMES:
        made, first = build(builder.werf, "oci", "--isolation=rootless", f"--runtime={runtime}")
        assert "rung 2, private namespaces in a user namespace with subordinate ids" in first
        assert made == wanted, runtime


def test_a_kernel_of_its_own_builds_the_same_image(
    werf: Werf, busybox_layout: Path, context: Path, builder: User, busybox_for_all: Path
) -> None:
    pull_base(werf.run, busybox_layout)
    (context / "Dockerfile").write_text(PLAINER)
    wanted, _ = build(werf.run, context, "--isolation=chroot")
    made, first = build(werf.run, context, "--isolation=oci", "--runtime=runsc")
    assert "containers by runsc (" in first
    assert made == wanted
    pull_base(builder.werf, busybox_for_all)
    builder.write("runsc/Dockerfile", PLAINER)
    made, first = build(builder.werf, "runsc", "--isolation=rootless", "--runtime=runsc")
    assert "rung 2" in first
    assert made == wanted
    (context / "Dockerfile").write_text("FROM base\nRUN <<END\n#!/bin/sh\necho script\nEND\n")
    done = werf.run("buildah", "build", "--isolation=oci", "--runtime=runsc", context, check=False)
    assert "runsc has a /dev, /proc and /sys of its own" in done.stderr


def test_the_first_runtime_that_is_installed_is_taken(werf: Werf, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    done = werf.run("buildah", "build", context, env={"WERF_BUILDAH_MODE": "native-rootless"})
    assert "containers by crun (" in done.stderr.splitlines()[0]
    done = werf.run("buildah", "build", "--isolation=oci", context, env={"WERF_BUILDAH_RUNTIME": "runc"})
    assert "containers by runc (" in done.stderr.splitlines()[0]


def test_a_runtime_that_fails_says_why_itself(werf: Werf, busybox_layout: Path, context: Path, tmp_path: Path) -> None:
    pull_base(werf.run, busybox_layout)
    (context / "Dockerfile").write_text("FROM base\nRUN true\n")
    broken = tmp_path / "crun-broken"
    broken.write_text('#!/bin/sh\nexec /usr/bin/crun --cgroup-manager=nonsense "$@"\n')
    broken.chmod(0o755)
    flags = ("buildah", "build", "--isolation=oci", f"--runtime={broken}", context)
    done = werf.run(*flags, check=False)
    assert done.returncode != 0
    assert "cannot run the container with crun-broken: " in done.stderr
    assert "--log-debug" in done.stderr
    (tmp_path / "kept").mkdir()
    done = werf.run(*flags, "--log-debug", check=False, env={"TMPDIR": str(tmp_path / "kept")})
    (bundle,) = (tmp_path / "kept").glob("pywerf-bundle-*")
    assert str(bundle) in done.stderr
    assert {path.name for path in bundle.iterdir()} == {"config.json", "log", "command"}
    assert str(broken) in (bundle / "command").read_text()


@pytest.mark.parametrize("runtime", [*RUNTIMES, "runsc"])
def test_what_a_runtime_says_before_it_logs_is_in_the_error(werf: Werf, busybox_layout: Path, runtime: str) -> None:
    pull_base(werf.run, busybox_layout)
    flags = ("--isolation=oci", f"--runtime={runtime}", "--runtime-flag=nonsense", "-")
    done = werf.run("buildah", "build", "--no-cache", *flags, stdin=b"FROM base\nRUN true\n", check=False)
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert re.search(f"cannot run the container with {runtime}: it ended with status [0-9]+: .*-nonsense", error)


def test_a_command_of_run_has_the_standard_error_that_the_runtime_writes_to(werf: Werf, busybox_layout: Path) -> None:
    pull_base(werf.run, busybox_layout)
    flags = ("--buildah-mode=native-rootless", "--runtime=crun", "--runtime-flag=nonsense")
    done = werf.run("run", *flags, "base", "--", "true", check=False)
    said, _, error = done.stderr.partition("Error: ")
    assert "-nonsense" in said
    assert "what it has to say stands above" in error


def test_a_file_system_that_another_program_mounts(werf: Werf, busybox_layout: Path, context: Path) -> None:
    program = machine.require("fuse-overlayfs")
    pull_base(werf.run, busybox_layout)
    wanted, _ = build(werf.run, context, "--isolation=chroot")
    for runtime in RUNTIMES:
        flags = (f"--storage-opt=overlay.mount_program={program}", "--isolation=oci", f"--runtime={runtime}")
        assert build(werf.run, context, *flags)[0] == wanted, runtime


def test_account_files_that_are_folders_keep_runc_from_starting_alone(
    werf: Werf, busybox_layout: Path, tmp_path: Path
) -> None:
    pull_base(werf.run, busybox_layout)
    (tmp_path / "Dockerfile").write_text("FROM base\nRUN rm /etc/group && mkdir /etc/group\nRUN echo hello > /it\n")
    for flags in (("--isolation=chroot",), ("--isolation=oci", "--runtime=crun")):
        werf.run("buildah", "build", "--no-cache", *flags, tmp_path)
    done = werf.run("buildah", "build", "--no-cache", "--isolation=oci", "--runtime=runc", tmp_path, check=False)
    assert done.returncode != 0
    assert "/etc/group: is a directory" in done.stderr
    assert "Hint: runc reads that file of the image itself; --runtime crun and --isolation chroot do" in done.stderr
