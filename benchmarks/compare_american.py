"""American options beside QuantLib's QdFp engines, on the same contracts in one run: time, ratio and error of each.

The oracle is QdFp in its high-precision scheme. QuantLib's time is that of its engine alone: every option, process and
engine is made beforehand, and the engine gives the price without Greeks, as it has none. Ours is called from Python and
gives price, delta, gamma, theta, vega and rho. Times are the least CPU time of several repeats, one thread, with the
two sides taking turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from tradebot.pricing.american import Chain, Solver, price_and_greeks
from tradebot.pricing.formula import Floats

try:
    import QuantLib
except ImportError:
    QuantLib = None

SPOT: Final = 100.0
WITHIN: Final = 3  # in a row, so that nobody is charged for the caches that the other side has filled


class Contracts(NamedTuple):
    strike: Floats
    days: Floats
    sigma: Floats
    rate: Floats
    dividend: Floats
    is_call: Floats

    @property
    def years(self) -> Floats:
        return self.days / 365.0


def contracts(n: int, *, seed: int) -> Contracts:
    """A week to three years, 10 % to 80 % of volatility, rates and dividends of either order."""
    rng = np.random.default_rng(seed)
    rates = np.array([0.01, 0.02, 0.05, 0.08, 0.10])
    is_call = rng.random(n) < 0.5
    paid = rng.choice(rates, n)  # what early exercise wins: never 0, or it would be a European option
    other = rng.choice(np.append(0.0, rates), n)
    return Contracts(
        strike=rng.uniform(60.0, 140.0, n),
        days=rng.integers(7, 1095, n).astype(np.float64),
        sigma=rng.uniform(0.1, 0.8, n),
        rate=np.where(is_call, other, paid),
        dividend=np.where(is_call, paid, other),
        is_call=is_call.astype(np.float64),
    )


class Peer:
    """QuantLib's options, one engine each, waiting to be recalculated."""

    def __init__(self, of: Contracts, scheme: str) -> None:
        ql = QuantLib
        today = ql.Date(20, 11, 2026)
        ql.Settings.instance().evaluationDate = today
        count = ql.Actual365Fixed()
        self.spot = ql.SimpleQuote(SPOT)
        self.options: list[Any] = []
        for strike, days, sigma, rate, dividend, is_call in zip(*of, strict=True):
            process = ql.BlackScholesMertonProcess(
                ql.QuoteHandle(self.spot),
                ql.YieldTermStructureHandle(ql.FlatForward(today, float(dividend), count)),
                ql.YieldTermStructureHandle(ql.FlatForward(today, float(rate), count)),
                ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), float(sigma), count)),
            )
            kind = ql.Option.Call if is_call else ql.Option.Put
            option = ql.VanillaOption(
                ql.PlainVanillaPayoff(kind, float(strike)), ql.AmericanExercise(today, today + int(days))
            )
            engine = ql.QdFpAmericanEngine
            option.setPricingEngine(engine(process, getattr(engine, f"{scheme}Scheme")()))
            self.options.append(option)

    def recalculate(self) -> None:
        for option in self.options:
            option.recalculate()

    def prices(self) -> Floats:
        return np.array([option.NPV() for option in self.options])


def least_ns(runs: dict[str, Callable[[], object]], *, n: int, repeats: int) -> dict[str, float]:
    """CPU time an option of each run, the least of `repeats`; the runs alternate."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            for _ in range(WITHIN):
                start = time.process_time_ns()
                run()
                best[name] = min(best[name], (time.process_time_ns() - start) / n)
    return best


def rows(n: int, *, seed: int, repeats: int) -> list[dict[str, object]]:
    of = contracts(n, seed=seed)
    put_off = (of.strike, of.years, of.sigma, of.rate, of.dividend, of.is_call)
    cold = Solver()
    chain = Chain(Solver(), *put_off)

    def solve() -> Floats:
        cold.clear()
        return price_and_greeks(cold, SPOT, *put_off).price

    def tick() -> Floats:
        prices: Floats = chain.tick(SPOT)[0]
        return prices

    def move() -> Floats:
        prices: Floats = chain.moved(scale_sigma=1.01).tick(SPOT)[0]
        return prices

    ours: dict[str, tuple[str, Callable[[], Floats]]] = {
        "tradebot solve": ("american solve, 6 outputs", solve),
        "tradebot spot tick": ("american tick, 6 outputs", tick),
        "tradebot 1 % volatility move": ("american rebuild", move),
    }
    runs: dict[str, Callable[[], object]] = {name: run for name, (_, run) in ours.items()}
    kinds = {name: kind for name, (kind, _) in ours.items()}
    errors: dict[str, tuple[float, float]] = {}
    if QuantLib is not None:
        oracle = Peer(of, "highPrecision").prices()
        peers = {f"QuantLib QdFp {scheme}": Peer(of, scheme) for scheme in ("accurate", "fast")}
        for name, peer in peers.items():
            runs[name], kinds[name], errors[name] = peer.recalculate, "american price", spread(peer.prices() - oracle)
        errors["tradebot solve"], errors["tradebot spot tick"] = spread(solve() - oracle), spread(tick() - oracle)
    for run in runs.values():
        run()
    best = least_ns(runs, n=n, repeats=repeats)
    return [
        {
            "method": name,
            "kind": kinds[name],
            "n": n,
            "ns_per_option": round(best[name], 1),
            "max_error": errors.get(name, (None, None))[0],
            "rms_error": errors.get(name, (None, None))[1],
            "threads": 1,
        }
        for name in runs
    ]


def spread(error: Floats) -> tuple[float, float]:
    return float(np.abs(error).max()), float(np.sqrt(np.mean(error * error)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = rows(options.n, seed=options.seed, repeats=options.repeats)
    if options.json:
        sys.stdout.write(json.dumps(table, indent=2) + "\n")
        return
    for row in table:
        error = "-" if row["max_error"] is None else f"max {row['max_error']:.1e}  rms {row['rms_error']:.1e}"
        sys.stdout.write(f"{row['method']!s:30} {row['kind']!s:28} {row['ns_per_option']:>10} ns  {error}\n")
    if QuantLib is None:
        sys.stdout.write("QuantLib: not installed, not measured\n")


if __name__ == "__main__":
    main()
