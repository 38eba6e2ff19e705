"""Runs one command and sees to it that nothing the command started outlives us.

    tidegauge ──control pipe──▶ guard ──fork, exec──▶ command ──▶ whatever it starts
              ◀─status pipe────

The guard is a process of its own, in a session of its own. On Linux it is a *subreaper*: a process whose
parent ends, however often it forked and whatever session it made, becomes the guard's child. The guard ends
the tree (SIGTERM, a grace period, then SIGKILL until none is left) when the control pipe reaches its end,
which it also does if tidegauge is killed, and when the command itself ends. If the guard is killed, the
kernel kills the command (PR_SET_PDEATHSIG). Elsewhere only the command's process group is ended: what
makes itself a new session escapes.

On the control pipe the byte `K` kills the command alone. On the status pipe come the lines
`started PID MONOTONIC_NS`, `exit STATUS` (negative: a signal), `error ERRNO`, `left COUNT`.

It is run as a file under `python -I -S` and imports only what Python has loaded anyway, plus ctypes:
it is up in about 15 ms. Usage: guard.py CONTROL_FD STATUS_FD GRACE_S COMMAND...
"""

import ctypes
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than all of this file
    from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LINUX = sys.platform == "linux"
# How often a parent that vanished without closing the pipe is looked for: a fork of it may hold the pipe open.
PARENT_CHECK_MS = 1_000
RESCAN_S = 0.02
# A process stuck inside the kernel cannot be killed; after this long the guard reports it and gives up.
KILL_S_MAX = 10.0


def main(arguments: list[str]) -> int:
    """Runs until nothing of the command is left."""
    control, status, grace_s, command = int(arguments[0]), int(arguments[1]), float(arguments[2]), arguments[3:]
    for descriptor in (control, status):
        os.set_inheritable(descriptor, False)
    parent = os.getppid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake = wake_on_signals()
    child = start(command, status)
    wait_for_end(control, status, wake, child, parent)
    left = end_tree(child, status, wake, grace_s)
    if left:
        tell(status, f"left {left}")
    return 0


def start(command: list[str], status: int) -> int:
    """Forks and executes; says `started` only once the command really runs."""
    guard = os.getpid()
    failure, failed = os.pipe()  # closed by a successful exec, so that reading it ends in silence
    started_ns = time.monotonic_ns()
    child = os.fork()
    if not child:
        execute(command, guard, failed)
    os.close(failed)
    errno = os.read(failure, 16)
    tell(status, f"error {errno.decode()}" if errno else f"started {child} {started_ns}")
    return child


def execute(command: list[str], guard: int, failed: int) -> "NoReturn":
    """The child's half of `start`."""
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:  # the guard died before the kernel knew what to do about it
            os._exit(1)
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        os.execvp(command[0], command)  # noqa: S606 - to run what the user configured is the purpose
    except OSError as error:
        os.write(failed, str(error.errno).encode())
    finally:
        os._exit(127)


def wait_for_end(control: int, status: int, wake: int, child: int, parent: int) -> None:
    """Returns when the command ended, when we are asked to stop, or when nobody is there to ask."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while os.getppid() == parent:
        ready = dict(poll.poll(PARENT_CHECK_MS))
        if wake in ready and any(number != signal.SIGCHLD for number in os.read(wake, 512)):
            return
        if control in ready:
            if os.read(control, 1) != b"K":
                return
            signal_process(child, signal.SIGKILL)
        if child in reap(child, status):
            return


def end_tree(child: int, status: int, wake: int, grace_s: float) -> int:
    """Ends everything below us; returns how many could not be ended."""
    for process in below(child):
        signal_process(process, signal.SIGTERM)
        signal_process(process, signal.SIGCONT)  # a stopped process could not obey
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    now = time.monotonic()
    kill_at, give_up_at = now + grace_s, now + grace_s + KILL_S_MAX
    while something_left(child, status) and now < give_up_at:
        if now >= kill_at:
            for process in below(child):
                signal_process(process, signal.SIGKILL)
        if poll.poll(RESCAN_S * 1_000):
            os.read(wake, 512)
        now = time.monotonic()
    return len(below(child))


def something_left(child: int, status: int) -> bool:
    """Every descendant is, or becomes, our child on Linux; elsewhere the group is all we can see."""
    try:
        reap(child, status)
    except ChildProcessError:
        return not LINUX and bool(below(child))
    return True


def reap(child: int, status: int) -> list[int]:
    """Collects what ended; raises ChildProcessError when there is no child at all."""
    ended: list[int] = []
    while True:
        try:
            process, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if ended:
                return ended
            raise
        if not process:
            return ended
        ended.append(process)
        if process == child:
            tell(status, f"exit {os.waitstatus_to_exitcode(wait_status)}")


def below(child: int) -> list[int]:
    """The processes to end: on Linux every living descendant, elsewhere the command's group, as -PGID."""
    if not LINUX:
        try:
            os.killpg(child, 0)
        except OSError:
            return []
        return [-child]
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would triple the start-up time
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                    # The command's name, in brackets, may hold anything: fields count from the last bracket.
                    process_parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it ended between the listing and the reading
            children.setdefault(process_parent, []).append(int(name))
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        of_this = children.get(todo.pop(), [])
        found += of_this
        todo += of_this
    return found


def signal_process(process: int, number: int) -> None:
    """Sends a signal; a process that ended meanwhile needs none."""
    try:
        os.kill(process, number)
    except OSError:
        return


def tell(status: int, line: str) -> None:
    """Writes a status line; when tidegauge is gone there is nobody to tell."""
    try:
        os.write(status, line.encode() + b"\n")
    except OSError:
        return


def wake_on_signals() -> int:
    """Makes signals readable from a descriptor, so that one poll waits for everything."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return read_end


def prctl(option: int, value: int) -> None:
    """Linux only; a kernel that refuses leaves us with what is done elsewhere."""
    if LINUX:
        zero = ctypes.c_ulong(0)
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), zero, zero, zero)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
