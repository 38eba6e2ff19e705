"""The four verdicts, their order, and the exit status of each.

A lane gives every finding a verdict; a run's verdict is the worst of them; the command exits with its
status. Status 2 belongs to wrong use and is therefore no verdict's.
"""

import enum
from collections.abc import Iterable


class Verdict(enum.StrEnum):
    """Declared from the worst to the best: the order of declaration is the order of severity."""

    FAIL = "fail"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not_measured"
    PASS = "pass"  # noqa: S105 - a verdict, no password

    @property
    def exit_status(self) -> int:
        """The status that the command exits with."""
        return EXIT_STATUS[self]


EXIT_STATUS = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNDECIDED: 3, Verdict.NOT_MEASURED: 4}
SEVERITY = tuple(Verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of the whole; of nothing at all it is `not_measured`, never `pass`."""
    return min(verdicts, key=SEVERITY.index, default=Verdict.NOT_MEASURED)
