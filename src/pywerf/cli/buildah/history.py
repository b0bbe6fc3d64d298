"""`werf buildah history`: the steps that an image was made by, as `podman history` shows them."""

from __future__ import annotations

from pywerf.cli.declare import argument, declared, flag, switch
from pywerf.cli.go_objects import GoObject, dump, field
from pywerf.cli.invocation import Invocation, engine_flags, platform_image
from pywerf.cli.tables import age, decimal_size, format_rows, print_table
from pywerf.config.template import Func
from pywerf.errors import UsageError
from pywerf.oci.chain import chain_ids
from pywerf.oci.config import ImageConfig
from pywerf.oci.manifest import Manifest
from pywerf.store.images import ImageRecord
from pywerf.store.store import Store

__all__ = ["command"]

MISSING = "<missing>"
_UNITS = ("B", "kB", "MB", "GB", "TB")
_HEADINGS = {
    "ID": "ID",
    "Created": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
    "Tags": "TAGS",
}


@declared("history", usage_line="IMAGE")
@flag("--format", "format_", metavar="TEMPLATE", help="Show by a Go template, or json.")
@switch("--human", "-H", default=True, help="Sizes and times in words (true by default).")
@switch("--json", "json_", help="The same as --format json.")
@switch("--no-trunc", help="Show whole ids and commands.")
@switch("--quiet", "-q", help="Show ids only.")
@engine_flags
@argument("image")
def command(run: Invocation, /, format_: str, human: bool, json_: bool, no_trunc: bool, quiet: bool, image: str) -> int:
    """Show the steps that an image was made by, the last one first."""
    if quiet and (format_ or json_):
        raise UsageError("--quiet cannot be used with --format or --json")
    with run.session() as session:
        record = platform_image(session, image)
        config = session.image_config(record)
        sizes = _layer_sizes(session.store, config, session.image_manifest(record))
    full = json_ or format_ == "json"
    rows = _rows(record, config, sizes, human=human, no_trunc=no_trunc or full)
    if full:
        print(dump([_json_row(row) for row in rows]))
    elif quiet:
        for row in rows:
            print(row.fields["ID"])
    elif format_:
        format_rows(format_, rows, _HEADINGS, name="history")
    else:
        names = ("ID", "CreatedSince" if human else "CreatedAt", "CreatedBy", "Size", "Comment")
        table = [["ID", "CREATED", "CREATED BY", "SIZE", "COMMENT"]]
        table += [[str(row.fields[name]) for name in names] for row in rows]
        print_table(table, gap=2, least=12)
    return 0


def _layer_sizes(store: Store, config: ImageConfig, manifest: Manifest) -> list[int]:
    """The size of each layer, bottom first: unpacked where the store knows it, else as in the manifest."""
    sizes = []
    for chain, descriptor in zip(chain_ids(config.diff_ids), manifest.layers, strict=False):
        known = store.layers.get(chain)
        sizes.append(known.size if known is not None and known.size else descriptor.size)
    return sizes


def _rows(record: ImageRecord, config: ImageConfig, sizes: list[int], *, human: bool, no_trunc: bool) -> list[GoObject]:
    remaining = list(sizes)
    rows: list[GoObject] = []
    for item in config.history:
        size = 0 if item.empty_layer or not remaining else remaining.pop(0)
        rows.append(_row(item.created, item.created_by, size, item.comment, human=human, no_trunc=no_trunc))
    # Layers that nobody wrote a history for.
    rows.extend(_row("", "", size, "", human=human, no_trunc=no_trunc) for size in remaining)
    rows.reverse()
    if rows:
        fields = dict(rows[0].fields)
        fields["ID"] = record.id.hex if no_trunc else record.id.short
        fields["Tags"] = list(record.names)
        rows[0] = _object(fields)
    return rows


def _row(created: str, created_by: str, size: int, comment: str, *, human: bool, no_trunc: bool) -> GoObject:
    if not no_trunc and len(created_by) > 45:
        created_by = created_by[:42] + "..."
    stamp = created.partition(".")[0].removesuffix("Z") + "Z" if created else ""
    return _object(
        {
            "ID": MISSING,
            "Created": age(created) if human else stamp,
            "CreatedAt": stamp,
            "CreatedSince": age(created),
            "CreatedBy": created_by.replace("\n", " ") if not no_trunc else created_by,
            "Size": decimal_size(size, _UNITS) if human else str(size),
            "Comment": comment,
            "Tags": [],
            "created": created,
            "size": size,
        }
    )


def _object(fields: dict[str, object]) -> GoObject:
    methods = {"ImageID": Func("ImageID", lambda: fields["ID"])}
    return GoObject("images.HistoryReporter", [field(name, name, value) for name, value in fields.items()], methods)


def _json_row(row: GoObject) -> GoObject:
    """The keys of podman's JSON, capital letters included."""
    values = row.fields
    return GoObject(
        "images.historyJSON",
        (
            field("ID", "id", values["ID"]),
            field("Created", "created", values["created"]),
            field("CreatedBy", "CreatedBy", values["CreatedBy"], omit_empty=True),
            field("Size", "size", values["size"]),
            field("Comment", "comment", values["Comment"], omit_empty=True),
            field("Tags", "tags", values["Tags"], omit_empty=True),
            field("CreatedTime", "Created", values["CreatedAt"]),
        ),
    )
