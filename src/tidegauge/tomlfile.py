"""A TOML file that knows where its keys stand, so that every complaint can name the line.

`tomllib` keeps no positions; a search for the key below its table's header finds the line that a person
would look at, and is asked only once something is wrong.
"""

import collections
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec

from tidegauge.errors import TidegaugeError

TOML_BYTES_MAX = 1024 * 1024


class TomlFile(msgspec.Struct, frozen=True):
    """A file that parsed; `data` is plain dicts and lists."""

    path: Path
    text: str
    data: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parses the file, or says where it cannot."""
        try:
            with path.open("rb") as file:
                content = file.read(TOML_BYTES_MAX + 1)
            if len(content) > TOML_BYTES_MAX:
                raise TidegaugeError(f"{path} is longer than {TOML_BYTES_MAX} bytes", "Is it the right file?")
            text = content.decode()
            return cls(path, text, tomllib.loads(text))
        except OSError as error:
            raise TidegaugeError(f"Cannot read {path}: {error.strerror}", "Is it the right file?") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TidegaugeError(f"{path} is not TOML: {error}", "Correct that line.") from error

    def error(self, table: str, key: str, problem: str, remedy: str) -> TidegaugeError:
        """An error that names the file, the line and the key."""
        where = f"{self.path}:{self._line_of(table, key)}"
        return TidegaugeError(f"{where}: {table}.{key}: {problem}" if table else f"{where}: {key}: {problem}", remedy)

    def _line_of(self, table: str, key: str) -> int:
        """The line of `key` in `table`; failing that the table's own line, in whatever way it is written."""
        pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""")
        header_line = 0
        for number, scope, line in self._lines():
            if scope == table and pattern.match(line):
                return number
            if scope == table or scope.startswith(f"{table}.") or not table:
                is_header = line.lstrip().startswith("[")
                if is_header and re.search(rf"""\W{re.escape(key)}\W""", line):
                    return number
                header_line = header_line or (number if is_header else 0)
        if header_line or not table:
            return header_line or 1
        parent, _, name = table.rpartition(".")
        return self._line_of(parent, name.partition("[")[0])  # an inline table stands in its parent

    def _lines(self) -> Iterator[tuple[int, str, str]]:
        """Each line with the table that it belongs to; the second [[a.b]] is `a.b[1]`, and its [a.b.c] `a.b[1].c`."""
        scope, counts = "", collections.Counter[str]()
        for number, line in enumerate(self.text.splitlines(), start=1):
            header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line)
            if header:
                scope = header[2]
                array = next((name for name in counts if scope.startswith(f"{name}.")), None)
                if header[1] == "[[":
                    counts[scope] += 1
                    scope = f"{scope}[{counts[scope] - 1}]"
                elif array:
                    scope = f"{array}[{counts[array] - 1}]{scope.removeprefix(array)}"
            yield number, scope, line
