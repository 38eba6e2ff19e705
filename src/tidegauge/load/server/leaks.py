"""Does the target keep what a connection cost it? `load/server/sockets`, from the rows beside the load.

What the generator holds open, the target must hold open too: judged is the rest, sockets and descriptors less the
generator's connections. Each tenth of the run counts by its lowest row, because a busy moment is no leak. A leak rises
from block to block and does not slow down; a pool that fills rises and slows down, which a short run cannot tell from
a leak that does, and is then undecided. The first blocks are left out: a bot opens what it needs as the load begins.
"""

import itertools
from collections.abc import Sequence

from tidegauge.load.server.rows import ServerRow
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict

NAME = "load/server/sockets"
BLOCKS = 10
BLOCKS_LEFT_OUT = 2
ROWS_MIN = 3 * BLOCKS
GROWTH_MIN = 8
FALLS_MAX = 1  # of the seven steps between the blocks that count
SECOND_HALF_MIN = 0.35  # of the growth, if it does not slow down


def sockets_finding(rows: Sequence[ServerRow]) -> Finding:
    """Sockets first: a socket is a descriptor too, and its name says more."""
    if not any(row.fds is not None for row in rows):
        reason = "the target's process was not seen: it is on another machine, or not ours; sample it over there"
        return Finding(name=NAME, verdict=Verdict.NOT_MEASURED, reason=reason)
    if len(rows) < ROWS_MIN:
        reason = f"{len(rows)} rows say nothing about a trend; let the load last for {ROWS_MIN} of them"
        return Finding(name=NAME, verdict=Verdict.NOT_MEASURED, reason=reason)
    judged = [_judge(rows, column) for column in ("sockets", "fds")]
    order = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.NOT_MEASURED, Verdict.PASS)
    return min(judged, key=lambda finding: order.index(finding.verdict))


def _judge(rows: Sequence[ServerRow], column: str) -> Finding:
    what = {"sockets": "sockets", "fds": "descriptors"}[column]
    excess = [(row.t_s, held - (row.client_sockets or 0)) for row in rows if (held := getattr(row, column)) is not None]
    if len(excess) < ROWS_MIN:
        reason = f"the target's {what} were seen in {len(excess)} rows only: did it end, or is it not ours to see?"
        return Finding(name=NAME, verdict=Verdict.NOT_MEASURED, reason=reason)
    lows = [min(held for _, held in block) for block in _blocks(excess)][BLOCKS_LEFT_OUT:]
    growth = lows[-1] - lows[0]
    minutes = (excess[-1][0] - excess[0][0]) * (len(lows) - 1) / BLOCKS / 60
    seen_clients = any(row.client_sockets is not None for row in rows)
    beside = "beside the generator's own connections" if seen_clients else "whatever the generator held open"
    evidence = {"what": what, "lowest_by_block": lows, "growth": growth}
    if growth < GROWTH_MIN:
        reason = f"{what} {beside} went from {lows[0]} to {lows[-1]}"
        return Finding(
            name=NAME, verdict=Verdict.PASS, value=float(growth), unit=what, reason=reason, evidence=evidence
        )
    rises = sum(after > before for before, after in itertools.pairwise(lows))
    goes_on = rises >= len(lows) - 1 - FALLS_MAX and lows[-1] - lows[len(lows) // 2] >= SECOND_HALF_MIN * growth
    grew = f"{what} {beside} rose from {lows[0]} to {lows[-1]}, {growth / minutes:.3g} a minute"
    if goes_on and seen_clients:
        verdict, act = Verdict.FAIL, "they are opened and never closed: see what the target holds (lsof -p PID)"
    elif goes_on:
        verdict, act = (
            Verdict.UNDECIDED,
            "they may be the generator's: run it on this machine, so that its own are seen",
        )
    else:
        verdict, act = Verdict.UNDECIDED, "ever more slowly, as a pool does that fills: run for longer to tell"
    return Finding(
        name=NAME, verdict=verdict, value=float(growth), unit=what, reason=f"{grew}: {act}", evidence=evidence
    )


def _blocks(values: Sequence[tuple[float, int]]) -> list[list[tuple[float, int]]]:
    """Tenths of the time, not of the rows: these come more rarely where the machine is busy or the run is long."""
    begin_s, seconds = values[0][0], values[-1][0] - values[0][0]
    blocks: list[list[tuple[float, int]]] = [[] for _ in range(BLOCKS)]
    for t_s, held in values:
        blocks[min(int((t_s - begin_s) / seconds * BLOCKS), BLOCKS - 1)].append((t_s, held))
    return [block for block in blocks if block]
