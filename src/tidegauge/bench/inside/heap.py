"""What Python's allocator finds when a benchmark begins: no holes that others left, and the same room each time.

    imports ──fill──▶ fresh memory for the children of a nursery
    warm-ups ──make_room──▶ a pool of each size, half full: then callgrind counts

The allocator keeps objects of one size in pools. A call of a benchmark that finds the last pool full begins another and
gives it back, at each of its turns, and one that finds room does neither: which of them it is depends on how many
objects the imports left, and on identical code it cost up to 0.4 % more or less. Half a pool of room is as far from
either end as can be.

It is loaded as a file by `nursery` and `worker`, in the Python of the commit that is measured, and uses the standard
library alone.
"""

import os
import sys

# As CPython's allocator has it: its largest size, the columns of its table, a pool, and an empty bytes object.
SMALL_MAX, STEP, CLASS_FIELDS, POOL_BYTES, EMPTY = 512, 16, 5, 16 * 1024, sys.getsizeof(b"")
BIG = 1 << 20  # no integer that Python keeps, and none that takes more than 32 bytes


def make_room() -> "list[object]":
    """Fills all holes and leaves room in one pool of each size; what is returned must be kept."""
    kept: list[object] = [fill()]
    for size in range(STEP, SMALL_MAX + STEP, STEP):
        pool = objects(size, POOL_BYTES // size)
        del pool[: len(pool) // 2]
        kept.append(pool)
    return kept


def fill() -> "list[list[object]]":
    """Objects in all the room that Python's allocator has, so that whatever comes later lies in fresh memory."""
    filled: list[list[object]] = []
    for line in allocator_statistics().splitlines():
        fields = line.split()
        if len(fields) == CLASS_FIELDS and all(map(str.isdigit, fields)):
            filled.append(objects(size=int(fields[1]), count=int(fields[4])))
        elif fields[1:4] == ["unused", "pools", "*"]:
            filled.append(objects(size=SMALL_MAX, count=int(fields[0]) * (int(fields[4]) // SMALL_MAX)))
    return filled


def objects(size: int, count: int) -> "list[object]":
    """So many that take `size` bytes each, which is a whole number of sixteens."""
    if size == 16:
        return [object() for _ in range(count)]
    if size == 32:
        return list(range(BIG, BIG + count))
    return [bytes(size - EMPTY) for _ in range(count)]


def allocator_statistics() -> str:
    """A table of CPython's own; another Python has none, and its heap stays as it is."""
    if not hasattr(sys, "_debugmallocstats"):
        return ""
    sys.stderr.flush()
    stderr, written = os.dup(2), os.memfd_create("statistics")
    os.dup2(written, 2)
    try:
        sys._debugmallocstats()  # noqa: SLF001 - there is no other way to know
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    os.lseek(written, 0, os.SEEK_SET)
    with os.fdopen(written, errors="replace") as file:
        return file.read()
