"""Memory: how high it climbs, and counts that must not grow with what was done before.

`peakmem_` is asv's: the whole process at its highest, the interpreter and `setup` included. Blocks, objects and
tasks are differences between an early and a late moment: about 0 where nothing is kept. Files level off.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable

from cases import CASES
from suite import Suite

CYCLES = 100


class SlicesPeak(Suite):
    case = CASES["pricing.slices"]
    params, param_names = (case.sizes,), ("options",)

    def peakmem_price(self, options: int) -> None:
        del options
        self.work.run()


class HistoryPeak(Suite):
    case = CASES["store.history"]
    params, param_names = (case.sizes,), ("rows",)

    def peakmem_ask(self, rows: int) -> None:
        del rows
        self.work.run()


class PositionsPeak(Suite):
    case = CASES["store.positions"]
    params, param_names = (case.sizes,), ("rows",)

    def peakmem_ask(self, rows: int) -> None:
        del rows
        self.work.run()


class MonitoringGrowth(Suite):
    """Between the end of a first hundred cycles and of a second."""

    case = CASES["execution.monitoring"]
    params, param_names = (case.sizes[:1],), ("strategies",)

    def track_live_blocks(self, strategies: int) -> int:
        del strategies
        return self._grown(sys.getallocatedblocks)

    track_live_blocks.unit = "blocks"  # type: ignore[attr-defined] # asv reads it here

    def track_live_objects(self, strategies: int) -> int:
        del strategies
        return self._grown(lambda: len(gc.get_objects()))

    track_live_objects.unit = "objects"  # type: ignore[attr-defined] # asv reads it here

    def _grown(self, count: Callable[[], int]) -> int:
        def after_cycles() -> int:
            for _ in range(CYCLES // self.work.calls):
                self.work.run()
            gc.collect()
            return count()

        early = after_cycles()
        return after_cycles() - early


class CondorGrowth(Suite):
    """Tasks that ten condors, entered and closed, left behind."""

    case = CASES["execution.condor"]
    params, param_names = (case.sizes[-1:],), ("condors",)

    def track_tasks(self, condors: int) -> int:
        del condors
        before = _tasks()
        self.work.run()
        return _tasks() - before

    track_tasks.unit = "tasks"  # type: ignore[attr-defined] # asv reads it here


def _tasks() -> int:
    return sum(isinstance(each, asyncio.Task) and not each.done() for each in gc.get_objects())


class LakeGrowth(Suite):
    """Files of one table after so many commits: housekeeping merges them as it goes, so they level off."""

    case = CASES["store.churn"]
    params, param_names = (case.sizes,), ("commits",)

    def track_files(self, commits: int) -> int:
        del commits
        files: int = self.work.run()
        return files

    track_files.unit = "files"  # type: ignore[attr-defined] # asv reads it here
