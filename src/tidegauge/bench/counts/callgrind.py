"""callgrind, from outside: whether it is here, how it is called, and what it wrote, function by function.

    find_valgrind ──▶ Valgrind ──below──▶ the command that a worker runs below
    a dump of callgrind's ──read_dump──▶ Dump: all instructions, and those of each function in C

callgrind counts every instruction that the process executes while counting is on, whatever else the machine does.
It knows functions by their symbols; all Python code is `_PyEval_EvalFrameDefault` to it.

valgrind knows no AVX-512 and tells programs that ask the CPU so: numpy and OpenBLAS then take AVX2. It computes each
fused multiply-add by a call, which takes ten times as long, and 50 in a loop of them: OpenBLAS is kept to AVX, and
numba multiplies and adds apart. numba asks too, but finds its compiled code by the answer: the answer is given to it
beforehand, so that what a run without valgrind compiled is found by the runs below it, which would need minutes to
compile it. Code that was compiled for AVX-512 and does not ask dies of an illegal instruction.
"""

import contextlib
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from tidegauge.machine import find_tools

PROBE_S_MAX = 5.0
WITHOUT = "Or leave them out: --tier cpu,wall,values."
OUT = "callgrind"
LOG = "valgrind.log"
DUMP_BYTES_MAX = 64 * 1024 * 1024
CPUINFO = Path("/proc/cpuinfo")
# The CPU that valgrind pretends to be where the real one knows AVX2, as LLVM names it; it computes `fma` by calls.
AVX2 = {
    "OPENBLAS_CORETYPE": "Sandybridge",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": (
        "+64bit,+aes,+avx,+avx2,+bmi,+bmi2,+cmov,+crc32,+cx16,+cx8,+f16c,-fma,+fxsr,+lzcnt,+mmx,+movbe,+pclmul,"
        "+popcnt,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3"
    ),
}
NAMED = re.compile(r"\((\d+)\)(?: (.*))?")
# Each level of a recursion is a function of its own to callgrind: `name'2`.
RECURSION = re.compile(r"'\d+$")


class Valgrind(msgspec.Struct, frozen=True):
    """How to run a program below valgrind; `prefix` switches address randomization off where that is permitted."""

    path: str
    prefix: tuple[str, ...]

    def below(self, folder: Path) -> tuple[str, ...]:
        """The command before the program's own; what it writes goes into `folder`."""
        quoted = str(folder).replace("%", "%%")
        return (
            *self.prefix,
            *(self.path, "-q", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no"),
            # Without lines: nothing of ours reads them. Turns in order: threads then take them alike in each run.
            *("--dump-line=no", "--fair-sched=try", "--sigill-diagnostics=yes"),
            *(f"--callgrind-out-file={quoted}/{OUT}.%p", f"--log-file={quoted}/{LOG}"),
        )


class Cost(msgspec.Struct, frozen=True, array_like=True):
    """Instructions within one function, and with all that it called."""

    own: int
    inclusive: int


class Dump(msgspec.Struct, frozen=True):
    """One dump. Functions are named `library:function`."""

    instructions: int
    functions: dict[str, Cost]


def find_valgrind() -> Valgrind | str:
    """valgrind, or the sentences that say why instructions cannot be counted here, and what to do."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        here = f"{platform.machine()} under {sys.platform}"
        return f"instructions are counted on x86-64 under Linux, and this is {here}. {WITHOUT}"
    tool = next(tool for tool in find_tools() if tool.name == "valgrind")
    path = shutil.which("valgrind")
    if not tool.present or path is None:
        return f"valgrind is not here, so no instructions are counted. {tool.remedy} {WITHOUT}"
    return Valgrind(path, _without_randomization())


def environment() -> dict[str, str]:
    """What is set for everything that the instruction tier runs, and for nothing else."""
    with contextlib.suppress(OSError):
        flags = next((line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")), "")
        if "avx2" in flags.split():
            return dict(AVX2)
    return {}


def read_dump(folder: Path, process: int, number: int) -> Dump:
    """Dump `number`, counted from one, of a process that ran below `Valgrind.below(folder)`."""
    with (folder / f"{OUT}.{process}.{number}").open() as file:
        return parse_dump(file.read(DUMP_BYTES_MAX))


def remove_dumps(folder: Path, process: int) -> None:
    """Theirs are read, and a suite has many."""
    for path in (folder / f"{OUT}.{process}", *folder.glob(f"{OUT}.{process}.*")):
        path.unlink(missing_ok=True)


def parse_dump(text: str) -> Dump:
    """callgrind's format, version 1: names stand once and are numbers after that; costs follow their function."""
    libraries: dict[str, str] = {}
    functions: dict[str, str] = {}
    own: dict[str, int] = {}
    of_calls: dict[str, int] = {}
    total = 0
    library = function = ""
    costs = own
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if line[:1].isdigit() or line[:1] in {"+", "-", "*"}:
            costs[function] = costs.get(function, 0) + int(line.split()[1])
            costs = own
        elif line.startswith("totals:"):
            total = int(line.split()[1])
        elif key in {"ob", "cob"}:
            name = _name(libraries, value)
            library = name if key == "ob" else library
        elif key in {"fn", "cfn"}:
            name = _name(functions, value)
            function = f"{Path(library).name}:{name}" if key == "fn" else function
        elif key == "calls":
            costs = of_calls  # the line after this one is what the call cost
    return Dump(total, _costs(own, of_calls))


def _costs(own: dict[str, int], of_calls: dict[str, int]) -> dict[str, Cost]:
    """The levels of a recursion summed up; the outermost includes the others."""
    found: dict[str, Cost] = {}
    for function in sorted(own.keys() | of_calls.keys()):
        name = RECURSION.sub("", function)
        spent = own.get(function, 0)
        before = found.get(name, Cost(0, 0))
        found[name] = Cost(before.own + spent, before.inclusive or spent + of_calls.get(function, 0))
    return found


def _name(known: dict[str, str], value: str) -> str:
    match = NAMED.fullmatch(value.strip())
    if match is None:
        return value.strip()
    number, name = match.groups()
    return known.setdefault(number, name) if name is not None else known.get(number, "?")


def _without_randomization() -> tuple[str, ...]:
    """`setarch -R` where it is there and permitted: containers often forbid it, and valgrind places most alike."""
    path = shutil.which("setarch")
    if path is None:
        return ()
    command = (path, "-R")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # noqa: S603 - a fixed command
            [*command, "true"], check=True, capture_output=True, timeout=PROBE_S_MAX
        )
        return command
    return ()
