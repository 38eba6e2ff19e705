"""The verb `serve`: the target and its needs up, for a person or another tool to work on."""

import datetime as dt
import time
from pathlib import Path

from tidegauge.cli.options import Seed, Stdout, say, terminable
from tidegauge.config import load
from tidegauge.target import Target

WATCH_EVERY_S = 0.2


def serve(*, seed: Seed = 1) -> int:
    """Keep the target and its needs up until Ctrl-C.

    Prints where it listens, the token of its API and the folder of its logs to stdout. Ctrl-C and SIGTERM
    stop everything and are exit status 0; a program that ends by itself is an error.

    Example: tidegauge serve --seed 7
    """
    config = load(Path.cwd())
    log_dir = config.runs / f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S-%f}-serve.logs"
    say("Starting the target and what it needs ...")
    out = Stdout()
    with terminable():
        try:
            with Target.start(config.target, seed=seed, log_dir=log_dir, cwd=config.root) as target:
                ports = " ".join(f"{name}={port}" for name, port in target.ports.items())
                facts = {"url": target.url, "token": target.token, "ports": ports, "logs": str(log_dir)}
                for name, fact in facts.items():
                    out.print(f"{name:<6} {fact}", markup=False, soft_wrap=True)
                say(f"Ready after {target.ready_s:.2f} s. Ctrl-C stops everything.")
                while True:
                    target.check_alive()
                    time.sleep(WATCH_EVERY_S)
        except KeyboardInterrupt:
            say("Stopped.")
    return 0
