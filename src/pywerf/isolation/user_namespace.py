"""Which user namespace a container of root's has: none, one of its own with ranges of /etc/subuid, one to join. Pure.

An ordinary user's containers are all in the namespace that the engine has entered (`linux.userns`); here it is about an
engine of the machine's root, whose containers need not be root's. What is done for it is `linux.mapped`'s work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pywerf.errors import IsolationError
from pywerf.isolation.plan import HostFacts, joined
from pywerf.isolation.spec import ContainerSpec, IdMap, Namespaces
from pywerf.linux.stage import INSIDE
from pywerf.linux.userns import parse_subids

__all__ = [
    "NOBODY",
    "RootIds",
    "check_user",
    "facts_inside",
    "plan_user",
    "range_hint",
    "root_ids",
    "text_of",
    "words",
]

OWNERS = ("root", "containers")  # whose ranges are root's: podman and buildah take those of `containers`
NOBODY = f"/etc/subuid and /etc/subgid have no range for {' or '.join(OWNERS)}"


class RootIds(msgspec.Struct, frozen=True):
    """The ids that containers of root's are mapped to, when nobody says others. Both or none."""

    uids: tuple[IdMap, ...] = ()
    gids: tuple[IdMap, ...] = ()


def root_ids(subuid: str, subgid: str) -> RootIds | None:
    """What is meant for root in subuid(5) and subgid(5), given their texts; None where a range is missing."""
    for owner in OWNERS:
        uids, gids = (
            _one_after_the_other(parse_subids(text, owner, 0 if owner == "root" else -1)) for text in (subuid, subgid)
        )
        if uids and gids:
            return RootIds(uids, gids)
    return None


def _one_after_the_other(ranges: Sequence[tuple[int, int]]) -> tuple[IdMap, ...]:
    found = []
    inside = 0
    for first, count in ranges:
        found.append(IdMap(inside, first, count))
        inside += count
    return tuple(found)


def range_hint(subuid: str, subgid: str) -> str:
    """The command that gives root a range that nobody has."""
    from pywerf.isolation.ladder import free_subids, subids_hint

    return subids_hint("root", free_subids(subuid, subgid))


def check_user(wanted: Namespaces, rung: int, default: RootIds | None, *, why: str = NOBODY, hint: str = "") -> None:
    """Refuse before the build starts what no container of it can have. On rung 5 there are none.

    `default` as `plan_user` has it, `why` there is none, and what gives one. Raises IsolationError.
    """
    if not wanted.own_user or rung == 5:
        return
    if rung == 4:
        raise IsolationError(
            "--userns: rung 4 of the ladder (chroot as root, without mounts) cannot make a user namespace",
            hint="leave it out; isolations with namespaces can (rungs 1 to 3): `werf host doctor` shows the way there",
        )
    if rung > 1:
        raise _one_for_all()
    if not wanted.user.startswith("/"):
        _maps(wanted, default, why, hint)


def _one_for_all() -> IsolationError:
    return IsolationError(
        "--userns: an ordinary user's containers are all in one user namespace, that of the build",
        hint="leave --userns out, or build as root",
    )


def plan_user(
    spec: ContainerSpec,
    facts: HostFacts,
    default: RootIds | None,
    *,
    always: bool = False,
    stage: str = INSIDE,
    carried: Sequence[tuple[str, str]] = (("proc", "proc"),),
) -> dict[str, Any] | None:
    """The plan's `user`: None, or what `linux.mapped` reads:

        uid_map, gid_map    the content of these files (user_namespaces(7))
        path                or the namespace to join
        join                operations that join other namespaces, while the process may
        stage, carried      see `linux.stage.prepare`

    `default` are root's own ranges; `always`: they are taken when nothing is asked for. Raises IsolationError.
    """
    wanted = spec.namespaces
    asked = wanted.own_user
    if wanted.user == "host" or not (asked or (always and default is not None)):
        return None
    if not facts.device_nodes:
        if not asked:
            return None
        raise _one_for_all()
    path = wanted.user if wanted.user.startswith("/") else ""
    uids, gids = ((), ()) if path else _maps(wanted, default)
    return {
        "uid_map": text_of(uids),
        "gid_map": text_of(gids),
        "path": path,
        "join": joined(spec),
        "stage": stage,
        "carried": list(carried),
    }


def _maps(
    wanted: Namespaces, default: RootIds | None, why: str = NOBODY, hint: str = ""
) -> tuple[tuple[IdMap, ...], tuple[IdMap, ...]]:
    if not wanted.uid_map:
        if default is None:
            ways = [hint] if hint else []
            ways.append("give ids with --userns-uid-map and -gid-map")
            raise IsolationError(f"--userns: {why}", hint="; or ".join(ways))
        return default.uids, default.gids
    for name, ids in (("uid", wanted.uid_map), ("gid", wanted.gid_map)):
        if not any(one.container == 0 for one in ids):
            raise IsolationError(
                f"--userns-{name}-map: 0 is not mapped, and a container needs a root",
                hint=f"for instance --userns-{name}-map 0:100000:65536",
            )
    return wanted.uid_map, wanted.gid_map


def text_of(ids: Sequence[IdMap]) -> str:
    """The content of uid_map or gid_map."""
    return "".join(f"{one.container} {one.host} {one.length}\n" for one in ids)


def facts_inside(facts: HostFacts) -> HostFacts:
    """The facts of a user namespace of the container's own."""
    return msgspec.structs.replace(facts, device_nodes=False, own_sysfs=False)


def words(wanted: Namespaces, default: RootIds | None) -> str:
    """How the first line of a build names the namespace; empty: containers have none of their own."""
    if wanted.user == "host":
        return ""
    if wanted.user.startswith("/"):
        return f"the user namespace {wanted.user}"
    ids = wanted.uid_map or (() if default is None else default.uids)
    if not ids:
        return "user namespaces of their own" if wanted.user else ""
    ranges = ", ".join(f"{one.container} is {one.host}" + (f" ({one.length} ids)" * (one.length > 1)) for one in ids)
    return f"user namespaces of their own: {ranges}"
