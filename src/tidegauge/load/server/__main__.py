"""Looks at a target until its standard input ends: how a Locust has its server watched without stopping for it.

    python -m tidegauge.load.server PATH URL [--pid PID] [--metrics PATH] [--client-pid PID]

`beside` starts it and reads the rows that it writes; see `sampler`. The bearer's token stands in TIDEGAUGE_TOKEN.
"""

import argparse
import os
import sys
from pathlib import Path

from tidegauge.load.server.sampler import ServerSampler, pid_at


def main() -> int:
    """Until nobody listens any more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--metrics", default="")
    parser.add_argument("--client-pid", type=int, default=0)
    told = parser.parse_args()
    token = os.environ.get("TIDEGAUGE_TOKEN")
    with ServerSampler(
        told.pid or pid_at(told.url),
        told.path,
        metrics_url=told.url.rstrip("/") + told.metrics if told.metrics else "",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        client_pid=told.client_pid or None,
    ):
        sys.stdin.buffer.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
