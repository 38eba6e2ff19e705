"""Run files: whole at every moment, unique, never a pass before their end, and clear about their defects."""

import datetime as dt
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tidegauge import records
from tidegauge.errors import RunNotReadable, RunNotWritten, TidegaugeError
from tidegauge.records import Budget, Finding, RunWriter, find_run, read_run
from tidegauge.verdicts import Verdict

NewWriter = Callable[..., RunWriter]


def passed(number: int = 0) -> Finding:
    """A finding that passes."""
    return Finding(name=f"check/entry/m{number}_ms", verdict=Verdict.PASS, value=1.5, unit="ms", reason="fine")


def test_a_finished_run_is_read_back_as_it_was(new_writer: NewWriter) -> None:
    """Every field survives the file, and the verdict is the worst of the findings."""
    writer = new_writer()
    full = Finding(
        name="bench/pricing.European.time_book(10000, 'x')/cpu_ratio",
        verdict=Verdict.UNDECIDED,
        value=1.01,
        unit="1",
        low=0.99,
        high=1.03,
        budget=Budget(max=1.02, unit="1", why="no slower"),
        reason="take more",
        evidence={"pairs": [1, 2]},
    )
    writer.add(passed())
    writer.add(full)
    run = writer.finish()
    assert read_run(writer.path) == run
    assert (run.findings, run.verdict, run.seed) == ((passed(), full), Verdict.UNDECIDED, 7)
    assert list(writer.path.parent.iterdir()) == [writer.path]


def test_an_unfinished_run_is_readable_and_never_a_pass(new_writer: NewWriter) -> None:
    """Before `finish` the file says that it is not finished, even if all so far passed."""
    writer = new_writer()
    assert read_run(writer.path).verdict is Verdict.NOT_MEASURED
    writer.add(passed())
    run = read_run(writer.path)
    assert run.verdict is Verdict.NOT_MEASURED
    assert [finding.name for finding in run.findings] == ["check/entry/m0_ms", "check/run/finished"]
    assert writer.finish().verdict is Verdict.PASS


def test_a_failure_shows_before_the_end(new_writer: NewWriter) -> None:
    """What has already failed is not hidden behind not_measured."""
    writer = new_writer()
    writer.add(Finding(name="check/orders/lost", verdict=Verdict.FAIL, reason="2 are lost"))
    assert read_run(writer.path).verdict is Verdict.FAIL


def test_leaving_by_an_error_finishes_the_file_as_unfinished(new_writer: NewWriter) -> None:
    """The context manager writes what was found and why no more came."""
    writer = new_writer()

    def break_off() -> None:
        with writer:
            for number in range(20):
                writer.add(passed(number))
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    run = read_run(writer.path)
    assert (len(run.findings), run.verdict) == (21, Verdict.NOT_MEASURED)
    assert "ended early: KeyError" in run.findings[-1].reason


def test_a_killed_writer_leaves_a_readable_run(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing, whenever it comes, leaves a whole file without its last findings at most."""
    program = textwrap.dedent(f"""
        import pathlib
        from tidegauge.machine import read_machine
        from tidegauge.records import Finding, RunWriter
        from tidegauge.subject import Subject
        from tidegauge.verdicts import Verdict
        writer = RunWriter(pathlib.Path({str(tmp_path)!r}), "soak", subject=Subject(), machine=read_machine(),
                           seed=1, config={{}})
        for number in range(100_000):
            writer.add(Finding(name=f"soak/heap/m{{number}}_bytes", verdict=Verdict.PASS, reason="fine"))
            if number % 500 == 0:
                print(number, flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        told = [int(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGKILL)
    run = read_run(find_run(tmp_path))
    assert run.verdict is Verdict.NOT_MEASURED
    assert len(run.findings) - 1 >= told[-1] * 8 // 9


def test_ten_thousand_findings_cost_a_bounded_number_of_bytes(
    new_writer: NewWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rewrites together write at most ten times the final file, so adding is not quadratic."""
    written = 0
    real_write = os.write

    def count(descriptor: int, content: bytes) -> int:
        nonlocal written
        written += len(content)
        return real_write(descriptor, content)

    monkeypatch.setattr("tidegauge.records.os.write", count)
    writer = new_writer()
    for number in range(10_000):
        writer.add(passed(number))
    assert len(read_run(writer.path).findings) >= 10_000 * 8 // 9
    writer.finish()
    assert len(read_run(writer.path).findings) == 10_000
    assert written < 11 * writer.path.stat().st_size


def test_a_flush_writes_what_waits_but_at_most_once_in_a_while(new_writer: NewWriter) -> None:
    """While a lane waits, the last findings reach the disk after WRITE_EVERY_S, and not sooner."""
    now_s = 0.0
    writer = new_writer(clock=lambda: now_s)
    for number in range(20):
        writer.add(passed(number))
    waiting = 21 - len(read_run(writer.path).findings)
    assert waiting > 0
    writer.flush()
    assert len(read_run(writer.path).findings) == 21 - waiting
    now_s = records.WRITE_EVERY_S
    writer.flush()
    assert len(read_run(writer.path).findings) == 21


def test_two_runs_at_one_moment_get_different_ids_that_sort(new_writer: NewWriter) -> None:
    """The same microsecond in many threads: every run has its own file, and none is overwritten."""
    moment = dt.datetime(2025, 1, 2, 3, 4, 5, 999_990, tzinfo=dt.UTC)
    writers: list[RunWriter] = []
    threads = [threading.Thread(target=lambda: writers.append(new_writer(now=lambda: moment))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = sorted(writer.id for writer in writers)
    assert len(set(ids)) == 16
    assert (ids[0], ids[-1]) == ("20250102T030405-999990-check", "20250102T030406-000005-check")
    assert all(read_run(writer.path).id == writer.id for writer in writers)
    assert new_writer().id > ids[-1]


def test_an_existing_run_is_never_overwritten(new_writer: NewWriter, tmp_path: Path) -> None:
    """A file with the id that we would take stays as it is."""
    moment = dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
    taken = tmp_path / "20250102T000000-000000-check.json"
    taken.write_text("precious")
    assert new_writer(now=lambda: moment).id == "20250102T000000-000001-check"
    assert taken.read_text() == "precious"


def test_a_full_disk_is_one_line_and_keeps_the_last_whole_file(
    new_writer: NewWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC is a typed error; the file is the one before it, and no scrap is left."""
    writer = new_writer()
    writer.add(passed())
    before = writer.path.read_bytes()

    def full(_descriptor: int, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tidegauge.records.os.write", full)
    with pytest.raises(RunNotWritten, match=r"Cannot write .*check.json: No space left on device\. Free some space"):
        writer.add(passed(1))
    assert writer.path.read_bytes() == before
    with pytest.raises(RunNotWritten):
        new_writer()
    assert list(writer.path.parent.iterdir()) == [writer.path]


def test_a_short_write_is_continued(new_writer: NewWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take less than it was given; the file is whole all the same."""
    real_write = os.write
    monkeypatch.setattr("tidegauge.records.os.write", lambda where, content: real_write(where, content[:100]))
    run = new_writer().finish()
    monkeypatch.undo()
    assert msgspec.json.decode(msgspec.json.encode(run), type=records.Run) == run


def test_a_run_is_bounded(new_writer: NewWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past FINDINGS_MAX a lane is told to measure less, rather than filling the disk."""
    monkeypatch.setattr(records, "FINDINGS_MAX", 3)
    writer = new_writer()
    for number in range(3):
        writer.add(passed(number))
    with pytest.raises(TidegaugeError, match="at most 3 findings"):
        writer.add(passed(3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b'{"schema": 1, "id": "x", "la', "is cut short"),
        (b"\x00\x01garbage", "is damaged"),
        (b'{"schema": 1, "id": "\xff\xfe", "lane": "check"}', "is damaged"),
        (b'{"name": "some", "other": "json"}', "is not a run of tidegauge"),
        (b"[1, 2, 3]", "is not a run of tidegauge"),
        (b'{"schema": 1, "id": "x", "lane": "check"}', "missing required field `started_at`"),
        (b'{"schema": 2, "id": "x", "lane": "check", "new": 1}', "has schema 2 and this tidegauge reads up to 1"),
    ],
)
def test_a_file_that_is_no_run_is_explained_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    """Empty, cut, damaged, foreign and newer files each say what they are."""
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RunNotReadable, match=message) as caught:
        read_run(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_run_is_explained(new_writer: NewWriter) -> None:
    """Wherever a copy was cut off, reading it is an error of ours and never a shorter run."""
    writer = new_writer()
    writer.add(passed())
    writer.finish()
    whole = writer.path.read_bytes()
    for length in range(len(whole)):
        writer.path.write_bytes(whole[:length])
        with pytest.raises(RunNotReadable):
            read_run(writer.path)


def test_a_bad_finding_in_a_file_is_found_with_its_place(new_writer: NewWriter) -> None:
    """A file edited by hand is refused with the path of the mistake."""
    writer = new_writer()
    writer.add(passed())
    writer.finish()
    run = json.loads(writer.path.read_bytes())
    run["findings"][0]["verdict"] = "fine"
    writer.path.write_text(json.dumps(run))
    with pytest.raises(RunNotReadable, match=r"Invalid enum value 'fine' - at `\$.findings\[0\].verdict`"):
        read_run(writer.path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "check",
        "check/entry",
        "trade/entry/p50_ms",
        "check//p50_ms",
        "check/a/b/c",
        "check/entry/P50",
        "check/a b/",
        "check/a\n/b",
        "check/ a/b",
    ],
)
def test_a_name_that_is_no_path_is_refused(name: str) -> None:
    """Names are lane/subject/measure; another lane, depth or case never gets into a file."""
    with pytest.raises(ValueError, match="is not lane/subject/measure"):
        Finding(name=name, verdict=Verdict.PASS, reason="fine")


def test_the_newest_run_is_found_and_so_is_any_other(new_writer: NewWriter, tmp_path: Path) -> None:
    """By default the newest; else by id, else by path."""
    with pytest.raises(RunNotReadable, match="There is no run in"):
        find_run(tmp_path)
    old, new = (new_writer(now=lambda day=day: dt.datetime(2025, 1, day, tzinfo=dt.UTC)) for day in (9, 10))
    assert find_run(tmp_path) == new.path
    assert find_run(tmp_path, old.id) == old.path
    assert find_run(tmp_path, str(old.path)) == old.path
