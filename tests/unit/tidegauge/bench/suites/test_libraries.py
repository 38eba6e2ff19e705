"""What two environments hold alike becomes one, and nothing else does."""

from __future__ import annotations

from pathlib import Path

from tidegauge.bench.suites.libraries import share_libraries


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / "lib" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="ascii")
    return path


def test_equal_libraries_become_one_file(tmp_path: Path) -> None:
    """The same bytes under the same name share their pages; a second time there is nothing left to do."""
    base, head = tmp_path / "base", tmp_path / "head"
    first, second = write(base, "a.so", "code"), write(head, "a.so", "code")
    assert share_libraries(base, head) == 1
    assert first.samefile(second)
    assert share_libraries(base, head) == 0


def test_what_differs_or_is_no_library_stays_apart(tmp_path: Path) -> None:
    """Other bytes, another name, Python's own text, or a link: untouched."""
    base, head = tmp_path / "base", tmp_path / "head"
    pairs = [
        (write(base, "a.so", "code"), write(head, "a.so", "edoc")),
        (write(base, "b.so.1", "code"), write(head, "b.so.2", "code")),
        (write(base, "c.py", "code"), write(head, "c.py", "code")),
    ]
    (base / "lib" / "d.so").symlink_to(pairs[0][0])
    write(head, "d.so", "code")
    assert share_libraries(base, head) == 0
    assert not any(first.samefile(second) for first, second in pairs)
    assert (base / "lib" / "d.so").is_symlink()


def test_an_installer_that_replaces_a_shared_file_leaves_the_other_side_alone(tmp_path: Path) -> None:
    """A new file under the old name is the one side's alone."""
    base, head = tmp_path / "base", tmp_path / "head"
    first, second = write(base, "a.so", "code"), write(head, "a.so", "code")
    share_libraries(base, head)
    write(head, "new", "newer").replace(second)
    assert first.read_text(encoding="ascii") == "code"
