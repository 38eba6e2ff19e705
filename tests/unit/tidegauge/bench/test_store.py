"""Pairs in a file that only grows."""

from pathlib import Path

import msgspec
import pytest

from tidegauge.bench.counts.callgrind import Cost
from tidegauge.bench.counts.instructions import Count
from tidegauge.bench.pairs.pair import Pair
from tidegauge.bench.rowlog import STRIDE_BYTES, RowLog
from tidegauge.bench.store import read_counts, read_pairs
from tidegauge.errors import RunNotReadable

PAIRS = [Pair(benchmark="bench.time_it", index=index, log_ratio=index / 7) for index in range(3)]


def test_pairs_are_in_the_file_as_soon_as_they_are_added(tmp_path: Path) -> None:
    """Each pair is readable before the next one is measured, and a second run goes on where the first ended."""
    path = tmp_path / "deep" / "pairs.jsonl"
    assert read_pairs(path) == []
    for count in range(3):
        with RowLog(path) as log:
            log.add(PAIRS[count])
            assert read_pairs(path) == PAIRS[: count + 1]


@pytest.mark.parametrize("kept", [0, 1, 30, 60])
def test_a_torn_last_line_is_dropped(tmp_path: Path, kept: int) -> None:
    """What a kill tore is not read, and not continued by the next line."""
    path = tmp_path / "pairs.jsonl"
    with RowLog(path) as log:
        log.add(PAIRS[0])
        whole = path.stat().st_size
        log.add(PAIRS[1])
    with path.open("r+b") as file:
        file.truncate(whole + kept)
    assert read_pairs(path) == PAIRS[:1]
    with RowLog(path) as log:
        log.add(PAIRS[2])
    assert read_pairs(path) == [PAIRS[0], PAIRS[2]]


def test_counts_are_kept_likewise(tmp_path: Path) -> None:
    """Counts with their functions come back as they were added last."""
    path = tmp_path / "pairs.instructions.jsonl"
    counted = Count(benchmark="bench.time_it", base=(1.5,), head=(2.5,), base_functions={"lib:f": Cost(3, 4)})
    whole = msgspec.structs.replace(counted, base=(1.5, 1.5), head=(2.5, 2.5))
    with RowLog(path) as log:
        log.add(counted)
        log.add(whole)
    assert read_counts(path) == {"bench.time_it": whole}


def test_a_torn_line_of_any_length_is_cut_off(tmp_path: Path) -> None:
    """A count holds every function, and its line may be longer than what is read of a file at once."""
    path = tmp_path / "pairs.instructions.jsonl"
    functions = {f"library:function_{number}": Cost(number, number) for number in range(STRIDE_BYTES // 16)}
    counted = Count(benchmark="bench.time_it", number=1, base_functions=functions)
    other = Count(benchmark="bench.time_other", number=2)
    with RowLog(path) as log:
        log.add(counted)
        whole = path.stat().st_size
        log.add(counted)
    with path.open("r+b") as file:
        file.truncate(whole + STRIDE_BYTES + 100)
    with RowLog(path) as log:
        log.add(other)
    assert read_counts(path) == {"bench.time_it": counted, "bench.time_other": other}


def test_a_damaged_line_is_an_error(tmp_path: Path) -> None:
    """A line that is no pair is not passed over in silence."""
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"benchmark": 1}\n')
    with pytest.raises(RunNotReadable, match="is damaged"):
        read_pairs(path)
