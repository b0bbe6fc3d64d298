from __future__ import annotations

from collections.abc import Callable

import pytest

from pywerf.build.remove import dangling
from pywerf.build.session import WORK, Session
from pywerf.errors import ImageInUse, ImageNotFound
from pywerf.oci import media_types
from pywerf.store.images import ImageRecord
from support.image_values import Image

Store = Callable[..., ImageRecord]


@pytest.fixture
def put(session: Session, make_image: Callable[..., Image]) -> Store:
    """Puts an image of its own (by `content`) into the store under names."""

    def store(*names: str, content: str = "x", platform: str = "linux/amd64") -> ImageRecord:
        image = make_image((("f", content.encode()),), platform=platform)
        full = [f"localhost/{name}" for name in names]
        return session.store.images.put(image.data, image.manifest.media_type, image.config.to_json(), full)

    return store


def events(session: Session, *names: str, **flags: bool) -> list[tuple[str, str]]:
    return [(event.kind, event.what) for event in session.remove(names, **flags)]


def test_one_of_several_names_is_taken_away(session: Session, put: Store) -> None:
    record = put("app:1", "app:2")
    assert events(session, "app:1") == [("untagged", "localhost/app:1")]
    assert session.find_image("app:2").id == record.id
    assert events(session, "app:2") == [("untagged", "localhost/app:2"), ("deleted", record.id.hex)]
    assert session.store.images.list() == []


def test_a_name_twice_takes_away_that_name_alone(session: Session, put: Store) -> None:
    put("app:1", "app:2")
    assert events(session, "app:1", "app:1") == [("untagged", "localhost/app:1")]
    assert session.find_image("app:2").names == ("localhost/app:2",)


def test_all_names_of_an_image(session: Session, put: Store) -> None:
    record = put("app:1", "app:2")
    assert events(session, "app:1", "app:2")[-1] == ("deleted", record.id.hex)
    assert session.store.images.list() == []


def test_by_id_with_several_names(session: Session, put: Store) -> None:
    record = put("app:1", "app:2")
    with pytest.raises(ImageInUse, match=r"several names \(localhost/app:1, localhost/app:2\)") as caught:
        session.remove([record.id.short])
    assert caught.value.hint == "remove it with --force"
    assert session.find_image("app:1").id == record.id
    assert events(session, record.id.short, force=True) == [
        ("untagged", "localhost/app:1"),
        ("untagged", "localhost/app:2"),
        ("deleted", record.id.hex),
    ]


def test_by_id_with_one_name_or_none(session: Session, put: Store) -> None:
    one, none = put("app:1", content="1"), put(content="2")
    assert events(session, one.id.hex) == [("untagged", "localhost/app:1"), ("deleted", one.id.hex)]
    assert events(session, str(none.id)) == [("deleted", none.id.hex)]


def test_nothing_goes_when_one_is_not_known(session: Session, put: Store) -> None:
    put("app:1")
    with pytest.raises(ImageNotFound, match="gone"):
        session.remove(["app:1", "gone"])
    assert session.find_image("app:1")


@pytest.fixture
def index(
    session: Session, put: Store, make_image: Callable[..., Image], index_of: Callable[..., bytes]
) -> ImageRecord:
    """An index `multi:1` of two images without names, and a dangling image beside."""
    images = [make_image((("f", b"m"),), platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    for arch in ("amd64", "arm64"):
        put(content="m", platform=f"linux/{arch}")
    put(content="dangling")
    return session.store.images.put_index(index_of(*images), media_types.OCI_INDEX, ["localhost/multi:1"])


def test_images_of_an_index_are_not_dangling(session: Session, index: ImageRecord) -> None:
    assert len(session.store.images.list()) == 4
    assert len(dangling(session)) == 1
    assert len(events(session, prune=True)) == 1
    assert len(session.store.images.list()) == 3


def test_an_image_of_an_index_cannot_go_alone(session: Session, index: ImageRecord) -> None:
    member = next(record for record in session.store.images.list() if str(record.platform) == "linux/arm64")
    with pytest.raises(ImageInUse):
        session.remove([member.id.hex])


def test_with_an_index_go_the_images_that_nobody_has_a_name_for(session: Session, index: ImageRecord) -> None:
    member = next(record for record in session.store.images.list() if str(record.platform) == "linux/arm64")
    session.tag(member.id.hex, ["kept:1"])
    gone = [what for kind, what in events(session, "multi:1") if kind == "deleted"]
    assert gone[0] == index.id.hex
    assert len(gone) == 2
    assert session.find_image("kept:1").id == member.id
    assert len(session.store.images.list()) == 2


def test_all_go_whatever_lists_them(session: Session, index: ImageRecord, put: Store) -> None:
    put("app:1", content="more")
    events(session, all=True)
    assert session.store.images.list() == []


def test_nothing_is_collected_while_somebody_works(session: Session, put: Store) -> None:
    put("app:1")
    loose = session.store.blobs.put(b"of a build that is going on")
    with session.store.lease(*WORK):
        events(session, "app:1")
        assert session.store.blobs.has(loose) is not None


def test_names_move_and_leave_images_without_any(session: Session, put: Store) -> None:
    one, two = put("app:1", content="1"), put("app:2", content="2")
    session.tag("app:2", ["app:1"])
    assert session.find_image("app:1").id == two.id
    assert [record.id for record in dangling(session)] == [one.id]
    session.untag("app:1", [])
    assert len(dangling(session)) == 2


def test_untag_wants_a_name_of_the_image(session: Session, put: Store) -> None:
    put("app:1")
    with pytest.raises(ImageNotFound) as caught:
        session.untag("app:1", ["other:1"])
    assert "localhost/app:1" in str(caught.value.hint)


def test_tags_are_all_checked_before_the_first_is_given(session: Session, put: Store) -> None:
    from pywerf.errors import InvalidReference

    record = put("app:1")
    with pytest.raises(InvalidReference):
        session.tag("app:1", ["good:1", "BAD"])
    assert session.find_image("app:1").names == record.names
