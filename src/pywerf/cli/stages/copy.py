"""`werf stages copy`: the stages of a project, from one repository to another, or to an archive and back."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import msgspec

from pywerf.cli.declare import declared, flag, switch
from pywerf.cli.introspection_flags import introspection_flags
from pywerf.cli.invocation import engine_flags, progress_flags
from pywerf.cli.project_build import build_flags, built_with_report, opened_project, reported_images, use_report_flags
from pywerf.cli.project_flags import project_flags, project_name
from pywerf.cli.repo_flags import registry_access, registry_options, repo_flags_but_repo, repo_options

if TYPE_CHECKING:
    from pywerf.build.stages.address import Address
    from pywerf.build.stages.contents import Contents
    from pywerf.build.stages.places import Origin, Target
    from pywerf.cli.invocation import Invocation
    from pywerf.registry.access import RegistryAccess
    from pywerf.util.events import Reporter

__all__ = ["command"]

_NO_LIMIT = 64  # more connections than a registry likes


@declared("copy", short_help="Copy stages between repositories and archives.")
@flag("--from", "from_", metavar="ADDRESS", help="Where stages are: [docker://]REPO or archive:PATH.")
@flag("--to", metavar="ADDRESS", help="Where they are copied to: [docker://]REPO or archive:PATH.")
@switch("--all", "all_", default=True, help="All stages of the project (true by default), not only those of a build.")
@switch("--parallel", "-p", default=True, help="Copy, and build, several at the same time (true by default).")
@switch("--final-images-only", help="With --all=false: only images with final: true, and what they need.")
@flag("--backend-network", hidden=True)
@build_flags
@introspection_flags
@use_report_flags
@switch("--save-build-report", help="With --all=false: write a report of the images.")
@project_flags
@repo_flags_but_repo
@progress_flags
@engine_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Copy stages from one repository to another, to an archive, or from an archive to a repository.

    Builds with the other repository find them all: nothing is built again. Beside the stages go the records that
    cleanups need, and custom tags.

    By default all stages of the project are copied. With --all=false the project is built in --from, and the stages of
    its images are copied, without custom tags; with --use-build-report those of a report, without a build. From an
    archive everything is copied; neither git nor a werf.yaml is needed for that.

    What the target has is not sent again; between repositories of one registry nothing is sent at all.
    """
    from pywerf.build.stages.address import check_addresses, parse_address
    from pywerf.build.stages.copy import copy_stages

    origin, target = parse_address(flags["from_"], "--from"), parse_address(flags["to"], "--to")
    check_addresses(origin, target)
    flags["repo"] = origin.repo or target.repo
    limit = flags["parallel_tasks_limit"]
    jobs = (limit if limit > 0 else _NO_LIMIT) if flags["parallel"] else 1
    with run.reporter() as reporter, ExitStack() as stack:
        access = stack.enter_context(closing(registry_access(registry_options(flags))))
        contents, source = _found(run, flags, origin, jobs, access, reporter, stack)
        place = _opened_target(flags, target, contents.project, access, reporter, stack)
        reporter.message("info", f"copying stages of {contents.project} from {source.name} to {place.name}")
        done = copy_stages(contents, source, place, reporter, jobs=jobs, may_vanish=flags["all_"])
    print(done)
    return 0


def _found(
    run: Invocation,
    flags: dict[str, Any],
    address: Address,
    jobs: int,
    access: RegistryAccess,
    reporter: Reporter,
    stack: ExitStack,
) -> tuple[Contents, Origin]:
    """What there is to copy, and where it is."""
    from pywerf.build.stages.contents import all_contents, contents_of
    from pywerf.build.stages.places import RepositoryOrigin

    if address.archive:
        from pywerf.build.stages.archive import ArchiveOrigin

        if not flags["all_"] or flags["use_build_report"]:
            reporter.message("warning", "from an archive everything is copied: --all and --use-build-report do nothing")
        archive = stack.enter_context(closing(ArchiveOrigin(address.archive)))
        return archive.contents, archive
    from pywerf.build.project.storage.open import open_registry_storage

    storage = open_registry_storage(address.repo, access, home=repo_options(flags).home, flag="--from")
    origin = RepositoryOrigin(storage)
    if flags["all_"]:
        if flags["use_build_report"]:
            reporter.message(
                "warning", "--use-build-report does nothing as long as all stages are copied: add --all=false"
            )
        return all_contents(storage, project_name(flags, reporter), jobs=jobs), origin
    if flags["use_build_report"]:
        from pywerf.build.stages.report import reported_stages

        images = reported_images(flags, (), final_only=flags["final_images_only"])
        roots = reported_stages(images, storage)
        reported = [image.name for image in images]
        return contents_of(storage, roots, reported, jobs=jobs), origin
    with opened_project(run, flags, reporter) as opened:
        names = opened.project.images((), final_only=flags["final_images_only"])
        built = built_with_report(opened, names)
    roots = [one.description.id for image in built for platform in image.platforms for one in platform.stages]
    roots += [image.index.id for image in built if image.index is not None]
    return contents_of(storage, roots, [image.name for image in built], jobs=jobs), origin


def _opened_target(
    flags: dict[str, Any],
    address: Address,
    project: str,
    access: RegistryAccess,
    reporter: Reporter,
    stack: ExitStack,
) -> Target:
    """Where stages are copied to; of a repository cleanups are kept out until the end."""
    if address.archive:
        from pywerf.build.stages.archive import ArchiveTarget

        return ArchiveTarget(address.archive)
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.open import open_registry_storage
    from pywerf.build.stages.places import RepositoryTarget

    options = msgspec.structs.replace(repo_options(flags), repo=address.repo)
    storage = open_registry_storage(address.repo, access, home=options.home, flag="--to")
    repos = Repos(storage, project=project, options=options, access=lambda: access, reporter=reporter)
    stack.enter_context(repos)
    stack.enter_context(repos.alone("cleanup"))
    return RepositoryTarget(storage, repos, reporter)
