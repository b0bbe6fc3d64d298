"""`werf buildah images`: the images of the store, as buildah lists them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pywerf.cli.buildah.filters import select
from pywerf.cli.declare import argument, declared, flag, switch
from pywerf.cli.go_objects import GoObject, dump, field, go_time
from pywerf.cli.invocation import Invocation, engine_flags
from pywerf.cli.tables import age, decimal_size, format_rows, parse_time, print_table
from pywerf.config.template import Func
from pywerf.errors import UsageError
from pywerf.oci.reference import Reference
from pywerf.store.images import ImageRecord

__all__ = ["command"]

NONE = "<none>"
# The time that Go has when there is none.
NEVER = "0001-01-01T00:00:00Z"

_HEADINGS = {
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "Name": "REPOSITORY",
    "Repository": "REPOSITORY",
    "Digest": "DIGEST",
    "Created": "CREATED",
    "CreatedAt": "CREATED",
    "CreatedSince": "CREATED",
    "CreatedAtRaw": "CREATED",
    "Size": "SIZE",
    "ReadOnly": "R/O",
    "History": "HISTORY",
    "Names": "NAMES",
}


@declared("images", usage_line="[IMAGE]")
@switch("--all", "-a", "all_", help="No effect: the store keeps no intermediate images.")
@switch("--digests", help="Show digests.")
@flag("--filter", "-f", "filters", multiple=True, split=True, metavar="KEY=VALUE", help="Show only what fits.")
@flag("--format", "format_", metavar="TEMPLATE", help="Show by a Go template; `table …` with headings.")
@switch("--history", help="Show the other names of each image.")
@switch("--json", "json_", help="Show as JSON.")
@switch("--no-trunc", help="Show whole ids.")
@switch("--noheading", "-n", help="Show no headings.")
@switch("--quiet", "-q", help="Show ids only.")
@engine_flags
@argument("image", "")
def command(
    run: Invocation,
    /,
    all_: bool,
    digests: bool,
    filters: Sequence[str],
    format_: str,
    history: bool,
    json_: bool,
    no_trunc: bool,
    noheading: bool,
    quiet: bool,
    image: str,
) -> int:
    """List the images of the store, or one of them by all its names.

    Filters: before=IMAGE, since=IMAGE, dangling=BOOL, label=KEY[=VALUE], reference=PATTERN, id=PREFIX,
    readonly=BOOL, intermediate=BOOL; != turns a filter around.
    """
    if quiet and (format_ or json_):
        raise UsageError("--quiet cannot be used with --format or --json")
    with run.session() as session:
        records = [session.find_image(image)] if image else session.store.images.list()
        records = select(records, filters, session.find_image)
    if quiet:
        for line in dict.fromkeys(_id(record, no_trunc) for record in records):
            print(line)
    elif json_:
        print(dump([_json_row(record, no_trunc) for record in records], indent=4))
    elif format_:
        rows = [_row(record, name, no_trunc) for record in records for name in record.names or ("",)]
        format_rows(format_, rows, _HEADINGS, name="image", heading=not noheading)
    else:
        _table(records, digests=digests, history=history, no_trunc=no_trunc, heading=not noheading)
    return 0


def _table(records: Sequence[ImageRecord], *, digests: bool, history: bool, no_trunc: bool, heading: bool) -> None:
    wanted = [
        "Name",
        "Tag",
        *(["Digest"] if digests else []),
        "ID",
        "CreatedAt",
        "Size",
        *(["History"] if history else []),
    ]
    rows = [[_HEADINGS[name] for name in wanted]] if heading else []
    for record in records:
        for name in record.names or ("",):
            row = _row(record, name, no_trunc)
            rows.append([str(row.fields[column]) for column in wanted])
    print_table(rows)


def _row(record: ImageRecord, name: str, no_trunc: bool) -> GoObject:
    """One image under one of its names ("": it has none)."""
    repository, tag = _split(name)
    others = [other for other in record.names if other != name]
    created = age(record.created)
    return GoObject(
        "main.imageOutputParams",
        (
            field("Tag", "Tag", tag),
            field("ID", "ID", _id(record, no_trunc)),
            field("Name", "Name", repository),
            field("Digest", "Digest", str(record.manifest_digest)),
            field("Created", "Created", int(parse_time(record.created) or 0)),
            field("CreatedAt", "CreatedAt", created),
            field("Size", "Size", decimal_size(record.size)),
            field("CreatedAtRaw", "CreatedAtRaw", go_time(record.created or NEVER)),
            field("ReadOnly", "ReadOnly", False),
            field("History", "History", ", ".join(others) or NONE),
        ),
        {
            "Repository": Func("Repository", lambda: repository),
            "Names": Func("Names", lambda: list(record.names)),
            "CreatedSince": Func("CreatedSince", lambda: created),
        },
    )


def _json_row(record: ImageRecord, no_trunc: bool) -> GoObject:
    seconds = parse_time(record.created)
    return GoObject(
        "main.jsonImage",
        (
            field("ID", "id", _id(record, no_trunc)),
            field("Names", "names", list(record.names) or None),
            field("Digest", "digest", str(record.manifest_digest)),
            field("CreatedAt", "createdat", age(record.created, time.time())),
            field("Size", "size", decimal_size(record.size)),
            field("Created", "created", int(seconds or 0)),
            field("CreatedAtRaw", "createdatraw", record.created or NEVER),
            field("ReadOnly", "readonly", False),
            field("History", "history", None),
        ),
    )


def _id(record: ImageRecord, no_trunc: bool) -> str:
    return str(record.id) if no_trunc else record.id.short


def _split(name: str) -> tuple[str, str]:
    if not name:
        return NONE, NONE
    reference = Reference.parse(name)
    return reference.name, reference.tag or NONE
