"""The exercise boundary of an American put of strike 1: solved by Newton's method, with its sensitivities.

first guess (Bjerksund and Stensland's trigger) -> four nodes -> eight nodes, started from the four, each by Newton's
method with the full Jacobian -> y = ln(B(0+) / B) at the nodes, dy / dsigma, and dy / drho.

The equation at a node is that delta is -1 on the boundary (Andersen, Lake and Offengenden's system A), divided by the
common factor that its European terms share, and taken as the logarithm of a ratio of positive sums:

    x + (r - q) t + ln(sigma sqrt(t) Phi(d+) + q t S+) - ln(r t S-) = 0,    x = ln B

In this form it is nearly quadratic in y / sqrt(t), so that Newton's method gets there from any reasonable guess, and
its Jacobian, which is at hand, gives the sensitivities by one more right-hand side each: no bump. With q < 0 the term
in q changes sides.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from tradebot.pricing.collocation import NODES, NODES_COARSE, POINTS, Grid, Scheme
from tradebot.pricing.formula import Floats
from tradebot.pricing.jit import relaxed
from tradebot.pricing.math64 import ONE_OVER_SQRT_2PI, TAIL_MAX, bell, exp, log, mills_over, mills_under
from tradebot.pricing.signature import Table, Vector
from tradebot.pricing.trigger import Put, deepest, guess

STEPS_MAX: Final = 16
_COARSE_STEP: Final = 3e-2  # relative; Newton's method squares the error that the last step has mended
_FINE_STEP: Final = 4e-3
FLOOR: Final = 0.1  # of the straight line to time 0, above which y squared lies: interpolation may dip under it


_FIELDS: Final = 17
_M: Final = NODES * POINTS + 8  # a power of two would make the fields wait for one another's stores
# Fields of the points of the integrals: those that the market alone decides, and those that y decides.
_SLOPE, _OFFSET, _WIDTH, _BEFORE, _GROWTH, _WEIGHT, _FLAT, _LINE = (_M * i for i in range(8))
_Y, _BETWEEN, _PLUS, _MINUS, _WON, _LOST, _TAIL, _BEND, _INVERSE = (_M * i for i in range(8, _FIELDS))
# Fields of the nodes: the sums over their points, and their equations.
_N_WON, _N_LOST, _N_WON_SIGMA, _N_LOST_SIGMA, _N_WON_RHO, _N_LOST_RHO = (NODES * i for i in range(6))
_N_VALUE, _N_SIGMA, _N_RHO, _N_X, _N_OF_WON, _N_OF_LOST = (NODES * i for i in range(6, 12))


class Work(NamedTuple):
    """Scratch of the solver, so that a thousand solves allocate once."""

    coarse: Vector
    guess: Vector
    points: Vector
    nodes: Vector
    system_coarse: Table
    system: Table
    table: Vector


def work(table: int) -> Work:
    return Work(
        coarse=np.zeros(NODES_COARSE),
        guess=np.zeros(NODES_COARSE),
        points=np.zeros(_FIELDS * _M),
        nodes=np.zeros(12 * NODES),
        system_coarse=np.zeros((NODES_COARSE, NODES_COARSE + 3)),
        system=np.zeros((NODES, NODES + 3)),
        table=np.zeros(3 * table),
    )


@relaxed
def solve(market: Put, y: Floats, plan: Scheme, scratch: Work) -> int:
    """Newton steps taken on the fine nodes, or 0 where they did not settle; sensitivities stay in `scratch.system`."""
    coarse = scratch.coarse
    most = guess(market, plan.coarse.roots, coarse)
    guess(market, plan.fine.roots, y)
    for i in range(coarse.size):
        scratch.guess[i] = coarse[i]
    _newton(market, coarse, plan.coarse, scratch, scratch.system_coarse, _COARSE_STEP, most)
    for i in range(y.size):
        ratio = 0.0
        for j in range(coarse.size):
            ratio += plan.refine[i, j] * coarse[j] / scratch.guess[j]
        y[i] *= max(ratio, 0.01)
    return _newton(market, y, plan.fine, scratch, scratch.system, _FINE_STEP, most)


@relaxed
def follow(market: Put, y: Floats, plan: Scheme, scratch: Work) -> int:
    """As `solve`, from a neighbour's boundary already in `y`."""
    return _newton(market, y, plan.fine, scratch, scratch.system, _FINE_STEP, deepest(market))


@relaxed
def _newton(  # noqa: PLR0917 - compiled code takes no keywords
    market: Put, y: Floats, grid: Grid, scratch: Work, system: Floats, last_step: float, most: float
) -> int:
    n = y.size
    _prepare(market, grid, scratch.points)
    for step in range(1, STEPS_MAX + 1):
        _integrands(market, y, grid, scratch.points)
        _sums(market, n, scratch.points, scratch.nodes)
        _equations(market, y, grid, scratch.nodes)
        _jacobian(n, grid, scratch.points, scratch.nodes, system)
        _eliminate(system, n)
        moved = 0.0
        for i in range(n):
            following = min(max(y[i] - system[i, n], 0.6 * y[i]), 1.7 * y[i], most)
            moved = max(moved, abs(following - y[i]) / (y[i] + y[0]))
            y[i] = following
        if moved <= last_step:
            return step
    return 0


@relaxed
def _prepare(market: Put, grid: Grid, points: Floats) -> None:
    """The fields of the integrals' points that do not depend on the boundary."""
    sigma, rate, dividend, rule = market.sigma, market.rate, market.dividend, grid.rule
    for i in range(min(grid.roots.size, NODES)):
        root = math.sqrt(market.years) * grid.roots[i]
        time, deviation, start = root * root, sigma * root, i * POINTS
        for k in range(POINTS):
            sine, weight_flat = rule[k], rule[3 * POINTS + k]
            since, before, slope = time * sine * sine, time * rule[4 * POINTS + k], rule[POINTS + k] / deviation
            points[_SLOPE + start + k] = slope
            points[_OFFSET + start + k] = (rate - dividend) * since * slope + 0.5 * deviation * sine
            points[_WIDTH + start + k] = deviation * sine
            points[_BEFORE + start + k] = before
            points[_LINE + start + k] = FLOOR * rule[4 * POINTS + k]
            points[_GROWTH + start + k] = exp(dividend * before)
            points[_WEIGHT + start + k] = deviation * rule[2 * POINTS + k]
            points[_FLAT + start + k] = weight_flat * ONE_OVER_SQRT_2PI


@relaxed
def _integrands(market: Put, y: Floats, grid: Grid, points: Floats) -> None:
    """All that is transcendental, at all points of all nodes in one loop."""
    rate = market.rate
    count = min(y.size, NODES) * POINTS
    for m in range(count):
        points[_BETWEEN + m] = 0.0
    for j in range(y.size):
        squared, row = y[j] * y[j], grid.lift[j]
        for m in range(count):
            points[_BETWEEN + m] += row[m] * squared
    for i in range(min(y.size, NODES)):
        for k in range(POINTS):
            points[_Y + i * POINTS + k] = y[i]
    for m in range(count):
        at = points[_Y + m]
        squared, floor = points[_BETWEEN + m], points[_LINE + m] * at * at
        live = 1.0 if squared > floor else 0.0
        between = math.sqrt(max(squared, floor))
        slope, before, flat = points[_SLOPE + m], points[_BEFORE + m], points[_FLAT + m]
        d_plus = (between - at) * slope + points[_OFFSET + m]
        d_minus = d_plus - points[_WIDTH + m]
        distance = min(abs(d_plus), TAIL_MAX)
        square = distance * distance
        growth = points[_GROWTH + m]
        density = growth * bell(square)
        tail = ONE_OVER_SQRT_2PI * density * mills_over(distance, square) / mills_under(distance, square)
        tail = points[_WEIGHT + m] * (growth - tail if d_plus > 0.0 else tail)
        won = flat * exp(rate * before - 0.5 * d_minus * d_minus)
        lost = flat * density
        bend = points[_WEIGHT + m] * ONE_OVER_SQRT_2PI * density - d_plus * lost
        points[_PLUS + m] = d_plus
        points[_MINUS + m] = d_minus
        points[_WON + m] = won
        points[_LOST + m] = lost + tail
        points[_TAIL + m] = tail
        points[_BEND + m] = bend
        points[_INVERSE + m] = live * slope / between


@relaxed
def _sums(market: Put, n: int, points: Floats, nodes: Floats) -> None:
    """The two integrals of each node, of interest won and dividends lost, and their derivatives by sigma and by rho."""
    rate, dividend = market.rate, market.dividend
    rate_step, dividend_step = market.rate_step, market.dividend_step
    by_rho = (rate_step - dividend_step) / (market.sigma * market.sigma)
    for i in range(min(n, NODES)):
        start = i * POINTS
        won_sum = lost_sum = won_sigma = lost_sigma = won_rho = lost_rho = 0.0
        for k in range(POINTS):
            d_plus, d_minus = points[_PLUS + start + k], points[_MINUS + start + k]
            won, lost, bend = points[_WON + start + k], points[_LOST + start + k], points[_BEND + start + k]
            before, rho = points[_BEFORE + start + k], by_rho * points[_WIDTH + start + k]
            won_sum += won
            lost_sum += lost
            won_sigma += won * d_plus * d_minus
            lost_sigma += points[_TAIL + start + k] - bend * d_minus
            won_rho += won * (rate_step + rate * (before * rate_step - d_minus * rho))
            lost_rho += lost * dividend_step * (1.0 + dividend * before) + dividend * bend * rho
        nodes[_N_WON + i], nodes[_N_LOST + i] = won_sum, lost_sum
        nodes[_N_WON_SIGMA + i], nodes[_N_LOST_SIGMA + i] = won_sigma, lost_sigma
        nodes[_N_WON_RHO + i], nodes[_N_LOST_RHO + i] = won_rho, lost_rho


@relaxed
def _equations(market: Put, y: Floats, grid: Grid, nodes: Floats) -> None:
    """At every node the equation, its derivatives by sigma and rho, and what its Jacobian needs, in one loop."""
    sigma, rate, dividend, root_full = market.sigma, market.rate, market.dividend, math.sqrt(market.years)
    shift = market.rate_step - market.dividend_step
    above = 1.0 if dividend >= 0.0 else 0.0  # the side of the fraction that the dividends are on
    for i in range(y.size):
        root = root_full * grid.roots[i]
        time, deviation = root * root, sigma * root
        x = market.limit - y[i]
        by_rho = shift * root / sigma  # of d, at the node itself
        d_plus = (x + (rate - dividend) * time) / deviation + 0.5 * deviation
        distance = min(abs(d_plus), TAIL_MAX)
        square = distance * distance
        density = ONE_OVER_SQRT_2PI * bell(square)
        tail = density * mills_over(distance, square) / mills_under(distance, square)
        european = deviation * (1.0 - tail if d_plus > 0.0 else tail)
        part, part_sigma = dividend * time * nodes[_N_LOST + i], dividend * time * nodes[_N_LOST_SIGMA + i] / sigma
        part_rho = time * nodes[_N_LOST_RHO + i]
        below = (1.0 - above) * exp(x + (rate - dividend) * time)
        upper = 1.0 / (european + above * part)
        lower = 1.0 / (rate * time * nodes[_N_WON + i] - below * part)
        upper_sigma = (european - deviation * density * (d_plus - deviation)) / sigma + above * part_sigma
        upper_rho = deviation * density * by_rho + above * part_rho
        lower_sigma = rate * time * nodes[_N_WON_SIGMA + i] / sigma - below * part_sigma
        lower_rho = time * nodes[_N_WON_RHO + i] - below * (part * shift * time + part_rho)
        by_x = 1.0 + density * upper + below * part * lower
        nodes[_N_VALUE + i] = x + (rate - dividend) * time + log(lower / upper)
        nodes[_N_SIGMA + i] = upper_sigma * upper - lower_sigma * lower
        nodes[_N_RHO + i] = shift * time + upper_rho * upper - lower_rho * lower + market.limit_step * by_x
        nodes[_N_X + i] = by_x
        nodes[_N_OF_WON + i] = rate * time * lower
        nodes[_N_OF_LOST + i] = dividend * time * (above * upper + below * lower)


@relaxed
def _jacobian(n: int, grid: Grid, points: Floats, nodes: Floats, system: Floats) -> None:
    """`system` becomes the Jacobian by y squared, then the equations, then their derivatives by sigma and by rho."""
    for i in range(min(n, NODES)):
        start = i * POINTS
        of_won, of_lost = nodes[_N_OF_WON + i], nodes[_N_OF_LOST + i]
        by_x = nodes[_N_X + i]
        for k in range(POINTS):
            term = points[_MINUS + start + k] * points[_WON + start + k] * of_won + points[_BEND + start + k] * of_lost
            by_x += term * points[_SLOPE + start + k]
            points[_WON + start + k] = term * points[_INVERSE + start + k]
        for j in range(n):
            total = 0.0
            for k in range(POINTS):
                total += points[_WON + start + k] * grid.lift[j, start + k]
            system[i, j] = total * points[_Y + j * POINTS]
        system[i, i] -= by_x
        system[i, n] = nodes[_N_VALUE + i]
        system[i, n + 1] = nodes[_N_SIGMA + i]
        system[i, n + 2] = nodes[_N_RHO + i]


@relaxed
def _eliminate(system: Floats, n: int) -> None:
    """Gauss without pivots, which the strong diagonal allows: the columns from n on become the solutions."""
    width = system.shape[1]
    for c in range(n):
        inverse = 1.0 / system[c, c]
        for j in range(c + 1, width):
            system[c, j] *= inverse
        for i in range(c + 1, n):
            factor = system[i, c]
            for j in range(c + 1, width):
                system[i, j] -= factor * system[c, j]
    for c in range(n - 1, 0, -1):
        for i in range(c):
            factor = system[i, c]
            for j in range(n, width):
                system[i, j] -= factor * system[c, j]
