"""Layers that are sent while a build runs."""

from __future__ import annotations

import subprocess
import sys
import threading

from pywerf.backend.buildah.ref import LayerInfo, Ref
from pywerf.build.bases import Bases, Found
from pywerf.build.remote.uploads import LayerUploads, Target, found_of_ref
from pywerf.build.session import Session
from pywerf.errors import RegistryError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.util.promise import Promise


def ref(name: str, parent: Ref | None = None, *, empty: bool = False) -> Ref:
    return Ref(parent, Promise.of(LayerInfo(Digest.of(name.encode()), 10, empty)))


class Receiver:
    """What a Target opens: notes the layers; `gate` holds them up."""

    def __init__(self) -> None:
        self.opened = 0
        self.got: list[Digest] = []
        self.fail = ""
        self.gate = threading.Event()
        self.gate.set()
        self.target = Target(self.open)

    def open(self):  # type: ignore[no-untyped-def]
        self.opened += 1
        return self.push

    def push(self, found: Found, index: int) -> Descriptor:
        self.gate.wait(20)
        if self.fail:
            raise RegistryError(self.fail)
        self.got.append(found.config.diff_ids[index])
        return Descriptor("layer", Digest.of(b"blob" + str(found.config.diff_ids[index]).encode()), 7)


def nothing() -> Bases:
    raise AssertionError("no base is needed")


def test_each_layer_once_a_target(session: Session) -> None:
    one, two = Receiver(), Receiver()
    uploads = LayerUploads(session, nothing)
    bottom = ref("a")
    layers = [bottom, ref("b", bottom), ref("a")]
    for _ in range(3):
        for layer in layers:
            uploads.offer(layer, (one.target, two.target))
    uploads.offer(layers[0], (two.target,))
    uploads.finish()
    for receiver in (one, two):
        assert sorted(map(str, receiver.got)) == sorted(str(Digest.of(text)) for text in (b"a", b"b"))
        assert receiver.opened == 1
        assert set(receiver.target.sent) == set(receiver.got)


def test_offering_does_not_wait(session: Session) -> None:
    slow = Receiver()
    slow.gate.clear()
    uploads = LayerUploads(session, nothing)
    for number in range(10):
        uploads.offer(ref(str(number)), (slow.target,))
    assert slow.got == []
    slow.gate.set()
    uploads.finish()
    assert len(slow.got) == 10


def test_the_first_error_ends_a_target_and_no_other(session: Session) -> None:
    broken, good = Receiver(), Receiver()
    broken.fail = "no room"
    uploads = LayerUploads(session, nothing)
    for number in range(5):
        uploads.offer(ref(str(number)), (broken.target, good.target))
    uploads.finish()
    assert str(broken.target.errors[0]) == "no room"
    assert broken.target.sent == {}
    assert len(good.got) == 5
    assert good.target.errors == []


def test_stopped_ones_send_no_more(session: Session) -> None:
    slow = Receiver()
    slow.gate.clear()
    uploads = LayerUploads(session, nothing)
    for number in range(20):
        uploads.offer(ref(str(number)), (slow.target,))
    uploads.stop()
    slow.gate.set()
    uploads.offer(ref("later"), (slow.target,))
    uploads.finish()
    assert len(slow.got) <= 2, "only what was on its way"


def test_nothing_to_wait_for(session: Session) -> None:
    uploads = LayerUploads(session, nothing)
    uploads.finish()
    uploads.offer(ref("a"), ())
    uploads.finish()


def test_a_target_is_closed_once() -> None:
    closed: list[bool] = []
    for errors, given_up in (([], False), ([RegistryError("x")], False), ([], True)):
        target = Receiver().target
        target.errors += errors
        target.on_close = closed.append
        target.close(given_up=given_up)
        target.close()
    assert closed == [True, False, False]


def test_refs_as_an_image() -> None:
    bottom = ref("a")
    top = ref("c", ref("b", bottom, empty=True))
    found = found_of_ref(top)
    assert found.config.diff_ids == (Digest.of(b"a"), Digest.of(b"c"))
    assert [layer.digest for layer in found.manifest.layers] == [Digest.of(b"a"), Digest.of(b"c")]


def test_a_build_without_such_flags_loads_nothing_of_this() -> None:
    code = (
        "import sys\n"
        "from pywerf.build import build_images\n"
        "from pywerf.build.options import BuildOptions, Output\n"
        "import pywerf.backend.buildah.snapshots, pywerf.backend.buildah.exec_mounts\n"
        "assert build_images._remote(None, BuildOptions(outputs=(Output('local', '/x'),))) is None\n"
        "print([name for name in sys.modules if name.startswith('pywerf.build.remote.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
