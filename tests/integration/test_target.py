"""Targets that misbehave in every way we know: whatever they do, nothing of them is alive afterwards.

Each test writes a stand-in program into `tmp_path`; every process of it carries that path in its command
line, which is how survivors are found.
"""

import contextlib
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tidegauge import output
from tidegauge.config import Need, TargetConfig, Values
from tidegauge.errors import TargetDied, TargetNotReady, TidegaugeError
from tidegauge.target import Target, free_ports

WAIT_S = 20.0

PROGRAM = """
    import http.server, os, signal, socket, sys, time

    def fork(then=lambda: None):
        if os.fork() == 0:
            then()
            while True:
                time.sleep(60)

    def deaf():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def daemon():
        if os.fork() == 0:
            os.setsid()
            fork(deaf)
            os._exit(0)
        os.wait()

    mode = sys.argv[1]
    if mode == "deaf":
        deaf()
    elif mode == "forks":
        for _ in range(3):
            fork()
    elif mode == "deaf forks":
        fork(deaf)
        deaf()
    elif mode == "setsid":
        fork(os.setsid)
    elif mode == "double fork":
        daemon()
    elif mode == "closes its output":
        fork(lambda: os.closerange(0, 3))
    elif mode == "stopped":
        fork(lambda: os.kill(os.getpid(), signal.SIGSTOP))
    elif mode == "exits":
        print("no money in the account", flush=True)
        sys.exit(3)
    elif mode == "leaves a daemon":
        daemon()
        print("gone", flush=True)
        sys.exit(0)
    elif mode == "floods":
        for number in range(40_000):
            print(f"{number:06} " + "x" * 92)
    elif mode == "never ready":
        fork()
        time.sleep(60)
    elif mode == "http":
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(int(sys.argv[3]) if self.path == "/health" else 500)
                self.end_headers()
        http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
    elif mode == "tcp":
        listener = socket.create_server(("127.0.0.1", int(sys.argv[2])))
    elif mode == "tells":
        print(*sys.argv[2:], os.environ["TOKEN"], flush=True)
    print("ready to trade", flush=True)
    while True:
        time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The stand-in; what it does is its first argument."""
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


def config(program: Path, mode: str, *, ready: str = "stdout:^ready", grace_s: float = 0.3) -> TargetConfig:
    """A target that runs the stand-in in `mode`, which may go on with further arguments."""
    command = f"{{python}} {program} {mode}"
    return TargetConfig(command=command, ready=ready, ready_timeout_s=WAIT_S, stop_grace_s=grace_s)


def alive(tmp_path: Path) -> set[int]:
    """The living processes that carry `tmp_path` in their command line; guards carry it too."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(tmp_path) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def wait_until(condition: Callable[[], object]) -> None:
    """Waits, but not for ever."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition never became true"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("mode", "processes"),
    [
        ("quiet", 1),
        ("deaf", 1),
        ("forks", 4),
        ("'deaf forks'", 2),
        ("setsid", 2),
        ("'double fork'", 2),
        ("'closes its output'", 2),
        ("stopped", 2),
    ],
)
def test_nothing_survives_the_end(tmp_path: Path, program: Path, mode: str, processes: int) -> None:
    """However it forks, detaches or ignores SIGTERM, the end of the block is the end of all of it."""
    with Target.start(config(program, mode), seed=1, log_dir=tmp_path / "logs"):
        wait_until(lambda: len(alive(tmp_path)) == processes + 1)  # and the guard
    assert alive(tmp_path) == set()


@contextlib.contextmanager
def driver(tmp_path: Path, program: Path, mode: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has started a target and waits, for us to do something bad to it."""
    path = tmp_path / "driver.py"
    path.write_text(
        textwrap.dedent(f"""
            import pathlib, time
            from tidegauge.config import TargetConfig
            from tidegauge.target import Target
            command = {f"{{python}} {program} {mode}"!r}
            config = TargetConfig(command=command, ready="stdout:^ready", stop_grace_s=0.3)
            with Target.start(config, seed=1, log_dir=pathlib.Path({str(tmp_path / "logs")!r})) as target:
                print(target.pid, flush=True)
                time.sleep(60)
        """)
    )
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("mode", ["quiet", "'deaf forks'", "'double fork'", "setsid"])
def test_nothing_survives_our_own_sigkill(tmp_path: Path, program: Path, mode: str) -> None:
    """When tidegauge itself is killed with no chance to react, its guard still ends everything."""
    with driver(tmp_path, program, mode) as process:
        assert process.stdout
        assert int(process.stdout.readline()) in alive(tmp_path)
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(tmp_path))


def test_the_target_dies_with_its_guard_even_if_we_cannot_react(tmp_path: Path, program: Path) -> None:
    """While tidegauge is stopped and its guard is killed, it is the kernel that ends the target."""
    with driver(tmp_path, program, "quiet") as process:
        assert process.stdout
        target = psutil.Process(int(process.stdout.readline()))
        guard = target.parent()
        assert guard
        process.send_signal(signal.SIGSTOP)
        guard.kill()
        wait_until(lambda: not target.is_running() or target.status() == psutil.STATUS_ZOMBIE)
    wait_until(lambda: not alive(tmp_path))


def test_a_stopped_program_gets_the_chance_to_end_by_itself(tmp_path: Path) -> None:
    """SIGTERM alone would wait in a stopped process until SIGKILL came: it is woken up to obey."""
    script = f'trap "echo orderly > {tmp_path}/end; exit" TERM; echo ready; kill -STOP $$; sleep 60 & wait'
    stopped = TargetConfig(command=f"sh -c '{script}'", ready="stdout:ready", stop_grace_s=WAIT_S)
    with Target.start(stopped, seed=1, log_dir=tmp_path) as target:
        wait_until(lambda: psutil.Process(target.pid).status() == psutil.STATUS_STOPPED)
    assert (tmp_path / "end").read_text() == "orderly\n"


def test_nothing_survives_the_sigkill_of_the_guard(tmp_path: Path, program: Path) -> None:
    """When somebody kills the guard, the kernel kills the target, and the target counts as dead."""
    with Target.start(config(program, "quiet"), seed=1, log_dir=tmp_path / "logs") as target:
        guard = psutil.Process(target.pid).parent()
        assert guard
        guard.kill()
        wait_until(lambda: not target.alive())
        wait_until(lambda: not alive(tmp_path))


def test_an_interrupt_while_starting_leaves_nothing(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the wait for readiness stops what was started so far."""

    sleep = time.sleep

    def interrupt(_seconds: float) -> None:
        if len(alive(tmp_path)) >= 2:
            monkeypatch.setattr("tidegauge.target.time.sleep", sleep)
            raise KeyboardInterrupt

    monkeypatch.setattr("tidegauge.target.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Target.start(config(program, "'never ready'"), seed=1, log_dir=tmp_path / "logs")
    assert alive(tmp_path) == set()


def test_an_early_exit_is_an_error_with_the_last_words(tmp_path: Path, program: Path) -> None:
    """A target that ends before it is ready is reported at once, with its exit status and its output."""
    with pytest.raises(TargetDied, match="exit status 3, saying: no money in the account") as caught:
        Target.start(config(program, "exits"), seed=1, log_dir=tmp_path / "logs")
    assert (caught.value.exit_status, caught.value.exit_code) == (3, 1)
    assert caught.value.tail == ("no money in the account",)
    assert (tmp_path / "logs" / "target.log").read_text() == "no money in the account\n"


def test_a_target_that_leaves_a_daemon_and_exits_is_dead_and_so_is_the_daemon(tmp_path: Path, program: Path) -> None:
    """A program that puts itself into the background cannot be watched, so it counts as ended."""
    with pytest.raises(TargetDied, match="exit status 0, saying: gone"):
        Target.start(config(program, "'leaves a daemon'"), seed=1, log_dir=tmp_path / "logs")
    assert alive(tmp_path) == set()


def test_a_target_that_is_never_ready_is_stopped(tmp_path: Path, program: Path) -> None:
    """Past its time a target is an error that says what was waited for, and is not left behind."""
    slow = TargetConfig(command=f"{{python}} {program} 'never ready'", ready="stdout:^ready", ready_timeout_s=0.5)
    with pytest.raises(TargetNotReady, match=r"not ready after 0.5 s: no answer from stdout:\^ready"):
        Target.start(slow, seed=1, log_dir=tmp_path / "logs")
    assert alive(tmp_path) == set()


def test_an_unknown_program_is_wrong_use(tmp_path: Path) -> None:
    """A command that does not exist is the user's mistake, not a verdict on the target."""
    missing = TargetConfig(command=f"{tmp_path}/nothing", ready="stdout:x")
    with pytest.raises(TidegaugeError, match=r"Cannot start target: .*nothing: No such file or directory") as caught:
        Target.start(missing, seed=1, log_dir=tmp_path / "logs")
    assert caught.value.exit_code == 2


def test_a_flood_of_output_blocks_nobody(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that prints 4 MB goes on to be ready; its log stays bounded and ends with the last lines."""
    monkeypatch.setattr(output, "LOG_BYTES_MAX", 100_000)
    with Target.start(config(program, "floods"), seed=1, log_dir=tmp_path / "logs"):
        pass
    log = (tmp_path / "logs" / "target.log").read_text()
    assert len(log) < 110_000
    assert log.startswith("000000 x")
    assert "[tidegauge dropped 3900015 bytes here" in log
    assert log.endswith("\nready to trade\n")


def test_a_url_is_ready_only_when_it_answers_2xx(tmp_path: Path, program: Path) -> None:
    """503 is an answer, but not readiness; 204 is."""
    ready = "http://127.0.0.1:{port:api}/health"
    with Target.start(config(program, "http {port:api} 204", ready=ready), seed=1, log_dir=tmp_path) as target:
        assert 0 < target.ready_s < WAIT_S
    unready = TargetConfig(command=f"{{python}} {program} http {{port:api}} 503", ready=ready, ready_timeout_s=1)
    with pytest.raises(TargetNotReady):
        Target.start(unready, seed=1, log_dir=tmp_path)


def test_needs_come_first_and_their_failure_is_not_the_targets(tmp_path: Path, program: Path) -> None:
    """The target is not even started when a need of it dies, and the exit status says not measured."""
    need = Need(name="exchange", command=f"{{python}} {program} exits", ready="tcp://127.0.0.1:{port:exchange}")
    broken = TargetConfig(command=f"{{python}} {program} quiet", ready="stdout:^ready", needs=(need,))
    with pytest.raises(TargetDied, match="The need exchange ended with exit status 3") as caught:
        Target.start(broken, seed=1, log_dir=tmp_path / "logs")
    assert caught.value.exit_code == 4
    assert not (tmp_path / "logs" / "target.log").exists()


def test_a_placeholder_means_the_same_everywhere(tmp_path: Path, program: Path) -> None:
    """Need, target, URL and environment see one port, one seed, one token and one folder."""
    need = Need(name="exchange", command=f"{{python}} {program} tcp {{port:x}}", ready="tcp://127.0.0.1:{port:x}")
    telling = TargetConfig(
        command=f"{{python}} {program} tells {{port:x}} {{seed}} {{dir}}",
        url="http://127.0.0.1:{port:x}",
        ready="stdout:^ready",
        env={"TOKEN": "{token}"},
        needs=(need,),
    )
    with Target.start(telling, seed=7, log_dir=tmp_path / "logs") as target:
        folder, port, token = target.values.dir, target.ports["x"], target.token
        assert target.url == f"http://127.0.0.1:{port}"
        assert folder.is_dir()
    told = (tmp_path / "logs" / "target.log").read_text().splitlines()[0]
    assert told == f"{port} 7 {folder} {token}"
    assert len(token) >= 32
    assert not folder.exists()


def test_kill_and_restart_leave_the_needs_up(tmp_path: Path, program: Path) -> None:
    """After a crash the target comes back with its ports, its token and its folder, beside the same need."""
    need = Need(name="exchange", command=f"{{python}} {program} tcp {{port:x}}", ready="tcp://127.0.0.1:{port:x}")
    crashing = TargetConfig(
        command=f"{{python}} {program} http {{port:api}} 200",
        url="http://127.0.0.1:{port:api}/health",
        ready="http://127.0.0.1:{port:api}/health",
        needs=(need,),
    )
    with Target.start(crashing, seed=1, log_dir=tmp_path / "logs") as target:
        need_pids = alive(tmp_path) - {target.pid}
        before = (target.pid, target.url, target.token, target.values.dir)
        target.kill()
        assert not target.alive()
        with pytest.raises(TargetDied, match="killed by signal 9"):
            target.check_alive()
        target.restart()
        target.check_alive()
        assert target.pid != before[0]
        assert (target.url, target.token, target.values.dir) == before[1:]
        assert len(need_pids & alive(tmp_path)) == 2  # the need and its guard; the target's old guard is gone
        with urllib.request.urlopen(target.url, timeout=WAIT_S) as answer:  # noqa: S310 - our own http URL
            assert answer.status == 200
    assert alive(tmp_path) == set()


def test_a_target_gets_default_signals_and_no_input(tmp_path: Path) -> None:
    """What Python ignores and the guard holds open does not leak into the program under test."""
    script = "grep SigIgn /proc/self/status; cat; ls /proc/self/fd; echo ready; sleep 60"
    with Target.start(TargetConfig(command=f"sh -c '{script}'", ready="stdout:ready"), seed=1, log_dir=tmp_path):
        pass
    # What whoever runs these tests ignores is inherited, and not ours to restore; what Python ignores is, and what the
    # guard listens to.
    own = re.search(r"SigIgn:\s*([0-9a-f]+)", Path("/proc/self/status").read_text())
    assert own is not None
    of_python, of_the_guard = {signal.SIGPIPE, signal.SIGXFSZ}, {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    inherited = int(own[1], 16) & ~sum(1 << (number - 1) for number in of_python | of_the_guard)
    # `ls` has a fourth descriptor: the folder that it lists.
    said = (tmp_path / "target.log").read_text().split()
    assert said == ["SigIgn:", f"{inherited:016x}", "0", "1", "2", "3", "ready"]


def test_free_ports_are_all_different() -> None:
    """Names that are asked for together never share a port."""
    ports = free_ports([f"p{number}" for number in range(50)])
    assert len(set(ports.values())) == 50


def test_filling_splits_before_it_replaces(tmp_path: Path) -> None:
    """A folder with a space in its name stays one argument."""
    values = Values(python="/a b/python", seed=1, dir=tmp_path / "c d", token="t", ports={"x": 5})
    assert values.argv("{python} --dir={dir}/e '{\"json\": {port:x}}'") == [
        "/a b/python",
        f"--dir={tmp_path}/c d/e",
        '{"json": 5}',
    ]


def test_our_descriptors_and_children_are_as_before(tmp_path: Path, program: Path) -> None:
    """A start and a stop leak neither a file nor a process of ours."""

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), len(psutil.Process().children())

    with Target.start(config(program, "quiet"), seed=1, log_dir=tmp_path / "logs"):
        pass
    before = held()
    with Target.start(config(program, "forks"), seed=1, log_dir=tmp_path / "logs"):
        pass
    assert held() == before
