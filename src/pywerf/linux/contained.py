"""The launcher's children: each makes one container out of itself, at once or as a spare that waits for it.

In a process of `python -I -S`: standard library and its neighbours only. What comes and goes on their sockets stands in
`pywerf.linux.child`.
"""

from __future__ import annotations

import _socket
import marshal
import os

from pywerf.linux.apply import run
from pywerf.linux.frames import close_others, read_all, received_descriptors, send_frame
from pywerf.linux.own_network import Connector
from pywerf.linux.runtime import run_runtime
from pywerf.linux.stage import SetupFailed, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = ["GIVEN", "be_container", "be_spare", "exit_after"]

GIVEN = 5  # descriptors of a container: standard input, output, error, control, plan; a sixth one is for supervision
CONTROL, PLAN = 3, 4


def exit_after(work: Callable[[], None]) -> NoReturn:
    """Run a child's whole life and exit: never back into the parent's stack. Bugs show on standard error."""
    try:
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


def be_spare(handover: _socket.socket, template: tuple[int, list[tuple[Any, ...]]]) -> None:
    """Prepare what most containers share, and wait for one."""
    close_others([handover.fileno()])
    failure = None
    try:
        prepare(*template)
    except SetupFailed as error:
        failure = error
    data, ancillary, _, _ = handover.recvmsg(1, _socket.CMSG_SPACE(4 * (GIVEN + 1)), _socket.MSG_CMSG_CLOEXEC)
    if data:
        _contain(received_descriptors(ancillary), failure, prepared=True)


def be_container(descriptors: list[int], mark: int) -> None:
    """Make a container from its plan alone. `mark`, if there is one, is told its mount namespace."""
    close_others([*descriptors, mark] if mark >= 0 else descriptors)
    _contain(descriptors, None, prepared=False, mark=mark)


def _contain(descriptors: list[int], failure: SetupFailed | None, *, prepared: bool, mark: int = -1) -> None:
    control = _socket.socket(fileno=descriptors[CONTROL])

    def ready(created: list[str], console: int | None) -> None:
        send_frame(control, b"R", created, console)

    def failed(error: SetupFailed) -> None:
        send_frame(control, b"E", (error.step, error.number, error.text))

    try:
        if failure is not None:
            raise failure
        plan = marshal.loads(read_all(descriptors[PLAN]))
        if not prepared:
            connector = _connector(plan)
            if plan["user"] is None:
                prepare(plan["namespaces"], plan["stage"])
            else:
                _prepare_mapped(plan, descriptors[:CONTROL])
            if connector is not None:
                connector.connect()
        if mark >= 0:
            os.write(mark, str(os.stat("/proc/self/ns/mnt").st_ino).encode())
            os.close(mark)
        if "runtime" in plan:
            run_runtime(plan, descriptors[:CONTROL], ready, failed, *descriptors[GIVEN:])
        run(plan, descriptors[:CONTROL], ready, *descriptors[GIVEN:])
    except SetupFailed as error:
        failed(error)
    except Exception as error:
        send_frame(control, b"E", ("follow the plan", 0, f"{type(error).__name__}: {error}"))


def _prepare_mapped(plan: dict[str, Any], descriptors: list[int]) -> None:
    """The same in a user namespace of the container's own."""
    from pywerf.linux.mapped import enter

    enter(plan, descriptors)
    user = plan["user"]
    trees = prepare(plan["namespaces"], plan["stage"], stage=user["stage"], carried=user["carried"])
    for mount in (plan["rootfs"], *plan["mounts"]):
        if mount["type"] == "carried":
            mount["fd"] = trees[mount["name"]]


def _connector(plan: dict[str, Any]) -> Connector | None:
    """What connects a private network: started before this process leaves the host's."""
    if "runtime" not in plan or plan["runtime"]["connector"] is None:
        return None
    try:
        return Connector(plan["runtime"]["connector"])
    except OSError as error:
        raise SetupFailed("start a process", error.errno or 0, error.strerror or "") from error
