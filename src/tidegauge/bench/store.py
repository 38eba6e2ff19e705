"""What was measured, kept as it comes: pairs and counts in files of lines, and minima in asv's own store.

    Pair ──RowLog──▶ pairs.jsonl, a line a pair ──read_pairs──▶ a run that is resumed
    Count ──RowLog──▶ pairs.instructions.jsonl, a line whenever it grows ──read_counts──▶ likewise
    pairs ──keep_in_asv──▶ asv's results, for `asv compare` and `asv publish`

asv keeps rounds without their boundaries, so the pairs need a file beside it; its name ends in .jsonl
because asv takes every .json among its results for one of its own.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tidegauge.bench.counts.instructions import Count
from tidegauge.bench.pairs.pair import Pair
from tidegauge.bench.rowlog import read_rows
from tidegauge.bench.suites.model import Side, Suite, SuiteConfig
from tidegauge.bench.suites.suite import write_results


def read_pairs(path: Path) -> list[Pair]:
    """All whole lines; a torn last one was never added."""
    return read_rows(path, Pair)


def read_counts(path: Path) -> dict[str, Count]:
    """Likewise, by the name of the benchmark: the last line of each holds what the lines before it held."""
    return {counted.benchmark: counted for counted in read_rows(path, Count)}


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
