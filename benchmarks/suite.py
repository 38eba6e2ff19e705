"""What every asv benchmark of ours shares: one case, swept over its sizes, timed on the CPU.

    class Slices(Suite):          a noun
        case = CASES["pricing.slices"]
        params, param_names = (case.sizes,), ("options",)

        def time_price(self, size):   a verb
            self.work.run()

asv-runner repeats `setup` before each timed call and times the calls one by one, so `number` is 1 and what is short
repeats itself within its run (`Work.calls`). For the same reason work that holds nothing but memory is kept from call
to call; what holds a loop, a socket, a process or a folder is closed by `teardown` and made anew.

What is too dear for that is asv's `setup_cache`, run once an environment: a `LakeSuite` reads the lakes that it wrote.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from cases import CASES, SEED, Case, Work


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
            self.work = self.case.make(size, SEED, self._shared())
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

    def _shared(self) -> Path | None:
        return None


LAKES = CASES["store.history"].sizes


class LakeSuite(Suite):
    """Of cases that only read a lake. asv runs every suite with this `setup_cache` in the folder that it wrote."""

    def setup_cache(self) -> None:
        try:
            from cases.store import write_lakes
        except ImportError:
            return  # `setup` says which room is missing
        write_lakes(self._folder(), LAKES, SEED)

    setup_cache.timeout = 300.0  # type: ignore[attr-defined] # asv reads it here

    def _shared(self) -> Path | None:
        """Outside asv each case writes a lake of its own."""
        return folder if (folder := self._folder()).is_dir() else None

    @staticmethod
    def _folder() -> Path:
        return Path("lakes").resolve()
