"""Slices of two processes in turn, without anybody between them: who has had his slice hands on to the other.

    driver ──run … TURNS FIRST OTHER──▶ both     base: ▇▇    ▇▇▇▇    ▇▇   its pipe of turns: a byte is the word
           ◀──their slices──────────── both      head:   ▇▇▇▇    ▇▇▇▇

With the driver between them each slice waited for it to be given a core, with 13 busy processes beside as long as it
took itself. The order of a turn is turned round in the next: F S, S F, F S, …

Neither notices that the other has died; the driver does, and ends both. It is loaded as a file by `worker`, in the
Python of the commit that is measured, and uses the standard library alone.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs more than it says here, in a process that is started for every round
    from collections.abc import Callable


class Relay:
    """Both ends of both pipes are held open by both, so that opening never waits."""

    def __init__(self, own: str, other: str) -> None:
        self._own, self._other = os.open(own, os.O_RDWR), os.open(other, os.O_RDWR)

    def run(self, turns: int, *, is_first: bool, take_slice: "Callable[[], None]") -> None:
        """Our slices of so many turns."""
        firsts = [each for turn in range(turns) for each in ((True, False) if turn % 2 == 0 else (False, True))]
        mine = [first == is_first for first in firsts]
        for at, is_mine in enumerate(mine):
            if is_mine:
                if at and not mine[at - 1]:
                    os.read(self._own, 1)
                take_slice()
                if at + 1 < len(mine) and not mine[at + 1]:
                    os.write(self._other, b".")
