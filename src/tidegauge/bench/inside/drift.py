"""Moves a benchmark's objects and frames before each slice, so that none of their places lasts for a whole process.

    slice ──Drift.moved──▶ other addresses for what Python allocates, another depth of its stacks ──▶ slice

Where the temporaries of a call lie, against each other, its frames and the stack of C, makes the same code up to 30 %
faster or slower. Both sides of a pair are laid out alike, but what they were told, file names and numbers of
processes, leaves their heaps a few objects apart: a pure-Python loop read 2 to 25 % off in 18 pairs of 167, for as long
as its processes lived, and right in the same processes a call deeper. What matters is the address modulo a page, so
each slice begins somewhere else within one. A place then lasts for a slice, the median of the slices is of no place,
and of 96 pairs none was off.

It is loaded as a file by `worker`, in the Python of the commit that is measured, and uses the standard library alone.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs more than it says here, in a process that is started for every pair
    from collections.abc import Callable
    from typing import Any

PAGE_BYTES = 4096
# Of the turn's number: shares that are spread evenly however many turns there are, and depths that follow no pattern.
GOLDEN = 0.6180339887
DEPTHS, DEPTH_STEP = 11, 7  # a call deeper takes some 600 bytes of C's stack: ten of them are more than a page


class Drift:
    """Both sides of a pair drift alike: what it costs depends on the number of the slice alone."""

    def __init__(self, heap: "Any") -> None:
        """`heap` is the module."""
        self._heap = heap
        self._room = heap.make_room()  # however many objects come, they do not begin a pool at each turn
        self._objects: list[Any] = []
        self._turn = 0

    def moved(self, call: "Callable[[], None]") -> None:
        """Makes the call, somewhere else than the last."""
        self._turn += 1
        self._objects.clear()
        share = self._turn * GOLDEN % 1.0
        step, small_max = self._heap.STEP, self._heap.SMALL_MAX
        for size in range(2 * step, small_max + step, step):
            self._objects.append(self._heap.objects(size, int(share * PAGE_BYTES / size)))
        for _ in range(self._turn * DEPTH_STEP % DEPTHS):
            call = deeper(call)
        call()


def deeper(call: "Callable[[], None]") -> "Callable[[], None]":
    """The same one call further down, of Python's stack and of C's: `next` and `map` are functions of C."""
    return lambda: next(map(lambda _: call(), (None,)))  # noqa: C417 - a generator would run on the heap
