"""This library's pricing beside its peers', on the same book, in the same run, with the machine's own limit.

    python benchmarks/compare_pricing.py [--json] [--seconds 1.0]

Without `--json` it also times a book of BOOK options on UNDERLYINGS underlyings through its public interface.

One thread. Time is the process's CPU time, the least of many repeats, the methods taking turns, so that what else the
machine does falls on all alike. A way to price is given a spot and returns price and five Greeks of every option and
their totals (`totals only`: the latter alone).

The bound is what the kernel's own multiplications and fused multiply-adds would take if nothing else were to do: they
are counted in the compiled loop, and divided by the rate at which this CPU does independent ones (measured here).
Errors are against 40 digits, on SAMPLE options: the largest of all six figures, each in its natural scale.
`--json` prints one row a line: method, kind, n, ns_per_option, max_error, threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import peers_pricing as peers
from burn import DEPENDENT, burn
from peers_pricing import DIVIDEND, RATE, SPOT, Floats, Sample, Tick
from tradebot.pricing import slices
from tradebot.pricing.compiler import assembly
from tradebot.pricing.formula import FIGURES
from tradebot.pricing.lanes import table

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
SAMPLE = 200
SEED = 7
BLOCK_S = 0.002
BOOK, UNDERLYINGS = 10_000, 50


@dataclass(frozen=True)
class Way:
    method: str
    kind: str
    build: Callable[[Sample], Tick]
    n_max: int = SIZES[-1]
    figures: Callable[[Sample], Tick] | None = None  # to look at, where `build` has them in another order


WAYS = (
    Way("tidegauge", "slices", peers.ours, figures=peers.ours_in_order),
    Way("tidegauge", "totals only", peers.ours_totals),
    Way("tidegauge", "price_and_greeks", peers.ours_any),
    Way("numpy + ndtr", "arrays", peers.numpy_ndtr),
    Way("numba + libm", "arrays", peers.numba_libm),
    Way("QuantLib", "SimpleQuote", peers.quantlib, 100_000),
    Way("py_vollib_vectorized", "arrays", peers.py_vollib_vectorized, 100_000),
)


def fma_per_ns(seconds: float) -> float:
    values = table(1, 520)[0, :512]  # whole vectors, and a whole number of them to each round of the loop
    burning = burn.bind(values)
    return DEPENDENT * 200 * len(values) / least(lambda: burning(200, 0.5, 0.01), seconds)


def operations(function: str, divisions: int) -> float:
    """Multiplications and fused multiply-adds an option, counted in the vector loops of a function of `slices`.

    How often a formula divides says how many options a turn of the loops prices.
    """
    text = assembly(slices.__name__, [function])[function]
    arithmetic = re.compile(r"\tv?(?:fn?m(?:add|sub|la|ls)|mul|fmul)\w*\S*\s[^\n]*(?:zmm|ymm|\.2d)")
    division = re.compile(r"\tv?f?div\S*\s[^\n]*(?:zmm|ymm|\.2d)")
    return len(arithmetic.findall(text)) / len(division.findall(text)) * divisions


def least(run: Callable[[], object], seconds: float) -> float:
    """Nanoseconds of CPU time of one call, the least of as many blocks as fit."""
    run()
    calls, best, spent = 1, float("inf"), 0
    while spent < seconds * 1e9:
        begin = time.process_time_ns()
        for _ in range(calls):
            run()
        taken = time.process_time_ns() - begin
        spent += taken
        best = min(best, taken / calls)
        if taken < BLOCK_S * 1e9:
            calls = min(2 * calls, 100_000)
    return best


def moving(tick: Callable[[float], object]) -> Callable[[], object]:
    """Ticks of a price that moves. A quote set to what it is already tells nobody, and who caches is not asked again:
    QuantLib took 2,500 ns to return what it had kept, where pricing costs it 5,500."""
    spots = itertools.cycle((SPOT + 1 / 16, SPOT + 1 / 8))
    return lambda: tick(next(spots))


def exact(sample: Sample) -> tuple[Floats, Floats]:
    """Figures in 40 digits, and the scale that an error of each is measured in."""
    figures, scales = [], []
    mp = mpmath.mpf
    with mpmath.workdps(40):
        r, q, s = mp(RATE), mp(DIVIDEND), mp(SPOT)
        for row in zip(sample.strike, sample.years, sample.sigma, sample.sign, strict=True):
            k, t, v, sign = (mp(float(each)) for each in row)
            root = mpmath.sqrt(t)
            d1 = (mpmath.log(s / k) + (r - q + v * v / 2) * t) / (v * root)
            s_part = sign * s * mpmath.exp(-q * t) * mpmath.ncdf(sign * d1)
            k_part = sign * k * mpmath.exp(-r * t) * mpmath.ncdf(sign * (d1 - v * root))
            density = s * mpmath.exp(-q * t) * mpmath.npdf(d1)
            theta = (q * s_part - r * k_part - density * v / (2 * root)) / 365
            gamma = density / (s * s * v * root)
            figures.append([float(x) for x in (s_part - k_part, s_part / s, gamma, theta, density * root, t * k_part)])
            size = max(s, k)
            decay = size * (v / root + r + q) / 365
            scales.append([float(x) for x in (size, 1, 1 / (s * v * root), decay, s * root, size * t)])
    return np.array(figures).T, np.array(scales).T


def max_error(way: Way, sample: Sample, figures: Floats, scales: Floats) -> float:
    """Of each option's figures, or, for a way that has no more, of the totals."""
    result = (way.figures or way.build)(sample)(SPOT)
    if result.shape[1] == FIGURES:
        weights = np.abs(sample.shares)
        return float(np.max(np.abs(result[0] - figures @ sample.shares) / (scales @ weights)))
    return float(np.max(np.abs(result - figures) / scales))


def rows(seconds: float, rates: list[float]) -> Iterator[dict[str, Any]]:
    """A row for each way that is installed and each size; `rates` gets what the CPU could do at the time."""
    sample = Sample.of(SAMPLE, SEED)
    figures, scales = exact(sample)
    errors: dict[Way, float | None] = {}
    for way in WAYS:
        try:
            errors[way] = max_error(way, sample, figures, scales)
        except Exception as broken:  # noqa: BLE001 - a peer may fail in any way it likes; it is then named
            errors[way] = None
            sys.stderr.write(f"not measured: {way.method}: {type(broken).__name__}\n")
    for n in SIZES:
        book = Sample.of(n, SEED)
        ways = {way: way.build(book) for way in WAYS if errors[way] is not None and n <= way.n_max}
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(3):
            rates.append(fma_per_ns(0.1))
            for way, tick in ways.items():
                best[way] = min(best[way], least(moving(tick), seconds / 3))
        for way, taken in best.items():
            yield {
                "method": way.method,
                "kind": way.kind,
                "n": n,
                "ns_per_option": taken / n,
                "max_error": errors[way],
                "threads": 1,
            }


def render(measured: list[dict[str, Any]], rate: float) -> str:
    of = {(row["method"], row["kind"], row["n"]): row["ns_per_option"] for row in measured}
    lines = [f"{'ns an option (ratio to slices)':34}" + "".join(f"{n:>20,}" for n in SIZES) + f"{'max error':>12}"]
    for way in WAYS:
        name = f"{way.method}, {way.kind}"
        errors = [row["max_error"] for row in measured if (row["method"], row["kind"]) == (way.method, way.kind)]
        if not errors:
            lines.append(f"{name:34}not measured: not installed, or it does not run here")
            continue
        cells = ""
        for n in SIZES:
            taken = of.get((way.method, way.kind, n))
            cells += f"{'-':>20}" if taken is None else f"{taken:>10.2f} ({taken / of['tidegauge', 'slices', n]:>6.1f})"
        lines.append(f"{name:34}{cells}{errors[0]:>12.1e}")
    small, large = of["tidegauge", "slices", 1_000], of["tidegauge", "slices", 1_000_000]
    lines.append(
        f"slices: cost grows as N^{1.0 + math.log(large / small) / math.log(1_000):.3f} from 1,000 to 1,000,000"
    )
    for kind, hot, divisions in (("slices", "reprice", 1), ("totals only", "recomputed", 2)):
        count = operations(hot, divisions)
        bound = count / rate
        shares = "".join(f"{bound / of['tidegauge', kind, n]:>20.0%}" for n in SIZES)
        lines.append(f"{f'{kind}: of the bound {bound:.2f} ns':34}{shares}")
        lines.append(f"  {count:.0f} multiplications and multiply-adds an option, {rate:.1f} a nanosecond")
    return "\n".join(lines)


def book_line(seconds: float) -> str:
    """A tick of one underlying of many, and all of them moved in time, each beside numpy over the whole book."""
    book = peers.book(BOOK, UNDERLYINGS)
    symbol = book.symbols()[UNDERLYINGS // 2]
    tick = least(moving(lambda spot: book.on_tick(symbol, spot)), seconds) / 1e3
    revalue = least(lambda: book.revalue(peers.AT), seconds) / 1e3
    arrays = peers.numpy_ndtr(Sample.of(BOOK, SEED))
    whole = least(moving(arrays), seconds) / 1e3
    one = peers.book(100, 1)
    hundred = least(lambda: one.revalue(peers.AT), seconds) / 1e3
    arrays = peers.numpy_ndtr(Sample.of(100, SEED))
    small = least(moving(arrays), seconds) / 1e3
    return (
        f"Book of {BOOK:,} on {UNDERLYINGS}: on_tick {tick:.2f} us, 1/{whole / tick:.0f} of numpy over the book "
        f"({whole:.0f} us); revalue {revalue:.1f} us, 1/{whole / revalue:.1f}\n"
        f"Book of 100 on 1: revalue {hundred:.2f} us, 1/{small / hundred:.1f} of numpy ({small:.1f} us)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="rows instead of the table")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU time for each method and size")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of peers
    rates: list[float] = []
    measured = list(rows(options.seconds, rates))
    if options.json:
        lines = [json.dumps(row) for row in measured]
    else:
        lines = [render(measured, max(rates)), book_line(options.seconds)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
