"""What goes into Locust's own pages: our rows into the figures its tabs ask for, and a script beside its own.

Locust keeps the answer of `/stats/requests` for two seconds and hands the same object to everybody, so that what is
added must replace what was added before. Only an answer that Locust itself would have given is extended: one that a
login has turned away is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from flask import Response, request

from tidegauge.load.ui.source import Source
from tidegauge.load.ui.tables import TABLES

STATS: Final = "locust.request_stats"
INDEX: Final = "locust.index"
CHARTS_TAB: Final = {"key": "tidegauge-charts", "title": "Live charts"}
TABS: Final = [CHARTS_TAB, *({"key": table.tab, "title": table.title} for table in TABLES)]
SCRIPT: Final = '<script src="./tidegauge/static/tab.js" defer></script>'
OK: Final = 200


def extend(source: Source) -> Callable[[Response], Response]:
    """For `after_request` of Locust's application."""

    def extended(response: Response) -> Response:
        if response.status_code != OK or response.is_streamed:
            return response
        if request.endpoint == STATS and response.is_json:
            _add_rows(response, source)
        elif request.endpoint == INDEX and response.mimetype == "text/html":
            page = response.get_data(as_text=True)
            response.set_data(page.replace("</body>", f"{SCRIPT}</body>", 1))
        return response

    return extended


def _add_rows(response: Response, source: Source) -> None:
    told = msgspec.json.decode(response.get_data())
    snapshot = source.snapshot()
    ours = [{"key": table.tab, "data": table.shown(snapshot)} for table in TABLES]
    mine = {table.tab for table in TABLES}
    others = [part for part in told.get("extended_stats", []) if part["key"] not in mine]
    response.set_data(msgspec.json.encode(told | {"extended_stats": others + ours}))
