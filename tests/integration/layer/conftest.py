"""Real overlay mounts over layers, and the same tree as a plain copy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pywerf.linux import syscalls

MountOverlay = Callable[..., Path]


@pytest.fixture
def mount_overlay(tmp_path: Path) -> Iterator[MountOverlay]:
    """Mounts directories (nearest first) as one tree, with an upper directory if there is to be one."""
    if os.geteuid() != 0:
        pytest.fail("mounting needs root: run this test as root")
    mounted: list[str] = []

    def mount(lowers: Sequence[Path], upper: Path | None = None, options: str = "") -> Path:
        target = tmp_path / f"merged{len(mounted)}"
        target.mkdir()
        data = "lowerdir=" + ":".join(map(str, lowers))
        if upper is not None:
            work = tmp_path / f"work{len(mounted)}"
            work.mkdir()
            upper.mkdir(exist_ok=True)
            data += f",upperdir={upper},workdir={work}"
        elif len(lowers) == 1:
            (tmp_path / "nothing").mkdir(exist_ok=True)
            data += f":{tmp_path / 'nothing'}"
        data += ",redirect_dir=nofollow,metacopy=off,index=off,xino=off" + options
        syscalls.mount("overlay", str(target), "overlay", 0, data)
        mounted.append(str(target))
        return target

    yield mount
    for target in reversed(mounted):
        syscalls.umount2(target, syscalls.MNT_DETACH)


def build_base(folder: Path) -> tuple[Path, Path]:
    """Two layers with a bit of everything, the nearer one first; all times lie in the past."""
    near, far = folder / "near", folder / "far"
    script = r"""
        set -e; umask 022
        mkdir -p far/etc far/usr/bin far/usr/lib/deep/er far/var/log far/opaque far/gone far/both
        mkdir -p near/usr/bin near/opaque near/both
        echo hosts > far/etc/hosts; echo passwd > far/etc/passwd; chmod 600 far/etc/passwd; chown 1:2 far/etc/passwd
        printf 'program' > far/usr/bin/tool; chmod 4755 far/usr/bin/tool
        ln -s tool far/usr/bin/alias; ln far/usr/bin/tool far/usr/bin/tool2
        echo deep > far/usr/lib/deep/er/file; echo other > far/usr/lib/deep/other
        echo log > far/var/log/messages; mkfifo far/var/pipe; mknod far/var/null c 1 3
        echo hidden > far/opaque/hidden; echo gone > far/gone/x; echo 1 > far/both/a; echo 2 > far/both/b
        echo 3 > near/both/b; echo 4 > near/both/c; echo visible > near/opaque/visible
        echo marked > far/etc/marked; setfattr -n user.mark -v 1 far/etc/marked; setfattr -n user.mark -v d far/var/log
        echo caps > far/usr/bin/ping; setcap cap_net_raw+ep far/usr/bin/ping
        mknod near/gone c 0 0; setfattr -n trusted.overlay.opaque -v y near/opaque
        for i in $(seq 20); do echo $i > far/usr/lib/f$i; done
        find far near -exec touch -h -d @1500000000.25 {} +
    """
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"the base cannot be made (Debian packages attr and libcap2-bin are needed): {done.stderr}")
    return near, far


@pytest.fixture
def base(tmp_path: Path) -> tuple[Path, Path]:
    """The layers of `build_base`."""
    return build_base(tmp_path)
