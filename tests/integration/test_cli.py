"""The command as its users meet it: real processes, their exit status, stdout and stderr."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tidegauge.records import Run, find_run, read_run
from tidegauge.verdicts import Verdict

WAIT_S = 30.0

# It answers every GET with 200, dies of GET /die, and soon after its start with the argument `ill`.
BOT = """
    import http.server, os, sys, threading

    def die():
        print("out of margin", flush=True)
        os._exit(9)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/die":
                die()
            self.send_response(200)
            self.end_headers()

    if sys.argv[2:] == ["ill"]:
        threading.Timer(0.5, die).start()
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

CONFIG = """
    [target]
    command = "{python} bot.py {port:bot}"
    url = "http://127.0.0.1:{port:bot}"
    ready = "http://127.0.0.1:{port:bot}/health"
    ready_timeout_s = 20
    stop_grace_s = 0.5
    [[target.needs]]
    name = "exchange"
    command = "{python} bot.py {port:exchange}"
    ready = "tcp://127.0.0.1:{port:exchange}"
    [check]
    workload = "{python} work.py"
    timeout_s = 20
    [budgets]
    "check/entry/p50_ms" = { max = 25, unit = "ms", why = "quotes are older after that" }
"""


class House:
    """A folder with a bot, a workload and a tidegauge.toml; `run` runs the command in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("bot.py", BOT)
        self.write("tidegauge.toml", CONFIG)

    def write(self, name: str, content: str) -> None:
        """Puts a file into the folder."""
        (self.root / name).write_text(textwrap.dedent(content))

    def work(self, *lines: Any, then: str = "") -> None:
        """A workload that prints `lines` (all but texts as JSON), then runs the statement `then`."""
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.write("work.py", f"import os, sys, time\nfor line in {texts!r}:\n    print(line, flush=True)\n{then}\n")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One call of the command, from start to end."""
        return subprocess.run(
            self._command(arguments), cwd=self.root, capture_output=True, text=True, timeout=WAIT_S, check=False
        )

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Any:
        """A call that goes on while the test does something to it."""
        with subprocess.Popen(
            self._command(arguments), cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def newest(self) -> Run:
        """The run that was written last."""
        return read_run(find_run(self.root / "results" / "runs"))

    def alive(self) -> list[int]:
        """Processes that work in the folder, guards included."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(self.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    @staticmethod
    def _command(arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-c", "import sys; from tidegauge.cli import main; sys.exit(main())", *arguments]


ENTRY = {"name": "check/entry/p50_ms", "value": 12.5, "unit": "ms", "low": 12, "high": 13, "samples": 200}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house whose workload holds every budget."""
    made = House(tmp_path)
    made.work("warming up", ENTRY, {"name": "check/orders/lost", "verdict": "pass", "reason": "none of 400"})
    return made


def wait_until(condition: Callable[[], object]) -> None:
    """Waits, but not for ever."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition never became true"
        time.sleep(0.02)


def reasons(run: Run) -> dict[str, tuple[Verdict, str]]:
    """What a run says of each finding."""
    return {finding.name: (finding.verdict, finding.reason) for finding in run.findings}


def test_a_check_without_a_fault_exits_4_and_says_why(house: House) -> None:
    """Every figure holds its budget, yet three lanes were not measured, so it is no pass."""
    done = house.run("check")
    assert done.returncode == 4, done.stderr
    assert done.stdout.splitlines()[1].startswith("NOT MEASURED  check: 3 not measured, 3 pass")
    assert "Exit status 4: not measured. As long as soak is not part of check" in done.stderr
    run = house.newest()
    found = {name: verdict for name, (verdict, _) in reasons(run).items()}
    assert found == {
        "check/target/ready_s": Verdict.PASS,
        "check/entry/p50_ms": Verdict.PASS,
        "check/orders/lost": Verdict.PASS,
        "bench/lane/verdict": Verdict.NOT_MEASURED,
        "load/lane/verdict": Verdict.NOT_MEASURED,
        "soak/lane/verdict": Verdict.NOT_MEASURED,
    }
    assert run.findings[1].evidence == {"samples": 200}
    assert house.alive() == []


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ({"value": 30.0, "low": 29.0, "high": 31.0}, 1),
        ({"value": 24.0, "low": 20.0, "high": 28.0}, 3),
        ({"value": 24.0, "verdict": "fail", "reason": "an order was doubled"}, 1),
    ],
)
def test_the_exit_status_is_the_worst_verdict(house: House, line: dict[str, Any], status: int) -> None:
    """1 for a budget that was broken or an invariant that was, 3 for an interval across the budget."""
    house.work(ENTRY | line)
    assert house.run("check").returncode == status


def test_a_budget_can_be_replaced_for_one_call(house: House) -> None:
    """--budget makes the same figure fail, and the run keeps the number that was held against it."""
    assert house.run("check", "--budget", "check/entry/p50_ms=10").returncode == 1
    budget = house.newest().findings[1].budget
    assert budget
    assert (budget.max, budget.unit) == (10, "ms")


def test_json_is_the_run_and_nothing_else(house: House) -> None:
    """Under --json stdout holds exactly the run that was kept; progress is on stderr."""
    done = house.run("check", "--json", "--seed", "9")
    run = msgspec.json.decode(done.stdout, type=Run)
    assert run == house.newest()
    assert run.seed == 9
    assert "warming up" in done.stderr
    assert json.loads(house.run("report", "--json").stdout) == json.loads(done.stdout)


def test_the_workload_is_told_where_the_target_is(house: House) -> None:
    """URL, token, seed and every port are in its environment."""
    house.work(
        then="import urllib.request\n"
        "e = os.environ\n"
        "assert e['TIDEGAUGE_URL'].endswith(':' + e['TIDEGAUGE_PORT_BOT']) and e['TIDEGAUGE_SEED'] == '3'\n"
        "assert len(e['TIDEGAUGE_TOKEN']) >= 32 and e['TIDEGAUGE_PORT_EXCHANGE'].isdigit()\n"
        "urllib.request.urlopen(e['TIDEGAUGE_URL']).close()\n"
        f"print('''{json.dumps(ENTRY)}''')"
    )
    assert house.run("check", "--seed", "3").returncode == 4


@pytest.mark.parametrize(
    ("then", "name", "verdict", "reason"),
    [
        ("sys.exit('no quotes')", "check/workload/exit_status", Verdict.FAIL, "exit status 1, saying: no quotes"),
        ("time.sleep(60)", "check/workload/time", Verdict.FAIL, "not done after 1 s"),
        ("print('{\"name\": 1}')", "check/workload/output", Verdict.FAIL, "no measure: Expected `str`, got `int`"),
        ("print('{\"name\": ')", "check/workload/output", Verdict.FAIL, "no measure: Input data was truncated"),
        ("", "check/workload/findings", Verdict.NOT_MEASURED, "printed no measure"),
        ("", "check/entry/p50_ms", Verdict.NOT_MEASURED, "it has a budget, but nothing measured it"),
    ],
)
def test_a_workload_that_does_not_measure_never_passes(
    house: House, then: str, name: str, verdict: Verdict, reason: str
) -> None:
    """Whatever keeps the work from being done is a finding with a reason."""
    house.write(
        "tidegauge.toml",
        CONFIG.replace("timeout_s = 20\n    [b", f"timeout_s = {1 if 'sleep' in then else 20}\n    [b"),
    )
    house.work("no measure here", then=then)
    assert house.run("check").returncode == verdict.exit_status
    found, why = reasons(house.newest())[name]
    assert found is verdict
    assert reason in why
    assert house.alive() == []


def test_a_target_that_dies_under_the_work_is_a_failure(house: House) -> None:
    """The bot's death ends the check at once, and what was measured before it stays."""
    house.work(
        ENTRY,
        then="import contextlib, urllib.request\n"
        "with contextlib.suppress(OSError):\n    urllib.request.urlopen(os.environ['TIDEGAUGE_URL'] + '/die')\n"
        "time.sleep(60)",
    )
    assert house.run("check").returncode == 1
    found = reasons(house.newest())
    assert found["check/entry/p50_ms"][0] is Verdict.PASS
    assert "check/workload/time" not in found
    assert "The target ended with exit status 9, saying: out of margin" in found["check/target/alive"][1]
    assert house.alive() == []


def test_a_need_that_does_not_start_is_not_the_bots_fault(house: House) -> None:
    """Without its exchange the bot was not measured, which is no failure of the bot."""
    house.write("tidegauge.toml", CONFIG.replace("bot.py {port:exchange}", "nothing.py"))
    assert house.run("check").returncode == 4
    assert reasons(house.newest())["check/target/alive"][0] is Verdict.NOT_MEASURED


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_check_stops_everything_and_keeps_its_run(
    house: House, number: signal.Signals, status: int
) -> None:
    """Ctrl-C and SIGTERM end it with their own status; what was measured is readable, and is no pass."""
    house.work(ENTRY, then="time.sleep(60)")
    with house.running("check") as process:
        for line in process.stderr:
            if "check/entry/p50_ms" in line:
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out) == (status, ""), err
    assert "everything is stopped" in err
    assert house.alive() == []
    run = house.newest()
    assert run.verdict is Verdict.NOT_MEASURED
    assert "interrupted by" in reasons(run)["check/run/finished"][1]
    assert reasons(run)["check/entry/p50_ms"][0] is Verdict.PASS


def test_a_second_interrupt_only_makes_it_faster(house: House) -> None:
    """Whoever does not wait for stubborn programs loses nothing: the guards end them, and the run is whole."""
    house.work(
        then="import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)"
    )
    with house.running("check") as process:
        for line in process.stderr:
            if "deaf" in line:
                break
        process.send_signal(signal.SIGINT)
        wait_until(lambda: len(house.alive()) <= 5)  # the bot, the exchange or a guard has ended: it is stopping
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_until(lambda: not house.alive())
    assert house.newest().verdict is Verdict.NOT_MEASURED


def test_a_killed_check_leaves_a_readable_run_and_no_process(house: House) -> None:
    """SIGKILL cannot be caught: the file is whole nevertheless, and the guards end everything."""
    house.work(ENTRY, then="time.sleep(60)")
    with house.running("check") as process:
        for line in process.stderr:
            if "check/entry/p50_ms" in line:
                break
        process.kill()
        process.communicate(timeout=WAIT_S)
    wait_until(lambda: not house.alive())
    assert house.newest().verdict is Verdict.NOT_MEASURED


def test_serve_stays_until_it_is_interrupted(house: House) -> None:
    """It prints where the bot is, keeps it up, and Ctrl-C is its proper end."""
    with house.running("serve") as process:
        facts = dict(process.stdout.readline().split(maxsplit=1) for _ in range(4))
        assert set(facts) == {"url", "token", "ports", "logs"}
        assert len(house.alive()) == 5  # serve, two guards, two programs
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert house.alive() == []


def test_serve_fails_when_the_target_dies(house: House) -> None:
    """A target that ends by itself is an error of one line, with what it said last."""
    house.write("tidegauge.toml", CONFIG.replace("bot.py {port:bot}", "bot.py {port:bot} ill"))
    done = house.run("serve")
    assert done.returncode == 1, done.stderr
    assert "tidegauge: error: The target ended with exit status 9" in done.stderr
    assert house.alive() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--nonsense"], "No such option: --nonsense"),
        (["nonsense"], "No such command 'nonsense'"),
        (["check", "--seed", "x"], "Invalid value for '--seed'"),
        (["check", "--budget", "check/entry/p50_ms"], "is not KEY=NUMBER"),
        (["check", "--budget", "check/entry/p95_ms=3"], "no such budget"),
        (["report", "nothing"], "Cannot read nothing: No such file or directory"),
        (["report"], "There is no run in "),
    ],
)
def test_wrong_use_is_one_line_and_status_2(house: House, arguments: list[str], message: str) -> None:
    """A user's mistake is answered with one line that says what to do: no traceback, no run."""
    done = house.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("tidegauge: error: ")
    assert message in line
    assert not (house.root / "results").exists()


def test_a_mistake_in_the_file_names_its_line(house: House) -> None:
    """The error of a wrong tidegauge.toml is where the mistake is."""
    house.write("tidegauge.toml", CONFIG.replace("timeout_s = 20\n    [b", 'timeout_s = "soon"\n    [b'))
    done = house.run("check")
    assert done.returncode == 2
    assert "tidegauge.toml:14: check.timeout_s: Expected `float`, got `str`" in done.stderr


def test_a_full_disk_is_one_line_and_stops_everything(house: House) -> None:
    """When the run cannot be kept, nothing counts as measured and nothing is left running."""
    house.work(*({"name": f"check/entry/m{number}_ms", "value": 1} for number in range(2_000)))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
    limited = [sys.executable, "-c", f"{limit} import sys; from tidegauge.cli import main; sys.exit(main(['check']))"]
    done = subprocess.run(limited, cwd=house.root, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 4, done.stderr
    assert "tidegauge: error: Cannot write " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert house.newest().verdict is Verdict.NOT_MEASURED
    assert house.alive() == []


def test_doctor_is_well_on_this_machine(house: House) -> None:
    """Missing tools are no failure, each has its remedy; --json holds the same facts."""
    done = house.run("doctor", "--json")
    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr, facts["broken"]) == (0, "", [])
    assert all(item["ok"] or item["remedy"] for item in facts["items"])
    assert "This machine can measure." in house.run("doctor").stdout


def test_doctor_fails_when_results_cannot_be_kept(house: House) -> None:
    """A results folder that is a file is broken, and the remedy says so."""
    (house.root / "results").write_text("not a folder")
    done = house.run("doctor")
    assert done.returncode == 1
    assert "Broken: results." in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(house: House) -> None:
    """`tidegauge report | head` ends without a complaint."""
    house.run("check")
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-c", "import sys; from tidegauge.cli import main; sys.exit(main())", "report"]
    try:
        done = subprocess.run(
            command, cwd=house.root, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=WAIT_S, check=False
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("verb", ["check", "report", "doctor", "serve"])
def test_the_help_of_each_verb_teaches_with_an_example(house: House, verb: str) -> None:
    """--help shows a call that can be copied."""
    done = house.run(verb, "--help")
    assert done.returncode == 0
    assert f"Example: tidegauge {verb}" in done.stdout


def test_importing_tidegauge_loads_nothing_heavy() -> None:
    """The package alone imports no library, and the command neither httpx, psutil nor anything it measures."""
    program = "import sys, tidegauge; assert not {'msgspec', 'typer', 'rich'} & set(sys.modules);"
    program += "import tidegauge.cli;"
    program += "print({'httpx', 'psutil', 'numpy', 'locust', 'tradebot', 'simvenues'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=WAIT_S)
    assert done.stdout == "set()\n"
