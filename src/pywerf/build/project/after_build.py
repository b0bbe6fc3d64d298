"""What follows when an image is there: its index, its copy in the final repo, custom tags, the repository's records."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.custom_tags import custom_tags_of
from pywerf.build.project.digests import index_digest
from pywerf.build.project.results import BuiltImage
from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.build.project.storage.records import CustomTag, ImageMetadata, ManagedImage, image_hash, last_cleanup
from pywerf.errors import GitError, RegistryUnauthorized

if TYPE_CHECKING:
    from pywerf.build.project.image_output import ImageBlock
    from pywerf.build.project.project import Project
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.util.events import Reporter

__all__ = ["add_custom_tags", "commits_of", "finish", "warn_of_many_tags", "write_records"]

MANY_TAGS = 100
CLEANUP_DAYS = 14


def finish(image: BuiltImage, repos: Repos, block: ImageBlock) -> BuiltImage:
    """The image with its index, if it has several platforms, and its copies in the final repo. Raises WerfError."""
    if len(image.platforms) > 1:
        image = msgspec.structs.replace(image, index=_index(image, repos))
    if repos.final is None or not image.final:
        return image
    from pywerf.build.project.storage.registry import RegistryStageStorage

    if not isinstance(repos.main, RegistryStageStorage):
        return image
    final, main = repos.final, repos.main
    platforms = tuple(
        msgspec.structs.replace(one, final=_copied(main, final, one.last.id, block)) for one in image.platforms
    )
    index = None if image.index is None else _copied(main, final, image.index.id, block)
    return msgspec.structs.replace(image, platforms=platforms, final_index=index)


def _index(image: BuiltImage, repos: Repos) -> StageDescription | None:
    digest = index_digest((one.platform, one.last.id) for one in image.platforms)
    members = [one.last for one in image.platforms]
    found = repos.main.describe(StageId(digest)) if StageId(digest) in repos.main.stages(digest) else None
    if found is None:
        found = repos.main.publish_index(digest, members)
    if found is None:
        return None
    # an index has no times and sizes of its own
    return msgspec.structs.replace(
        found,
        created=max(member.created for member in members),
        size=sum(member.size for member in members),
        labels=members[0].labels,
    )


def _copied(
    main: RegistryStageStorage, final: RegistryStageStorage, stage: StageId, block: ImageBlock
) -> StageDescription:
    if stage in final.stages(stage.digest):
        found = final.describe(stage)
        if found is not None:
            return found
    block.line(f"Copying {stage} to the final repo {final.address}")
    from pywerf.build.project.storage.registry import copy_stage

    return copy_stage(main, final, stage)


def add_custom_tags(images: Sequence[BuiltImage], templates: Sequence[str], repos: Repos) -> list[BuiltImage]:
    """Give final images their custom tags, in the final repo if there is one; whatever had them before loses them."""
    records = repos.main.records
    if not templates or records is None:
        return list(images)
    target = (repos.final or repos.main).records
    assert target is not None
    done = []
    for image in images:
        published = image.published
        if not image.final or published is None:
            done.append(image)
            continue
        tags = custom_tags_of(templates, image.name, published.tag)
        for tag in tags:
            target.point(tag, published.id)
            record = CustomTag(tag, published.id)
            records.write(record.tag, record.labels)
            repos.reporter.message("info", f"image {image.name or '~'}: tagged {published.repo}:{tag}")
        done.append(msgspec.structs.replace(image, custom_tags=tags))
    return done


def write_records(images: Sequence[BuiltImage], project: Project, repos: Repos, reporter: Reporter) -> None:
    """Note in the repository which images the project has, and which stage each has at the commit.

    What is noted already is not written again. A registry that forbids it gets a warning.
    """
    records, cleanup = repos.main.records, project.config.meta.cleanup
    if records is None or cleanup.disable:
        return
    wanted: list[ManagedImage | ImageMetadata] = [ManagedImage(image.name) for image in images]
    if not project.options.dev and not cleanup.disable_git_history_based_policy:
        wanted += [
            ImageMetadata(image_hash(image.name), commit, image.result.id)
            for commit in commits_of(project)
            for image in images
            if image.result is not None
        ]
    known = set(records.tags())
    missing = [record for record in wanted if record.tag not in known]
    try:
        _all(lambda record: records.write(record.tag, record.labels), missing)
    except RegistryUnauthorized as error:
        if error.status != 403:
            raise
        reporter.message("warning", f"{repos.main.address}: records for cleanup cannot be written: {error.message}")


def commits_of(project: Project) -> list[str]:
    """The commits that a build is of: the head, and of a merge preview also the commit that would be merged.

    Raises GitError for a head that is no merge.
    """
    if not project.options.virtual_merge:
        return [project.commit]
    parents = project.git.parents(project.commit)
    if len(parents) != 2:
        raise GitError(
            f"--virtual-merge: commit {project.commit[:12]} is no merge of two commits, it has {len(parents)} parents",
            hint="leave the flag out where CI checks out the branch itself",
        )
    return [project.commit, parents[1]]


def warn_of_many_tags(repos: Repos, reporter: Reporter, *, now: Callable[[], float] = time.time) -> None:
    """Warn when a repository has many tags, and nobody has cleaned it up for long, or most of them are records."""
    records = repos.main.records
    if records is None:
        return
    tags = records.tags()
    if len(tags) < MANY_TAGS:
        return
    notes = sum(tag.startswith("meta-") for tag in tags)
    cleaned = last_cleanup(records)
    days = None if cleaned is None else int(now() - cleaned / 1000) // (24 * 3600)
    if days is None or days >= CLEANUP_DAYS:
        when = "never" if days is None else f"{days} days ago"
        why = f"has {len(tags)} tags; last cleanup: {when}"
    elif notes > len(tags) * 0.8:
        why = f"has {len(tags)} tags, {notes} of them records of images at commits"
    else:
        return
    reporter.message("warning", f"{repos.main.address} {why}: `werf cleanup --repo …` removes what nobody needs")


def _all(write: Callable[[ManagedImage | ImageMetadata], None], items: Sequence[ManagedImage | ImageMetadata]) -> None:
    """Write all, several at a time."""
    if len(items) < 2:
        for item in items:
            write(item)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, len(items)), "record") as pool:
        for future in [pool.submit(write, item) for item in items]:
            future.result()
