"""Root's containers in user namespaces of their own: with which ids, and whether the store's file system allows it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pywerf.linux.facts import in_initial_namespace, read_text

if TYPE_CHECKING:
    from pywerf.build.options import EngineOptions
    from pywerf.isolation.ladder import Choice
    from pywerf.isolation.spec import Namespaces
    from pywerf.isolation.user_namespace import RootIds
    from pywerf.linux.probes import Attempt
    from pywerf.store.store import Store

__all__ = ["check_user_namespace", "own_ids", "with_ids"]

SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"
_KEY = ("driver", "mapped owners")  # of a store whose file system can do it


def own_ids() -> RootIds | None:
    """The ranges of this machine that are meant for root's containers."""
    from pywerf.isolation.user_namespace import root_ids

    return root_ids(read_text(SUBUID), read_text(SUBGID))


def check_user_namespace(choice: Choice, wanted: Namespaces) -> None:
    """Raise IsolationError where no container can have the user namespace that `--userns` and its kin ask for."""
    if not wanted.own_user:
        return
    from pywerf.isolation.user_namespace import NOBODY, check_user, range_hint

    ids = own_ids()
    why, hint = NOBODY, range_hint(read_text(SUBUID), read_text(SUBGID))
    if ids is not None and choice.runtime is not None and choice.ids is None:
        ids, why, hint = None, choice.no_ids, ""
    check_user(wanted, choice.rung, ids, why=why, hint=hint)


def with_ids(choice: Choice, store: Store, options: EngineOptions) -> Choice:
    """The choice of root's OCI runtime with the ids of its containers, or why they are plain root's."""
    from pywerf.isolation.user_namespace import NOBODY, range_hint

    if not in_initial_namespace():
        return replace(choice, no_ids="the machine's root is somebody else")
    ids = own_ids()
    if ids is None:
        return replace(choice, no_ids=f"{NOBODY}; `{range_hint(read_text(SUBUID), read_text(SUBGID))}` gives one")
    if options.storage_opts or store.memo.get("driver", "mounted by") == b"fuse-overlayfs":
        return replace(choice, no_ids="fuse-overlayfs cannot map owners")
    if store.memo.get(*_KEY) is None:
        attempt = _probe(store, ids)
        if not attempt.works:
            return replace(choice, no_ids=attempt.reason)
        store.memo.put(*_KEY, b"yes")
    return replace(choice, ids=ids)


def _probe(store: Store, ids: RootIds) -> Attempt:
    """Try it with an overlay in the store, in a child. It costs some milliseconds, once a store."""
    from pywerf.isolation.user_namespace import text_of
    from pywerf.linux.mapped import try_overlay
    from pywerf.linux.probes import Attempt, in_child
    from pywerf.linux.removal import remove_tree
    from pywerf.linux.stage import SetupFailed

    folder = f"{store.root}/tmp/mapped-{os.getpid()}"
    user = {"uid_map": text_of(ids.uids), "gid_map": text_of(ids.gids), "path": ""}

    def attempt() -> Attempt:
        try:
            try_overlay(user, folder)
        except SetupFailed as error:
            return Attempt(error.step, error.number, error.text)
        return Attempt("map owners")

    try:
        for name in ("", "lower", "upper", "work"):
            os.mkdir(f"{folder}/{name}", 0o700)
        return in_child(attempt)
    except OSError as error:
        return Attempt.failed("map owners", error)
    finally:
        remove_tree(folder)
