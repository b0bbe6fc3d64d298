"""OCI isolation: containers by an OCI runtime (crun, runc, …), which the launcher makes ready and becomes."""

from __future__ import annotations

import errno
import os
import secrets
import shlex
from typing import Any

from msgspec.structs import replace

from pywerf.errors import IsolationError, RuntimeFailed
from pywerf.isolation.bundle import RuntimeFacts, make_bundle_plan, make_bundle_template
from pywerf.isolation.cgroups import hierarchy_mode
from pywerf.isolation.chroot import unloaded, unmapped
from pywerf.isolation.launched import LaunchedContainer, LaunchingIsolation
from pywerf.isolation.plan import host_facts
from pywerf.isolation.private_network import CONNECTORS
from pywerf.isolation.runtimes import Runtime
from pywerf.isolation.spec import ContainerSpec
from pywerf.isolation.user_namespace import RootIds
from pywerf.linux.own_network import CONNECTING
from pywerf.linux.stage import MAPPING, STAGE

__all__ = ["OciIsolation", "runtime_facts"]

# What pasta says besides where no syslog(3) listens.
_TUN = "/dev/net/tun"
_PASTA_NOISE = "Failed to send "
_NOTIFY = "notify"  # "string SCMP_ACT_NOTIFY is not a valid action", "seccomp notify unsupported"
_KILLED = 137
_SHOWN = 20  # lines of a log
# Where the staging area is mounted in a user namespace, whose root may be kept from root's own folders.
_STAGES = (STAGE, "/var/tmp", "/tmp", "/srv", "/mnt")


def runtime_facts(runtime: str = "") -> RuntimeFacts:
    """Read what bundles depend on, for the runtime at that path. Raises IsolationError where /proc is missing."""
    from pywerf.linux import rlimits
    from pywerf.linux.facts import open_to_all, read_text
    from pywerf.linux.userns import find_tool

    connectors = tuple(filter(None, map(find_tool, CONNECTORS)))
    mode, unified = hierarchy_mode(read_text("/proc/self/mountinfo"))
    stage = next((path for path in _STAGES if open_to_all(path) and not runtime.startswith(f"{path}/")), STAGE)
    return RuntimeFacts(
        host_facts(),
        mode,
        unified,
        rlimits.current()["nofile"],
        find_tool("mount") or "",
        connectors,
        os.uname().nodename,
        stage,
    )


class OciIsolation(LaunchingIsolation):
    """Containers of a runtime. Needs CAP_SYS_ADMIN, in a user namespace or outside of one.

    The launcher is started by the constructor and gets ready meanwhile; make this early. With `keep` the bundle of a
    container whose runtime failed is kept, in a folder of its own below that for temporary files. `ids`: containers are
    in user namespaces of their own, with these, when nothing else is asked for.
    """

    def __init__(
        self, runtime: Runtime, facts: RuntimeFacts | None = None, *, keep: bool = False, ids: RootIds | None = None
    ) -> None:
        self._runtime = runtime
        self._facts = facts or runtime_facts(runtime.path)
        self._keep = keep
        self._ids = ids
        super().__init__(spares=ids is None)

    @property
    def name(self) -> str:
        return "oci"

    def start(self, spec: ContainerSpec, stdin: int, stdout: int, stderr: int) -> LaunchedContainer:
        """See Isolation.start. A runtime that is too old to have system calls supervised is told not to."""
        try:
            return super().start(spec, stdin, stdout, stderr)
        except RuntimeFailed as error:
            adapter = self._runtime.adapter
            if not (adapter.notifies and _NOTIFY in error.logged.lower()):
                raise
            self._runtime = replace(self._runtime, adapter=replace(adapter, notifies=False))
        return super().start(spec, stdin, stdout, stderr)

    def _template(self, spec: ContainerSpec) -> tuple[int, list[tuple[Any, ...]]]:
        return make_bundle_template(spec, self._facts, self._runtime.adapter)

    def _plan(self, spec: ContainerSpec, cgroups: tuple[str, ...], stdin: int) -> dict[str, Any]:
        window = os.get_terminal_size(stdin) if spec.terminal and os.isatty(stdin) else None
        name = f"pywerf-{os.getpid()}-{secrets.token_hex(6)}"
        return make_bundle_plan(spec, self._facts, self._runtime, name, cgroups=cgroups, window=window, ids=self._ids)

    def _failed(self, plan: dict[str, Any], step: str, number: int, text: str) -> IsolationError:
        hint = None
        if step.startswith(MAPPING):
            return unmapped(step, text)
        if step.startswith(CONNECTING):
            text = "; ".join(line for line in text.splitlines() if not line.startswith(_PASTA_NOISE))
            hint = "use --network host or --network none"
            if not os.access(_TUN, os.R_OK | os.W_OK):
                hint = f"ordinary users must be able to open {_TUN}: chmod 666 {_TUN}; or {hint}"
        elif number < 0:
            hint = "with --log-debug its bundle is kept; --runtime names another runtime"
            profile = plan["apparmor"]
            if profile and "attr/" in text and "exec" in text and os.strerror(errno.ENOENT).lower() in text.lower():
                return unloaded(profile)
            if number == -_KILLED and plan["cgroups"]:
                hint = f"--memory may be too small: {self._runtime.name} needs some megabytes beside the command"
            if any(f"read {path}: is a directory" in text for path in ("/etc/passwd", "/etc/group")):
                hint = "runc reads that file of the image itself; --runtime crun and --isolation chroot do without"
            if self._keep:
                hint = f"its bundle, without the root file system, is kept in {_keep_bundle(plan['runtime'], text)}"
            return RuntimeFailed(f"cannot {step}", logged=errors_in(text), status=-number, hint=hint)
        elif number == errno.EPERM:
            hint = "OCI isolation needs root, or a user namespace: `werf host doctor` shows what this machine can do"
        return IsolationError(f"cannot {step}: {text}", hint=hint)


def _keep_bundle(runtime: dict[str, Any], log: str) -> str:
    import tempfile

    folder = tempfile.mkdtemp(prefix="pywerf-bundle-")
    words = " ".join(map(shlex.quote, runtime["argv"]))
    for name, data in (("config.json", runtime["config"]), ("log", log.encode()), ("command", f"{words}\n".encode())):
        with open(f"{folder}/{name}", "xb") as file:
            file.write(data)
    return folder


def errors_in(log: str) -> str:
    """The messages of a JSON log's errors, in order; what is no JSON is a message itself. Empty: there is none."""
    import msgspec.json

    found: list[str] = []
    for line in filter(None, map(str.strip, log.splitlines())):
        try:
            entry = msgspec.json.decode(line, type=dict[str, object])
        except msgspec.DecodeError:
            found.append(line)
            continue
        if str(entry.get("level", "")) in ("error", "fatal", "panic"):
            found.append(str(entry.get("msg", "")).strip())
    return "; ".join(dict.fromkeys(found[-_SHOWN:]))
