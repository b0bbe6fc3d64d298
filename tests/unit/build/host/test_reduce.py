"""Which images of projects go when a volume is too full, and which a purge takes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pywerf.backend.host import HostContainer, HostImage
from pywerf.build.host.reduce import Reduced, purge_images, reduce_images
from pywerf.build.limits import VolumeLimit
from pywerf.errors import ImageInUse

NOW = time.time()
HOUR = 3600.0
FULL = VolumeLimit(0, 0)  # nothing is allowed: everything goes that can
ROOMY = VolumeLimit(100, 0)


def image(name: str, hours: float, project: str = "shop", *, named: bool = True) -> HostImage:
    return HostImage(f"id-{name}", (f"shop:{name}",) if named else (), project, NOW - hours * HOUR, 100)


class MemoryHost:
    """HostBackend in memory. `standing` has images that others stand on, `held` those of other programs."""

    name = "memory"

    def __init__(self, path: Path, *images: HostImage) -> None:
        self.storage_path = str(path)
        self.kept = list(images)
        self.boxes: list[HostContainer] = []
        self.loose = ["volume"]
        self.standing: dict[str, str] = {}
        self.held: set[str] = set()
        self.order: list[str] = []

    def images(self, project: str = "") -> list[HostImage]:
        return [one for one in self.kept if project in ("", one.project)]

    def containers(self, project: str = "") -> list[HostContainer]:
        ids = {one.id for one in self.images(project)}
        return [one for one in self.boxes if one.left or one.image in ids]

    def volumes(self) -> list[str]:
        return list(self.loose)

    def remove_image(self, image: HostImage, *, force: bool = False) -> bool:
        used = {one.image for one in self.boxes} | {
            below for above, below in self.standing.items() if above in {one.id for one in self.kept}
        }
        if image.id in used | self.held:
            return False
        self.kept.remove(image)
        self.order.append(image.id)
        return True

    def remove_container(self, container: HostContainer) -> bool:
        self.boxes.remove(container)
        self.order.append(container.id)
        return True

    def remove_volume(self, name: str) -> bool:
        self.loose.remove(name)
        return True


def test_a_volume_with_room_is_left_alone(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("a", 5), image("b", 5, named=False))
    assert reduce_images(host, ROOMY) == Reduced()
    assert len(host.kept) == 2
    assert host.loose == ["volume"]


def test_dangling_images_go_first_then_those_used_longest_ago(tmp_path: Path) -> None:
    host = MemoryHost(
        tmp_path,
        image("new", 1),
        image("old", 9),
        image("middle", 5),
        image("loose", 2, named=False),
        image("now", 0.1),
    )
    done = reduce_images(host, FULL)
    assert done.images == ("id-loose", "shop:old", "shop:middle", "shop:new")
    assert host.order == ["id-loose", "id-old", "id-middle", "id-new"]
    assert [one.id for one in host.kept] == ["id-now"]
    assert done.volumes == ("volume",)
    assert done.left > 0


def test_what_a_build_has_found_lately_was_used_lately(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("found", 9), image("old", 5), image("now", 4))
    last_use = {"id-found": NOW - HOUR, "id-now": NOW, "id-old": 0.0}
    assert reduce_images(host, FULL, last_use=last_use.__getitem__).images == ("shop:old", "shop:found")


class ImagesLimit:
    """A limit of what the images of a host take, instead of a volume that others write to."""

    def __init__(self, host: MemoryHost, allowed: int, margin: int) -> None:
        self.host, self.allowed, self.margin = host, allowed, margin

    def over(self, path: str) -> int:
        return max(0, sum(one.size for one in self.host.kept) - self.allowed)

    def excess(self, path: str) -> int:
        return max(0, sum(one.size for one in self.host.kept) - self.allowed + self.margin)


@pytest.mark.parametrize(("allowed", "margin", "gone"), [(300, 0, 0), (299, 0, 1), (200, 0, 1), (250, 100, 2)])
def test_it_ends_when_there_is_room(tmp_path: Path, allowed: int, margin: int, gone: int) -> None:
    host = MemoryHost(tmp_path, image("new", 1), image("old", 9), image("middle", 5))
    limit = ImagesLimit(host, allowed, margin)
    would = reduce_images(host, limit, dry_run=True)  # type: ignore[arg-type]  # as much of a limit as is used
    done = reduce_images(host, limit)  # type: ignore[arg-type]  # as above
    assert done.images == would.images == ("shop:old", "shop:middle", "shop:new")[:gone]
    assert done.left == would.left == 0


def test_a_dry_run_tells_and_removes_nothing(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("old", 9), image("loose", 2, named=False))
    host.boxes = [HostContainer("left", "elsewhere", running=False, left=True)]
    would = reduce_images(host, FULL, dry_run=True)
    assert len(host.kept) == 2
    assert len(host.boxes) == 1
    did = reduce_images(host, FULL)
    assert (did.images, did.containers, did.volumes) == (would.images, would.containers, would.volumes)


def test_what_is_in_use_stays_unless_forced(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("used", 9), image("free", 5))
    host.boxes = [
        HostContainer("running", "id-used", running=True),
        HostContainer("left", "id-other", running=False, left=True),
    ]
    done = reduce_images(host, FULL)
    assert done.images == ("shop:free",)
    assert done.containers == ("left",)
    done = reduce_images(host, FULL, force=True)
    assert done.images == ("shop:used",)
    assert done.containers == ("running",)


def test_one_project_alone(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("a", 9), image("b", 9, "other"))
    assert reduce_images(host, FULL, project="other").images == ("shop:b",)
    assert [one.id for one in host.kept] == ["id-a"]


def test_images_on_another_machine(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("a", 9))
    host.storage_path = ""
    assert reduce_images(host, FULL) == Reduced()


def test_a_purge_takes_all_but_the_latest(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("base", 4), image("app", 5), image("new", 1), image("loose", 9, named=False))
    host.standing = {"id-app": "id-base"}
    would = purge_images(host, dry_run=True)
    assert len(host.kept) == 4
    done = purge_images(host)
    assert [one.id for one in host.kept] == ["id-new"]
    assert sorted(would.images) == sorted(done.images) == ["id-loose", "shop:app", "shop:base"]


def test_a_purge_does_not_go_round_for_ever(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("held", 4), image("app", 5))
    host.held = {"id-held"}
    assert purge_images(host).images == ("shop:app",)


def test_a_purge_of_what_containers_use_needs_force(tmp_path: Path) -> None:
    host = MemoryHost(tmp_path, image("used", 4), image("free", 5), image("other", 5, "other"))
    host.boxes = [HostContainer("0123456789abcdef", "id-used", running=True)]
    with pytest.raises(ImageInUse, match="0123456789ab") as caught:
        purge_images(host)
    assert "--force" in (caught.value.hint or "")
    assert len(host.kept) == 3
    assert purge_images(host, project="other").images == ("shop:other",)
    done = purge_images(host, force=True)
    assert done.containers == ("0123456789abcdef",)
    assert host.kept == []
