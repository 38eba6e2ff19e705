"""Execution: orders as they are tracked, and whole workflows in virtual time."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class Orders(Suite):
    case = CASES["execution.orders"]
    params, param_names = (case.sizes,), ("orders",)

    def time_track(self, orders: int) -> None:
        del orders
        self.work.run()


class Condor(Suite):
    case = CASES["execution.condor"]
    params, param_names = (case.sizes,), ("condors",)

    def time_enter_and_exit(self, condors: int) -> None:
        del condors
        self.work.run()


class Monitoring(Suite):
    case = CASES["execution.monitoring"]
    params, param_names = (case.sizes,), ("strategies",)

    def time_cycle(self, strategies: int) -> None:
        del strategies
        self.work.run()


class Entries(Suite):
    case = CASES["execution.entries"]
    params, param_names = (case.sizes,), ("condors",)

    def time_enter(self, condors: int) -> None:
        del condors
        self.work.run()


class Exits(Suite):
    case = CASES["execution.exits"]
    params, param_names = (case.sizes,), ("condors",)

    def time_leave(self, condors: int) -> None:
        del condors
        self.work.run()
