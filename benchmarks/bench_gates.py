"""Gates: an entry against every limit, and the room that is left, with more and more held."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class Entry(Suite):
    case = CASES["gates.check"]
    params, param_names = (case.sizes,), ("held",)

    def time_check(self, held: int) -> None:
        del held
        self.work.run()


class Capacity(Suite):
    case = CASES["gates.capacity"]
    params, param_names = (case.sizes,), ("held",)

    def time_measure(self, held: int) -> None:
        del held
        self.work.run()
