"""`--explain` and `werf buildah explain`: for each step of a build whether it was cached, and if not, why not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pywerf.build.build_log import LoggedBuild, LoggedStep, builds
from pywerf.errors import BuildError, ImageNotFound
from pywerf.solver.explain import Change, FileEntry, differences, instruction_of, summary

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.store.cache import CacheRecord
    from pywerf.store.store import Store

__all__ = ["Story", "as_json", "explain", "find_build", "lines", "select_steps"]

_SHOWN = 20  # files that the plain form lists for each step
_NOTES = {
    "disabled": "the cache was not used (--no-cache, --no-cache-filter or --layers=false)",
    "expired": "its result is older than --cache-ttl allows",
    "lost": "its layer is no longer in the store",
}


class Story(msgspec.Struct, frozen=True):
    """How a step came to be. `made` is when its result was made, `compared` when the record that it was compared with

    was (seconds since the epoch, 0: there is none).
    """

    step: LoggedStep
    reason: str = ""
    changes: tuple[Change, ...] = ()
    made: float = 0.0
    compared: float = 0.0


def find_build(session: Session, what: str) -> tuple[LoggedBuild, str]:
    """The build that `what` means, and which of its steps: an image, the id of a build, else a step of the last build.

    Raises BuildError when no build is remembered, ImageNotFound for an image that was not built here.
    """
    known = list(builds(session.store))
    if not known:
        raise BuildError("no build is remembered in this store", hint="build something first, or check --root")
    if not what:
        return known[0], ""
    for build in known:
        if what in (build.id, build.id.partition("-")[2]):
            return build, ""
    if any(_fits(step, what) for step in known[0].steps):
        return known[0], what
    try:
        image = session.find_image(what)
    except ImageNotFound as error:
        raise BuildError(
            f"{what}: neither an image nor a step of the last build",
            hint="`werf buildah explain` without a name lists the steps of the last build",
        ) from error
    for build in known:
        if str(image.id) in (build.image, *build.images):
            return build, ""
    raise BuildError(
        f"{what}: the build of this image is not remembered",
        hint="it was pulled, built elsewhere, or built longer ago than the store remembers",
    )


def select_steps(stories: Sequence[Story], what: str) -> list[Story]:
    """Those that `what` means; all when it is empty."""
    return [story for story in stories if not what or _fits(story.step, what)]


def _fits(step: LoggedStep, what: str) -> bool:
    """`2/5`, `stage-1 2/5`, or the beginning of an instruction."""
    if step.name.startswith("[internal]"):
        return False
    place = step.name.partition("]")[0].lstrip("[")
    return what in (place, place.rpartition(" ")[2]) or instruction_of(step.name).lower().startswith(what.lower())


def explain(store: Store, build: LoggedBuild) -> list[Story]:
    """The steps of a build, with what differed from the nearest earlier record of each."""
    return _Explainer(store, build).run()


class _Explainer:
    def __init__(self, store: Store, build: LoggedBuild) -> None:
        self.store = store
        self.build = build
        self.earlier = [other for other in builds(store) if other.id < build.id and other.project == build.project]

    def run(self) -> list[Story]:
        return [self._story(step) for step in self.build.steps]

    def _story(self, step: LoggedStep) -> Story:
        record = self.store.cache.get(step.key) if step.key else None
        made = record.created if record is not None else 0.0
        if step.state == "cached":
            return Story(step, made=made)
        if step.state != "done" or (not step.key and not step.note):
            return Story(step)
        if step.note:
            return Story(step, _NOTES.get(step.note, step.note), made=made)
        if record is None:
            return Story(step, "its record is no longer in the cache")
        old = self._nearest(step, record)
        if old is None:
            return Story(step, "nothing like it was built before", made=made)
        changes = differences(_components(old), _components(record), self._files)
        reason = summary(changes) if changes else "the same was done at the same time by another build"
        return Story(step, reason, tuple(changes), made, old.created)

    def _nearest(self, step: LoggedStep, record: CacheRecord) -> CacheRecord | None:
        """The record to compare with: the same op in this project, the step in its place, the same op anywhere."""
        for build in self.earlier:
            for other in build.steps:
                if other.op == step.op and (found := self._before(other.key, record)) is not None:
                    return found
        for build in self.earlier:
            place = _counterpart(step, build.steps, self.build.steps)
            if place is not None and (found := self._before(place.key, record)) is not None:
                return found
        new = _components(record)
        candidates = [
            item
            for item in self.store.cache.candidates(record.definition)
            if item.key != record.key and item.created < record.created
        ]
        return min(candidates, key=lambda item: _distance(_components(item), new), default=None)

    def _before(self, key: str, record: CacheRecord) -> CacheRecord | None:
        found = self.store.cache.get(key) if key and key != record.key else None
        return found if found is not None and found.created <= record.created else None

    def _files(self, component: str) -> Mapping[str, FileEntry] | None:
        from pywerf.backend.buildah.listing import read_listing

        data = self.store.memo.get("files", component)
        if data is None:
            return None
        try:
            listed = read_listing(data)
        except ValueError:
            return None  # another version's: only a memory
        return {
            path: FileEntry(entry.kind, entry.mode, f"{entry.uid}:{entry.gid}", _content(entry.kind, entry.content))
            for path, entry in listed.items()
        }


def _content(kind: str, content: bytes) -> str:
    if kind == "file":
        return f"sha256:{content.hex()[:12]}"
    return content.decode("utf-8", "replace")


def _components(record: CacheRecord) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(record.components)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _distance(old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    return sum(old.get(name) != new.get(name) for name in {*old, *new} - {"name", "on", "op"})


def _counterpart(step: LoggedStep, old: Sequence[LoggedStep], new: Sequence[LoggedStep]) -> LoggedStep | None:
    """The step of an earlier build that this one has taken the place of: the same text, else the same place."""
    stage, number = _place(step)
    inside = [other for other in old if _place(other)[0] == stage]
    text = instruction_of(step.name)
    for other in inside:
        if instruction_of(other.name) == text:
            return other
    kept = {instruction_of(item.name) for item in new}
    word = text.partition(" ")[0]
    for other in inside:
        there = instruction_of(other.name)
        if there not in kept and _place(other)[1] == number and there.partition(" ")[0] == word:
            return other
    for other in inside:
        there = instruction_of(other.name)
        if there not in kept and there.partition(" ")[0] == word:
            return other
    return None


def _place(step: LoggedStep) -> tuple[str, str]:
    """Stage and number of a step: `[build 2/5] RUN` -> (`build`, `2`)."""
    words = step.name.partition("]")[0].lstrip("[").split(" ")
    return " ".join(words[:-1]), words[-1].partition("/")[0]


def lines(stories: Sequence[Story]) -> list[str]:
    """The plain form: a line for each step, and below it the files that differ."""
    out: list[str] = []
    for story in stories:
        step = story.step
        if step.state == "cached":
            when = f" (made {_time(story.made)})" if story.made else ""
            out.append(f"{step.name}: cached{when}")
            continue
        if step.state == "done" and not story.reason:
            continue  # a source, which is only opened
        out.append(f"{step.name}: {story.reason or step.state}")
        files = [change for change in story.changes if change.kind == "file"]
        for change in files[:_SHOWN]:
            out.append(f"    {change.what}  {change.old or '(none)'} -> {change.new or '(none)'}")
        if len(files) > _SHOWN:
            out.append(f"    … {len(files) - _SHOWN} more (--json lists all)")
    return out


def as_json(build: LoggedBuild, stories: Sequence[Story]) -> dict[str, object]:
    """The form of `--json`: the build, and its steps with `reason` and `changes`."""
    head = msgspec.to_builtins(build)
    head["steps"] = [
        {
            "name": story.step.name,
            "source": story.step.source,
            "state": story.step.state,
            "cached": story.step.state == "cached",
            "reason": story.reason,
            "changes": msgspec.to_builtins(story.changes),
            "key": story.step.key,
            "made": _time(story.made) if story.made else "",
            "comparedWith": _time(story.compared) if story.compared else "",
            "began": _time(story.step.began),
            "seconds": round(story.step.seconds, 6),
        }
        for story in stories
    ]
    head["began"] = _time(build.began)
    return dict(head)


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
