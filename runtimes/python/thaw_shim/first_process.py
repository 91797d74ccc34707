"""The program that process 1 of a sandbox runs: a list of system calls, after which it waits for ever.

It has no libraries and no heap. An interpreter, or any program of the system, needs a hundred times its memory and four
times the processor's time until it sleeps, in each sandbox. There is machine code for the processors in ``_SYSTEM_CALLS``;
on others a sandbox has ``/bin/sleep``.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Optional, Union

    Argument = Union[int, bytes]

#: Where the program finds what it was given.
GROUP_FD = 100
NETWORK_FD = 101

#: As the program of the system that it replaces.
_NAME = b"sleep\0"
_BASE = 0x400000
_ELF_BYTES = 64
_SEGMENT_BYTES = 56
#: Of one system call in the list: its number and six arguments.
_CALL_BYTES = 64
_END = 0xFFFFFFFFFFFFFFFF

# As in Linux's headers, on every architecture.
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_STRICT = 1
_SIGKILL = 9
_SIGCHLD = 17
_SIG_IGN = 1
_SIGNAL_SET_BYTES = 8
_CAPABILITY_HEADER = struct.pack("<Ii", 0x20080522, 0)
_NO_CAPABILITIES = bytes(24)
_IGNORE = struct.pack("<QQQQ", _SIG_IGN, 0, 0, 0)

_SYSTEM_CALLS = {
    "x86_64": {
        "write": 1,
        "rt_sigaction": 13,
        "chdir": 80,
        "setgroups": 116,
        "setresuid": 117,
        "setresgid": 119,
        "capset": 126,
        "prctl": 157,
        "chroot": 161,
        "unshare": 272,
        "eventfd2": 290,
        "setns": 308,
        "close_range": 436,
    }
}


def first_program(machine: str, uid: int, root: str, joins_network: bool) -> Optional[bytes]:
    """An executable file; None where there is none for this machine.

    It enters the group behind ``GROUP_FD``, joins the network behind ``NETWORK_FD`` or makes one, shuts itself into the
    empty directory ``root``, lets go of everything that it holds and becomes ``uid``. In the end the kernel lets it do
    nothing but read and write what it has open, which is an event that never comes. Where a step fails it ends with the
    step's number, counted from 1.
    """
    numbers = _SYSTEM_CALLS.get(machine)
    if numbers is None:
        return None
    calls: list[tuple[str, tuple[Argument, ...]]] = [
        ("prctl", (_PR_SET_NAME, _NAME)),
        ("write", (GROUP_FD, b"0", 1)),
        ("setns", (NETWORK_FD, _CLONE_NEWNET)) if joins_network else ("unshare", (_CLONE_NEWNET,)),
        ("chroot", (os.fsencode(root) + b"\0",)),
        ("chdir", (b"/\0",)),
        ("close_range", (0, 0xFFFFFFFF, 0)),
        # The lowest number is free, so this is 0.
        ("eventfd2", (0, 0)),
        ("prctl", (_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)),
        ("prctl", (_PR_SET_NO_NEW_PRIVS, 1)),
        ("setgroups", (0, 0)),
        ("setresgid", (uid, uid, uid)),
        ("setresuid", (uid, uid, uid)),
        ("capset", (_CAPABILITY_HEADER, _NO_CAPABILITIES)),
        # Cleared by the change of user.
        ("prctl", (_PR_SET_PDEATHSIG, _SIGKILL)),
        # Whatever ends is collected by the kernel.
        ("rt_sigaction", (_SIGCHLD, _IGNORE, 0, _SIGNAL_SET_BYTES)),
        ("prctl", (_PR_SET_SECCOMP, _SECCOMP_MODE_STRICT)),
    ]
    return _executable([(numbers[name], arguments) for name, arguments in calls])


def _executable(calls: Iterable[tuple[int, tuple[Argument, ...]]]) -> bytes:
    """One segment: headers, code, the list of calls, and what they point to."""
    calls = list(calls)
    start = _ELF_BYTES + _SEGMENT_BYTES
    table = (start + len(_x86_64(0, 0)) + 7) & ~7
    data_at = table + _CALL_BYTES * len(calls) + 8
    data = bytearray(8)
    rows = b""
    for number, arguments in calls:
        values = [number]
        for argument in arguments:
            if isinstance(argument, bytes):
                values.append(_BASE + data_at + len(data))
                data += argument + bytes(-len(argument) % 8)
            else:
                values.append(argument)
        rows += struct.pack("<8Q", *values, *[0] * (8 - len(values)))
    rows += struct.pack("<Q", _END)
    code = _x86_64(_BASE + table, _BASE + data_at)
    size = data_at + len(data)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    # An executable for x86-64, without sections.
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + start, _ELF_BYTES, 0, 0, _ELF_BYTES, _SEGMENT_BYTES, 1, 0, 0, 0)
    # Loaded to be read and executed; the eight bytes that a read would fill are never filled.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return (identity + head + segment + code).ljust(table, b"\0") + rows + bytes(data)


def _x86_64(table: int, buffer: int) -> bytes:
    address = struct.pack("<I", table)
    return b"".join(
        (
            b"\xbb" + address,  # mov ebx, table
            b"\x48\x8b\x03",  # next: mov rax, [rbx]
            b"\x48\x83\xf8\xff",  # cmp rax, -1
            b"\x74\x26",  # je wait
            b"\x48\x8b\x7b\x08",  # mov rdi, [rbx+8]
            b"\x48\x8b\x73\x10",  # mov rsi, [rbx+16]
            b"\x48\x8b\x53\x18",  # mov rdx, [rbx+24]
            b"\x4c\x8b\x53\x20",  # mov r10, [rbx+32]
            b"\x4c\x8b\x43\x28",  # mov r8, [rbx+40]
            b"\x4c\x8b\x4b\x30",  # mov r9, [rbx+48]
            b"\x0f\x05",  # syscall
            b"\x48\x85\xc0",  # test rax, rax
            b"\x78\x19",  # js failed
            b"\x48\x83\xc3\x40",  # add rbx, 64
            b"\xeb\xd2",  # jmp next
            b"\x90",  # nop
            b"\x31\xc0",  # wait: xor eax, eax (read)
            b"\x31\xff",  # xor edi, edi
            b"\xbe" + struct.pack("<I", buffer),  # mov esi, buffer
            b"\xba\x08\x00\x00\x00",  # mov edx, 8
            b"\x0f\x05",  # syscall
            b"\xeb\xee",  # jmp wait
            b"\x48\x89\xdf",  # failed: mov rdi, rbx
            b"\x48\x81\xef" + address,  # sub rdi, table
            b"\x48\xc1\xef\x06",  # shr rdi, 6
            b"\x48\xff\xc7",  # inc rdi
            b"\xb8\x3c\x00\x00\x00",  # mov eax, 60 (exit)
            b"\x0f\x05",  # syscall
        )
    )
