"""Workflows at the gateway, in process: the CPU time of the bot and of the broker that answers it."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class Entries(Suite):
    case = CASES["gateway.entries"]
    params, param_names = (case.sizes,), ("condors",)

    def time_enter(self, condors: int) -> None:
        del condors
        self.work.run()


class Exits(Suite):
    case = CASES["gateway.exits"]
    params, param_names = (case.sizes,), ("condors",)

    def time_leave(self, condors: int) -> None:
        del condors
        self.work.run()


class Monitoring(Suite):
    case = CASES["gateway.monitoring"]
    params, param_names = (case.sizes,), ("strategies",)

    def time_cycle(self, strategies: int) -> None:
        del strategies
        self.work.run()


class Quotes(Suite):
    case = CASES["gateway.quotes"]
    params, param_names = (case.sizes,), ("lines",)

    def time_hear(self, lines: int) -> None:
        del lines
        self.work.run()
