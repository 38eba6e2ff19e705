"""The picture of where head's CPU time goes: sums, colours, bounds, and names that would break XML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from tidegauge.bench.inside.stacks import DEPTH_MAX
from tidegauge.bench.why import flame
from tidegauge.bench.why.flame import BOXES_MAX, LEAST_PX, NAME_MAX, ROOM_PX, ROW_PX, STYLE, draw, tree, write_flame

BYTES_MAX = 300_000
SVG = "{http://www.w3.org/2000/svg}"
BASE = {"work": 1_000, "work;price": 3_000, "work;old": 700, "work;old;older": 300, "work;parse": 4_000}
HEAD = {"work": 1_000, "work;price": 7_000, "work;parse": 2_000}


class Drawn(NamedTuple):
    hint: str
    colour: str
    left: float
    right: float
    top: int
    label: str


def drawn(svg: str) -> dict[str, Drawn]:
    """The boxes by the names in their hints; fails where the file is no XML."""
    boxes = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):  # noqa: S314 - our own file
        hint, rect = group.findtext(f"{SVG}title", ""), group.find(f"{SVG}rect")
        assert rect is not None
        left, width = float(rect.attrib["x"]), float(rect.attrib["width"])
        box = Drawn(
            hint,
            rect.attrib["class"],
            left,
            round(left + width, 2),
            int(rect.attrib["y"]),
            group.findtext(f"{SVG}text", ""),
        )
        boxes[hint.partition("\n")[0]] = box
    return boxes


def caption(svg: str) -> str:
    root = ET.fromstring(svg)  # noqa: S314 - our own file
    return "\n".join(text.text or "" for text in root.findall(f"{SVG}text"))


def picture(base: dict[str, int], head: dict[str, int], name: str = "bench.time_it", calls: int = 10) -> str:
    return draw(name, tree(base, head), calls=calls)


def test_a_box_is_as_wide_as_head_takes_with_all_that_it_calls() -> None:
    """Callees stand side by side on their caller, in proportion."""
    boxes = drawn(picture(BASE, HEAD))
    assert boxes.keys() == {"work", "price", "parse"}
    assert boxes["work"].right - boxes["work"].left == ROOM_PX
    assert boxes["price"].right - boxes["price"].left == pytest.approx(0.7 * ROOM_PX)
    assert boxes["parse"].right == boxes["price"].left
    assert boxes["price"].top == boxes["parse"].top == boxes["work"].top - ROW_PX


def test_no_box_is_wider_than_the_one_that_it_stands_on() -> None:
    """Whatever the rounding: within its caller, beside its neighbours, to the last hundredth of a pixel."""
    head = {
        ";".join(f"f{level}_{number % (level * 7 + 1)}" for level in range(depth)): number * 97 % 1009 + 1
        for number in range(1, 400)
        for depth in (1, 2, 3)
    }
    root = tree({}, head)
    boxes = list(flame.laid_out(root, root.head))
    stack: list[flame.Box] = []
    for box in boxes:  # callers come before what they call
        below = stack[: box.level]
        if below:
            assert below[-1].left <= box.left
            assert box.left + box.width <= below[-1].left + below[-1].width
        stack = [*below, box]
    assert sum(box.width for box in boxes if box.level == 0) == flame.GRID * ROOM_PX


def test_the_hint_tells_both_sides_the_difference_and_the_share() -> None:
    """A call of the benchmark, with what is called and without."""
    hint = drawn(picture(BASE, HEAD, calls=1))["work"].hint
    assert hint.splitlines() == [
        "work",
        "9 µs on base, 10 µs on head: +1 µs (+11.1% of base), 100.0% of head",
        "in itself: 1 µs on base, 1 µs on head: +0 ns (+0.0% of base)",
    ]
    assert "300 ns on base, 700 ns on head: +400 ns (+44.4% of base), 70.0% of head" in picture(BASE, HEAD)


def test_red_gained_and_blue_lost_in_the_function_itself() -> None:
    """The greatest change has the strongest colour; who merely calls what gained has none."""
    boxes = drawn(picture(BASE, HEAD))
    assert {name: box.colour for name, box in boxes.items()} == {"work": "n", "price": "g4", "parse": "l2"}
    assert "from -400 ns to +400 ns" in caption(picture(BASE, HEAD))
    assert {box.colour for box in drawn(picture(HEAD, HEAD)).values()} == {"n"}
    assert {box.colour for box in drawn(picture({}, HEAD)).values()} == {"g1", "g4"}


def test_what_is_not_drawn_is_told() -> None:
    """Functions gone from head with the time that they took; too narrow ones by number."""
    assert "Not drawn: 2 gone from head (100 ns on base)" in caption(picture(BASE, HEAD))
    thin = {"work": 1_000_000} | {f"work;f{number}": 1 for number in range(30)}
    svg = picture(thin, thin)
    assert "Not drawn: 30 narrower than half a pixel" in caption(svg)
    assert drawn(svg).keys() == {"work"}
    assert "Not drawn: nothing" in caption(picture(HEAD, HEAD))


def test_names_are_escaped_and_what_xml_cannot_hold_is_replaced() -> None:
    """Lambdas, ampersands, quotes and control characters, in a function's name as in the benchmark's."""
    name = 'm.<lambda> & "it\'s" ]]> \x00\ud800'
    svg = picture({name: 5}, {name: 5}, name=f"bench.{name}")
    assert drawn(svg)['m.<lambda> & "it\'s" ]]> ??'].label == 'm.<lambda> & "it\'s" ]]> ??'
    assert caption(svg).startswith('bench.m.<lambda> & "it\'s" ]]> ??\n')


def test_labels_are_cut_to_their_boxes() -> None:
    """The module goes first, then the end; wide characters count twice, and what has no room has no label."""
    wide = {"pack.age.module.function": 80, "pack.age.a": 15, "漢" * 200: 10, "x": 900, "y": 1}
    boxes = drawn(picture(wide, wide))
    labels = {name[:12]: box.label for name, box in boxes.items()}
    assert labels["pack.age.mod"] == "function"
    assert labels["pack.age.a"] == "a"
    assert labels["y"] == ""
    for box in boxes.values():
        cells = sum(2 if each == "漢" else 1 for each in box.label)
        assert cells * flame.CHAR_PX <= box.right - box.left


@pytest.mark.parametrize("name", ["f", "&" * 500, "漢<" * 200], ids=["short", "escaped", "wide"])
def test_boxes_levels_and_bytes_are_bounded(name: str) -> None:
    """Many functions, deep stacks and the longest names: the widest are drawn, each on its caller."""
    deep = {";".join([name] * depth): 10 for depth in range(1, 3 * DEPTH_MAX)}
    broad = {f"{number}{name};{inner}{name}": 10 + number for number in range(60) for inner in range(30)}
    svg = picture({}, deep | broad)
    assert len(svg.encode()) < BYTES_MAX
    groups = list(ET.fromstring(svg).iter(f"{SVG}g"))  # noqa: S314 - our own file
    rects = [rect.attrib for group in groups for rect in group.findall(f"{SVG}rect")]
    assert all(len(group.findtext(f"{SVG}title", "").partition("\n")[0]) <= NAME_MAX for group in groups)
    assert 100 < len(rects) <= BOXES_MAX
    assert len({rect["y"] for rect in rects}) <= DEPTH_MAX
    assert min(float(rect["width"]) for rect in rects) >= LEAST_PX
    assert re.search(r"Not drawn: .*\d beyond what the file may hold", caption(svg))
    spans = [(int(r["y"]), float(r["x"]), float(r["x"]) + float(r["width"])) for r in rects]
    ground = max(top for top, _, _ in spans)
    assert sum(right - left for top, left, right in spans if top == ground) == pytest.approx(ROOM_PX)
    for top, left, right in spans:
        under = [span for span in spans if span[0] == top + ROW_PX]
        assert top == ground or any(span[1] <= left + 0.001 and right <= span[2] + 0.001 for span in under)


def test_the_same_profile_gives_the_same_bytes() -> None:
    """In whatever order its stacks come."""
    assert picture(BASE, HEAD) == picture(dict(reversed(BASE.items())), dict(reversed(HEAD.items())))


def test_an_empty_profile_has_no_picture(tmp_path: Path) -> None:
    """Nothing called, nothing that takes time, or no call: no file, and no division by nothing."""
    path = tmp_path / "x.svg"
    for base, head, calls in (({}, {}, 10), (BASE, {}, 10), (BASE, {"work": 0}, 10), (BASE, HEAD, 0)):
        assert not write_flame("bench.time_it", base, head, calls=calls, path=path)
        assert not path.exists()
    assert write_flame("bench.time_it", {}, {"work": 1}, calls=10, path=path)
    assert drawn(path.read_text(encoding="utf-8"))["work"].hint.startswith(
        "work\n0 ns on base, 0.1 ns on head: +0.1 ns,"
    )


def test_the_file_needs_nothing_but_itself() -> None:
    """No script, no network."""
    svg = picture(BASE, HEAD)
    assert not re.search(r"<script|href|url\(|@import|\bon\w+=", svg)
    assert re.findall(r"\w+://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_is_legible_on_every_colour(scheme: int) -> None:
    """A contrast of 4.5 at least, which WCAG asks of small text, in light and in dark."""
    rules = STYLE.partition("@media")[2 * scheme]
    ink = luminance(re.findall(r"text\{[^}]*fill:(#\w{6})", rules)[0])
    grounds = re.findall(r"(?:background:|\.\w+\{fill:)(#\w{6})", rules)
    assert len(grounds) == 1 + len(flame.LEGEND)
    for ground in map(luminance, grounds):
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5
