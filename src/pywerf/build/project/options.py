"""What the command line says about a project: where it is, which commit is meant, and how its images are built."""

from __future__ import annotations

import msgspec

__all__ = ["ImageBuildOptions", "ProjectOptions"]


class ProjectOptions(msgspec.Struct, frozen=True):
    """The project flags (`--dir`, `--dev`, `--env` …). Empty: decided when the project is opened."""

    dir: str = ""
    git_work_tree: str = ""
    config: str = ""
    config_templates_dir: str = ".werf"
    config_render_path: str = ""
    giterminism_config: str = "werf-giterminism.yaml"
    loose_giterminism: bool = False
    env: str = ""
    project_name: str = ""
    dev: bool = False
    dev_branch: str = "_werf-dev"
    dev_ignore: tuple[str, ...] = ()
    virtual_merge: bool = False  # the head commit is a preview of a merge, that CI has made
    debug_templates: bool = False
    allow_includes_update: bool = False
    platforms: tuple[str, ...] = ()
    home_dir: str = ""
    tell_directory: bool = False  # say where the project is, first
    staged: bool = False  # every image with a Dockerfile is staged
    staged_version: str = "v1"


class ImageBuildOptions(msgspec.Struct, frozen=True):
    """What the command line says about the building of all images. `limit` 0 or less: no limit.

    `network` beats the image's own. `ssh` are agents as `--ssh` has them. `pull`: ask registries for newer bases.
    `check_built`: build nothing, a missing stage is an error. `custom_tags` are further tags for final images, with
    their placeholders. `pretty`: boxes around what is told of an image. `introspect` are stages, as
    `--introspect-stage` names them, after which shells are opened if there is a `terminal`.
    """

    parallel: bool = True
    limit: int = 5
    network: str = ""
    ssh: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    cache_from: tuple[str, ...] = ()
    check_built: bool = False
    skip_image_spec: bool = False
    custom_tags: tuple[str, ...] = ()
    pretty: bool = True
    introspect: tuple[str, ...] = ()
    terminal: bool = False
    width: int = 0  # of what is told of an image; 0: any
