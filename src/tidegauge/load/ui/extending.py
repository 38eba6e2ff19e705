"""What goes into Locust's own pages: names of tabs, and a script beside its own that shows our page in them.

Only a page that Locust itself would have given is extended: what it answers to somebody whom a login has turned away
is not.
"""

from __future__ import annotations

from typing import Final

from flask import Response, request

from tidegauge.load.ui.tables import TABLES

INDEX: Final = "locust.index"
# The script takes what follows the prefix for the view of our page.
PREFIX: Final = "tidegauge-"
CHARTS: Final = "charts"
TABS: Final = [
    {"key": f"{PREFIX}{CHARTS}", "title": "Live charts"},
    *({"key": f"{PREFIX}{table.key}", "title": table.title} for table in TABLES),
]
SCRIPT: Final = '<script src="./tidegauge/static/tab.js" defer></script>'
OK: Final = 200


def extended(response: Response) -> Response:
    """For `after_request` of Locust's application."""
    is_page = response.status_code == OK and response.mimetype == "text/html" and not response.is_streamed
    if is_page and request.endpoint == INDEX:
        page = response.get_data(as_text=True)
        response.set_data(page.replace("</body>", f"{SCRIPT}</body>", 1))
    return response
