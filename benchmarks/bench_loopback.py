"""Workflows over loopback, the gateway in a process of its own: the bot's CPU time, and what somebody waits for.

A class named `...Seen` is the same work by the wall clock: broker, wire and every wait are in it.
"""

from __future__ import annotations

import time

from cases import CASES
from suite import Suite


class Entries(Suite):
    case = CASES["loopback.entries"]
    params, param_names = (case.sizes,), ("condors",)

    def time_enter(self, condors: int) -> None:
        del condors
        self.work.run()


class EntriesSeen(Suite):
    case = CASES["loopback.entries"]
    params, param_names = (case.sizes,), ("condors",)
    timer = time.perf_counter

    def time_enter(self, condors: int) -> None:
        del condors
        self.work.run()


class Exits(Suite):
    case = CASES["loopback.exits"]
    params, param_names = (case.sizes,), ("condors",)

    def time_leave(self, condors: int) -> None:
        del condors
        self.work.run()


class ExitsSeen(Suite):
    case = CASES["loopback.exits"]
    params, param_names = (case.sizes,), ("condors",)
    timer = time.perf_counter

    def time_leave(self, condors: int) -> None:
        del condors
        self.work.run()


class Monitoring(Suite):
    case = CASES["loopback.monitoring"]
    params, param_names = (case.sizes,), ("strategies",)

    def time_cycle(self, strategies: int) -> None:
        del strategies
        self.work.run()


class MonitoringSeen(Suite):
    case = CASES["loopback.monitoring"]
    params, param_names = (case.sizes,), ("strategies",)
    timer = time.perf_counter

    def time_cycle(self, strategies: int) -> None:
        del strategies
        self.work.run()


class Quotes(Suite):
    case = CASES["loopback.quotes"]
    params, param_names = (case.sizes,), ("lines",)

    def time_hear(self, lines: int) -> None:
        del lines
        self.work.run()


class QuotesSeen(Suite):
    case = CASES["loopback.quotes"]
    params, param_names = (case.sizes,), ("lines",)
    timer = time.perf_counter

    def time_hear(self, lines: int) -> None:
        del lines
        self.work.run()
