"""How tests are given to processes: by groups, and when a process crashes, the test that it was at fails, it alone.

xdist itself gives that test to another process, which then crashes as well, and counts on processes that have not
said yet what they collected; both end in the loss of the whole run.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

__all__ = ["CrashProofScheduling", "pytest_xdist_make_scheduler"]


class CrashProofScheduling(LoadGroupScheduling):
    """The `loadgroup` of xdist, where a crash is one failure."""

    def remove_node(self, node: WorkerController) -> str | None:
        workload = self.assigned_work.pop(node)
        left = {
            scope: {name: False for name, done in unit.items() if not done}
            for scope, unit in workload.items()
            if not all(unit.values())
        }
        if not left:
            return None
        scope = next(iter(left))  # units and their tests are worked on in their order
        crashed = next(iter(left[scope]))
        del left[scope][crashed]
        self.workqueue.update({scope: unit for scope, unit in left.items() if unit})
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node: WorkerController) -> None:
        if node not in self.registered_collections:  # it is still collecting
            return
        super()._reschedule(node)
        if not self.workqueue and not node.shutting_down:
            node.shutdown()  # after what it has been given: a process keeps its last test until it hears of more


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> CrashProofScheduling | None:
    """This one where `--dist loadgroup` is wanted; all else is xdist's."""
    return CrashProofScheduling(config, log) if config.getoption("dist") == "loadgroup" else None
