"""`werf build`: the images of a werf.yaml; without one, the Dockerfile of the folder as a project of one image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from pywerf.cli.auto_cleanup import auto_cleanup_flags, check_cleanup_flags, clean_host_after
from pywerf.cli.declare import SIZE, argument, declared, flag, switch
from pywerf.cli.introspection_flags import introspected_stages, introspected_states, introspection_flags
from pywerf.cli.invocation import engine_flags, progress_flags
from pywerf.cli.project_build import build_flags, built_with_report, opened_project, report_path_flag
from pywerf.cli.project_flags import has_config, project_flags
from pywerf.cli.repo_flags import repo_flags
from pywerf.cli.values import bad_value, grant_flags, labels, optional_pairs, platforms
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.backend.contract import DockerfileBuild, Secret
    from pywerf.build.project.results import BuiltImage
    from pywerf.cli.invocation import Invocation
    from pywerf.report.events import Reporter

__all__ = ["command"]

# Flags that say what werf.yaml says, for each image; their values when they are not given are false.
_WITHOUT_CONFIG = (
    ("tags", "--tag"),
    ("target", "--target"),
    ("build_args", "--build-arg"),
    ("labels_", "--label"),
    ("add_hosts", "--add-host"),
    ("squash", "--squash"),
    ("secrets", "--secret"),
    ("shm_size", "--shm-size"),
    ("ulimits", "--ulimit"),
    ("iidfile", "--iidfile"),
)

# Flags that concern stages and projects: without a werf.yaml they would do nothing.
_WITH_CONFIG = (
    ("repo", "--repo"),
    ("final_repo", "--final-repo"),
    ("cache_repos", "--cache-repo"),
    ("secondary_repos", "--secondary-repo"),
    ("custom_tags", "--add-custom-tag"),
    ("check_built_images", "--check-built-images"),
    ("save_build_report", "--save-build-report"),
    ("follow", "--follow"),
    ("dev", "--dev"),
)


@declared("build", usage_line="[IMAGE…]", short_help="Build the images of a project.")
@flag("--file", "-f", "file", metavar="FILE", help="Dockerfile, or - for stdin; without a werf.yaml.")
@flag("--tag", "-t", "tags", multiple=True, metavar="NAME", help="Name for the image.")
@flag("--target", metavar="STAGE", help="Stage to build.")
@flag("--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Value of an ARG.")
@flag("--label", "labels_", multiple=True, metavar="KEY[=VALUE]", help="Label for the image.")
@flag("--add-host", "add_hosts", multiple=True, metavar="NAME:IP", help="One more line for /etc/hosts in RUN.")
@flag(
    *("--backend-network", "--network", "backend_network"),
    metavar="MODE",
    help="Network of RUN: host, none, or the backend's.",
)
@switch("--no-cache", help="Do not use results of earlier builds.")
@switch("--pull", help="Ask the registry for newer base images.")
@switch("--squash", help="Make one layer of all new ones.")
@flag("--cache-from", multiple=True, metavar="IMAGE", help="Image (embedded engine: repository) with earlier results.")
@grant_flags
@flag("--shm-size", type=SIZE, default=0, metavar="SIZE", help="Size of /dev/shm.")
@flag("--ulimit", "ulimits", multiple=True, split=True, metavar="TYPE=SOFT[:HARD]", help="Limit in RUN.")
@flag("--iidfile", metavar="FILE", help="File to write the image's id to.")
@switch("--parallel", "-p", default=True, help="Build independent images at the same time (true by default).")
@switch("--final-images-only", help="Only images with final: true, and what they need.")
@build_flags
@introspection_flags
@flag("--add-custom-tag", "custom_tags", multiple=True, metavar="TAG", help="Further tag for final images: %image%, …")
@switch("--save-build-report", help="Write a report of the images.")
@report_path_flag
@switch("--follow", help="Build again for each new commit, with --dev for each change.")
@auto_cleanup_flags
@project_flags
@repo_flags
@progress_flags
@engine_flags
@argument("images", many=True)
def command(run: Invocation, /, **flags: Any) -> int:
    """Build the images of werf.yaml, or those that names and patterns choose, and what they need.

    With --repo they are published there, under tags that their content makes; what is there already is not built.

    The files are those of the last commit. Without a werf.yaml: the image of the Dockerfile in the project's folder.

    WERF_BUILDAH_MODE says what builds: docker (the Docker daemon), auto, native-chroot or native-rootless (the
    embedded engine). Without it: Docker when its daemon answers, else the embedded engine. Printed are names,
    references and ids of the images.
    """
    check_cleanup_flags(flags)
    clean = clean_host_after(run, flags)
    status = _build(run, flags)
    clean()
    return status


def _build(run: Invocation, flags: dict[str, Any]) -> int:
    folder = flags["dir_"] or "."
    if not flags["file"] and has_config(folder, flags["config"]):
        return _build_project(run, flags)
    path = _dockerfile(folder, flags["file"], flags["images"])
    for name, shown in _WITH_CONFIG:
        if flags[name]:
            raise UsageError(
                f"{shown} is for projects with a werf.yaml, and there is none",
                hint="write one with `dockerfile: Dockerfile`, or leave the flag out (it may be a variable WERF_…)",
            )
    from pywerf.build.backends import open_backend
    from pywerf.build.dockerfile_build import open_build
    from pywerf.build.project.introspection import WantedStages, look_into_stage

    with run.reporter() as reporter:
        build = _with_flags(open_build(folder, path), flags)
        stages, terminal = introspected_stages(flags, reporter)
        wanted = WantedStages.parse(stages)
        wanted.check([""], {"": ("dockerfile",)})
        engine = msgspec.structs.replace(run.engine, introspect=introspected_states(flags, reporter))
        with open_backend(engine, reporter, docker_builder=flags["docker_builder"]) as backend:
            reporter.message("info", backend.line)
            reporter.message("info", f"no werf.yaml: {path} is built as a project of one image")
            image = backend.builder.build(build)
            if terminal and wanted.wants("", "dockerfile"):
                look_into_stage(backend, reporter, str(image), "~/dockerfile", next(iter(build.platforms), None))
    if flags["iidfile"]:
        _write(flags["iidfile"], str(image))
    print(image.hex)
    return 0


def _build_project(run: Invocation, flags: dict[str, Any]) -> int:
    """Build images of a werf.yaml; prints their names and ids."""
    for name, shown in _WITHOUT_CONFIG:
        if flags[name]:
            raise UsageError(f"{shown} is for builds without a werf.yaml", hint="say it in werf.yaml, for each image")
    with run.reporter() as reporter:

        def build() -> None:
            for image in _built(run, flags, reporter):
                for line in _printed(image):
                    print(line)

        if not flags["follow"]:
            build()
            return 0
        from pywerf.cli.follow import follow_project

        follow_project(run, flags, reporter, build)
    return 0


def _built(run: Invocation, flags: dict[str, Any], reporter: Reporter) -> list[BuiltImage]:
    with opened_project(run, flags, reporter) as opened:
        names = opened.project.images(flags["images"], final_only=flags["final_images_only"])
        return built_with_report(opened, names)


def _printed(image: BuiltImage) -> list[str]:
    """`NAME REFERENCE ID`; an image that is several and has no index: a line each, with the platform."""
    from pywerf.config.werf_yaml.model import shown_name

    name = shown_name(image.name)
    published = image.published
    if published is not None:
        return [f"{name} {published.name} {published.image_id}"]
    return [f"{name} {one.published.name} {one.published.image_id} {one.platform}" for one in image.platforms]


def _dockerfile(folder: str, file: str, images: tuple[str, ...]) -> str:
    """The path of the Dockerfile to build. Raises UsageError for what is no such project."""
    from pywerf.build.dockerfile_build import DEFAULT_DOCKERFILES, find_dockerfile

    if not os.path.isdir(folder):
        raise UsageError(f"--dir {folder}: no such folder")
    path = find_dockerfile(folder, file)
    if path is None:
        raise UsageError(
            f"no werf.yaml and no {' or '.join(DEFAULT_DOCKERFILES)} in {os.path.abspath(folder)}",
            hint="change the directory, or name the project's folder with --dir or the Dockerfile with -f",
        )
    if images:
        raise UsageError(
            f"{images[0]}: without a werf.yaml there is one image, and it has no name",
            hint="leave the argument out; -t gives the result a name, --dir another folder",
        )
    return path


def _with_flags(build: DockerfileBuild, flags: dict[str, Any]) -> DockerfileBuild:
    """The same build with what the flags ask for. Raises UsageError."""
    for host in flags["add_hosts"]:
        name, colon, address = host.partition(":")
        if not (name and colon and address):
            raise bad_value("--add-host", host, "expected NAME:IP", hint="for instance --add-host db:10.0.0.5")
    given = optional_pairs("--build-arg", flags["build_args"])
    arguments = {name: os.environ.get(name) if value is None else value for name, value in given}
    return msgspec.structs.replace(
        build,
        tags=tuple(flags["tags"]),
        target=flags["target"],
        build_args={name: value for name, value in arguments.items() if value is not None},
        labels=dict(labels("--label", flags["labels_"])),
        add_hosts=tuple(flags["add_hosts"]),
        network=flags["backend_network"],
        platforms=platforms(flags["platform"], "", "", ""),
        no_cache=flags["no_cache"],
        pull=flags["pull"],
        squash=flags["squash"],
        cache_from=tuple(flags["cache_from"]),
        secrets=tuple(map(_secret, flags["secrets"])),
        ssh=tuple(flags["ssh"]),
        shm_size=flags["shm_size"],
        ulimits=tuple(flags["ulimits"]),
    )


def _secret(text: str) -> Secret:
    """A secret that is there. Raises UsageError."""
    from pywerf.build.grants import parse_secret

    secret = parse_secret(text)
    if secret.path and not os.path.isfile(secret.path):
        raise UsageError(f"--secret id={secret.id}: {secret.path}: no such file")
    if secret.env and secret.env not in os.environ:
        raise UsageError(
            f"--secret id={secret.id}: the variable {secret.env} is not set", hint="--secret id=NAME,src=FILE"
        )
    return secret


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"--iidfile {path}: {error.strerror}") from error
