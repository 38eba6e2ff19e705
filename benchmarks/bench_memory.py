"""Memory: how high it climbs, and counts that must not grow with what was done before.

`peakmem_` is asv's: the whole process at its highest, the interpreter and `setup` included. Bytes, blocks, objects and
tasks are differences between an early and a late moment: about 0 where nothing is kept. Files level off.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable
from typing import ClassVar

from cases import CASES
from suite import LakeSuite, Suite

CYCLES = 100
# As glibc declares it.
MALLINFO2 = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class SlicesPeak(Suite):
    case = CASES["pricing.slices"]
    params, param_names = (case.sizes,), ("options",)

    def peakmem_price(self, options: int) -> None:
        del options
        self.work.run()


class HistoryPeak(LakeSuite):
    case = CASES["store.history"]
    params, param_names = (case.sizes,), ("rows",)

    def peakmem_ask(self, rows: int) -> None:
        del rows
        self.work.run()


class PositionsPeak(LakeSuite):
    case = CASES["store.positions"]
    params, param_names = (case.sizes,), ("rows",)

    def peakmem_ask(self, rows: int) -> None:
        del rows
        self.work.run()


class AmericanPeak(Suite):
    case = CASES["pricing.american"]
    params, param_names = (case.sizes,), ("options",)

    def peakmem_solve(self, options: int) -> None:
        del options
        self.work.run()


class BookPeak(Suite):
    case = CASES["pricing.aggregation"]
    params, param_names = (case.sizes,), ("options",)

    def peakmem_sum(self, options: int) -> None:
        del options
        self.work.run()


class MonitoringPeak(Suite):
    case = CASES["execution.monitoring"]
    params, param_names = (case.sizes,), ("strategies",)

    def peakmem_cycle(self, strategies: int) -> None:
        del strategies
        self.work.run()


class EntriesPeak(Suite):
    case = CASES["gateway.entries"]
    params, param_names = (case.sizes,), ("condors",)

    def peakmem_enter(self, condors: int) -> None:
        del condors
        self.work.run()


class FanOutPeak(Suite):
    case = CASES["api.fan_out"]
    params, param_names = (case.sizes,), ("sockets",)

    def peakmem_tell(self, sockets: int) -> None:
        del sockets
        self.work.run()


class MonitoringGrowth(Suite):
    """Between the end of a first hundred cycles and of a second."""

    case = CASES["execution.monitoring"]
    params, param_names = (case.sizes[:1],), ("strategies",)

    def track_live_bytes(self, strategies: int) -> float:
        del strategies
        return self._grown(live_bytes)

    track_live_bytes.unit = "bytes"  # type: ignore[attr-defined] # asv reads it here

    def track_live_blocks(self, strategies: int) -> float:
        del strategies
        return self._grown(sys.getallocatedblocks)

    track_live_blocks.unit = "blocks"  # type: ignore[attr-defined] # asv reads it here

    def track_live_objects(self, strategies: int) -> float:
        del strategies
        return self._grown(lambda: len(gc.get_objects()))

    track_live_objects.unit = "objects"  # type: ignore[attr-defined] # asv reads it here

    def _grown(self, count: Callable[[], float]) -> float:
        def after_cycles() -> float:
            for _ in range(CYCLES // self.work.calls):
                self.work.run()
            gc.collect()
            return count()

        early = after_cycles()
        return after_cycles() - early


class _Mallinfo2(ctypes.Structure):
    _fields_: ClassVar = [(name, ctypes.c_size_t) for name in MALLINFO2]


def live_bytes() -> float:
    """What Python's and C's allocators have given out and not got back; nan where C's does not say (not glibc)."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return math.nan
    mallinfo2.restype = _Mallinfo2
    found = mallinfo2()
    return float(_pymalloc_bytes() + found.uordblks + found.hblkhd)


def _pymalloc_bytes() -> int:
    """Python tells it on its stderr alone, below `sys.stderr`; under another allocator nothing is its own."""
    with tempfile.TemporaryFile() as told:
        stderr = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        told.seek(0)
        found = re.search(rb"# bytes in allocated blocks\s*=\s*([\d,]+)", told.read())
    return int(found[1].replace(b",", b"")) if found else 0


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
