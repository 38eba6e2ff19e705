"""Pricing: options one by one, in slices, on American boundaries, and a book that ticks."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class European(Suite):
    case = CASES["pricing.european"]
    params, param_names = (case.sizes,), ("options",)

    def time_price(self, options: int) -> None:
        del options
        self.work.run()


class Slices(Suite):
    case = CASES["pricing.slices"]
    params, param_names = (case.sizes,), ("options",)

    def time_price(self, options: int) -> None:
        del options
        self.work.run()


class Totals(Suite):
    case = CASES["pricing.totals"]
    params, param_names = (case.sizes,), ("options",)

    def time_sum(self, options: int) -> None:
        del options
        self.work.run()


class Implied(Suite):
    case = CASES["pricing.implied"]
    params, param_names = (case.sizes,), ("options",)

    def time_solve(self, options: int) -> None:
        del options
        self.work.run()


class American(Suite):
    case = CASES["pricing.american"]
    params, param_names = (case.sizes,), ("options",)

    def time_solve(self, options: int) -> None:
        del options
        self.work.run()


class Chain(Suite):
    case = CASES["pricing.chain"]
    params, param_names = (case.sizes,), ("options",)

    def time_tick(self, options: int) -> None:
        del options
        self.work.run()


class Book(Suite):
    case = CASES["pricing.tick"]
    params, param_names = (case.sizes,), ("options",)

    def time_tick(self, options: int) -> None:
        del options
        self.work.run()


class Aggregation(Suite):
    case = CASES["pricing.aggregation"]
    params, param_names = (case.sizes,), ("options",)

    def time_sum(self, options: int) -> None:
        del options
        self.work.run()
