"""American figures next to the exercise boundary, against the same integrals at a resolution that leaves no doubt.

The reference solves the boundary at 24 nodes (the product: 8) by a Newton's method of its own, and takes Kim's
integrals over panels that halve towards the step at the boundary. It is a put of strike 1; a call is one with spot and
strike, and rate and dividend, exchanged. Its theta comes from vega and both rhos, for a price depends on sigma squared
times years, rate times years and dividend times years alone: it knows nothing of the equation from which ours comes.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from tradebot.pricing import exercise
from tradebot.pricing.american import Chain, Solver, price_and_greeks

Floats = NDArray[np.float64]

DISTANCES = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # ln(S / B)
MARKETS = [
    (sigma, rate, dividend, years)
    for sigma, (rate, dividend), years in itertools.product(
        (0.1, 0.25, 0.6), ((0.05, 0.0), (0.05, 0.02), (0.03, 0.06), (0.04, -0.03)), (0.1, 1.0, 3.0)
    )
]
FIGURES = {"excess": 1e-6, "delta": 2e-5, "gamma": 6e-4, "theta": 6e-4, "vega": 1e-5, "rho": 2e-4}
NODES, POINTS = 24, 64
SOLVER = Solver()


def bell(x: Floats) -> Floats:
    density: Floats = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return density


def interpolation(roots: Floats) -> Floats:
    """From the nodes, and 0 at time 0, to the roots of other times: barycentric Chebyshev."""
    z = np.cos(np.pi * np.arange(NODES + 1) / NODES)
    weight = (-1.0) ** np.arange(NODES + 1)
    weight[[0, -1]] *= 0.5
    distance = (2.0 * roots - 1.0)[:, None] - z
    hit = np.abs(distance) < 1e-15
    matrix = weight / np.where(hit, 1.0, distance)
    matrix /= matrix.sum(axis=1, keepdims=True)
    matrix[hit.any(axis=1)] = hit[hit.any(axis=1)]
    kept: Floats = matrix[:, :NODES]
    return kept


X, X_WEIGHT = np.polynomial.legendre.leggauss(POINTS)
ANGLE, ANGLE_WEIGHT = np.pi / 4.0 * (1.0 + X), np.pi / 4.0 * X_WEIGHT
ROOTS = (1.0 + np.cos(np.pi * np.arange(NODES) / NODES)) / 2.0
POINT_ROOTS = np.outer(ROOTS, np.cos(ANGLE)).ravel()
LIFT = interpolation(POINT_ROOTS)
EDGES = np.append(0.0, np.pi / 2.0 * 2.0 ** -np.arange(45.0, -1.0, -1.0))
WIDE = np.diff(EDGES)[:, None] / 2.0
FINE = (EDGES[:-1, None] + WIDE * (1.0 + X)).ravel()
FINE_WEIGHT = (WIDE * X_WEIGHT).ravel()
FINE_LIFT = interpolation(np.cos(FINE))


def depths(lift: Floats, y: Floats, roots: Floats) -> Floats:
    """y at other times; next to time 0 its square may dip under 0 by what interpolation errs."""
    depth: Floats = np.sqrt(np.maximum(lift @ (y * y), 0.1 * (roots * y[0]) ** 2))
    return depth


class Carry(NamedTuple):
    sigma: float
    rate: float
    dividend: float

    @property
    def limit(self) -> float:
        return math.log(self.rate / self.dividend) if 0.0 < self.rate < self.dividend else 0.0


class Reference:
    """The put of strike 1 with its boundary, and the boundary's derivatives by sigma, rate and dividend."""

    def __init__(self, sigma: float, rate: float, dividend: float, years: float) -> None:
        self.carry, self.years = Carry(sigma, rate, dividend), years
        start = Chain(SOLVER, 1.0, years * ROOTS**2, sigma, rate, dividend, False).exercised_at
        y = self.carry.limit - np.log(start)
        step: Floats = y
        for _ in range(12):
            if np.abs(step).max() < 1e-9:
                break
            moves = 1e-6 * np.diag(y)
            columns = [self._equations(self.carry, y + h) - self._equations(self.carry, y - h) for h in moves]
            jacobian = np.array(columns).T / (2e-6 * y)
            step = np.asarray(np.linalg.solve(jacobian, self._equations(self.carry, y)), dtype=np.float64)
            y = y - step
        assert np.abs(step).max() < 1e-9
        self.y, self.level = y, self.carry.limit - y[0]
        self.moves = []  # of ln B by each field of the carry, at the points of the integral
        self.depth = depths(FINE_LIFT, y, np.cos(FINE))
        for field in Carry._fields:
            up, down = (self.carry._replace(**{field: getattr(self.carry, field) + h}) for h in (1e-5, -1e-5))
            forced = (self._equations(up, y) - self._equations(down, y)) / 2e-5
            by_y = -np.linalg.solve(jacobian, forced)
            self.moves.append((up.limit - down.limit) / 2e-5 - FINE_LIFT @ (y * by_y) / self.depth)

    def _equations(self, carry: Carry, y: Floats) -> Floats:
        """Delta is -1 on the boundary, at each node."""
        sigma, rate, dividend = carry
        time = self.years * ROOTS**2
        u, weight = np.outer(time, np.sin(ANGLE) ** 2), np.outer(time, np.sin(2.0 * ANGLE) * ANGLE_WEIGHT)
        width, x = sigma * np.sqrt(u), carry.limit - y
        d_plus = (
            depths(LIFT, y, POINT_ROOTS).reshape(u.shape) - y[:, None] + (rate - dividend) * u
        ) / width + 0.5 * width
        won = rate * np.exp(-rate * u - x[:, None]) * bell(d_plus - width) / width
        lost = dividend * np.exp(-dividend * u) * (ndtr(-d_plus) - bell(d_plus) / width)
        deviation = sigma * np.sqrt(time)
        european = np.exp(-dividend * time) * ndtr(-(x + (rate - dividend) * time) / deviation - 0.5 * deviation)
        total: Floats = 1.0 - european - ((won + lost) * weight).sum(axis=1)
        return total

    def figures(self, away: float) -> Floats:
        """Excess over exercise, delta, gamma, theta, vega, and rho by rate and by dividend."""
        (sigma, rate, dividend), years = self.carry, self.years
        s = math.exp(self.level + away)
        u, weight = years * np.sin(FINE) ** 2, years * np.sin(2.0 * FINE) * FINE_WEIGHT
        root = np.sqrt(u)
        # Differences of y cancel next to the boundary; there it moves in proportion to u.
        rise = self.depth - self.y[0]
        near = u < 1e-7 * years
        rise = np.where(near, rise[~near][0] / u[~near][0] * u, rise)
        minus = (away + rise + (rate - dividend - 0.5 * sigma**2) * u) / (sigma * root)
        plus, density, put, share = minus + sigma * root, bell(minus), np.exp(-rate * u), s * np.exp(-dividend * u)
        gain = (rate - dividend * np.exp(self.level - rise)) * put * density
        by_sigma, by_rate, by_dividend = self.moves
        rows = (
            rate * put * ndtr(-minus) - dividend * share * ndtr(-plus),
            -gain / (sigma * root) / s - dividend * share / s * ndtr(-plus),
            (rate * put * density + gain * minus / (sigma * root)) / (sigma * root) / s**2,
            gain * (by_sigma / (sigma * root) + minus / sigma) + rate * put * density * root,
            (1.0 - rate * u) * put * ndtr(-minus) + gain * (by_rate / (sigma * root) - root / sigma),
            -(1.0 - dividend * u) * share * ndtr(-plus) + gain * (by_dividend / (sigma * root) + root / sigma),
        )
        deviation = sigma * math.sqrt(years)
        d = (self.level + away + (rate - dividend) * years) / deviation - 0.5 * deviation
        last, last_share = math.exp(-rate * years), s * math.exp(-dividend * years)
        put_part, share_part = last * ndtr(-d), last_share * ndtr(-d - deviation)
        peak = last * math.exp(-0.5 * d * d) / math.sqrt(2.0 * math.pi)
        european = (
            put_part - share_part,
            -share_part / s,
            peak / deviation / s**2,
            peak * math.sqrt(years),
            -years * put_part,
            years * share_part,
        )
        price, delta, gamma, vega, by_rate_, by_dividend_ = (np.array(rows) * weight).sum(axis=1) + np.array(european)
        theta = -(0.5 * sigma * vega + rate * by_rate_ + dividend * by_dividend_) / years
        return np.array([price - (1.0 - s), delta, gamma, theta, vega, by_rate_, by_dividend_])


def ours(reference: Reference, is_call: bool, away: float) -> Floats:
    """Ours at as much above our own boundary: excess over exercise, delta, gamma, theta, vega and rho of the put."""
    (sigma, rate, dividend), years = reference.carry, reference.years
    market = (1.0, years, sigma, dividend, rate, True) if is_call else (1.0, years, sigma, rate, dividend, False)
    critical = float(Chain(SOLVER, *market).exercised_at[0])
    s = (1.0 / critical if is_call else critical) * math.exp(away)
    if is_call:
        call = price_and_greeks(SOLVER, 1.0, s, *market[1:])
        slope = (call.price - call.delta) / s
        figures = (call.price, slope, call.gamma / s**2, call.theta * 365.0, call.vega, call.rho)
    else:
        put = price_and_greeks(SOLVER, s, *market)
        figures = put._replace(theta=put.theta * 365.0)
    return np.array(figures, dtype=np.float64) - (1.0 - s, 0.0, 0.0, 0.0, 0.0, 0.0)


def scales(reference: Reference, expected: Floats) -> Floats:
    """What errors are measured by: gamma and theta by themselves, vega and rho by an option's at the money."""
    sigma, years, s = reference.carry.sigma, reference.years, math.exp(reference.level)
    theta = 0.5 * sigma**2 * s**2 * expected[2]  # what gamma costs a year; theta itself is 0 on the boundary
    return np.array([1.0, 1.0, expected[2], theta, math.sqrt(years), years])


@pytest.fixture(scope="module")
def references() -> list[Reference]:
    return [Reference(*market) for market in MARKETS]


@pytest.fixture(scope="module")
def errors(references: list[Reference]) -> Floats:
    """The largest of each figure at each distance, over all markets, puts and calls."""
    worst = np.zeros((len(DISTANCES), len(FIGURES)))
    for reference, (place, away) in itertools.product(references, enumerate(DISTANCES)):
        *shared, by_rate, by_dividend = reference.figures(away)
        for is_call in (False, True):
            expected = np.array([*shared, by_dividend if is_call else by_rate])
            error = np.abs(ours(reference, is_call, away) - expected) / scales(reference, expected)
            worst[place] = np.maximum(worst[place], error)
    return worst


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_next_to_the_boundary_are_those_of_a_finer_integral(figure: str, errors: Floats) -> None:
    """From a millionth to a tenth above the boundary no figure errs by more than what eight nodes of it leave."""
    assert errors[:, list(FIGURES).index(figure)].max() < FIGURES[figure]


def test_the_reference_obeys_the_pricing_equation_and_the_limit(references: list[Reference]) -> None:
    """The reference's theta, which comes from vega and the rhos, is the equation's to 4e-6 of gamma's part."""
    for reference, away in itertools.product(references, DISTANCES):
        (sigma, rate, dividend), s = reference.carry, math.exp(reference.level + away)
        figures = reference.figures(away)
        excess, delta, gamma, theta = figures[:4]
        left = rate * (excess + 1.0 - s) - (rate - dividend) * s * delta - 0.5 * sigma**2 * s**2 * gamma - theta
        assert abs(left) < 4e-6 * scales(reference, figures)[3]
    for reference in references:
        assert reference.figures(1e-7)[2] == pytest.approx(limit(*reference.carry, math.exp(reference.level)), rel=5e-5)


def limit(sigma: Any, rate: Any, dividend: Any, boundary: Any) -> Any:
    """Gamma of a put of strike 1 where it is just not exercised: what smooth fit leaves of the pricing equation."""
    return 2.0 * (rate - dividend * boundary) / (sigma * boundary) ** 2


def markets(count: int, seed: int) -> Floats:
    """Random sigma, rate, dividend and years, a column each; dividends above and below the rate, and none."""
    rng = np.random.default_rng(seed)
    dividend = np.where(rng.random(count) < 0.3, 0.0, rng.uniform(0.0, 0.12, count))
    return np.array(
        [rng.uniform(0.08, 1.0, count), rng.uniform(0.005, 0.12, count), dividend, rng.uniform(0.02, 3.0, count)]
    )


@pytest.mark.parametrize("is_call", [False, True])
def test_gamma_starts_at_its_limit(is_call: bool) -> None:
    """Just above the boundary gamma is the exact limit within 0.2 %, in markets at random: not half of it."""
    sigma, rate, dividend, years = markets(2000, seed=5)
    own = (dividend, rate) if is_call else (rate, dividend)
    critical = Chain(SOLVER, 1.0, years, sigma, *own, is_call).exercised_at
    boundary = 1.0 / critical if is_call else critical
    s = boundary * (1.0 + 1e-7)
    if is_call:
        gamma = price_and_greeks(SOLVER, 1.0, s, years, sigma, dividend, rate, True).gamma / s**2
    else:
        gamma = price_and_greeks(SOLVER, s, 1.0, years, sigma, rate, dividend, False).gamma
    assert np.abs(gamma / limit(sigma, rate, dividend, boundary) - 1.0).max() < 2e-3


@pytest.mark.parametrize("away", DISTANCES)
def test_our_own_figures_obey_the_pricing_equation(away: float) -> None:
    """Theta, which holds gamma by the equation, is also what vega and rho make of it: a put's without dividends."""
    sigma, rate, _, years = markets(500, seed=7)
    boundary = Chain(SOLVER, 1.0, years, sigma, rate, 0.0, False).exercised_at
    put = price_and_greeks(SOLVER, boundary * math.exp(away), 1.0, years, sigma, rate, 0.0, False)
    left = put.theta * 365.0 + (0.5 * sigma * put.vega + rate * put.rho) / years
    assert np.abs(left / rate).max() < 2e-3  # rate: gamma's part at the boundary


def test_no_figure_jumps_where_the_correction_ends() -> None:
    """Across the end of the strip gamma, delta, vega and rho go on within a few millionths."""
    sigma, rate, dividend, years = markets(1000, seed=11)
    boundary = Chain(SOLVER, 1.0, years, sigma, rate, dividend, False).exercised_at
    ends = boundary * np.exp(exercise._REACH * sigma * np.sqrt(years))
    below, above = (
        price_and_greeks(SOLVER, ends * side, 1.0, years, sigma, rate, dividend, False) for side in (1 - 1e-9, 1 + 1e-9)
    )
    assert np.abs((below.gamma - above.gamma) / limit(sigma, rate, dividend, boundary)).max() < 1e-5
    assert np.abs(below.delta - above.delta).max() < 2e-6
    assert np.abs((below.vega - above.vega) / np.sqrt(years)).max() < 2e-6
    assert np.abs((below.rho - above.rho) / years).max() < 5e-6
