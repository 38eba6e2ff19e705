"""What an operator may set for Interactive Brokers, with the defaults of a paper gateway on this machine."""

from __future__ import annotations

import msgspec

from tradebot.domain.ranges import Count, CountOrZero, Port, Seconds, SecondsOrOff
from tradebot.kernel.retry import Backoff


class IbkrSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 4002
    client_id: int = 1
    account: str = ""  # empty: the first one the gateway manages
    connect_timeout_s: Seconds = 10.0
    request_timeout_s: Seconds = 10.0
    heartbeat_s: Seconds = 30.0
    reconnect: Backoff = Backoff(initial_s=0.2)
    commission_wait_s: SecondsOrOff = 2.0  # how long a fill is held back for its commission
    requests_per_s_max: CountOrZero = 45  # the venue disconnects a client that sends 50; 0 means no pacing
    market_lines_max: Count = 100
    market_data_type: int = 1  # 1 live, 2 frozen, 3 delayed, 4 delayed and frozen
    timezone: str = "UTC"  # of execution times that carry none
    orders_working_max: Count = 1_000
    orders_finished_max: Count = 128  # kept so that a late or repeated message still finds its order
    fills_pending_max: Count = 1_000
    chains_max: Count = 64
