"""The figures of pricing that have a budget, measured in half a minute: ratios, side by side, in this one process.

One line of JSON for each, as `tidegauge check` reads them. The peers are those that any development environment has;
`make compare` prints the whole table, the others included.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import compare_american
import compare_pricing as compare
import peers_pricing as peers
import start_pricing
from compare_pricing import BOOK, SEED, UNDERLYINGS, least, moving
from peers_pricing import Sample

SECONDS = 0.3
TURNS = 5
STARTS = 3  # a turn: the least of them is not the one that something else held up
N = 100_000
WHOLE = 1_000_000


def say(name: str, values: list[float], unit: str) -> None:
    """The median of the turns, and how far they lay apart: a figure that straddles its budget is undecided."""
    line = {
        "name": f"check/pricing.{name}",
        "value": statistics.median(values),
        "unit": unit,
        "low": min(values),
        "high": max(values),
        "samples": len(values),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def turns(runs: dict[str, Callable[[], object]]) -> list[dict[str, float]]:
    """Nanoseconds of each, turn by turn: within a turn all meet the same machine."""
    return [{name: least(run, SECONDS) for name, run in runs.items()} for _ in range(TURNS)]


def kernels() -> None:
    book, whole = Sample.of(N, SEED), Sample.of(WHOLE, SEED)
    ours, numpy, quantlib = peers.ours(book), peers.numpy_ndtr(book), peers.quantlib(book)
    totals = peers.ours_totals(whole)
    measured = turns(
        {
            "ours": moving(ours),
            "numpy": moving(numpy),
            "quantlib": moving(quantlib),
            "totals": moving(totals),
        }
    )
    rate = max(compare.fma_per_ns(0.1) for _ in range(TURNS))
    say("slices/times_numpy", [turn["numpy"] / turn["ours"] for turn in measured], "x")
    say("slices/times_quantlib", [turn["quantlib"] / turn["ours"] for turn in measured], "x")
    bound_ns, totals_ns = compare.operations("reprice", 1) / rate, compare.operations("recomputed", 2) / rate
    say("slices/share_of_bound", [bound_ns * N / turn["ours"] for turn in measured], "1")
    say("totals/share_of_bound", [totals_ns * WHOLE / turn["totals"] for turn in measured], "1")


def the_book() -> None:
    book, one = peers.book(BOOK, UNDERLYINGS), peers.book(100, 1)
    symbol = book.symbols()[UNDERLYINGS // 2]
    arrays, small = peers.numpy_ndtr(Sample.of(BOOK, SEED)), peers.numpy_ndtr(Sample.of(100, SEED))
    measured = turns(
        {
            "tick": moving(lambda spot: book.on_tick(symbol, spot)),
            "numpy": moving(arrays),
            "hundred": lambda: one.revalue(peers.AT),
            "small": moving(small),
        }
    )
    say("book/tick_us", [turn["tick"] / 1e3 for turn in measured], "us")
    say("book/tick_times_numpy", [turn["numpy"] / turn["tick"] for turn in measured], "x")
    say("book/hundred_times_numpy", [turn["small"] / turn["hundred"] for turn in measured], "x")


def american() -> None:
    solves, ticks, errors = [], [], []
    for _ in range(TURNS):
        rows = {str(row["method"]): row for row in compare_american.rows(300, seed=1, repeats=3)}
        ns = {method: float(str(row["ns_per_option"])) for method, row in rows.items()}
        solves.append(ns["QuantLib QdFp accurate"] / ns["tradebot solve"])
        ticks.append(ns["QuantLib QdFp fast"] / ns["tradebot spot tick"])
        errors.append(float(str(rows["tradebot solve"]["rms_error"])))
    say("american/solve_times_quantlib", solves, "x")
    say("american/tick_times_quantlib", ticks, "x")
    say("american/solve_rms_error", errors, "1")


def the_start() -> None:
    with tempfile.TemporaryDirectory() as folder:
        start_pricing.start(folder)  # compiles
        found = [start_pricing.starts(folder, STARTS) for _ in range(TURNS)]
    say("start/added_ms", [min(each.cpu_ms for each in turn) for turn in found], "ms")


def main() -> None:
    warnings.simplefilter("ignore")  # of peers
    kernels()
    the_book()
    american()
    the_start()


if __name__ == "__main__":
    main()
