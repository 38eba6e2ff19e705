"""From sampled stacks to a table: which part of the bot, or of the gateway, a moment of CPU time belongs to.

A stack is read twice. Where somewhere in it a piece of work began that pays for everything below it (monitoring, a
message that came in, an order that goes out), that piece is the part; else it is the innermost room that we know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

THREADS = "journal and lake, beside the loop"
OTHER = "the rest"
# (in the file's path, in the function's name): part. The first that fits anywhere in the stack.
BEGINNINGS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "bot": (
        ("execution/monitoring.py", "", "monitoring: book, views, rules"),
        ("profiles/recorder.py", "", "rows for the lake"),
        ("api/socket.py", "", "WebSocket fan-out"),
        ("store/", "", "journal, on the loop"),
        ("ibkr/orders.py", "place", "orders out: client and encoding"),
        ("ibkr/session.py", "account_summary", "account query"),
        ("ibkr/streams.py", "subscribe", "market lines: asking and ending"),
        ("ib_async/connection.py", "data_received", "messages in: client, adapter, inbox"),
    ),
    "gateway": (
        ("ibkr/trading.py", "place_order", "orders: exchange and answers"),
        ("ibkr/session.py", "market_data", "market lines"),
        ("ibkr/account.py", "summary", "account summaries"),
        ("ibkr/server.py", "refresh", "market steps"),
        ("ibkr/connection.py", "", "the wire"),
    ),
}
ROOMS: dict[str, tuple[tuple[str, str], ...]] = {
    "bot": (
        ("execution/planner.py", "planning: candidates, plan, Greeks"),
        ("tradebot/strategies/", "planning: candidates, plan, Greeks"),
        ("tradebot/pricing/", "planning: candidates, plan, Greeks"),
        ("tradebot/gates/", "gates"),
        ("execution/valuation.py", "book and exposure"),
        ("tradebot/market/", "quotes and lines"),
        ("venues/ibkr/", "the rest of the adapter"),
        ("ib_async/", "the rest of the adapter"),
        ("tradebot/execution/", "workflow, strategies, positions"),
        ("tradebot/kernel/", "workflow, strategies, positions"),
        ("tradebot/api/", "HTTP"),
        ("uvicorn/", "HTTP"),
        ("starlette/", "HTTP"),
        ("fastapi/", "HTTP"),
    ),
    "gateway": (),
}


def parts_of(facts: Mapping[str, Any], program: str) -> Counter[str]:
    """Part -> seconds."""
    found: Counter[str] = Counter({THREADS: facts["threads"]})
    for stack, seconds in facts["stacks"].items():
        found[_part(stack.split(" < "), program)] += seconds
    return found


def _part(stack: list[str], program: str) -> str:
    places = [place.rpartition(":")[::2] for place in stack]
    for path, function, part in BEGINNINGS[program]:
        if any(path in file and function in name for file, name in places):
            return part
    for file, _ in places:
        for path, part in ROOMS[program]:
            if path in file:
                return part
    return OTHER


def table(parts: Counter[str], each_ms: float, count: int) -> str:
    """Shares as sampled, in the milliseconds that one entry costs without the sampling."""
    whole = sum(parts.values())
    lines = [
        f"  {part:<40} {seconds / whole:6.1%}  {seconds / whole * each_ms:6.2f} ms"
        for part, seconds in parts.most_common()
    ]
    return "\n".join(
        (*lines, f"  {'one entry':<40} {'':6}  {each_ms:6.2f} ms   (sampled: {whole / max(1, count) * 1e3:.2f})")
    )
