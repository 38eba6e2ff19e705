"""Where the exercise boundary is sampled, and where its integrals are: constant matrices, made once.

The boundary is carried as y = ln(B(0+) / B), and y squared is interpolated by Chebyshev's polynomials in the square
root of time (Andersen, Lake and Offengenden, 2016): node 0 is the full time; that at time 0, where y is 0, is left out.

An integral over time u from 0 to t becomes one over an angle, sqrt(u) = sqrt(t) sin(angle): both the kernel's
1 / sqrt(u) and the boundary's sqrt(t - u) = sqrt(t) cos(angle) are then smooth, and Gauss and Legendre's rule converges
as fast as it can. The rule for prices is drawn towards u = 0, where a spot just above the boundary makes a step; what
it still misses of that step, `exercise` adds.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tradebot.pricing.formula import Floats
from tradebot.pricing.signature import Given, GivenTable

NODES_COARSE: Final = 4  # enough to start the fine solve within 1e-2
NODES: Final = 8
POINTS: Final = 16  # of each node's integral; a constant, so that the loops over it have no remainder
TABLE: Final = 16  # points of a price: the integral's and one more, the European part
_PULL: Final = 0.8  # of the price's points towards u = 0


class Grid(NamedTuple):
    """The collocation nodes, and the integral at each of them."""

    roots: Given  # sqrt(time / full time) of each node
    lift: GivenTable  # y squared at all points of all nodes, from y squared at the nodes: [node, node and point]
    rule: Given  # sine, its inverse, two weights and squared cosine of each point, one after another


class Scheme(NamedTuple):
    coarse: Grid
    fine: Grid
    refine: GivenTable  # from the coarse nodes to the fine: [fine, coarse]
    spread: GivenTable  # y squared at the price's points: [node, point]
    price_rule: Given  # sine and weight of each of the price's points


def scheme() -> Scheme:
    coarse, fine = _grid(NODES_COARSE), _grid(NODES)
    x, weight = np.polynomial.legendre.leggauss(TABLE - 1)
    x = (1.0 + x) / 2.0
    angle = np.pi / 2.0 * ((1.0 - _PULL) * x + _PULL * x * x)
    weight = weight * np.pi / 4.0 * ((1.0 - _PULL) + 2.0 * _PULL * x)
    spread = np.zeros((NODES, TABLE))
    spread[:, :-1] = _barycentric(NODES, np.cos(angle)).T
    spread[0, -1] = 1.0  # the European part's own values are filled in later; this keeps the loop over it finite
    rule = np.ones((2, TABLE))
    rule[0, :-1] = np.sin(angle)
    rule[1, :-1] = np.sin(2.0 * angle) * weight
    return Scheme(coarse, fine, _lagrange(coarse.roots, fine.roots), spread, rule.ravel())


def _grid(nodes: int) -> Grid:
    x, weight = np.polynomial.legendre.leggauss(POINTS)
    angle, weight = np.pi / 4.0 * (1.0 + x), np.pi / 4.0 * weight
    sine, cosine = np.sin(angle), np.cos(angle)
    roots = (1.0 + np.cos(np.pi * np.arange(nodes) / nodes)) / 2.0
    lift = np.ascontiguousarray(_barycentric(nodes, np.outer(roots, cosine).ravel()).T)
    rule = np.stack([sine, 1.0 / sine, np.sin(2.0 * angle) * weight, 2.0 * cosine * weight, cosine * cosine])
    return Grid(roots, lift, rule.ravel())


def _barycentric(nodes: int, roots: Floats) -> Floats:
    """Chebyshev interpolation to `roots`, a row each, from a function that is 0 at time 0."""
    z = np.cos(np.pi * np.arange(nodes + 1) / nodes)
    weight = (-1.0) ** np.arange(nodes + 1)
    weight[[0, -1]] *= 0.5
    distance = (2.0 * roots - 1.0)[:, None] - z
    hit = np.abs(distance) < 1e-15
    matrix = weight / np.where(hit, 1.0, distance)
    matrix /= matrix.sum(axis=1, keepdims=True)
    on_node = hit.any(axis=1)
    matrix[on_node] = hit[on_node]
    return matrix[:, :nodes]


def _lagrange(known: Floats, wanted: Floats) -> Floats:
    """Interpolation through the positive nodes alone, for a ratio that need not be 0 at time 0."""
    matrix = np.ones((wanted.size, known.size))
    for j, at in enumerate(known):
        for other in np.delete(known, j):
            matrix[:, j] *= (wanted - other) / (at - other)
    return matrix
