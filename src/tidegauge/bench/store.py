"""What was measured, kept as it comes: pairs in a file of lines, and minima in asv's own store.

    Pair ──PairLog.add──▶ pairs.jsonl, a line a pair ──read_pairs──▶ a run that is resumed
    Count ──the same──▶ pairs.instructions.jsonl, a line whenever it grows ──read_counts──▶ likewise
    pairs ──keep_in_asv──▶ asv's results, for `asv compare` and `asv publish`

asv keeps rounds without their boundaries, so the pairs need a file beside it; its name ends in .jsonl
because asv takes every .json among its results for one of its own. A line is one write to a file that only
grows: a killed run leaves whole lines and at most a torn last one, which reading drops and writing cuts off.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from tidegauge.bench.instructions import Count
from tidegauge.bench.model import Side, Suite, SuiteConfig
from tidegauge.bench.pair import Pair
from tidegauge.bench.suite import write_results
from tidegauge.errors import RunNotReadable, RunNotWritten

Line = TypeVar("Line")

PAIRS_BYTES_MAX = 1024 * 1024 * 1024
STRIDE_BYTES = 64 * 1024


class PairLog:
    """The pairs, or the counts, of one run, appended one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
        except OSError as error:
            raise _not_written(path, error) from error
        os.ftruncate(self._file, _whole_lines(self._file))

    def add(self, pair: Pair | Count) -> None:
        """One line, in the file when this returns; a power cut may take it, a kill does not."""
        rest = memoryview(msgspec.json.encode(pair) + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise _not_written(self.path, error) from error

    def close(self) -> None:
        """Nothing is added any more."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def read_pairs(path: Path) -> list[Pair]:
    """All whole lines; a torn last one was never added."""
    return _read(path, Pair)


def read_counts(path: Path) -> dict[str, Count]:
    """Likewise, by the name of the benchmark: the last line of each holds what the lines before it held."""
    return {counted.benchmark: counted for counted in _read(path, Count)}


def _read(path: Path, kind: type[Line]) -> list[Line]:
    if not path.exists():
        return []
    if path.stat().st_size > PAIRS_BYTES_MAX:
        raise RunNotReadable(f"{path} is longer than {PAIRS_BYTES_MAX} bytes", "Measure again without --resume.")
    *lines, _ = path.read_bytes().split(b"\n")
    decoder = msgspec.json.Decoder(kind)
    try:
        return [decoder.decode(line) for line in lines]
    except msgspec.DecodeError as error:
        raise RunNotReadable(f"{path} is damaged: {error}", "Measure again without --resume.") from error


def keep_in_asv(config: SuiteConfig, suite: Suite, base: Side, head: Side, pairs: Iterable[Pair]) -> list[Path]:
    """Writes each side's CPU minima, a sample a pair, into asv's results; returns the files."""
    minima: dict[str, dict[str, tuple[list[float], int]]] = {"base": {}, "head": {}}
    by_name: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.log_ratio is not None:
            by_name[pair.benchmark].append(pair)
    for name, measured in by_name.items():
        number = min(pair.number for pair in measured)
        minima["base"][name] = ([pair.base_min_ns / 1e9 for pair in measured if pair.base_min_ns], number)
        minima["head"][name] = ([pair.head_min_ns / 1e9 for pair in measured if pair.head_min_ns], number)
    return [write_results(config, side, suite, minima[name]) for name, side in (("base", base), ("head", head))]


def _whole_lines(file: int) -> int:
    """How long the file is up to its last whole line, however long the torn one after it is."""
    end = os.fstat(file).st_size
    while end:
        begin = max(0, end - STRIDE_BYTES)
        at = os.pread(file, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def _not_written(path: Path, error: OSError) -> RunNotWritten:
    return RunNotWritten(f"Cannot write {path}: {error.strerror}", "Free some space, or make the folder writable.")
