"""Which functions gained, from two profiles of the same calls."""

from pathlib import Path

from tidegauge.bench.counts.callgrind import Cost
from tidegauge.bench.why.explain import (
    GAINS_MAX,
    Gain,
    Row,
    Why,
    cpu_gains,
    file_stem,
    instruction_gains,
    profiled,
    read_rows,
    write_folded,
)

BASE = [Row("work", 10, 1_000), Row("work;price", 100, 8_000), Row("book;price", 10, 1_000)]
HEAD = [Row("work", 10, 1_010), Row("work;price", 200, 16_000), Row("book;price", 10, 1_000), Row("book;new", 10, 500)]


def test_instructions_gained_are_those_within_a_function() -> None:
    """By own cost, a call: who merely calls what gained has gained nothing."""
    base = {"lib:eval": Cost(600, 1_000), "lib:sort": Cost(400, 400), "lib:gone": Cost(1_000, 1_000)}
    head = {"lib:eval": Cost(600, 1_500), "lib:sort": Cost(900, 900)}
    (gain,) = instruction_gains(base, head, calls=10)
    assert (gain.function, gain.base, gain.head, gain.share) == ("lib:sort", 40.0, 90.0, 0.25)


def test_the_greatest_gains_come_first_and_are_few() -> None:
    """Five at most, descending; what gained next to nothing explains nothing."""
    base = {f"f{number}": Cost(1_000, 1_000) for number in range(9)}
    head = {f"f{number}": Cost(1_000 + 10 * number, 1_000) for number in range(9)}
    gains = instruction_gains(base, head, calls=1)
    assert [gain.function for gain in gains] == ["f8", "f7", "f6", "f5", "f4"]
    assert len(gains) == GAINS_MAX
    assert instruction_gains({"f": Cost(1_000_000, 0)}, {"f": Cost(1_000_100, 0)}, calls=1) == ()
    assert instruction_gains({}, {}, calls=0) == ()


def test_cpu_gains_sum_up_a_function_whoever_called_it() -> None:
    """Time in the function itself and its calls, a call of the benchmark; what is new gained all that it takes."""
    price, new = cpu_gains(BASE, HEAD, calls=10)[:2]
    assert (price.function, price.base, price.head) == ("price", 900.0, 1_700.0)
    assert (price.base_calls, price.head_calls) == (11.0, 21.0)
    assert (new.function, new.base, new.base_calls) == ("new", 0.0, 0.0)


def test_a_profile_that_reads_the_other_way_is_no_explanation() -> None:
    """Profiling makes calls dearer: where that hides the rise the finding says so and names what was counted."""
    in_python = Gain(function="toy.work", base=900.0, head=1_000.0, share=0.1)
    in_c = Gain(function="libpython:eval", base=900.0, head=910.0, share=0.01)
    why = Why(cpu_ns=(in_python,), instructions=(in_c,), profiled=profiled(BASE, HEAD))
    assert why.clause == "; the greatest gain of CPU time is in toy.work (+10.0%)"
    why = Why(cpu_ns=(in_python,), instructions=(in_c,), profiled=profiled(HEAD, BASE))
    assert why.clause.startswith("; the greatest gain of instructions is in libpython:eval (+1.0%); its profile does")
    assert "does not show it (-46.0% in all)" in why.clause
    assert profiled([], HEAD) is None


def test_a_folded_file_holds_both_sides_of_each_stack(tmp_path: Path) -> None:
    """A line a stack with two numbers: what flamegraph.pl takes for a difference."""
    path = tmp_path / "folded" / "x.folded"
    write_folded(BASE, HEAD, path)
    assert path.read_text().splitlines() == [
        "book;new 0 500",
        "book;price 1000 1000",
        "work 1000 1010",
        "work;price 8000 16000",
    ]


def test_names_of_benchmarks_become_names_of_files() -> None:
    """Parameters and length do no harm, and two benchmarks never share a file."""
    stems = {file_stem(name) for name in ("b.time_it('a/b')", "b.time_it('a:b')", "b." + "x" * 300)}
    assert len(stems) == 3
    assert all(stem.replace("-", "").replace(".", "").isidentifier() and len(stem) < 100 for stem in stems)


def test_rows_are_read_as_the_worker_writes_them(tmp_path: Path) -> None:
    """A line of JSON a stack."""
    (tmp_path / "rows").write_text('["work", 10, 1000]\n["work;price", 100, 8000]\n')
    assert read_rows(tmp_path / "rows") == BASE[:2]
