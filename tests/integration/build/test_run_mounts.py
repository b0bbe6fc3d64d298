"""RUN --mount: several on one target or below one another. The commands check it themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.builds import build, write
from support.werf import Werf

pytestmark = pytest.mark.integration

DOCKERFILE = """\
FROM BASE
RUN --mount=type=bind,source=d,target=/m --mount=type=tmpfs,target=/m test ! -e /m/x && touch /m/new
RUN --mount=type=tmpfs,target=/m --mount=type=bind,source=d,target=/m/../m/ test -e /m/x
RUN --mount=type=bind,source=f,target=/m --mount=type=tmpfs,target=/m test -d /m
RUN --mount=type=tmpfs,target=/m --mount=type=bind,source=f,target=/m test -f /m
RUN --mount=type=cache,target=/m --mount=type=cache,id=other,target=/m touch /m/new
RUN --mount=type=cache,target=/m test ! -e /m/new
RUN --mount=type=cache,id=other,target=/m test -e /m/new
RUN --mount=type=cache,id=other,target=/m --mount=type=bind,source=d,target=/m test -e /m/x && test ! -e /m/new
RUN --mount=type=secret,id=s,target=/m --mount=type=bind,source=f,target=/m test "$(cat /m)" = secret
RUN --mount=type=bind,source=d,target=/m/sub --mount=type=tmpfs,target=/m test "$(ls /m)" = sub && test -e /m/sub/x
RUN --mount=type=bind,source=d,target=/etc/hosts test -e /etc/hosts/x
RUN test ! -e /m && test ! -e /etc/hosts/x
"""


def test_the_later_of_two_mounts_on_one_target_counts(shared_werf: Werf, busybox: str, tmp_path: Path) -> None:
    files = {"f": "hello\n", "d/x": "x\n", "secret": "secret"}
    folder = write(tmp_path / "project", {**files, "Dockerfile": DOCKERFILE.replace("BASE", busybox)})
    namespace = ("--build-arg", "BUILDKIT_CACHE_MOUNT_NS=test_run_mounts")
    built = build(shared_werf, folder, "--no-cache", "--secret", f"id=s,src={folder / 'secret'}", *namespace)
    assert "m" not in built.files
