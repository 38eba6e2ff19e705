"""The figures of pricing that have a budget, measured in half a minute: ratios, side by side, in this one process.

One line of JSON for each, as `tidegauge check` reads them. The peers are those that any development environment has;
`make compare` prints the whole table, the others included.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import compare_american
import compare_pricing as compare
import peers_pricing as peers
from compare_pricing import BOOK, SEED, UNDERLYINGS, least
from peers_pricing import Sample
from tradebot.pricing import slices

SECONDS = 0.3
N = 100_000
WHOLE = 1_000_000


def say(name: str, value: float, unit: str) -> None:
    sys.stdout.write(json.dumps({"name": f"check/pricing.{name}", "value": value, "unit": unit}) + "\n")
    sys.stdout.flush()


def kernels() -> None:
    """The turns are taken three times, so that what else the machine does falls on all alike."""
    book, whole = Sample.of(N, SEED), Sample.of(WHOLE, SEED)
    runs = {
        "ours": peers.ours(book),
        "numpy": peers.numpy_ndtr(book),
        "quantlib": peers.quantlib(book),
        "totals": peers.ours_totals(whole),
    }
    best = dict.fromkeys(runs, float("inf"))
    rate = 0.0
    for _ in range(3):
        rate = max(rate, compare.fma_per_ns(0.1))
        for name, run in runs.items():
            best[name] = min(best[name], least(lambda run=run: run(101.0), SECONDS))  # type: ignore[misc]
    say("slices/times_numpy", best["numpy"] / best["ours"], "x")
    say("slices/times_quantlib", best["quantlib"] / best["ours"], "x")
    say("slices/share_of_bound", compare.operations(slices.tick, 1) / rate * N / best["ours"], "1")
    say("totals/share_of_bound", compare.operations(slices.recomputed, 2) / rate * WHOLE / best["totals"], "1")


def the_book() -> None:
    book, one = peers.book(BOOK, UNDERLYINGS), peers.book(100, 1)
    symbol = book.symbols()[UNDERLYINGS // 2]
    arrays, small = peers.numpy_ndtr(Sample.of(BOOK, SEED)), peers.numpy_ndtr(Sample.of(100, SEED))
    tick_ns = least(lambda: book.on_tick(symbol, 101.0), SECONDS)
    say("book/tick_us", tick_ns / 1e3, "us")
    say("book/tick_times_numpy", least(lambda: arrays(101.0), SECONDS) / tick_ns, "x")
    say(
        "book/hundred_times_numpy",
        least(lambda: small(101.0), SECONDS) / least(lambda: one.revalue(peers.AT), SECONDS),
        "x",
    )


def american() -> None:
    rows = {str(row["method"]): row for row in compare_american.rows(500, seed=1, repeats=5)}
    ns = {method: float(str(row["ns_per_option"])) for method, row in rows.items()}
    say("american/solve_times_quantlib", ns["QuantLib QdFp accurate"] / ns["tradebot solve"], "x")
    say("american/tick_times_quantlib", ns["QuantLib QdFp fast"] / ns["tradebot spot tick"], "x")
    say("american/solve_rms_error", float(str(rows["tradebot solve"]["rms_error"])), "1")


def main() -> None:
    warnings.simplefilter("ignore")  # of peers
    kernels()
    the_book()
    american()


if __name__ == "__main__":
    main()
