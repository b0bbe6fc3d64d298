"""`werf export`: images of a project under other names, without werf's labels."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pywerf.cli.auto_cleanup import auto_cleanup_flags, check_cleanup_flags, clean_host_after
from pywerf.cli.declare import argument, declared, flag, switch
from pywerf.cli.introspection_flags import introspection_flags
from pywerf.cli.invocation import Invocation, engine_flags, progress_flags
from pywerf.cli.project_build import build_flags, opened_project, reported_images, use_report_flags
from pywerf.cli.project_flags import project_flags
from pywerf.cli.repo_flags import registry_access, registry_options, repo_flags
from pywerf.cli.values import pairs
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.build.project.export import Exporter
    from pywerf.cli.invocation import Invocation
    from pywerf.util.events import Reporter

__all__ = ["command"]

_LABEL_VARIABLES = "WERF_EXPORT_ADD_LABEL_"


@declared("export", usage_line="[IMAGE…]", short_help="Copy images to names of their own.")
@flag("--tag", "tags", multiple=True, metavar="TEMPLATE", help="Name to export to, with a registry: REG/%image%:v1.")
@flag("--add-label", "labels", multiple=True, metavar="KEY=VALUE", help="Label for the exported images.")
@flag(
    "--add-label-separator",
    default="\n",
    metavar="TEXT",
    help="What separates several labels in one value (default: a line break).",
)
@switch("--final-images-only", default=True, help="Only images with final: true (true by default).")
@flag("--backend-network", metavar="MODE", help="Network of RUN: host, none, or the backend's.")
@switch("--parallel", "-p", default=True, help="Build independent images at the same time (true by default).")
@build_flags
@introspection_flags
@use_report_flags
@auto_cleanup_flags
@project_flags
@repo_flags
@progress_flags
@engine_flags
@argument("images", many=True, metavar="[IMAGE…]")
def command(run: Invocation, /, **flags: Any) -> int:
    """Build the final images of the project, or those that names and patterns choose, and copy them to other names.

    The copies have none of the labels that begin with werf. Placeholders of --tag: %image%, %image_slug%,
    %image_safe_slug%, %image_content_based_tag%.
    """
    if not flags["tags"]:
        raise UsageError("--tag is needed: the name to export to", hint="--tag registry.example.com/app/%image%:v1")
    labels = _labels(flags)
    check_cleanup_flags(flags)
    clean = clean_host_after(run, flags)
    with run.reporter() as reporter, ExitStack() as stack:
        exporter = (_of_report if flags["use_build_report"] else _of_project)(run, flags, reporter, stack)
        for name, places in exporter.run(labels):
            for place in places:
                print(f"{name} {place}")
    clean()
    return 0


def _labels(flags: dict[str, Any]) -> dict[str, str]:
    """The labels of WERF_EXPORT_ADD_LABEL_* and of the flags; a value may have several."""
    named = sorted(name for name in os.environ if name.startswith(_LABEL_VARIABLES))
    values = [*(os.environ[name] for name in named), *flags["labels"]]
    parts = [part for value in values for part in value.split(flags["add_label_separator"]) if part.strip()]
    return dict(pairs("--add-label", parts, "org.opencontainers.image.version=1.2"))


def _of_project(run: Invocation, flags: dict[str, Any], reporter: Reporter, stack: ExitStack) -> Exporter:
    """Build the images."""
    from pywerf.build.project.export import Exporter, check_platforms, check_templates, exported

    opened = stack.enter_context(opened_project(run, flags, reporter))
    names = opened.project.images(flags["images"], final_only=flags["final_images_only"])
    check_templates(flags["tags"], names)
    chosen = set(names)
    if not flags["repo"] and opened.backend_name == "docker":
        check_platforms(opened.project.config.images, chosen)
    images = [exported(image) for image in opened.build(names) if image.name in chosen]
    return Exporter(images, flags["tags"], opened.access(), opened.backend, reporter)


def _of_report(run: Invocation, flags: dict[str, Any], reporter: Reporter, stack: ExitStack) -> Exporter:
    """Take the images of a report."""
    from pywerf.build.backends import LazyBackend, open_backend
    from pywerf.build.project.export import Exporter, check_templates, of_report

    images = reported_images(flags, flags["images"], final_only=flags["final_images_only"])
    check_templates(flags["tags"], [image.name for image in images])
    registry = registry_options(flags)
    engine = replace(run.engine, registry=registry)
    access = stack.enter_context(closing(registry_access(registry)))
    backend = stack.enter_context(LazyBackend(lambda: open_backend(engine, reporter)))
    return Exporter([of_report(image) for image in images], flags["tags"], access, backend, reporter)
