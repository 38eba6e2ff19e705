"""Every kernel compiled before the first tick, and a count of what is compiled after that.

At start `warm_up` runs a book of one contract through all that a book can do, and finds one implied volatility. Each
kernel is then loaded from the cache on disk (milliseconds) or compiled (seconds, once a machine and version). A compile
after that would stop trading for as long: it is a defect, it is counted, and `alert` is told.

The cache lies in a folder named after the sources of this package, because numba's own stamp looks at the file of a
kernel and would keep it when only `math64` has changed. Where the folder cannot be written, or what is in it cannot
be read, the kernels are compiled in memory and `WarmUp.problem` says why.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from numba.core import config, event
from numba.core.caching import NullCache

from tradebot.domain.instruments import OptionContract, Right
from tradebot.pricing import european, householder, implied, slices
from tradebot.pricing.book import Book

COMPILE_EVENT: Final = "numba:compile"
# Any, below: numba has no types for its dispatchers.
BOOK_KERNELS: Final[tuple[Any, ...]] = (
    european.price_each,
    householder.solve,
    slices.place,
    slices.recomputed,
    slices.revalue,
    slices.tick,
)
_config: Any = config
_registry: Any = event


class Compiles(event.Listener):
    """Counts the compiles of this process, whoever asks for them, from the moment it is registered."""

    def __init__(self, alert: Callable[[str], None]) -> None:
        self.count = 0
        self._alert = alert
        self._depth = 0
        self._closed = False
        _registry.register(COMPILE_EVENT, self)

    def on_start(self, event: Any) -> None:
        """A kernel compiles what it calls within its own compile: that is one compile, not several."""
        if self._depth == 0:
            self.count += 1
            self._alert(str(event.data["dispatcher"]))
        self._depth += 1

    def on_end(self, event: Any) -> None:  # noqa: ARG002 - numba's protocol
        self._depth -= 1

    def close(self) -> None:
        """Stop counting; harmless when already closed."""
        if not self._closed:
            self._closed = True
            _registry.unregister(COMPILE_EVENT, self)


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


def warm_up(
    cache_dir: Path,
    alert: Callable[[str], None],
    *,
    kernels: Iterable[Any] = BOOK_KERNELS,
    run: Callable[[], None] | None = None,
) -> WarmUp:
    """Load or compile kernels. `alert` is called with a name for each compile after this returns.

    By default those that a book needs; who prices American options calls `warm_up_american` too.
    """
    begin = time.perf_counter()
    during = Compiles(lambda _: None)
    run = run or exercise_book
    kernels = tuple(kernels)
    problem = _use_cache(cache_dir, kernels)
    try:
        run()
    except (OSError, EOFError, pickle.UnpicklingError) as failed:  # a full disk, a broken file
        problem = f"the kernel cache in {cache_dir} failed: {failed!r}"
        _use_memory(kernels)
        run()
    finally:
        during.close()
    return WarmUp(time.perf_counter() - begin, during.count, problem, Compiles(alert))


def exercise_book() -> None:
    """Call every kernel with the types that it will meet."""
    at = datetime(2026, 1, 2, 15, tzinfo=UTC)
    contract = OptionContract("X", (at + timedelta(days=30)).date(), Decimal(100), Right.CALL)
    book = Book(1)
    book.set_underlying("X", 100.0, 0.0, 0.0)
    book.revalue(at)
    book.set_sigma(contract, 0.2)
    book.add("x", contract, 1)
    book.on_tick("X", 101.0)
    book.recompute()
    european.price_and_greeks(100.0, 100.0, 0.5, 0.2, 0.0, 0.0, is_call=True)
    implied.implied_volatility(5.0, 100.0, 100.0, 0.5, 0.0, 0.0, is_call=True)


def warm_up_american(cache_dir: Path, alert: Callable[[str], None]) -> WarmUp:
    """The same for who prices American options; imported only then."""
    from tradebot.pricing import american, exercise  # noqa: PLC0415

    def run() -> None:
        chain = american.Chain(american.Solver(1), 100.0, 0.5, 0.2, 0.04, 0.0, is_call=False)
        chain.moved(scale_sigma=1.01).tick(100.0)

    return warm_up(cache_dir, alert, kernels=(exercise.build, exercise.rebuild, exercise.tick), run=run)


def _use_cache(cache_dir: Path, kernels: tuple[Any, ...]) -> str:
    """Tell numba where to keep these kernels; the reason where it cannot."""
    folder = cache_dir / _version()
    before = _config.CACHE_DIR
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _config.CACHE_DIR = str(folder)
        for kernel in kernels:
            if not kernel.signatures:
                kernel.enable_caching()
    except (OSError, RuntimeError) as refused:  # numba raises the latter where no place for a cache is left
        _use_memory(kernels)
        return f"kernels cannot be kept in {cache_dir}, each start compiles them: {refused}"
    finally:
        _config.CACHE_DIR = before
    return ""


def _use_memory(kernels: tuple[Any, ...]) -> None:
    for kernel in kernels:
        kernel._cache = NullCache()  # noqa: SLF001 - numba has no other way back from `enable_caching`


def _version() -> str:
    """The sources of this package in 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
