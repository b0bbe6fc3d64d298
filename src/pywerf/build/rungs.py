"""Climbs the ladder for a command: probes rungs in order, and enters a user namespace where that is the rung.

It happens before any thread is started and before anything is opened: a process with threads cannot enter one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pywerf.isolation.ladder import (
    NOT_IMPLEMENTED,
    Choice,
    HostSettings,
    RungProbe,
    check_mode,
    check_platform,
    decide,
    hint_for,
)
from pywerf.linux.probes import Attempt, private_namespaces

if TYPE_CHECKING:
    from pywerf.build.options import EngineOptions

__all__ = ["choose_rung", "host_settings", "probe_user_namespace"]


def choose_rung(options: EngineOptions) -> Choice:
    """The rung of this process; on rung 2 it is root in a user namespace afterwards.

    Raises UsageError and IsolationError as `check_mode` and `decide`.
    """
    check_platform(sys.platform, os.uname().release)
    return decide(check_mode(options.mode, options.isolation), _probes())


def _probes() -> Iterator[RungProbe]:
    """The rungs in order, each tried when it is asked for."""
    attempt = private_namespaces()
    settings = HostSettings()
    if not attempt.works:
        settings = host_settings()
    yield RungProbe(1, attempt, hint_for(1, attempt, settings))
    attempt = probe_user_namespace(enter=True)
    yield RungProbe(2, attempt, hint_for(2, attempt, settings))
    for rung in (3, 4):
        yield RungProbe(rung, Attempt(f"use rung {rung}", 0, NOT_IMPLEMENTED))
    yield RungProbe(5, Attempt("build without containers"))


def probe_user_namespace(*, enter: bool) -> Attempt:
    """Try rung 2, in a child; with `enter` this process is in the namespace when it works."""
    from pywerf.linux.userns import make_and_enter, read_subids

    subids = read_subids()
    if not subids.usable:
        missing = "/etc/subgid" if subids.uids else "/etc/subuid"
        return Attempt("map subordinate ids", 0, f"no {missing} range for {subids.user!r}")
    return make_and_enter(subids, enter=enter)


def host_settings() -> HostSettings:
    """Read what hints depend on."""
    from pywerf.linux.facts import in_container, read_number, read_text
    from pywerf.linux.userns import read_subids

    return HostSettings(
        user=read_subids().user,
        root=os.geteuid() == 0,
        contained=in_container(),
        max_user_namespaces=read_number("/proc/sys/user/max_user_namespaces"),
        apparmor_restricts=read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        unprivileged_clone=read_number("/proc/sys/kernel/unprivileged_userns_clone"),
        subuid_file=read_text("/etc/subuid"),
        subgid_file=read_text("/etc/subgid"),
    )
