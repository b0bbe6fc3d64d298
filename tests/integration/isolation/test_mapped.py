"""Containers in user namespaces of their own: what is only theirs. The other tests of this folder run there, too."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.oci import OciIsolation
from pywerf.isolation.runtimes import find_runtime
from pywerf.isolation.spec import Isolation
from pywerf.linux.mount import Mount
from support import machine
from support.container_drivers import IDS, MAPPED

pytestmark = pytest.mark.integration

# What a runc before 1.1 says of a bundle that asks for a listener.
OLD = """#!/bin/sh
log=; last=
for word in "$@"; do [ "$last" = --log ] && log=$word; last=$word; done
if grep -q SCMP_ACT_NOTIFY config.json; then
    echo '{"level":"error","msg":"string SCMP_ACT_NOTIFY is not a valid action for seccomp"}' > "$log"; exit 1
fi
exec RUNC "$@"
"""


# One that does not know the part of a bundle that asks.
DEAF = """#!/bin/sh
sed -i 's/"seccomp":{/"nothing":{/' config.json
exec RUNC "$@"
"""


@pytest.fixture(params=sorted(MAPPED))
def run(request: pytest.FixtureRequest, runner_of: Callable[[Isolation], Any]) -> Iterator[Any]:
    isolation = MAPPED[request.param]()
    yield runner_of(isolation)
    isolation.close()


def test_a_device_is_real_and_has_the_owner_and_mode_that_mknod_gives(run: Any) -> None:
    script = (
        "umask 027; mkdir /tmp/g && chown 0:50 /tmp/g && chmod 2755 /tmp/g && mknod /tmp/g/n c 1 3 && chroot / true"
    )
    assert run.shell(script) == (0, "")
    status = (run.upper / "tmp/g/n").lstat()
    assert (status.st_mode, status.st_uid, status.st_gid) == (0o20640, 0, 50)
    assert status.st_rdev == 0x103


def test_the_kernel_keeps_its_root_from_changing_what_was_mounted(run: Any) -> None:
    script = (
        "mknod /null c 1 3; mount -o remount,bind,dev / || echo kept; cat /null || echo shut; mount -t tmpfs x /tmp"
    )
    status, output = run.shell(f"({script}) 2>/dev/null", privileged=True)
    assert (status, output) == (0, "kept\nshut\n")


def test_a_volume_on_a_file_system_without_idmapped_mounts_is_an_error(run: Any) -> None:
    spec = run.spec("true", mounts=(Mount("bind", "/sys/kernel", "/data"),))
    with pytest.raises(IsolationError, match="cannot map the owners of /sys/kernel: ") as caught:
        run.isolation.start(spec, 0, 1, 2)
    assert "--userns host" in (caught.value.hint or "")
    assert run.changed() == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter: root of a container is somebody else."""
    with tempfile.TemporaryDirectory(prefix="pywerf-mapped-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("script", [OLD, DEAF])
def test_a_runtime_that_is_too_old_to_pass_on_a_listener_does_without(
    open_folder: Path, runner_of: Callable[[Isolation], Any], script: str
) -> None:
    old = open_folder / "runc-old"
    old.write_text(script.replace("RUNC", machine.require("runc")))
    old.chmod(0o755)
    isolation = OciIsolation(find_runtime(f"{old}", lambda name: None), ids=IDS)
    try:
        run = runner_of(isolation)
        for _ in range(2):
            assert run.shell("mknod /tmp/null c 1 3 2>/dev/null; echo $?; echo x > /tmp/x") == (0, "1\n")
    finally:
        isolation.close()
