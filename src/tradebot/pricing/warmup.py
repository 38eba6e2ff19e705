"""Every kernel loaded before the first tick, and a count of what is compiled after that.

At start `warm_up` gives each kernel its machine code, from the cache on disk (milliseconds) or from the compiler
(seconds, once a machine and version): see `cache`. A compile after that would stop trading for as long: it is a
defect, it is counted, and `alert` is told. Where the code cannot be kept, `WarmUp.problem` says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradebot.pricing import european, householder, slices
from tradebot.pricing.loader import Watch, kernels_of, load

BOOK: Final = (european.__name__, householder.__name__, slices.__name__)


class Compiles(Watch):
    """Counts the compiles of this process, whoever asks for them, from the moment it is made."""

    def __init__(self, alert: Callable[[str], None]) -> None:
        self.count = 0
        self._alert = alert
        super().__init__(self._compiled)

    def _compiled(self, kernel: str) -> None:
        self.count += 1
        self._alert(kernel)


@dataclass(frozen=True, slots=True)
class WarmUp:
    seconds: float
    compiled: int  # kernels that were not in the cache
    problem: str  # why the cache on disk is not used; empty where it is
    since: Compiles

    def compiles_since_warmup(self) -> int:
        return self.since.count

    def close(self) -> None:
        self.since.close()


def warm_up(cache_dir: Path, alert: Callable[[str], None], *, modules: Iterable[str] = BOOK) -> WarmUp:
    """Load or compile the kernels of modules. `alert` is called with a name for each compile after this returns.

    By default those that a book needs; who prices American options calls `warm_up_american` too.
    """
    begin = time.perf_counter()
    found = load(modules, cache_dir)
    compiled = sum(len(kernels_of(module)) for module in found.compiled)
    return WarmUp(time.perf_counter() - begin, compiled, found.problem, Compiles(alert))


def warm_up_american(cache_dir: Path, alert: Callable[[str], None]) -> WarmUp:
    """The same for who prices American options; imported only then."""
    from tradebot.pricing import exercise  # noqa: PLC0415

    return warm_up(cache_dir, alert, modules=[exercise.__name__])
