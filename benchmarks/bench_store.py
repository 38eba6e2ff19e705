"""The store: CPU time of journal and lake; what a disk takes on top, CPU time cannot see."""

from __future__ import annotations

from cases import CASES
from suite import LakeSuite, Suite


class Journal(Suite):
    case = CASES["store.commit"]
    params, param_names = (case.sizes,), ("intents",)

    def time_commit(self, intents: int) -> None:
        del intents
        self.work.run()


class Replay(Suite):
    case = CASES["store.replay"]
    params, param_names = (case.sizes,), ("records",)

    def time_read(self, records: int) -> None:
        del records
        self.work.run()


class Lake(Suite):
    case = CASES["store.append"]
    params, param_names = (case.sizes,), ("rows",)

    def time_append(self, rows: int) -> None:
        del rows
        self.work.run()


class Positions(LakeSuite):
    case = CASES["store.positions"]
    params, param_names = (case.sizes,), ("rows",)

    def time_ask(self, rows: int) -> None:
        del rows
        self.work.run()


class History(LakeSuite):
    case = CASES["store.history"]
    params, param_names = (case.sizes,), ("rows",)

    def time_ask(self, rows: int) -> None:
        del rows
        self.work.run()


class Churn(Suite):
    case = CASES["store.churn"]
    params, param_names = (case.sizes,), ("commits",)

    def time_commit(self, commits: int) -> None:
        del commits
        self.work.run()
