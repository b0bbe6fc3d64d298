"""Stages: commands that are run on top of an image and committed, by the daemon and by the embedded engine."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from pywerf.backend.contract import Backend, DockerfileBuild, Stage, StageMount
from pywerf.errors import ContainerFailed, ImageNotFound, UsageError
from support import services
from support.backend_builds import build_of, names
from support.forked import in_a_child
from support.image_compare import read_image
from support.recorder import Recorder

pytestmark = pytest.mark.integration


@pytest.fixture(params=["buildkit", "embedded", "newer", "containerd-buildkit"])
def kind(request: pytest.FixtureRequest) -> str:
    """The backend; the daemon's builders run no stages."""
    return str(request.param)


def script(image: str, text: str, **fields: object) -> Stage:
    """A stage of a shell script."""
    stage = Stage(image, ("/bin/sh", "-ec", text), network="host")
    return replace(stage, **fields)


def kept(backend: Backend, daemon: services.Docker) -> tuple[str, str, list[str]]:
    """Containers, volumes and all images of the daemon; the images of the backend."""
    return (
        daemon.run("ps", "-a", "-q").stdout,
        daemon.run("volume", "ls", "-q").stdout,
        sorted(daemon.run("images", "-a", "-q").stdout.split())
        + sorted(str(image.id) for image in backend.images.images()),
    )


def based(backend: Backend, busybox: str, folder: Path, more: str = "") -> str:
    """An image to run stages on; without `more` it has neither command nor entrypoint."""
    base = f"FROM {busybox}\n" if more else f"FROM scratch\nCOPY --from={busybox} / /\n"
    build: DockerfileBuild = build_of(
        folder,
        f"{base}ENV A=1\nRUN mkdir -p -m 1777 /tmp && chmod 1777 /tmp; echo below > /below\n{more}",
        tags=("below:1",),
    )
    backend.builder.build(build)
    return "below:1"


@pytest.mark.parametrize("more", ["", 'CMD ["x"]\nLABEL l=1\nUSER 1000\nWORKDIR /tmp\n', 'ENTRYPOINT ["e"]\n'])
def test_nothing_of_the_run_is_in_the_image(
    more: str, backend: Backend, busybox: str, daemon: services.Docker, recorder: Recorder, tmp_path: Path
) -> None:
    containers = daemon.run("ps", "-a", "-q").stdout  # others share the daemon
    base = based(backend, busybox, tmp_path / "c", more)
    before = backend.images.inspect(base)
    if not more:
        assert (before.config.cmd, before.config.entrypoint) == (None, None)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/f").write_text("mounted")
    stage = script(
        base,
        'cat /below /mnt/f > /tmp/made; echo "$A $B $(id -u) $PWD"; grep -q 10.1.2.3.*db /etc/hosts',
        env={"B": "2"},
        user="7:7",
        workdir="/var",
        mounts=(StageMount(str(tmp_path / "m"), "/mnt", read_only=True),),
        add_hosts=("db:10.1.2.3",),
        labels={"new": "yes"},
        tags=("staged:1",),
        name="the stage",
    )
    id = backend.stages.run(stage)
    (step,) = [step for step in recorder.steps if step[0] == "the stage"]
    assert step[2:] == ("done", b"1 2 7 /var\n")
    made = backend.images.inspect("staged:1")
    assert made.id == id
    assert made.config == replace(before.config, labels={**before.config.labels, "new": "yes"})
    assert made.diff_ids[:-1] == before.diff_ids
    backend.transfer.save("staged:1", str(tmp_path / "saved.tar"))
    image = read_image(tmp_path / "saved.tar")
    assert image.files["tmp/made"]["size"] == len(b"below\nmounted")
    assert "mnt/f" not in image.files
    assert daemon.run("ps", "-a", "-q").stdout == containers


def test_a_config_of_its_own_and_a_stage_on_a_stage(backend: Backend, busybox: str, tmp_path: Path) -> None:
    base = based(backend, busybox, tmp_path / "c")
    wanted = replace(backend.images.inspect(base).config, cmd=("run",), env=("ONLY=1", "PATH=/bin"), user="5")
    first = backend.stages.run(script(base, "echo 1 > /one", env={"X": "1"}, config=wanted))
    assert backend.images.inspect(str(first)).config == wanted
    second = backend.stages.run(script(str(first), "cat /one; id -u > /tmp/two; rm -f /tmp/none", tags=("two:1",)))
    assert backend.images.inspect("two:1").id == second
    assert backend.images.inspect("two:1").config == wanted
    third = backend.images.inspect(str(backend.stages.run(script("two:1", "true"))))
    below = backend.images.inspect("two:1").diff_ids
    assert (third.config, third.diff_ids[: len(below)]) == (wanted, below)
    backend.builder.build(build_of(tmp_path / "d", "FROM two:1\nRUN test $(cat /tmp/two) = 5\n"))


def test_nothing_stays_after_a_failure(
    backend: Backend, busybox: str, daemon: services.Docker, tmp_path: Path, recorder: Recorder
) -> None:
    base = based(backend, busybox, tmp_path / "c", "VOLUME /data\n")
    before = kept(backend, daemon)
    with pytest.raises(ContainerFailed, match="the stage") as caught:
        backend.stages.run(script(base, "echo why >&2; exit 7", tags=("never:1",), name="the stage"))
    assert caught.value.status == 7
    assert [step[2:] for step in recorder.steps if step[0] == "the stage"] == [("failed", b"why\n")]
    with pytest.raises(ContainerFailed) as caught:
        backend.stages.run(Stage(base, ("/no/such",), network="host", tags=("never:1",)))
    assert caught.value.status == 127
    with pytest.raises(ImageNotFound):
        backend.stages.run(script("no-such:1", "true"))
    with pytest.raises(UsageError):
        backend.stages.run(Stage(base, ()))
    assert kept(backend, daemon) == before
    assert "never:1" not in names(backend)


def test_nothing_stays_after_an_interruption(
    backend: Backend,
    open_backend: Callable[[str], Backend],
    kind: str,
    busybox: str,
    daemon: services.Docker,
    tmp_path: Path,
    recorder: Recorder,
) -> None:
    base = based(backend, busybox, tmp_path / "c")
    before = kept(backend, daemon)

    def interrupted() -> None:
        own = open_backend(kind)  # not the connections of the parent
        main = threading.get_ident()

        def interrupt() -> None:
            end = time.monotonic() + 120
            while time.monotonic() < end and not any(step[3] == b"begun\n" for step in recorder.steps):
                time.sleep(0.05)
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            own.stages.run(script(base, "echo begun; sleep 200", tags=("never:1",)))

    in_a_child(interrupted)
    assert kept(backend, daemon) == before
    assert "never:1" not in names(backend)


def test_mount_points_and_volumes(backend: Backend, kind: str, busybox: str, tmp_path: Path) -> None:
    base = based(backend, busybox, tmp_path / "c", "RUN mkdir /data\nVOLUME /data\n")
    (tmp_path / "m").mkdir()
    mounts = (StageMount(str(tmp_path / "m"), "/new/point"),)
    backend.stages.run(script(base, "echo 1 > /data/f; echo 1 > /new/point/f", mounts=mounts, tags=("mounted:1",)))
    assert (tmp_path / "m/f").read_text() == "1\n"
    backend.transfer.save("mounted:1", str(tmp_path / "saved.tar"))
    files = read_image(tmp_path / "saved.tar").files
    assert "new/point/f" not in files
    assert ("data/f" in files, "new/point" in files) == ((True, False) if kind == "embedded" else (False, True))
