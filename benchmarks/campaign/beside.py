"""Other work on the machine: what a comparison meets where it shares its cores with a build or another job.

Each process is busy on its own until its time is over, in a session of its own, so that the scheduler shares the cores
among all of them; every second one walks through more memory than its core's caches hold.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

SECONDS_MAX = 1_200.0  # it stops by itself, whatever becomes of us
SIZES = (1_000, 400_000)
BUSY = """
import sys, time
end_s, values = time.monotonic() + float(sys.argv[1]), list(range(int(sys.argv[2])))
while time.monotonic() < end_s:
    sum(values)
"""


@contextmanager
def busy(count: int) -> Iterator[None]:
    with ExitStack() as started:
        for number in range(count):
            command = [sys.executable, "-I", "-S", "-c", BUSY, str(SECONDS_MAX), str(SIZES[number % len(SIZES)])]
            process = started.enter_context(subprocess.Popen(command, start_new_session=True))
            started.callback(process.kill)
        yield
