"""Implied volatility beside py_vollib_vectorized, on the same prices in one run: time, ratio and error of each.

The contracts lie within 2.5 standard deviations of the money, where a price determines its volatility; the error is
that against the volatility which made the price, and so holds the price's own rounding: in volatility, and as a share
of it. Warm starts are off by up to 2 %. Times are the least CPU time of several repeats, one thread, with the two sides
taking turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tradebot.pricing.european import price_and_greeks
from tradebot.pricing.formula import Floats
from tradebot.pricing.implied import implied_volatility

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import py_vollib_vectorized
    except ImportError:
        py_vollib_vectorized = None

SPOT, RATE, DIVIDEND = 100.0, 0.03, 0.01


def rows(n: int, *, seed: int, repeats: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    years = rng.choice(np.array([1, 7, 45, 365, 1095]) / 365.0, n)
    sigma = np.exp(rng.uniform(np.log(0.05), np.log(2.0), n))
    is_call = rng.random(n) < 0.5
    strike = SPOT * np.exp(rng.uniform(-2.5, 2.5, n) * sigma * np.sqrt(years))
    price = price_and_greeks(SPOT, strike, years, sigma, RATE, DIVIDEND, is_call).price
    near = sigma * (1.0 + rng.uniform(-0.02, 0.02, n))
    kinds = np.where(is_call, "c", "p")
    full = np.ones(n)

    def cold() -> Floats:
        return implied_volatility(price, SPOT, strike, years, RATE, DIVIDEND, is_call).sigma

    def warm() -> Floats:
        return implied_volatility(price, SPOT, strike, years, RATE, DIVIDEND, is_call, warm=near).sigma

    def vollib() -> Any:
        return py_vollib_vectorized.vectorized_implied_volatility(
            price,
            SPOT * full,
            strike,
            years,
            RATE * full,
            kinds,
            q=DIVIDEND * full,
            model="black_scholes_merton",
            return_as="numpy",
            on_error="ignore",
        )

    runs: dict[str, Callable[[], Any]] = {"tradebot cold": cold, "tradebot warm": warm}
    if py_vollib_vectorized is not None:
        runs["py_vollib_vectorized"] = vollib
    found = {name: run() for name, run in runs.items()}
    errors = {name: float(np.abs(each - sigma).max()) for name, each in found.items()}
    relative = {name: float(np.abs(each / sigma - 1.0).max()) for name, each in found.items()}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.process_time_ns()
            run()
            best[name] = min(best[name], (time.process_time_ns() - start) / n)
    return [
        {
            "method": name,
            "kind": "implied volatility",
            "n": n,
            "ns_per_option": round(best[name], 1),
            "max_error": errors[name],
            "max_relative_error": relative[name],
            "threads": 1,
        }
        for name in runs
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = rows(options.n, seed=options.seed, repeats=options.repeats)
    if options.json:
        sys.stdout.write(json.dumps(table, indent=2) + "\n")
        return
    for row in table:
        errors = f"max {row['max_error']:.1e}, relative {row['max_relative_error']:.1e}"
        sys.stdout.write(f"{row['method']!s:24} {row['ns_per_option']:>8} ns  {errors}\n")
    if py_vollib_vectorized is None:
        sys.stdout.write("py_vollib_vectorized: not installed, not measured\n")


if __name__ == "__main__":
    main()
