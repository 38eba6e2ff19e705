"""What every asv benchmark of ours shares: one case, swept over its sizes, timed on the CPU.

    class Slices(Suite):          a noun
        case = CASES["pricing.slices"]
        params, param_names = (case.sizes,), ("options",)

        def time_price(self, size):   a verb
            self.work.run()

asv-runner repeats `setup` before each timed call and times the calls one by one, so `number` is 1 and what is short
repeats itself within its run (`Work.calls`). For the same reason work that holds nothing but memory is kept from call
to call; what holds a loop or a folder is closed by `teardown` and made anew.
"""

from __future__ import annotations

import time
from typing import ClassVar

from cases import SEED, Case, Work


class Suite:
    case: ClassVar[Case]
    timer = time.process_time
    number = 1
    timeout = 300.0
    work: Work
    _kept: tuple[int, Work] | None = None

    def setup(self, size: int) -> None:
        if self._kept is not None and self._kept[0] == size:
            self.work = self._kept[1]
            return
        try:
            self.work = self.case.make(size, SEED)
        except ImportError as missing:
            # asv's own way to skip: the commit is older than the room that this measures.
            raise NotImplementedError(f"{self.case.name}: {missing}") from missing
        if self.work.close is None:
            self._kept = size, self.work

    def teardown(self, size: int) -> None:
        del size
        if (work := self.__dict__.get("work")) is not None and work.close is not None:
            del self.work
            work.close()
