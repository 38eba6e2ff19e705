"""The kernel: bus and supervisor."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class Bus(Suite):
    case = CASES["kernel.bus"]
    params, param_names = (case.sizes,), ("events",)

    def time_publish(self, events: int) -> None:
        del events
        self.work.run()


class Jobs(Suite):
    case = CASES["kernel.jobs"]
    params, param_names = (case.sizes,), ("jobs",)

    def time_run(self, jobs: int) -> None:
        del jobs
        self.work.run()
