"""`werf buildah explain`: how the steps of a build came to be, and why those that ran were not cached."""

from __future__ import annotations

from pywerf.cli.declare import argument, declared, switch
from pywerf.cli.invocation import Invocation, engine_flags

__all__ = ["command"]


@declared("explain", usage_line="[IMAGE|BUILD|STEP]")
@switch("--json", "json_", help="Show everything as JSON.")
@engine_flags
@argument("what", "")
def command(run: Invocation, /, json_: bool, what: str) -> int:
    """Show for each step of a build whether it was cached, and if it was not, what had changed.

    Without a name: the last build. STEP is a place (2/5, stage-1 2/5) or the beginning of an instruction
    of the last build; IMAGE shows how the steps of that image came to be.
    """
    from pywerf.build.explain import as_json, explain, find_build, lines, select_steps
    from pywerf.cli.failures import hide_secrets
    from pywerf.report.text import clean

    with run.session() as session:
        build, step = find_build(session, what)
        stories = select_steps(explain(session.store, build), step)
        document = as_json(build, stories) if json_ else None
    if document is not None:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(document), indent=4).decode())
        return 0
    for line in lines(stories):
        print(hide_secrets(clean(line)))
    if build.error:
        print(f"the build failed: {hide_secrets(clean(build.error))}")
    return 0
