"""What a case is: a name, the sizes it is swept over, and how its work is made and known to be right.

`Case.make(size, seed)` prepares everything that is not to be timed and returns a `Work`. Its `run` is what is timed;
it may be called any number of times, and does the same work and has the same result each time. `calls` is how often
the work proper is done within one run: what lasts nanoseconds is repeated, so that a run outlasts the clock's grain.

Calling the `Work` itself runs it once and returns the digest of what came out: floats to six digits, so that it
holds on every CPU. A case's `recorded` is the digest at its smoke size and SEED; what has none (the forms of the wire
and of the API, which may grow) is compared with another run of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

SEED = 1


@dataclass(frozen=True)
class Work:
    run: Callable[[], Any]
    facts: Callable[[Any], object]  # what of a run's result is digested
    calls: int = 1
    close: Callable[[], None] | None = None  # None: nothing is held but memory

    def __call__(self) -> str:
        return digest(self.facts(self.run()))


@dataclass(frozen=True)
class Case:
    name: str  # area.subject: the function `subject` of the module `cases.<area>`
    unit: str  # what a size counts
    sizes: tuple[int, ...]  # ascending: the first is the smoke size, the last the full one
    recorded: str = ""

    @property
    def area(self) -> str:
        return self.name.partition(".")[0]

    @property
    def smoke(self) -> int:
        return self.sizes[0]

    def make(self, size: int, seed: int) -> Work:
        """Raises ImportError where this version of the bot lacks the room."""
        subject = self.name.partition(".")[2]
        made: Work = getattr(import_module(f"cases.{self.area}"), subject)(size, seed)
        return made


def digest(facts: object) -> str:
    return hashlib.sha256(_text(facts).encode()).hexdigest()[:12]


def _text(facts: object) -> str:
    if isinstance(facts, float):
        return f"{facts:.6g}" if abs(facts) >= 1.0 else f"{round(facts, 6) + 0.0}"
    if isinstance(facts, tuple | list):
        return f"({','.join(map(_text, facts))})"
    return repr(facts)
