"""Where head's CPU time goes and what of it is new, as a picture: a differential flame graph.

    stacks of base and head ──tree──▶ Frames ──laid_out──▶ Boxes ──draw──▶ one SVG, without scripts or network

A box is a function as called through one stack, and stands on its caller. Its width is head's CPU time a call, with all
that it calls; its colour is what it gained (red) or lost (blue) in itself. All figures are told as the pointer rests on
it. What head no longer calls has no width: the caption tells the sum.

All is bounded: levels as the profile's, boxes and bytes as below, the widest first, so that none stands in the air. The
profile makes each call of a function dearer: its total is not the benchmark's own time, and may fall where that rose.
"""

from collections.abc import Iterator, Mapping
from html import escape
from itertools import accumulate
from pathlib import Path

import msgspec
from rich.cells import cell_len, set_cell_size

from tidegauge.bench.inside.stacks import DEPTH_MAX

BOXES_MAX = 1_000
BOXES_BYTES_MAX = 280_000  # of all boxes; the rest of the file is some 4 KB
NAME_MAX = 160
STEPS = 4  # of each colour
WIDTH_PX, MARGIN_PX, ROW_PX, CAPTION_PX, PADDING_PX, SWATCH_PX = 1200, 10, 18, 86, 3, 14
ROOM_PX = WIDTH_PX - 2 * MARGIN_PX
LEAST_PX = 0.5
CHAR_PX = 7.3  # of a monospaced font at 12 px
LABEL_MIN = 3
GRID = 100  # positions are whole hundredths of a pixel, so that rounding keeps a box within the one below it

LEGEND = ("l4", "l3", "l2", "l1", "n", "g1", "g2", "g3", "g4")
STYLE = """
svg{background:#ffffff}text{font:12px monospace;fill:#1b1d21}.t{font-weight:bold}rect{stroke:#ffffff;stroke-width:.4}
.n{fill:#e3e5e8}.g1{fill:#fbdcd7}.g2{fill:#f9bfb5}.g3{fill:#f69c8d}.g4{fill:#f27763}
.l1{fill:#d8e6fa}.l2{fill:#b8d2f6}.l3{fill:#93baf0}.l4{fill:#6ea1ea}
@media(prefers-color-scheme:dark){svg{background:#16181c}text{fill:#f4f5f6}rect{stroke:#16181c}
.n{fill:#3b3f46}.g1{fill:#573735}.g2{fill:#763631}.g3{fill:#96322b}.g4{fill:#b82a22}
.l1{fill:#33435c}.l2{fill:#2d4d7c}.l3{fill:#26579b}.l4{fill:#1d60ba}}
"""


class Frame(msgspec.Struct):
    """A function as called through one stack: nanoseconds with what it calls, and in itself."""

    name: str
    base: int = 0
    head: int = 0
    own_base: int = 0
    own_head: int = 0
    on_head: bool = False
    inner: dict[str, "Frame"] = {}


class Box(msgspec.Struct, frozen=True):
    """Where a frame stands, in hundredths of a pixel from the left and in levels from the ground."""

    left: int
    width: int
    level: int
    frame: Frame


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures of every box are measured against."""

    root: Frame
    calls: int
    scale: int  # the gain that has the strongest colour

    def colour(self, frame: Frame) -> str:
        gain = frame.own_head - frame.own_base
        step = round(STEPS * abs(gain) / self.scale)
        return f"{'g' if gain > 0 else 'l'}{step}" if step else "n"

    def time(self, total_ns: float, sign: str = "") -> str:
        """A call's part of it."""
        ns = total_ns / self.calls
        for size, unit in ((1, "ns"), (1e3, "µs"), (1e6, "ms")):
            if abs(ns) < 999.5 * size:
                return f"{ns / size:{sign}.3g} {unit}"
        return f"{ns / 1e9:{sign}.2f} s"

    def change(self, base: int, head: int) -> str:
        share = f" ({(head - base) / self.root.base:+z.1%} of base)" if self.root.base else ""
        return f"{self.time(base)} on base, {self.time(head)} on head: {self.time(head - base, '+')}{share}"


def write_flame(name: str, base: Mapping[str, int], head: Mapping[str, int], *, calls: int, path: Path) -> bool:
    """Draws the nanoseconds of each stack `outer;inner`; false, and no file, where head has no time to draw."""
    root = tree(base, head)
    if not root.head or calls < 1:
        return False
    path.write_text(draw(name, root, calls=calls), encoding="utf-8")
    return True


def tree(base: Mapping[str, int], head: Mapping[str, int]) -> Frame:
    """Both sides in one; what is called deeper than the profile goes counts as its caller's."""
    root = Frame("")
    for stack in sorted(base.keys() | head.keys()):
        base_ns, head_ns = base.get(stack, 0), head.get(stack, 0)
        path = [root]
        for name in stack.split(";")[:DEPTH_MAX]:
            path.append(path[-1].inner.setdefault(name, Frame(name)))
        for frame in path:
            frame.base += base_ns
            frame.head += head_ns
            frame.on_head |= stack in head
        path[-1].own_base += base_ns
        path[-1].own_head += head_ns
    return root


def laid_out(frame: Frame, total: int, start: int = 0, level: int = 0) -> Iterator[Box]:
    """What a frame calls, side by side above it, and so on; `start` and `total` are nanoseconds."""
    for inner in frame.inner.values():
        left, right = (round(GRID * ROOM_PX * ns / total) for ns in (start, start + inner.head))
        yield Box(left, right - left, level, inner)
        yield from laid_out(inner, total, start, level + 1)
        start += inner.head


def draw(name: str, root: Frame, *, calls: int) -> str:
    """The whole file."""
    every = list(laid_out(root, root.head))
    gone = [box.frame.own_base for box in every if not box.frame.on_head]
    wide = [box for box in every if box.width >= GRID * LEAST_PX]
    kept = sorted(wide, key=lambda box: (-box.width, box.level, box.left))[:BOXES_MAX]
    scale = max((abs(box.frame.own_head - box.frame.own_base) for box in kept), default=0) or 1
    picture = Picture(root=root, calls=calls, scale=scale)
    levels = 1 + max((box.level for box in kept), default=0)
    shapes = [_shape(box, picture, CAPTION_PX + (levels - 1 - box.level) * ROW_PX) for box in kept]
    ends = accumulate(len(shape.encode()) for shape in shapes)
    drawn = [shape for shape, end in zip(shapes, ends, strict=True) if end <= BOXES_BYTES_MAX]
    height = CAPTION_PX + levels * ROW_PX + MARGIN_PX
    missing = (
        (len(every) - len(wide) - len(gone), "narrower than half a pixel"),
        (len(wide) - len(drawn), "beyond what the file may hold"),
        (len(gone), f"gone from head ({picture.time(sum(gone))} on base)"),
    )
    not_drawn = "; ".join(f"{number:,} {why}" for number, why in missing if number) or "nothing"
    size = f'width="{WIDTH_PX}" height="{height}" viewBox="0 0 {WIDTH_PX} {height}"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<style>{STYLE}</style>",
        _text(MARGIN_PX, 22, _cut(name, ROOM_PX), ' class="t"'),
        _text(MARGIN_PX, 40, f"CPU time a call, with what the profile adds: {picture.change(root.base, root.head)}"),
        _text(MARGIN_PX, 58, "Width: time on head, with what is called. Colour: change in the function itself."),
        _text(MARGIN_PX, 76, f"Not drawn: {not_drawn}"),
        *_legend(picture),
        *drawn,
    )
    return "\n".join((*lines, "</svg>\n"))


def _shape(box: Box, picture: Picture, top_px: int) -> str:
    frame, x, width = box.frame, MARGIN_PX + box.left / GRID, box.width / GRID
    whole, own = picture.change(frame.base, frame.head), picture.change(frame.own_base, frame.own_head)
    hint = f"{_plain(frame.name)}\n{whole}, {frame.head / picture.root.head:.1%} of head\nin itself: {own}"
    label = _cut(frame.name, width - 2 * PADDING_PX)
    return (
        f"<g><title>{escape(hint, quote=False)}</title>"
        f'<rect class="{picture.colour(frame)}" x="{x:.2f}" y="{top_px}" width="{width:.2f}"'
        f' height="{ROW_PX}"/>{_text(x + PADDING_PX, top_px + 13, label) if label else ""}</g>'
    )


def _legend(picture: Picture) -> Iterator[str]:
    x = WIDTH_PX - MARGIN_PX - SWATCH_PX * len(LEGEND)
    ends = f"from {picture.time(-picture.scale)} to {picture.time(picture.scale, '+')}"
    yield _text(x - SWATCH_PX, 58, ends, ' text-anchor="end"')
    for place, colour in enumerate(LEGEND):
        yield f'<rect class="{colour}" x="{x + place * SWATCH_PX}" y="47" width="{SWATCH_PX}" height="{SWATCH_PX}"/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text{style} x="{x:.2f}" y="{y}">{escape(text, quote=False)}</text>'


def _cut(name: str, width_px: float) -> str:
    """Without as much of its module as does not fit, then without its end; nothing where too little would be left."""
    plain, room = _plain(name), int(width_px / CHAR_PX)
    while cell_len(plain) > room and "." in plain:
        plain = plain.partition(".")[2]
    if cell_len(plain) <= room:
        return plain
    return f"{set_cell_size(plain, room - 1)}…" if room >= LABEL_MIN else ""


def _plain(name: str) -> str:
    """Bounded, and without what XML cannot hold."""
    return "".join(each if each.isprintable() else "?" for each in name[-NAME_MAX:])
