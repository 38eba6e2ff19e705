"""The door from a Python process to the callgrind that it runs under: counting switched on and off from within.

    worker.py ──start, toggle, calls, toggle, dump──▶ callgrind ──a file a dump──▶ `tidegauge.bench.counts.callgrind`

A client request is a sequence of instructions that does nothing on a CPU and that valgrind takes as a call: four
rotations that cancel out, and a marker. C programs get it from a macro; here its bytes are written into a page of
memory and called through ctypes, so that the measured Python needs neither a compiler nor a package of ours. What
one request costs inside the counted region is the same each time; the worker measures it and it is taken off.

It is loaded by path, by the Python of the side that is measured: the standard library and nothing else.
"""

import ctypes
import mmap
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RUNNING_ON_VALGRIND = 0x1001
CALLGRIND = ord("C") << 24 | ord("T") << 16
DUMP, ZERO, TOGGLE_COLLECT, START, STOP = (CALLGRIND + number for number in (0, 1, 2, 4, 5))
ARGUMENTS = 6  # the request's number and five arguments, of which ours have none
# mov rax, &arguments; xor edx, edx; rol rdi, 3, 13, 61, 51; xchg rbx, rbx; mov rax, rdx; ret
X86_64 = b"\x48\xb8%b" + bytes.fromhex("31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
STUB_BYTES = 64


class Meter:
    """Requests as functions without arguments. Each returns 0, so that `toggle` can stand where a clock stands."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._arguments: list[ctypes.Array[ctypes.c_uint64]] = []
        if not self._request(RUNNING_ON_VALGRIND)():
            raise RuntimeError("this process does not run under valgrind")
        self.start, self.stop = self._request(START), self._request(STOP)
        self.toggle, self.zero, self.dump = (self._request(number) for number in (TOGGLE_COLLECT, ZERO, DUMP))

    def _request(self, number: int) -> "Callable[[], int]":
        arguments = (ctypes.c_uint64 * ARGUMENTS)(number)
        at = len(self._arguments) * STUB_BYTES
        self._arguments.append(arguments)  # the code below holds its address
        code = X86_64 % struct.pack("<Q", ctypes.addressof(arguments))
        self._page[at : at + len(code)] = code
        return ctypes.CFUNCTYPE(ctypes.c_long)(self._address + at)
