"""A file of lines that only grows: what is measured stands in it as soon as it is measured.

    a struct ──RowLog.add──▶ a line of JSON ──read_rows──▶ the structs of a run that is resumed

A line is one write: a killed run leaves whole lines and at most a torn last one, which reading drops and writing cuts
off.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from tidegauge.errors import RunNotReadable, RunNotWritten

Row = TypeVar("Row")

ROWS_BYTES_MAX = 1024 * 1024 * 1024
STRIDE_BYTES = 64 * 1024


class RowLog:
    """The rows of one run, appended one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
        except OSError as error:
            raise _not_written(path, error) from error
        os.ftruncate(self._file, _whole_lines(self._file))

    def add(self, row: msgspec.Struct) -> None:
        """One line, in the file when this returns; a power cut may take it, a kill does not."""
        rest = memoryview(msgspec.json.encode(row) + b"\n")
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


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """All whole lines; a torn last one was never added."""
    if not path.exists():
        return []
    if path.stat().st_size > ROWS_BYTES_MAX:
        raise RunNotReadable(f"{path} is longer than {ROWS_BYTES_MAX} bytes", "Measure again without --resume.")
    *lines, _ = path.read_bytes().split(b"\n")
    decoder = msgspec.json.Decoder(kind)
    try:
        return [decoder.decode(line) for line in lines]
    except msgspec.DecodeError as error:
        raise RunNotReadable(f"{path} is damaged: {error}", "Measure again without --resume.") from error


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
