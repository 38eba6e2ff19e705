"""Where the slices of a benchmark begin, seen in a process of its own: what the tests leave is no part of it."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tidegauge.bench.inside import drift
from tidegauge.bench.inside.drift import DEPTHS, PAGE_BYTES

SLICES = 4 * DEPTHS
SCRIPT = f"""
import ctypes, json, sys
sys.path.insert(0, {str(Path(drift.__file__).parent)!r})
import heap
from drift import Drift

places = []

def look():
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    places.append((id((1 << 29) + depth) % {PAGE_BYTES}, id(bytes(200)) % {PAGE_BYTES}, depth))

def fail():
    raise LookupError("of the suite")

moved = Drift(heap)
for _ in range({SLICES}):
    moved.moved(look)
try:
    moved.moved(fail)
except LookupError as error:
    said = str(error)
print(json.dumps(dict(places=places, said=said)))
"""


def looked() -> dict[str, Any]:
    """`places`: an integer's and a string of bytes' in a page, and the depth, of each slice; what a failure `said`."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=50, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_no_two_slices_in_a_row_begin_at_one_place() -> None:
    """A place that makes code slower is one slice's, never a whole process's."""
    places = looked()["places"]
    for what, least in ((0, SLICES // 2), (1, SLICES // 4), (2, DEPTHS)):
        seen = [place[what] for place in places]
        assert len(set(seen)) >= least
        assert sum(before == after for before, after in itertools.pairwise(seen)) <= SLICES // 10


def test_both_sides_drift_alike() -> None:
    """What it costs to begin elsewhere depends on the number of the slice alone, so that it cancels in a pair."""
    assert looked() == looked()


def test_what_a_slice_raises_arrives() -> None:
    """An error of the suite passes through all that was put between it and us."""
    assert looked()["said"] == "of the suite"
