"""Two environments, one copy of each compiled library that they hold alike.

    environment of base ─┐
                         ├─ equal files ─▶ one file, twice linked
    environment of head ─┘

The pages of a file lie somewhere in the machine's memory for as long as they are cached, which is longer than a run:
two copies of one library made identical code 1.8 % faster in every pair. `share_libraries` makes them one.
"""

from __future__ import annotations

import contextlib
from filecmp import cmp
from pathlib import Path


def share_libraries(base: Path, head: Path) -> int:
    """Make one file of each compiled library that two environments hold alike; returns how many were made one.

    Both environments are ours. Installers replace files and never write into them, so neither notices.
    """
    shared = 0
    for library in base.rglob("*.so*"):
        copy = head / library.relative_to(base)
        if _is_plain(library) and _is_plain(copy) and not copy.samefile(library) and cmp(library, copy, shallow=False):
            link = copy.with_name(f"{copy.name}.shared")
            with contextlib.suppress(OSError):  # no hard links here: then there are two copies
                link.unlink(missing_ok=True)
                link.hardlink_to(library)
                link.replace(copy)
                shared += 1
    return shared


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
