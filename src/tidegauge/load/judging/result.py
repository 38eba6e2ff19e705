"""What a Locust process leaves behind for the lane that started it: one file, written when it quits.

The process judges, because it has every sample; the lane reads the findings into its run and keeps the file beside it,
clocks and all, for whoever wants to draw or to add them up. The log holds the same second by second.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tidegauge.errors import TidegaugeError
from tidegauge.load.judging.session import LoadSession
from tidegauge.load.times.clocks import Clocks
from tidegauge.records import Finding

SCHEMA: Final = 1


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One load run."""

    schema: int
    findings: tuple[Finding, ...]
    snapshot: dict[str, Any]
    clocks: dict[str, Any]


class Log:
    """Each second's histograms as a line of JSON: writing one must not hold up what is measured."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)

    def write(self, second: int, clocks: Clocks) -> None:
        """One line."""
        self._file.write(msgspec.json.encode([second, clocks.to_builtins()]) + b"\n")


def read_log(path: Path) -> Iterator[tuple[float, float, Clocks]]:
    """(start, seconds, clocks) of each line; a last line that was cut off is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                second, content = msgspec.json.decode(line)
                yield float(second), 1.0, Clocks.from_builtins(content)


def write(session: LoadSession, path: Path) -> None:
    """All or nothing, as far as one write can be."""
    result = Result(
        schema=SCHEMA,
        findings=tuple(session.verdicts()),
        snapshot=session.snapshot(),
        clocks=session.total.to_builtins(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(result))
    temporary.replace(path)


def read(path: Path) -> Result:
    """The way back, or a line that says why not."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except OSError as error:
        raise TidegaugeError(f"Locust left no result: {error.strerror}: {path}", "Read its output.") from error
    except msgspec.DecodeError as error:
        raise TidegaugeError(f"{path} is no result of a load: {error}", "Read Locust's output.") from error
