"""Starting: what an import costs and what a whole bot on paper does, each in a process of its own.

asv runs what a `timeraw_` returns in a fresh interpreter. The kernels' cache is warm, as after any first start.
"""

from __future__ import annotations

from pathlib import Path

HERE = str(Path(__file__).parent)
WARM = f"import sys; sys.path.insert(0, {HERE!r}); from cases.profile import PaperBot"
GATEWAY = f"import sys; sys.path.insert(0, {HERE!r}); from cases.broker import GatewayBot"


class Import:
    number = 1
    rounds = 1

    def timeraw_instrument(self) -> str:
        return "import tidegauge.cli"

    def timeraw_pricing(self) -> str:
        return "import tradebot.pricing.warmup"

    def timeraw_bot(self) -> str:
        return "import tradebot.profiles.bot"

    def timeraw_api(self) -> str:
        return "import tradebot.api.app"

    def timeraw_broker(self) -> str:
        return "import simvenues.ibkr"

    def timeraw_bench_lane(self) -> str:
        return "import tidegauge.bench.lane"


class Start:
    number = 1
    rounds = 1

    def timeraw_paper_bot(self) -> tuple[str, str]:
        """From settings to ready, imports apart, and down again."""
        return "PaperBot(1).close()", WARM

    def timeraw_gateway_bot(self) -> tuple[str, str]:
        """The same with a broker to connect to, on the same loop."""
        return "GatewayBot(1).close()", GATEWAY
