"""Where a measured process lies in memory, which alone can make the same code several per cent faster or slower.

The kernel draws new addresses for every process, and the CPU's branch predictor hashes addresses: the same interpreter
loop read 4 % slower or faster for the whole life of a process. So the addresses of what both sides share, the
interpreter and its libraries, are held still: the spread of a pair fell from 2 to 5 % to less than 1 %. What a commit
may move, its stack, its heap and its hashes, is moved at random from pair to pair, else one commit's luck in where its
objects fall would be the same in every pair, and no number of pairs would find it out. Within a pair both sides are
moved alike, so that what they have in common cancels.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import random
import sys
from collections.abc import Iterator

import msgspec

READ_ONLY = 0xFFFFFFFF
ADDR_NO_RANDOMIZE = 0x0040000
SEEDS = 2**32
LITTER_MAX = 64
STACK_PADDING_MAX = 4096  # a page: beyond it the caches see the same again
PADDING_VARIABLE = "TIDEGAUGE_STACK_PADDING"


@contextlib.contextmanager
def held_still() -> Iterator[None]:
    """What is started within gets the same addresses each time, where the system allows it; the rest of us does not.

    The setting belongs to this thread, and a child inherits it.
    """
    if not is_possible():
        yield
        return
    before = _personality(READ_ONLY)
    _personality(before | ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        _personality(before)


@functools.cache
def is_possible() -> bool:
    """Whether this system can: Linux can, unless a container forbids the call."""
    if sys.platform != "linux":
        return False
    before = _personality(READ_ONLY)
    if before < 0 or _personality(before | ADDR_NO_RANDOMIZE) < 0:
        return False
    _personality(before)
    return True


class Layout(msgspec.Struct, frozen=True):
    """What is left to chance, drawn once for both sides of a pair."""

    hash_seed: int  # decides where in a set or a dict its members lie
    stack_padding: int  # the environment lies above the stack and moves it
    litter: int  # how many objects of each size a worker puts on its heap before all others

    @classmethod
    def drawn(cls, rng: random.Random) -> Layout:
        return cls(rng.randrange(SEEDS), rng.randrange(STACK_PADDING_MAX), rng.randrange(LITTER_MAX))

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONHASHSEED": str(self.hash_seed), PADDING_VARIABLE: "x" * self.stack_padding}


def _personality(persona: int) -> int:
    return int(ctypes.CDLL(None, use_errno=True).personality(ctypes.c_ulong(persona)))
