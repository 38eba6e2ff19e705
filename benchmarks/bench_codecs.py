"""Codecs: JSON of the bus and the journal, frames of the simulated gateway."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class Events(Suite):
    case = CASES["codecs.events"]
    params, param_names = (case.sizes,), ("events",)

    def time_encode(self, events: int) -> None:
        del events
        self.work.run()


class Records(Suite):
    case = CASES["codecs.records"]
    params, param_names = (case.sizes,), ("records",)

    def time_convert(self, records: int) -> None:
        del records
        self.work.run()


class Frames(Suite):
    case = CASES["codecs.frames"]
    params, param_names = (case.sizes,), ("messages",)

    def time_convert(self, messages: int) -> None:
        del messages
        self.work.run()


class Arrow(Suite):
    case = CASES["codecs.arrow"]
    params, param_names = (case.sizes,), ("rows",)

    def time_convert(self, rows: int) -> None:
        del rows
        self.work.run()
