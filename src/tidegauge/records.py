"""Everything measured becomes one `Run`: a JSON file that is whole at every moment.

A lane opens a `RunWriter` and adds each `Finding` as it is made; the writer keeps the file current by
atomic replacement, so that a run killed at any time leaves a readable file. Until `finish` the file
holds one finding more, `<lane>/run/finished` = not_measured, which keeps an unfinished run from ever
reading as a pass. `read_run` is the only way back in.

Bound of the writing: a rewrite costs as much as the run is long, so it happens when the findings not yet
written exceed an eighth of those written (all rewrites together then cost at most ten times the final
file), and in `flush` when the last one is WRITE_EVERY_S old. A lane calls `flush` whenever it waits;
a kill then loses at most the findings of the last WRITE_EVERY_S.
"""

import datetime as dt
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from tidegauge.errors import RunNotReadable, RunNotWritten, TidegaugeError
from tidegauge.machine import Machine
from tidegauge.subject import Subject
from tidegauge.verdicts import Verdict, worst

RUNS: Final = Path("results", "runs")  # below the project's root

SCHEMA = 1
LANES = ("bench", "load", "soak", "check", "gate")
FINDINGS_MAX = 100_000
RUN_BYTES_MAX = 256 * 1024 * 1024
WRITE_EVERY_S = 1.0
UNWRITTEN_SHARE_MAX = 1 / 8
ID_ATTEMPTS_MAX = 1_000
# A subject may be a call such as `pricing.European.time_book(10000)`: anything printable but the separator.
NAME = re.compile(
    rf"({'|'.join(LANES)})/[^/\s\x00-\x1f\x7f](?:[^/\x00-\x1f\x7f]{{0,158}}[^/\s\x00-\x1f\x7f])?/[a-z][a-z0-9_]{{0,79}}"
)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A promise about one figure: it stays at or below `max`, at or above `min`, or both."""

    max: float | None = None
    min: float | None = None
    unit: str
    why: str

    def __str__(self) -> str:
        """For a person: `max 25 ms`."""
        bounds = (("min", self.min), ("max", self.max))
        return ", ".join(f"{name} {bound:,.10g} {self.unit}" for name, bound in bounds if bound is not None)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One figure or one invariant, judged; `reason` is a sentence that a person can act on."""

    name: str
    verdict: Verdict
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    budget: Budget | None = None
    reason: str
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Names are keys that outlive the code: a wrong one must not get into a file."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"the name {self.name!r} is not lane/subject/measure, with a lane of {', '.join(LANES)}")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one lane."""

    schema: int
    id: str
    lane: str
    started_at: dt.datetime
    duration_s: float
    subject: Subject
    machine: Machine
    seed: int
    config: dict[str, Any]
    verdict: Verdict
    findings: tuple[Finding, ...]


class RunWriter:
    """Writes one run as it happens. As a context manager it closes the file whatever happens inside."""

    def __init__(
        self,
        directory: Path,
        lane: str,
        *,
        subject: Subject,
        machine: Machine,
        seed: int,
        config: dict[str, Any],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._clock = clock
        self._started_s = clock()
        self._findings: list[Finding] = []
        self._written = 0
        self._written_at_s = self._started_s
        self._finished = False
        started_at = now()
        self._run = Run(
            schema=SCHEMA,
            id="",
            lane=lane,
            started_at=started_at,
            duration_s=0.0,
            subject=subject,
            machine=machine,
            seed=seed,
            config=config,
            verdict=Verdict.NOT_MEASURED,
            findings=(),
        )
        self.path = self._claim(directory, started_at)

    @property
    def id(self) -> str:
        """Sorts by time; unique in its directory."""
        return self._run.id

    def add(self, finding: Finding) -> None:
        """Takes one finding; it is on the disk at the latest with the next flush."""
        if len(self._findings) >= FINDINGS_MAX:
            raise TidegaugeError(f"A run holds at most {FINDINGS_MAX} findings", "Measure less at once.")
        self._findings.append(finding)
        if len(self._findings) - self._written > self._written * UNWRITTEN_SHARE_MAX:
            self._write()

    def flush(self) -> None:
        """Call it whenever you wait: writes what is unwritten, at most once in WRITE_EVERY_S."""
        if len(self._findings) > self._written and self._clock() - self._written_at_s >= WRITE_EVERY_S:
            self._write()

    def finish(self, unfinished: str = "") -> Run:
        """Writes the last word; `unfinished` says why a run that ends early did."""
        self._write(finished=not unfinished, reason=unfinished)
        self._finished = True
        return self._run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self._finished and not isinstance(error, RunNotWritten):
            self.finish(unfinished=f"the run ended early: {kind.__name__ if kind else 'it was never finished'}")

    def _write(self, *, finished: bool = False, reason: str = "") -> None:
        findings = list(self._findings)
        if not finished:
            findings.append(
                Finding(
                    name=f"{self._run.lane}/run/finished",
                    verdict=Verdict.NOT_MEASURED,
                    reason=reason or "the run is still going on, or was killed before its end",
                )
            )
        self._run = msgspec.structs.replace(
            self._run,
            duration_s=round(self._clock() - self._started_s, 6),
            verdict=worst(finding.verdict for finding in findings),
            findings=tuple(findings),
        )
        _replace(self.path, self._run)
        self._written = len(self._findings)
        self._written_at_s = self._clock()

    def _claim(self, directory: Path, started_at: dt.datetime) -> Path:
        """Takes an id that no other run has: O_EXCL decides between two that start at one time."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for attempt in range(ID_ATTEMPTS_MAX):
                moment = started_at + dt.timedelta(microseconds=attempt)
                self._run = msgspec.structs.replace(self._run, id=f"{moment:%Y%m%dT%H%M%S-%f}-{self._run.lane}")
                self.path = directory / f"{self._run.id}.json"
                try:
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                except FileExistsError:
                    continue
                self._write()
                return self.path
        except OSError as error:
            raise _not_written(directory, error) from error
        except RunNotWritten:
            self.path.unlink(missing_ok=True)  # ours, and empty
            raise
        raise RunNotWritten(f"No free run id in {directory}", "Is the clock of this machine standing still?")


def _replace(path: Path, run: Run) -> None:
    """All or nothing: a reader sees the old file or the new one."""
    temporary = path.with_suffix(".tmp")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
        try:
            rest = memoryview(msgspec.json.encode(run))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> RunNotWritten:
    return RunNotWritten(f"Cannot write {path}: {error.strerror}", "Free some space, or make the folder writable.")


class _Header(msgspec.Struct, frozen=True):
    """What tells a run from any other JSON file, whatever its schema."""

    schema: int
    id: str
    lane: str


def read_run(path: Path) -> Run:
    """The run in `path`, or one line that says what is wrong with it."""
    try:
        with path.open("rb") as file:
            content = file.read(RUN_BYTES_MAX + 1)
    except OSError as error:
        raise RunNotReadable(f"Cannot read {path}: {error.strerror}", "`tidegauge check` makes a run.") from error
    if len(content) > RUN_BYTES_MAX:
        raise RunNotReadable(f"{path} is longer than {RUN_BYTES_MAX} bytes", "It is not a run of tidegauge.")
    if not content:
        raise RunNotReadable(f"{path} is empty", "Its run was killed as it began; delete it.")
    try:
        header = msgspec.json.decode(content, type=_Header)
        if header.schema > SCHEMA:
            raise RunNotReadable(
                f"{path} has schema {header.schema} and this tidegauge reads up to {SCHEMA}", "Upgrade tidegauge."
            )
        return msgspec.json.decode(content, type=Run)
    except msgspec.ValidationError as error:
        raise RunNotReadable(f"{path} is not a run of tidegauge: {error}", "Name a file of results/runs.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = "is cut short" if "truncated" in str(error) else f"is damaged: {error}"
        raise RunNotReadable(f"{path} {what}", "Copy it again, or run the lane again.") from error


def find_run(directory: Path, name: str | None = None) -> Path:
    """The path of a run: the newest, or the one with this id or path."""
    if name is None:
        runs = sorted(directory.glob("*.json"))
        if not runs:
            raise RunNotReadable(f"There is no run in {directory}", "`tidegauge check` makes one.")
        return runs[-1]
    by_id = directory / f"{name}.json"
    return by_id if by_id.exists() else Path(name)
