"""Output is drained whatever happens, kept within bounds, and handed on line by line."""

import io
import re
from pathlib import Path

import pytest

from tidegauge import output
from tidegauge.output import Output


def drained(content: bytes, log: Path, **options: object) -> Output:
    """An output that has come to its end."""
    made = Output(io.BytesIO(content), log, **options)  # type: ignore[arg-type] # options are Output's own
    made.join(10)
    assert made.ended
    return made


def test_lines_go_to_the_log_the_listener_and_the_tail(tmp_path: Path) -> None:
    """Nothing is lost on the way, not even a last line without its end."""
    heard: list[str] = []
    made = drained(b"one\r\ntwo\n\nlast", tmp_path / "log", sink=heard.append)
    assert heard == ["one", "two", "", "last"]
    assert made.tail == ("one", "two", "", "last")
    assert (tmp_path / "log").read_bytes() == b"one\r\ntwo\n\nlast"


def test_a_second_start_goes_on_in_the_same_log(tmp_path: Path) -> None:
    """What a program said before it was restarted is not overwritten."""
    drained(b"first\n", tmp_path / "log")
    drained(b"second\n", tmp_path / "log")
    assert (tmp_path / "log").read_text() == "first\nsecond\n"


def test_the_tail_is_bounded(tmp_path: Path) -> None:
    """Only the last TAIL_LINES are in memory."""
    made = drained(b"".join(b"%d\n" % number for number in range(100)), tmp_path / "log")
    assert made.tail == tuple(map(str, range(100 - output.TAIL_LINES, 100)))


def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    """A program that never ends its line cannot fill the memory."""
    made = drained(b"x" * (3 * output.LINE_BYTES_MAX), tmp_path / "log")
    assert [len(line) for line in made.tail] == [output.LINE_BYTES_MAX] * 3


def test_the_log_is_bounded_and_ends_with_the_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the middle is dropped, and the log says how much."""
    monkeypatch.setattr(output, "LOG_BYTES_MAX", 10)
    monkeypatch.setattr(output, "TAIL_LINES", 1)
    drained(b"12345678\nabcdefgh\nlast\n", tmp_path / "log")
    assert (tmp_path / "log").read_text() == (
        "12345678\na\n[tidegauge dropped 13 bytes here; the last lines follow]\nlast\n"
    )


def test_the_sign_of_readiness_is_searched_in_each_line(tmp_path: Path) -> None:
    """The pattern may match anywhere in a line, in bytes that are no text too."""
    assert drained(b"\xff ready on 80\n", tmp_path / "a", ready=re.compile(r"ready on \d+")).matched.is_set()
    assert not drained(b"not yet\n", tmp_path / "b", ready=re.compile("ready")).matched.is_set()


def test_a_full_disk_does_not_stop_the_draining() -> None:
    """A program must not be blocked because its log cannot grow."""
    heard: list[str] = []
    drained(b"one\ntwo\n", Path("/dev/full"), sink=heard.append)
    assert heard == ["one", "two"]
