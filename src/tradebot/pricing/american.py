"""American options: price and the five Greeks, over exercise boundaries that are solved once and kept.

contracts -> the distinct (sigma, rate, dividend, years, kind) among them -> one boundary each, from the cache or solved
-> a spot tick over all contracts. B / K depends on nothing else, so a chain of strikes that shares a volatility shares
a boundary, and a spot move needs none. `Chain.moved` follows a volatility or rate move from the boundaries at hand.

Conventions are those of `domain.greeks` and of `european`. Early exercise is worth nothing, and the price is the
European one, for a call with dividend <= 0 and rate >= dividend, and for a put with rate <= 0 and dividend >= rate.
With dividend < rate < 0 (a put), or rate < dividend < 0 (a call), exercise is right only *between* two boundaries:
that is refused as `DoubleBoundary`. Everything else, r = 0 and r < q among it, has one boundary.

Where time or volatility is zero the best moment to exercise is known in advance: the price is the largest of the
discounted intrinsic values at once, at expiry, and where its time derivative is 0.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tradebot.domain.errors import DoubleBoundary, PricingError
from tradebot.pricing import european
from tradebot.pricing.boundary import Work, work
from tradebot.pricing.collocation import TABLE, Scheme, scheme
from tradebot.pricing.european import GreekArrays, checked
from tradebot.pricing.exercise import EXERCISED, KEY, ROW, Indices, build, rebuild, tick
from tradebot.pricing.formula import Floats

BOUNDARIES_MAX: Final = 4096  # 1.9 KB each


class CacheInfo(NamedTuple):
    hits: int
    misses: int
    evictions: int
    size: int
    maxsize: int


class Solver:
    """The boundaries used last, at most `maxsize` of them, and what it takes to solve more."""

    def __init__(self, maxsize: int = BOUNDARIES_MAX) -> None:
        if maxsize < 1:
            raise PricingError(f"maxsize must be at least 1, not {maxsize}")
        self._maxsize = maxsize
        self._table = np.empty((maxsize, ROW))
        self._places: OrderedDict[bytes, int] = OrderedDict()  # the one used longest ago first
        self._free = list(range(maxsize))
        self._plan: Scheme = scheme()
        self._work: Work = work(TABLE)
        self._hits = self._misses = self._evictions = 0

    def info(self) -> CacheInfo:
        return CacheInfo(self._hits, self._misses, self._evictions, len(self._places), self._maxsize)

    def clear(self) -> None:
        """Forget every boundary; the counts stay."""
        self._free.extend(self._places.values())
        self._places.clear()

    def price(self, keys: Floats, strike: Floats, out: Floats) -> None:
        """Every contract at spot 1."""
        tick(self._table, self._found(keys), strike, out, 1.0)

    def table(self, keys: Floats) -> tuple[Floats, Indices]:
        """A table of the caller's own, of distinct boundaries, and each contract's row in it."""
        places, which = np.unique(self._found(keys), return_inverse=True)
        return self._table[places], which.astype(np.int64)

    def followed(self, table: Floats, keys: Floats) -> Floats:
        """Rows for `keys`, each solved from the row of the same place in `table`."""
        table = table.copy()
        _settled(table, rebuild(table, keys, self._plan, self._work))
        return table

    def _found(self, keys: Floats) -> Indices:
        """Each contract's row in the cache, solved if need be."""
        names = keys.view(f"V{keys.shape[1] * keys.itemsize}").ravel().tolist()
        wanted = dict.fromkeys(names)
        if len(wanted) > self._maxsize:
            raise PricingError(
                f"{len(wanted)} distinct boundaries are more than the cache holds ({self._maxsize})",
                remedy="Price fewer contracts at once, or raise maxsize",
            )
        missing = [name for name in wanted if name not in self._places]
        for name in wanted:
            if name in self._places:
                self._places.move_to_end(name)
        self._hits += len(wanted) - len(missing)
        self._misses += len(missing)
        if missing:
            self._solve(missing)
        return np.fromiter(map(self._places.__getitem__, names), dtype=np.int64, count=len(names))

    def _solve(self, missing: list[bytes]) -> None:
        while len(self._free) < len(missing):
            self._free.append(self._places.popitem(last=False)[1])
            self._evictions += 1
        places = np.array([self._free.pop() for _ in missing])
        self._table[places, KEY] = np.frombuffer(b"".join(missing)).reshape(len(missing), -1)
        failed = build(self._table, places, self._plan, self._work)
        if failed >= 0:
            self._free.extend(places.tolist())
        _settled(self._table, failed)
        self._places.update(zip(missing, places.tolist(), strict=True))


class Chain:
    """Contracts of one underlying whose boundaries are at hand: what a spot tick runs over."""

    def __init__(  # noqa: PLR0917 - the order in which every textbook writes them
        self,
        solver: Solver,
        strike: ArrayLike,
        years: ArrayLike,
        sigma: ArrayLike,
        rate: ArrayLike,
        dividend: ArrayLike,
        is_call: ArrayLike,
    ) -> None:
        columns = np.broadcast_arrays(
            checked("strike", strike, above=0.0),
            checked("sigma", sigma, above=0.0),
            checked("rate", rate),
            checked("dividend", dividend),
            checked("years", years, above=0.0),
            np.asarray(is_call, dtype=np.float64),
        )
        self.strike = np.array(columns[0], dtype=np.float64).ravel()
        self._solver = solver
        self._table, self._which = solver.table(_keys(*(column.ravel() for column in columns[1:])))
        self._bind()

    @property
    def boundaries(self) -> int:
        return len(self._table)

    @property
    def exercised_at(self) -> Floats:
        """Spot at which each contract is exercised at once; 0 (a put) or infinity (a call) where it never is."""
        level = self._table[self._which, EXERCISED]
        with np.errstate(divide="ignore"):
            critical: Floats = self.strike * np.where(self._table[self._which, KEY][:, 4] > 0.0, 1.0 / level, level)
        return critical

    def tick(self, spot: float) -> Floats:
        """Six rows in the order of `GreekArrays`, valid until the next tick: nothing is allocated."""
        if not 0.0 < spot < np.inf:
            raise PricingError(f"spot must be a finite number above 0, not {spot}")
        self._tick(spot)
        return self._out

    def moved(
        self,
        *,
        scale_sigma: float = 1.0,
        sigma: float = 0.0,
        rate: float = 0.0,
        dividend: float = 0.0,
        years: float = 0.0,
    ) -> Chain:
        """The same contracts after a move of all of them by so much, their boundaries solved from these."""
        old = self._table[:, KEY]
        is_call = old[:, 4] > 0.0
        true_rate, true_dividend = np.where(is_call, old[:, 2], old[:, 1]), np.where(is_call, old[:, 1], old[:, 2])
        keys = _keys(
            checked("sigma", old[:, 0] * scale_sigma + sigma, above=0.0),
            checked("rate", true_rate + rate),
            checked("dividend", true_dividend + dividend),
            checked("years", old[:, 3] + years, above=0.0),
            old[:, 4],
        )
        other = object.__new__(Chain)
        other.strike, other._solver, other._which = self.strike, self._solver, self._which
        other._table = self._solver.followed(self._table, keys)
        other._bind()
        return other

    def _bind(self) -> None:
        self._out = np.empty((len(GreekArrays._fields), self.strike.size))
        self._tick = tick.bind(self._table, self._which, self.strike, self._out)


def price_and_greeks(  # noqa: PLR0917 - the order in which every textbook writes them
    solver: Solver,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: ArrayLike,
) -> GreekArrays:
    """Any contracts at any spots: inputs broadcast as in `european.price_and_greeks`."""
    columns = np.broadcast_arrays(
        checked("spot", spot, above=0.0),
        checked("strike", strike, above=0.0),
        checked("years", years, least=0.0),
        checked("sigma", sigma, least=0.0),
        checked("rate", rate),
        checked("dividend", dividend),
        np.asarray(is_call, dtype=np.float64),
    )
    shape = columns[0].shape
    s, k, t, v, r, q, call = (np.ascontiguousarray(column).ravel() for column in columns)
    out = np.empty((len(GreekArrays._fields), s.size))
    keys = _keys(v, r, q, t, call)
    certain = (t == 0.0) | (v == 0.0)
    if certain.any():
        out[:, certain] = _certain(*(column[certain] for column in (s, k, t, r, q, call)))
    live = np.flatnonzero(~certain)
    if live.size:
        some = np.empty((len(out), live.size))
        # Homogeneity: contracts at spots of their own are contracts at spot 1, of strike k / s, s times over.
        solver.price(keys[live], k[live] / s[live], some)
        some[[0, 3, 4, 5]] *= s[live]
        some[2] /= s[live]
        out[:, live] = some
    if not np.isfinite(out).all():
        raise PricingError("a price or Greek is not finite", remedy="Check the size of spot, strike, rate and sigma")
    return GreekArrays(*(row.reshape(shape) for row in out))


def _keys(sigma: Floats, rate: Floats, dividend: Floats, years: Floats, is_call: Floats) -> Floats:
    """Each contract as the put that stands for it; refused where that put has two boundaries."""
    call = is_call > 0.0
    own_rate, own_dividend = np.where(call, dividend, rate), np.where(call, rate, dividend)
    double = (own_dividend < own_rate) & (own_rate < 0.0)
    if double.any():
        at = int(np.flatnonzero(double)[0])
        kind = "call with rate < dividend < 0" if call[at] else "put with dividend < rate < 0"
        raise DoubleBoundary(
            f"a {kind} (rate {rate[at]:g}, dividend {dividend[at]:g}) is exercised between two boundaries",
            remedy="Price it on a tree or by finite differences",
        )
    return np.ascontiguousarray(np.stack([sigma, own_rate, own_dividend, years, is_call], axis=1)) + 0.0


def _settled(table: Floats, failed: int) -> None:
    if failed >= 0:
        sigma, rate, dividend, years, _ = table[failed, KEY].tolist()
        raise PricingError(
            f"no exercise boundary for sigma {sigma:g}, {years:g} years, and carry {rate:g} against {dividend:g}",
            remedy="Check the size of sigma, years, rate and dividend",
        )


def _certain(  # noqa: PLR0917 - the order of `price_and_greeks`
    s: Floats, k: Floats, t: Floats, r: Floats, q: Floats, call: Floats
) -> Floats:
    """Zero time, or zero volatility: the best of the three moments at which exercise can be best."""
    with np.errstate(all="ignore"):
        turn = np.log(q * s / (r * k)) / (q - r)  # where d/dt of the discounted intrinsic value is 0
    turn = np.clip(np.where(np.isfinite(turn), turn, 0.0), 0.0, t)
    moments = np.stack([np.zeros_like(t), turn, t])
    values = np.where(call > 0.0, 1.0, -1.0) * (s * np.exp(-q * moments) - k * np.exp(-r * moments))
    best = np.argmax(values, axis=0)  # the earliest of equals
    moment = np.take_along_axis(moments, best[None], axis=0)[0]
    # At that moment the contract is worth what a European one that expires then is worth.
    out = np.array(european.price_and_greeks(s, k, moment, np.zeros_like(t), r, q, call > 0.0))
    out[3] = np.where((best == 2) & (t > 0.0), out[3], 0.0)  # time passing changes nothing unless expiry binds
    return out
