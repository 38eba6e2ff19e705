"""Who else used the machine: what is neither ours nor idle, and when that spoils a measurement."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tidegauge.load.knee.others import Look, Others, Watch, others_in

# Waits for a line, uses so much CPU time, says so, and stays until its input ends.
WORK = """
import sys, time
sys.stdin.readline()
while time.process_time() < 0.3:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def work(child: subprocess.Popen[bytes]) -> None:
    """Returns when it is done."""
    assert child.stdin
    assert child.stdout
    child.stdin.write(b"go\n")
    child.stdin.flush()
    child.stdout.readline()


def test_what_is_neither_ours_nor_idle_is_the_others() -> None:
    """Of two cores in ten seconds 16 s were used, 12 s of them ours; what lies outside of the span does not count."""
    looks = [Look(0, 0, 0), Look(10, 5, 1), Look(15, 12, 6), Look(20, 21, 13), Look(30, 41, 13)]
    found = others_in(looks, 9.5, 20.5, 2)
    assert found is not None
    assert found.share == pytest.approx(0.2)
    assert found.idle == pytest.approx(0.2)
    assert others_in(looks, 9.5, 14.5, 2) is None


@pytest.mark.parametrize(
    ("share", "idle", "cores", "spoiled"),
    [
        (0.30, 0.05, 2, True),
        (0.05, 0.05, 2, False),  # daemons
        (0.30, 0.50, 2, False),  # a core was left over
        (0.30, 0.05, 64, False),
        (0.30, 0.01, 64, True),
    ],
)
def test_others_spoil_what_they_take_part_of(share: float, idle: float, cores: int, *, spoiled: bool) -> None:
    """They matter where they used more than daemons do, and left no whole core over."""
    said = Others(share, idle, cores).took_part
    assert bool(said) is spoiled
    assert not spoiled or "others used 30% of the machine" in said


def test_the_work_of_children_is_ours() -> None:
    """What a program that we started uses is ours, and so is what it used before it was seen first."""
    with Watch(every_s=60) as watch:
        command = [sys.executable, "-c", WORK]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            work(child)
            watch.look()
            assert watch.looks[-1].ours_s - watch.looks[0].ours_s >= 0.2


def test_the_target_is_ours_whoever_started_it() -> None:
    """A target that was there before is named by its pid."""
    middle = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {WORK!r}]).pid, flush=True)"
    command = [sys.executable, "-c", middle]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        pid = int(child.stdout.readline())
        child.wait()  # so that its child is no longer ours
        with Watch(pid, every_s=60) as named, Watch(every_s=60) as unnamed:
            work(child)
            named.look()
            unnamed.look()
            mine = [watch.looks[-1].ours_s - watch.looks[0].ours_s for watch in (named, unnamed)]
        assert mine[0] - mine[1] >= 0.2  # both counted in ticks, and the watches themselves compute a little


def test_a_pause_ends_when_the_others_are_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds pass until the machine is left alone, and no more than may be waited."""
    now_s = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr("tidegauge.load.knee.others.time.sleep", sleep)
    monkeypatch.setattr("tidegauge.load.knee.others.time.monotonic", lambda: now_s)
    monkeypatch.setattr(Watch, "seen", lambda *_: Others(share=0.6 if now_s < 3 else 0.0, idle=0.4, cores=2))
    watch = Watch()
    assert watch.wait_until_calm(8.0) == 3.0
    now_s = 0.0
    assert watch.wait_until_calm(2.0) == 2.0
