"""What a person sees of a load run while it goes on: tabs in Locust's own web UI, and a page of live charts.

    environment.tidegauge.still() ──Source, kept a second──▶ snapshot ──▶ tables ──▶ page, a view in each tab; CSV
                                                                    └──────────▶ JSON, the rows that the charts draw

Locust's tabs hold tables that nobody can filter and no charts, so each of ours shows a view of a page of ours,
`/tidegauge`, in a frame. Nothing comes from the network: script and style lie in `static/`. Names come from whoever
wrote the workload: they travel as JSON, become text nodes in the browser, and no formula in a spreadsheet. The UI runs
in the process that makes the load, so looking has a bound and makes pauses: see `source`.

The plugin calls `prefer_loopback` where it adds its options, and `install` once Locust has made its web UI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidegauge.load.ui.extending import TABS, extended
from tidegauge.load.ui.source import Source
from tidegauge.load.ui.views import DOWNLOADS, blueprint

if TYPE_CHECKING:
    from argparse import ArgumentParser

__all__ = ["LOOPBACK", "install", "prefer_loopback"]

LOOPBACK: Final = "127.0.0.1"


def prefer_loopback(parser: ArgumentParser) -> None:
    """Unasked, Locust serves every interface; ours serves this machine until `--web-host` says otherwise."""
    parser.set_defaults(web_host=LOOPBACK)


def install(environment: Any) -> None:
    """Extends the web UI of a Locust environment, if it has one: a worker and a headless run do not."""
    web_ui = environment.web_ui
    if web_ui is None:
        return
    source = Source(environment)
    # A locustfile may have put tabs of its own there.
    arguments = web_ui.template_args
    arguments["extended_tabs"] = [*arguments.get("extended_tabs", []), *TABS]
    arguments["extended_csv_files"] = [*arguments.get("extended_csv_files", []), *DOWNLOADS]
    web_ui.app.register_blueprint(blueprint(environment, source))
    web_ui.app.after_request(extended)
