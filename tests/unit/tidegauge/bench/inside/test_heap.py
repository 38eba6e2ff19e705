"""What a benchmark finds in Python's heap, in a process of its own: what the tests leave is no part of it."""

import json
import subprocess
import sys
from pathlib import Path

from tidegauge.bench.inside import heap
from tidegauge.bench.inside.heap import POOL_BYTES, SMALL_MAX, STEP

SCRIPT = f"""
import json, sys
sys.path.insert(0, {str(Path(heap.__file__).parent)!r})
from heap import allocator_statistics, fill, make_room, objects
holes = [objects(64, 40_000)[::2]]
kept = DO()
rows = [line.split() for line in allocator_statistics().splitlines()]
print(json.dumps({{int(row[1]): int(row[4]) for row in rows if len(row) == 5 and all(map(str.isdigit, row))}}))
"""


def room_bytes(what: str) -> dict[int, int]:
    """What is free in the pools of each size, after holes were made and `what` was done."""
    script = SCRIPT.replace("DO", what)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=True)
    return {int(size): int(size) * count for size, count in json.loads(done.stdout).items()}


def test_what_comes_after_the_imports_lies_in_fresh_memory() -> None:
    """The room that others left is taken: where a benchmark's objects lie does not depend on who was there before."""
    assert max(room_bytes("fill").values()) <= POOL_BYTES, "at most one pool of a size has room, which is the last one"


def test_what_is_counted_finds_room_for_objects_of_each_size() -> None:
    """A call neither begins a pool for its first object nor finds the holes of others."""
    room = room_bytes("make_room")
    assert set(room) == set(range(STEP, SMALL_MAX + STEP, STEP))
    assert min(room.values()) >= POOL_BYTES * 0.4
    assert max(room.values()) <= POOL_BYTES * 1.6
