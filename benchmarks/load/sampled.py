"""One program on one core, which says where its CPU time goes while it is asked to.

    python benchmarks/load/sampled.py CORE FILE MODULE ARGUMENTS…      as `python -m MODULE ARGUMENTS…`

SIGUSR1 begins to sample, the next one ends it and writes `{"threads": s, "stacks": {"inner < … < outer": s}}` to FILE.
The timer counts the CPU time of the process; each sample weighs what the main thread used since the one before, so
that a thread beside it (the journal's) is laid to nobody's charge and reported apart. It costs some per cent: shares
are meant, and what a program costs is measured without it. FILE.pid tells who runs.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY_S = 0.001
DEPTH_MAX = 60


class Sampler:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._on = False

    def toggle(self, _signal: int, _frame: FrameType | None) -> None:
        self._on = not self._on
        if self._on:
            self._stacks: Counter[tuple[str, ...]] = Counter()
            self._main_s = self._began_main_s = time.thread_time()
            self._began_s = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, EVERY_S * self._on, EVERY_S * self._on)
        if not self._on:
            self._write()

    def sample(self, _signal: int, frame: FrameType | None) -> None:
        now_s = time.thread_time()
        stack: list[str] = []
        while frame is not None and len(stack) < DEPTH_MAX:
            code = frame.f_code
            stack.append(f"{code.co_filename}:{code.co_name}")
            frame = frame.f_back
        self._stacks[tuple(stack)] += now_s - self._main_s  # type: ignore[assignment] # seconds are counted
        self._main_s = now_s

    def _write(self) -> None:
        threads_s = time.process_time() - self._began_s - (time.thread_time() - self._began_main_s)
        facts = {"threads": threads_s, "stacks": {" < ".join(stack): s for stack, s in self._stacks.items()}}
        unready = self._file.with_suffix(".part")
        unready.write_text(json.dumps(facts), encoding="utf-8")
        unready.replace(self._file)


def main() -> None:
    core, file, module, *arguments = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    Path(file).with_suffix(".pid").write_text(str(os.getpid()), encoding="ascii")
    sampler = Sampler(Path(file))
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.siginterrupt(signal.SIGPROF, False)  # no write of the journal's shall be cut short
    signal.signal(signal.SIGUSR1, sampler.toggle)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
