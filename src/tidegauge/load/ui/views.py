"""Our own routes below `/tidegauge`: the page of live charts, the data it asks for each second, and the downloads.

    /tidegauge                          the page; ?view=charts or ?view=K, as the tabs show it: that alone
    /tidegauge/data?series=T&server=T   tables, and the rows since T of each axis: a long run is sent once; of a view
    /tidegauge/json · /tidegauge/csv/K  all of it, or one table
    /tidegauge/static/NAME              script and style

Every route is registered in one loop, behind Locust's login where that is on.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, abort, request

from tidegauge.load.server.rows import flat
from tidegauge.load.ui.extending import CHARTS
from tidegauge.load.ui.source import Snapshot, Source, paced
from tidegauge.load.ui.tables import TABLES, VERDICTS, Cell, Row, readable
from tidegauge.verdicts import Verdict, worst

STATIC: Final = Path(__file__).with_name("static")
KINDS: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# The rows over time, a file each; `server` as rows says more than its table does.
OVER_TIME: Final = {"series": "Offered, achieved and latency a second", "server": "Server resources over time"}
# Of a long run the page is sent at first as many rows as it has pixels, not each.
SERVER_ROWS_MAX: Final = 1_200
DOWNLOADS: Final = [
    {"href": "./tidegauge", "title": "tidegauge: live charts on a page of their own"},
    {"href": "./tidegauge/json", "title": "tidegauge: everything as JSON"},
    *(
        {"href": f"./tidegauge/csv/{key}", "title": f"tidegauge: {title} as CSV"}
        for key, title in ({table.key: table.title for table in TABLES} | OVER_TIME).items()
    ),
]
# Script, style and data from here and nowhere else; only Locust's own page may show ours in a frame.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# A spreadsheet takes a cell that begins like this for a formula.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def blueprint(environment: Any, source: Source) -> Blueprint:
    """Beside Locust's own routes, below the same path."""
    web_ui = environment.web_ui
    pages = Blueprint("tidegauge", __name__, url_prefix=web_ui.app.blueprints["locust"].url_prefix)
    views = Views(environment, source)
    routes: dict[str, Callable[..., Response]] = {
        "/tidegauge": views.page,
        "/tidegauge/data": views.data,
        "/tidegauge/json": views.everything,
        "/tidegauge/csv/<key>": views.table,
        "/tidegauge/static/<name>": views.static,
    }
    for rule, view in routes.items():
        pages.add_url_rule(rule, view.__name__, web_ui.auth_required_if_enabled(view))
    return pages


class Views:
    """What each route answers."""

    def __init__(self, environment: Any, source: Source) -> None:
        self._environment = environment
        self._source = source
        self._files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in KINDS}

    def page(self) -> Response:
        """Holds no data: its script asks for them."""
        return self.static("page.html")

    def static(self, name: str) -> Response:
        """A file of the package, asked for again each time: an upgrade must not meet yesterday's script."""
        if name not in self._files:
            abort(404, f"There is no file {name!r} here.")
        response = Response(self._files[name], content_type=f"{KINDS[Path(name).suffix]}; charset=utf-8")
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def data(self) -> Response:
        """What the page shows now."""
        snapshot = self._source.snapshot()
        view = request.args.get("view")
        runner = self._environment.runner
        shown = TABLES if view is None else [table for table in TABLES if table.key == view]
        facts: dict[str, Any] = {
            "state": "missing" if runner is None else runner.state,
            "host": self._environment.host or "",
            "verdict": worst(Verdict(finding["verdict"]) for finding in snapshot["verdicts"]),
            "why": _why(snapshot),
            "tables": [
                {"key": table.key, "title": table.title, "columns": table.columns}
                | {"rows": [readable(row) for row in paced(table.rows(snapshot))]}
                for table in shown
            ],
        }
        if view in {None, CHARTS}:
            facts["series"] = _since("series", snapshot["series"])
            server = _since("server", snapshot["server"])
            facts["server"] = [flat(row) for row in paced(server[:: len(server) // SERVER_ROWS_MAX + 1])]
        return _json(facts)

    def everything(self) -> Response:
        """The snapshot, as it is."""
        return _attached(_json(self._source.snapshot()), "tidegauge.json")

    def table(self, key: str) -> Response:
        """One table or the rows over time, unrounded."""
        snapshot = self._source.snapshot()
        tables = {table.key: table for table in TABLES}
        if key in OVER_TIME:
            rows = [flat(row) for row in paced(snapshot["server"] if key == "server" else snapshot["series"])]
            columns = list(dict.fromkeys(name for row in rows for name in row))
        elif key in tables:
            rows = tables[key].rows(snapshot)
            columns = [column.key for column in tables[key].columns]
        else:
            abort(404, f"There is no table {key!r}: ask for one of {', '.join(tables | OVER_TIME)}.")
        text = _csv(columns, rows)
        return _attached(Response(text, content_type="text/csv; charset=utf-8"), f"tidegauge-{key}.csv")


def _why(snapshot: Snapshot) -> str:
    """What the verdict hangs on; nothing where there is nothing to explain."""
    worst_row = next(iter(VERDICTS.rows(snapshot)), None)
    if worst_row is None or worst_row["verdict"] == Verdict.PASS:
        return ""
    return f"{worst_row['finding']}: {worst_row['reason']}"


def _since(axis: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows from the second that the page names on; all of them where it names none."""
    asked = request.args.get(axis)
    if asked is None:
        return rows
    try:
        since_s = float(asked)
    except ValueError:
        since_s = math.nan
    if math.isnan(since_s):
        abort(400, f"{axis}={asked!r} is no number of seconds: leave it out to get every row.")
    return [row for row in rows if row["t_s"] >= since_s]


def _json(content: Any) -> Response:
    """What is not a number becomes null: `NaN` is no JSON and would stop the page."""
    response = Response(msgspec.json.encode(content), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _attached(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _csv(columns: list[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_plain(column) for column in columns])
    writer.writerows([_plain(row.get(column)) for column in columns] for row in paced(rows))
    return text.getvalue()


def _plain(cell: Cell) -> Cell:
    """No formula: names are whatever a workload says."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
