"""What a case is: a name, the sizes it is swept over, and how its work is made and known to be right.

`Case.make(size, seed)` prepares everything that is not to be timed and returns a `Work`. Its `run` is what is timed;
it may be called any number of times, and does the same work and has the same result each time. `calls` is how often
the work proper is done within one run: what lasts nanoseconds is repeated, so that a run outlasts the clock's grain.

What a run leaves and the next one must not find, `undo` takes back; it is not timed, and whoever runs again calls it
in between. Calling the `Work` itself runs it once, undoes it and returns the digest of what came out: floats to six
digits, so that it holds on every CPU. A case's `recorded` is the digest at its smoke size and SEED; what has none (the
forms of the wire and of the API, which may grow) is compared with another run of its own.

A `Line` is what a case promises beyond any single size: the CPU time of one call grows with the size to the power of
`exponent` and no faster. `complexity.py` measures it, over sizes of the line's own: enough of them, and near enough to
one another, to fit a slope with an interval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

SEED = 1


@dataclass(frozen=True)
class Work:
    run: Callable[[], Any]
    facts: Callable[[Any], object]  # what of a run's result is digested
    calls: int = 1
    close: Callable[[], None] | None = None  # None: nothing is held but memory
    undo: Callable[[], object] | None = None  # None: a run leaves nothing

    def __call__(self) -> str:
        found = digest(self.facts(self.run()))
        if self.undo is not None:
            self.undo()
        return found


@dataclass(frozen=True)
class Line:
    exponent: float  # of one call's CPU time in the size
    sizes: tuple[int, ...]  # ascending


@dataclass(frozen=True)
class Case:
    name: str  # area.subject: the function `subject` of the module `cases.<area>`
    unit: str  # what a size counts
    sizes: tuple[int, ...]  # ascending: the first is the smoke size, the last the full one
    line: Line
    recorded: str = ""

    @property
    def area(self) -> str:
        return self.name.partition(".")[0]

    @property
    def smoke(self) -> int:
        return self.sizes[0]

    def make(self, size: int, seed: int, shared: Path | None = None) -> Work:
        """Raises ImportError where this version of the bot lacks the room.

        `shared` is a folder of what is dear and was prepared before, for the cases that can read one.
        """
        subject = self.name.partition(".")[2]
        function = getattr(import_module(f"cases.{self.area}"), subject)
        made: Work = function(size, seed) if shared is None else function(size, seed, shared)
        return made


def digest(facts: object) -> str:
    return hashlib.sha256(_text(facts).encode()).hexdigest()[:12]


def _text(facts: object) -> str:
    if isinstance(facts, float):
        return f"{facts:.6g}" if abs(facts) >= 1.0 else f"{round(facts, 6) + 0.0}"
    if isinstance(facts, tuple | list):
        return f"({','.join(map(_text, facts))})"
    return repr(facts)
