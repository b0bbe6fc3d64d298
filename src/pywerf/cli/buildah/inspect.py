"""`werf buildah inspect`: an image's configuration, as buildah shows it."""

from __future__ import annotations

from pywerf.cli.declare import argument, declared, flag
from pywerf.cli.image_objects import builder_info
from pywerf.cli.invocation import Invocation, engine_flags, platform_image
from pywerf.cli.tables import print_object
from pywerf.errors import UsageError

__all__ = ["command"]


@declared("inspect", usage_line="IMAGE")
@flag("--format", "-f", "format_", metavar="TEMPLATE", help="Show by a Go template: {{.OCIv1.Config.Env}}")
@flag("--type", "-t", "type_", default="image", metavar="TYPE", help="image; containers are not kept.")
@engine_flags
@argument("image")
def command(run: Invocation, /, format_: str, type_: str, image: str) -> int:
    """Show the configuration of an image: its OCI and Docker forms, its manifest, its history."""
    if type_ not in ("image", "container"):
        raise UsageError('the only recognized types are "container" and "image"')
    if type_ == "container":
        raise UsageError(f"{image}: there are no working containers", hint="leave out --type, or write --type image")
    with run.session() as session:
        record = platform_image(session, image)
        info = builder_info(
            record,
            session.image_config(record),
            session.image_manifest(record),
            session.store.blobs.read(record.id).decode(),
            session.store.blobs.read(record.manifest_digest).decode(),
        )
    print_object(info, format_)
    return 0
