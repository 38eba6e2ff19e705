"""Decisions: the engine and its rules."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class Engine(Suite):
    case = CASES["decisions.engine"]
    params, param_names = (case.sizes,), ("views",)

    def time_decide(self, views: int) -> None:
        del views
        self.work.run()
