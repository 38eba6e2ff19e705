"""Two commits of a small repository, from asv.conf.json to pairs: discovery, building, measuring, keeping."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tidegauge.bench.pairs.pair import Bench, Pair, PairJob
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.pairs.slices import PairSettings
from tidegauge.bench.processes.layout import Layout
from tidegauge.bench.store import keep_in_asv
from tidegauge.bench.suites.build import BuildError, build, check_out, find_repository, resolve, snapshot
from tidegauge.bench.suites.model import Benchmark, Side, Suite, SuiteConfig
from tidegauge.bench.suites.suite import SuiteError, discover, read_config
from tidegauge.bench.values import read_value
from tidegauge.errors import TidegaugeError

QUICK = PairSettings(slice_ms=5, slices=6, slices_max=6, measure_s_max=0.5)


def run_pair(
    benchmark: Benchmark,
    base: Side,
    head: Side,
    *,
    scratch: Path,
    index: int = 0,
    core: int | None = None,
    head_slowdown: float = 0.0,
) -> Pair:
    job = PairJob(benchmark=benchmark, base=base, head=head, index=index, head_slowdown=head_slowdown)
    with Pipeline(Bench(seed=7, core=core, scratch=scratch, settings=QUICK)) as pipeline:
        return pipeline.measure(job)


CODE = """
    def work(times=1):
        return sum(number * number for number in range(300 * times))
"""
SUITE = """
    import asyncio, os, time
    import tiny

    class Loop:
        params = ([1, 2], ["a", "b"])
        param_names = ["times", "letter"]
        timeout = 20

        def setup(self, times, letter):
            self.ready = True

        def time_work(self, times, letter):
            assert self.ready
            tiny.work(times)

    class Cached:
        def setup_cache(self):
            with open("made_by_setup_cache", "a") as file:
                file.write("once\\n")
            return {"times": 2}

        def time_cached(self, cache):
            tiny.work(cache["times"])

        def track_made(self, cache):
            with open("made_by_setup_cache") as file:
                return len(file.readlines())

    async def time_async():
        await asyncio.sleep(0)
        tiny.work()

    def time_plain():
        tiny.work()

    def time_skipped():
        pass

    def skip():
        raise NotImplementedError("not here")

    time_skipped.setup = skip

    def timeraw_start():
        return "import tiny; tiny.work(3000)"

    class Uncached:
        def setup_cache(self):
            raise ValueError("no data")

        def time_uncached(self, cache):
            pass

    def time_silent():
        time.sleep(60)
    time_silent.timeout = 0.5
"""


class Repository:
    """A git repository in the making."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "-q", "-b", "main")
        conf = {
            "version": 1,
            "project": "tiny",
            "repo": ".",
            "environment_type": "existing",
            "benchmark_dir": "benchmarks",
            "env_dir": ".asv/env",
            "results_dir": ".asv/results",
        }
        self.write("asv.conf.json", json.dumps(conf))
        self.write("benchmarks/__init__.py", "")
        self.write("benchmarks/bench_tiny.py", SUITE)
        self.write("tiny.py", CODE)

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a step")
        return self.git("rev-parse", "HEAD")

    def config(self) -> SuiteConfig:
        return read_config(self.root, find_repository(self.root))

    def measure(self, name: str, scratch: Path, base: str = "HEAD~1", head: str | None = "HEAD") -> Pair:
        """One quick pair of the benchmark of this name."""
        sides, suite = self.open(scratch, base, head)
        return run_pair(pick(suite, name), *sides, scratch=scratch)

    def open(
        self, scratch: Path, base: str = "HEAD~1", head: str | None = "HEAD", select: tuple[str, ...] = ()
    ) -> tuple[tuple[Side, Side], Suite]:
        config = self.config()
        sides = build(config, base, head, python="same")
        return sides, discover(config, *sides, scratch=scratch, select=select)


def pick(suite: Suite, name: str) -> Benchmark:
    return next(benchmark for benchmark in suite.benchmarks if benchmark.name == name)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def test_discovery_finds_each_set_of_parameters(repository: Repository, scratch: Path) -> None:
    """Discovery is asv's: a benchmark for each set of parameters, filtered by expressions that see the parameters."""
    repository.commit()
    _, suite = repository.open(scratch, "HEAD", select=("time_work.*'b'", "track"))
    names = [benchmark.name for benchmark in suite.benchmarks]
    assert names == [
        "bench_tiny.Cached.track_made",
        "bench_tiny.Loop.time_work(1, 'b')",
        "bench_tiny.Loop.time_work(2, 'b')",
    ]
    track, first, _ = suite.benchmarks
    assert (track.kind, track.id, track.setup_cache_key is not None) == ("track", "bench_tiny.Cached.track_made", True)
    assert (first.kind, first.id, first.params) == ("time", "bench_tiny.Loop.time_work-1", ("1", "'b'"))
    assert (first.timeout_s, track.timeout_s, first.is_new) == (20, 60, False)


def test_a_benchmark_that_the_base_lacks_is_new(repository: Repository, scratch: Path) -> None:
    """New is what HEAD's suite has and the base's own lacks; it is measured by whoever wants to."""
    repository.commit()
    repository.write("benchmarks/bench_more.py", "def time_more():\n    pass\n")
    repository.commit()
    _, suite = repository.open(scratch)
    assert [benchmark.name for benchmark in suite.benchmarks if benchmark.is_new] == ["bench_more.time_more"]


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Pair]:
    """One quick pair of a benchmark: the base against itself, or against a HEAD that works four times as much."""
    folder = tmp_path_factory.mktemp("slower")
    repository = Repository(folder / "repository")
    repository.commit()
    repository.write("tiny.py", CODE.replace("300", "1200"))
    repository.commit()
    (base, head), suite = repository.open(folder / "scratch")

    def measure(name: str, is_slower: bool) -> Pair:
        side = head if is_slower else base
        return run_pair(pick(suite, name), base, side, scratch=folder / "scratch")

    return measure


MEASURED = ("Cached.time_cached", "Loop.time_work(2, 'a')", "time_async", "time_plain", "timeraw_start")


@pytest.mark.parametrize("name", MEASURED)
def test_every_kind_of_benchmark_gives_a_pair(measure: Callable[[str, bool], Pair], name: str) -> None:
    """With setup, cache, parameters, a coroutine or a process of its own: two times, and the typical ratio."""
    pair = measure(f"bench_tiny.{name}", False)
    assert pair.base_min_ns is not None, pair.error
    assert pair.head_min_ns is not None
    assert pair.log_ratio is not None
    assert math.isfinite(pair.log_ratio)
    assert pair.slices >= QUICK.slices_min


@pytest.mark.slow  # it asserts on time: nothing that does belongs into the main run
@pytest.mark.parametrize("name", MEASURED)
def test_much_slower_code_reads_as_slower(measure: Callable[[str, bool], Pair], name: str) -> None:
    """Four times the work is clearly more, each side by its own commit's code."""
    pair = measure(f"bench_tiny.{name}", True)
    assert pair.log_ratio is not None, pair.error
    assert pair.log_ratio > math.log(1.5)


@pytest.mark.slow  # as above
def test_a_planted_slowdown_is_seen_without_a_second_commit(repository: Repository, scratch: Path) -> None:
    """A share of its time that HEAD computes for nothing shows as that share."""
    repository.commit()
    (base, head), suite = repository.open(scratch, "HEAD")
    pair = run_pair(
        pick(suite, "bench_tiny.time_plain"),
        base,
        head,
        index=1,
        core=min(os.sched_getaffinity(0)),
        scratch=scratch,
        head_slowdown=1.0,
    )
    assert pair.log_ratio is not None, pair.error
    assert pair.log_ratio > math.log(1.5)


def test_setup_cache_is_made_once_a_side(repository: Repository, scratch: Path) -> None:
    """`setup_cache` runs once for all pairs of a side, and a track benchmark reads what it left behind."""
    repository.commit()
    (base, head), suite = repository.open(scratch, "HEAD")
    cached, track = pick(suite, "bench_tiny.Cached.time_cached"), pick(suite, "bench_tiny.Cached.track_made")
    for index in range(2):
        run_pair(cached, base, head, index=index, scratch=scratch)
    assert read_value(track, head, "head", layout=Layout(0, 0, 0), scratch=scratch) == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise ValueError('bad price')", "ValueError: bad price"),
        ("import os; os.kill(os.getpid(), 11)", "it ended by SIGSEGV"),
        ("import os; os._exit(3)", "it ended by exit status 3"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_a_crash_on_head_is_an_error_that_names_head(
    repository: Repository, scratch: Path, code: str, error: str
) -> None:
    """Whatever way HEAD fails, the pair has no ratio, and names side, type and message."""
    repository.commit()
    repository.write("tiny.py", f"def work(times=1):\n    {code}\n")
    repository.commit()
    pair = repository.measure("bench_tiny.time_plain", scratch)
    assert (pair.error_side, pair.error, pair.log_ratio) == ("head", error, None)


def test_a_failure_on_both_sides_says_both(repository: Repository, scratch: Path) -> None:
    """What fails on base and head alike is no regression, and says so; a skip is neither."""
    repository.write("tiny.py", "def work(times=1):\n    raise ValueError('bad price')\n")
    repository.commit()
    pair = repository.measure("bench_tiny.time_plain", scratch, "HEAD")
    assert (pair.error_side, pair.error) == ("both", "base: ValueError: bad price; head: ValueError: bad price")
    uncached = repository.measure("bench_tiny.Uncached.time_uncached", scratch, "HEAD")
    assert uncached.error_side == "both"
    assert "setup_cache on head failed: ValueError: no data" in uncached.error
    skipped = repository.measure("bench_tiny.time_skipped", scratch, "HEAD")
    assert (skipped.skipped, skipped.error) == ("both", "")


def test_a_silent_benchmark_is_ended_by_its_timeout(repository: Repository, scratch: Path) -> None:
    """The suite's own timeout bounds each answer, and nothing of the workers is left."""
    repository.commit()
    pair = repository.measure("bench_tiny.time_silent", scratch, "HEAD")
    assert pair.error_side == "both"
    assert "it took longer than 0.5 s to calibrate" in pair.error
    assert not psutil.Process().children(recursive=True)


@pytest.mark.parametrize("ignored", ["ignored", "ignored\n.asv"])
def test_the_working_tree_is_head_and_stays_untouched(repository: Repository, scratch: Path, ignored: str) -> None:
    """Uncommitted changes and new files are measured; index, working tree, refs and reflog stay as they were."""
    repository.write(".gitignore", ignored)
    repository.commit()
    repository.write(".asv/env/old", "an environment of asv, here before us")
    repository.write("results/runs/old.json", "what a run of ours left: it must not make another commit of the next")
    assert snapshot(repository.config()) == repository.git("rev-parse", "HEAD")
    repository.write("tiny.py", "from fresh import work\n")
    repository.write("fresh.py", "def work(times=1):\n    raise RuntimeError('fresh')\n")
    repository.write("ignored", "no code")
    repository.write("staged.py", "")
    repository.git("add", "staged.py")

    def state() -> list[str]:
        index = (repository.root / ".git/index").read_bytes().hex()
        return [index, *(repository.git(*words) for words in (("status", "-s"), ("show-ref",), ("reflog",)))]

    before = state()
    commit = snapshot(repository.config())
    assert commit == snapshot(repository.config())
    assert state() == before
    names = repository.git("ls-tree", "-r", "--name-only", commit).split()
    assert {"fresh.py", "staged.py"} <= set(names)
    assert not {"ignored", ".asv/env/old"} & set(names)
    pair = repository.measure("bench_tiny.time_plain", scratch, "HEAD", None)
    assert (pair.error_side, "fresh" in pair.error) == ("head", True)
    assert state() == before


def test_asv_shows_what_was_measured(repository: Repository, scratch: Path) -> None:
    """Minima written into asv's store are what the stock `asv compare` prints."""
    base = repository.commit()
    repository.write("tiny.py", CODE.replace("300", "900"))
    head = repository.commit()
    sides, suite = repository.open(scratch)
    name = "bench_tiny.Loop.time_work(2, 'b')"
    pairs = [
        Pair(benchmark=name, index=index, base_min_ns=1e6, head_min_ns=3e6, log_ratio=math.log(3), number=10)
        for index in range(8)
    ]
    for path in keep_in_asv(repository.config(), suite, *sides, pairs):
        assert path.is_file()
    command = [sys.executable, "-W", "ignore", "-m", "asv", "compare", base, head]
    shown = subprocess.run(command, cwd=repository.root, capture_output=True, text=True, check=False)
    row = next(line for line in shown.stdout.splitlines() if "time_work(2, 'b')" in line)
    assert "1.00" in row, shown.stdout + shown.stderr
    assert "3.00" in row


def test_what_cannot_be_built_names_its_side(repository: Repository, tmp_path: Path) -> None:
    """Unknown commits, a missing suite, a missing Python and a missing configuration are errors of one line."""
    repository.commit()
    config = repository.config()
    with pytest.raises(TidegaugeError, match="There is no commit 'nowhere'"):
        resolve(config.repository, "nowhere")
    with pytest.raises(BuildError, match=r"base .* cannot be built") as raised:
        build(config, "HEAD", "HEAD", python="/nowhere/python")
    assert raised.value.side == "base"
    with pytest.raises(SuiteError, match="0 files named"):
        read_config(tmp_path, tmp_path)
    repository.git("mv", "benchmarks", "elsewhere")
    repository.commit()
    with pytest.raises(BuildError, match="head has no folder benchmarks"):
        build(config, "HEAD~1", "HEAD", python="same")


def test_a_checkout_follows_the_commit(repository: Repository, tmp_path: Path) -> None:
    """One folder keeps one commit: what the next one lacks is gone."""
    first = repository.commit()
    repository.git("mv", "tiny.py", "huge.py")
    second = repository.commit()
    folder = tmp_path / "checkout"
    assert (check_out(repository.root, first, folder) / "tiny.py").exists()
    tree = check_out(repository.root, second, folder)
    assert (tree / "huge.py").exists()
    assert not (tree / "tiny.py").exists()


def test_killing_the_driver_leaves_no_worker(repository: Repository, scratch: Path, tmp_path: Path) -> None:
    """SIGKILL for whoever measures ends both workers, whatever they are doing."""
    repository.write(
        "tiny.py", "import os, time\ndef work(times=1):\n    print(os.getpid(), flush=True)\n    time.sleep(50)\n"
    )
    repository.commit()
    driver = tmp_path / "driver.py"
    driver.write_text(
        textwrap.dedent(f"""
            from pathlib import Path
            from tidegauge.bench.suites.build import build, find_repository
            from tidegauge.bench.pairs.pair import Bench, PairJob
            from tidegauge.bench.pairs.pipeline import Pipeline
            from tidegauge.bench.pairs.slices import PairSettings
            from tidegauge.bench.suites.suite import discover, read_config

            root, scratch = Path({str(repository.root)!r}), Path({str(scratch)!r})
            config = read_config(root, find_repository(root))
            sides = build(config, "HEAD", "HEAD", python="same")
            (benchmark,) = discover(config, *sides, scratch=scratch, select=["time_plain"]).benchmarks
            job = PairJob(benchmark=benchmark, base=sides[0], head=sides[1], index=0)
            long = PairSettings(slices=10**6, slices_max=10**6, measure_s_max=60)
            with Pipeline(Bench(seed=7, core=None, scratch=scratch, settings=long)) as pipeline:
                pipeline.measure(job)
        """)
    )
    with subprocess.Popen([sys.executable, str(driver)]) as process:
        workers: list[psutil.Process] = []

        def both_are_forked() -> bool:
            try:
                below = psutil.Process(process.pid).children(recursive=True)
                workers[:] = [
                    child for child in below if child.cmdline()[1:2] and child.cmdline()[1].endswith("worker.py")
                ]
            except psutil.NoSuchProcess:
                return False
            return len(workers) >= 4  # nurseries and their children

        try:
            wait_for(both_are_forked)
        finally:
            process.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(worker.is_running() for worker in workers))


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
