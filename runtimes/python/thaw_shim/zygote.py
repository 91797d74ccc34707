"""What ``zygote.py`` does until it is a shim. Trusted with root's rights: no user code may ever run before ``_become``."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time

from .first_process import GROUP_FD, NETWORK_FD, first_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn, Optional

#: What is the host's and only for the time before a sandbox is closed.
_HOST = "/run/thaw/host"
#: Stays so: process 1 of each sandbox has it for its root.
_EMPTY = _HOST + "/empty"

# As in Linux's headers, on every architecture.
_CLONE_NEWNS = 0x20000
_CLONE_NEWCGROUP = 0x2000000
_CLONE_NEWUTS = 0x4000000
_CLONE_NEWIPC = 0x8000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_MS_RDONLY = 1
_MS_NOSUID = 2
_MS_NODEV = 4
_MS_NOEXEC = 8
_MS_REMOUNT = 32
_MS_BIND = 4096
_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_PR_SET_DUMPABLE = 4
_NOBODY = 65534
#: Of ``struct sock_filter``.
_INSTRUCTION_BYTES = 8
_DESCRIPTORS_MAX = 1024
#: What a request may be, so that one cannot fill the memory.
_LINE_BYTES_MAX = 65536

#: Imported once for all: what the shim needs itself, and what most functions import first.
_COMMON_MODULES = (
    "thaw_shim.runner",
    "thaw_shim.wsgi",
    "thaw_shim.errors",
    "base64",
    "collections",
    "contextlib",
    "datetime",
    "functools",
    "hashlib",
    "io",
    "itertools",
    "json",
    "logging",
    "math",
    "random",
    "re",
    "string",
    "time",
    "traceback",
    "typing",
    "urllib.parse",
)

_own_pid = os.getpid()
#: First processes by the shims beside them.
_firsts: dict[int, int] = {}
#: Whether all members of the groups at a place can be ended at once.
_ending: dict[str, bool] = {}
#: CAP_SETGID, CAP_SETUID, CAP_SYS_CHROOT, CAP_SYS_ADMIN.
_FIRST_CAPABILITIES = 1 << 6 | 1 << 7 | 1 << 18 | 1 << 21
#: The interpreter's lists of what is called at a fork, while they are empty, with what belongs there.
_forkers: list[tuple[list[Callable[[], object]], list[Callable[[], object]]]] = []
#: Executables for process 1, by whether it joins a network or makes one; none where it is to be a program of the system.
_first_files: dict[bool, str] = {}
#: For the one that is tried: it takes less than one millisecond.
_FIRST_S_MAX = 5.0

_libc = ctypes.CDLL(None, use_errno=True)
#: Its calls keep the interpreter's lock.
_bare = ctypes.PyDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def serve(executes: bool = False) -> None:
    """Takes requests until the launcher is gone. Returns only in a process that is to be a shim.

    With ``executes`` every request names a command, which takes the place of the shim.
    """
    for name in ("THAW_STEM", "LD_BIND_NOW"):
        os.environ.pop(name, None)
    with open(_HOST + "/seccomp.bpf", "rb") as file:
        rules = file.read()
    if not executes:
        for name in _COMMON_MODULES:
            __import__(name)
        sys.modules["thaw_shim.logs"].make_logging_ready()
        _put_off_forkers()
    _let_first_inherit()
    _let_nothing_gain()
    why_not = _open_first_files()
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    gc.collect()
    gc.freeze()
    if why_not is not None:
        _tell({"note": "process 1 of a sandbox is a program of the system, which takes longer to start: %s" % why_not})
    _tell({"up": os.getpid()})
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    waiting.register(readable, select.POLLIN)
    rest = b""
    while True:
        ready = [descriptor for descriptor, _ in waiting.poll()]
        if readable in ready:
            _drain(readable)
            _tell_ends()
        if 0 in ready:
            chunk = os.read(0, _LINE_BYTES_MAX)
            if not chunk:
                os._exit(0)
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE_BYTES_MAX:
                os._exit(1)
            for line in lines:
                if _fork(json.loads(line), rules, own_pids):
                    return


def _put_off_forkers() -> None:
    """Takes out what modules want to be called at a fork; ``_after_fork`` puts it back for the forks of user code.

    It begins anew what other threads may hold, of which there are none here, and touches so much memory by that that it
    costs half a millisecond in each shim. What is not known to do no more than that stays, and all else with it.
    """
    random, threading, logging = (sys.modules[name] for name in ("random", "threading", "logging"))
    known = (random.seed, logging._lock.acquire, logging._lock.release)
    found = []
    for kind in ("before", "after_in_parent", "after_in_child"):

        def mark() -> None:
            pass

        os.register_at_fork(**{kind: mark})
        lists = [holder for holder in gc.get_referrers(mark) if type(holder) is list]
        for holder in lists:
            holder.remove(mark)
        if len(lists) != 1:
            return
        found += lists
    modules = (threading.__name__, logging.__name__)
    if all(call in known or getattr(call, "__module__", "") in modules for calls in found for call in calls):
        for calls in found:
            _forkers.append((calls, calls[:]))
            calls.clear()


def _after_fork() -> None:
    if not _forkers:
        return
    for calls, members in _forkers:
        calls[:] = members
    sys.modules["random"].seed()
    # The number by which the system knows the thread.
    sys.modules["threading"].main_thread()._set_native_id()


def _let_first_inherit() -> None:
    """What the program of process 1 needs to go where it belongs; both kinds of processes lose it there."""
    header = _CapabilityHeader(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(ctypes.byref(header), sets), "capget")
    # Those in force, those that could be, those that are inherited; then the same for higher numbers.
    sets[2] |= sets[1] & _FIRST_CAPABILITIES
    _check(_libc.capset(ctypes.byref(header), sets), "capset")


def _open_first_files() -> Optional[str]:
    """Why process 1 of the sandboxes cannot run the program that is made for it."""
    machine = os.uname().machine
    try:
        for joins_network in (True, False):
            program = first_program(machine, _NOBODY, _EMPTY, joins_network)
            if program is None:
                return "there is none for %s" % machine
            descriptor = os.memfd_create("sleep")
            os.write(descriptor, program)
            _first_files[joins_network] = "/proc/self/fd/%d" % descriptor
            _try_first(joins_network)
    except (AttributeError, OSError) as error:
        _first_files.clear()
        return str(error)
    return None


def _try_first(joins_network: bool) -> None:
    """Raises OSError unless it comes as far as to wait, which shows in what the kernel still allows it."""
    network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    nothing = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    pid = 0
    try:
        pid = _spawn_first(nothing, network if joins_network else None)
        limit = time.monotonic() + _FIRST_S_MAX
        while time.monotonic() < limit:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                pid = 0
                raise OSError("it ended with status %d" % status)
            with open("/proc/%d/status" % pid) as file:
                if "Seccomp:\t1\n" in file.read():
                    return
            time.sleep(0.001)
        raise OSError("it did not come to rest")
    finally:
        os.close(network)
        os.close(nothing)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _spawn_first(group: int, network: Optional[int]) -> int:
    """This process is not copied for it, which would take longer than all that it does."""
    given = [(os.POSIX_SPAWN_DUP2, group, GROUP_FD)]
    if network is not None:
        given.append((os.POSIX_SPAWN_DUP2, network, NETWORK_FD))
    return os.posix_spawn(_first_files[network is not None], ["sleep"], {}, file_actions=given)


def _start_first(request: dict[str, Any], rules: bytes) -> int:
    groups = _groups_of_first(request)
    if len(groups) != 1 or not _first_files:
        first = _bare_fork()
        if first == 0:
            _be_first(request, groups, rules)
        return first
    members = _open_members(groups[0], request)
    network = None
    try:
        if request["network"]:
            network = _open_network(request["network"])
        return _spawn_first(members, network)
    finally:
        os.close(members)
        if network is not None:
            os.close(network)


def _fork(request: dict[str, Any], rules: bytes, own_pids: int) -> bool:
    """Whether this is the shim."""
    # Children are processes 1 and 2 of new process ids from here on, and this one stays where it is.
    _check(_libc.unshare(_CLONE_NEWPID), "unshare")
    first = 0
    try:
        first = _start_first(request, rules)
        shim = os.fork()
        if shim == 0:
            _become_shim(request, rules)
            if "command" in request:
                _execute(request["command"], request["environment"])
            return True
        _firsts[shim] = first
        _tell({"forked": request["id"], "pid": shim})
    except OSError as error:
        if first > 0:
            os.kill(first, signal.SIGKILL)
        _tell({"failed": request["id"], "reason": "fork: %s" % error})
    finally:
        if os.getpid() == _own_pid:
            _check(_libc.setns(own_pids, _CLONE_NEWPID), "setns")
    return False


def _bare_fork() -> int:
    """A fork for what becomes another program at once: the interpreter is not made ready to live on in the child."""
    pid = _bare.fork()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def _groups_of_first(request: dict[str, Any]) -> list[str]:
    """What only sleeps needs no limits: it is where all of a sandbox is frozen and killed, or, without that, everywhere."""
    groups = request["groups"]
    return [place for place in groups if _can_end(place, request["id"])] or groups


def _can_end(place: str, name: str) -> bool:
    known = _ending.get(place)
    if known is None:
        known = _ending[place] = os.path.exists("%s/%s/%s/cgroup.kill" % (_HOST, place, name))
    return known


def _be_first(request: dict[str, Any], groups: list[str], rules: bytes) -> NoReturn:
    """Process 1: its end would be the end of all, and what loses its parent becomes its child and is forgotten.

    It becomes a program that is a tenth of an interpreter. It belongs to nobody, so that the sandbox's user can neither
    write its memory nor look through its eyes, and sees nothing that others see.
    """
    try:
        signal.set_wakeup_fd(-1)
        _enter_spaces(request, groups)
        for shared in (_HOST, "/proc", "/tmp", "/dev/shm", "/dev/pts"):
            _check(_libc.umount2(shared.encode(), _MNT_DETACH), "umount2")
        os.closerange(0, _DESCRIPTORS_MAX)
        _drop_rights(_NOBODY, rules)
        # Cleared by the change of user. The zygote lives as long as the launcher does.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Kept by the program: whatever ends is collected by the kernel.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.execve("/bin/sleep", ["sleep", "2147483647"], {})
    except BaseException as error:
        _fail(request, error)


def _become_shim(request: dict[str, Any], rules: bytes) -> None:
    control = os.dup(1)
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _after_fork()
        _enter_spaces(request, request["groups"])
        os.setsid()
        _connect_streams(request)
        _mount_own(request)
        os.chdir("/")
        _drop_rights(request["uid"], rules)
        # Both are cleared by the change of user. Without the second one its own entries in /proc would not be its own.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_DUMPABLE, 1)
    except BaseException as error:
        os.dup2(control, 1)
        _fail(request, error)
    os.write(control, _line({"ready": request["id"]}))
    os.closerange(3, _DESCRIPTORS_MAX)
    os.environ["THAW_LINK"] = request["link"]


def _execute(command: list[str], environment: dict[str, str]) -> NoReturn:
    """As a program expects to begin that no interpreter has started. What cannot be is told as a shell would."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(command[0], command, environment)
    except OSError as error:
        os.write(2, ("%s: %s\n" % (command[0], error.strerror)).encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _fail(request: dict[str, Any], error: BaseException) -> NoReturn:
    try:
        os.write(1, _line({"failed": request["id"], "reason": "%s: %s" % (type(error).__name__, error)}))
    finally:
        os._exit(1)


def _enter_spaces(request: dict[str, Any], groups: list[str]) -> None:
    for place in groups:
        members = _open_members(place, request)
        os.write(members, b"0")
        os.close(members)
    network = request["network"]
    spaces = _CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWUTS | _CLONE_NEWCGROUP
    _check(_libc.unshare(spaces if network else spaces | _CLONE_NEWNET), "unshare")
    if network:
        joined = _open_network(network)
        _check(_libc.setns(joined, _CLONE_NEWNET), "setns")
        os.close(joined)


def _open_members(place: str, request: dict[str, Any]) -> int:
    return os.open("%s/%s/%s/cgroup.procs" % (_HOST, place, request["id"]), os.O_WRONLY | os.O_CLOEXEC)


def _open_network(name: str) -> int:
    return os.open("%s/netns/%s" % (_HOST, name), os.O_RDONLY | os.O_CLOEXEC)


def _connect_streams(request: dict[str, Any]) -> None:
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect("%s/i/%s" % (_HOST, request["output"]))
        stream.sendall(("%s %s\n" % (name, request["id"])).encode())
        os.dup2(stream.fileno(), number)
        stream.close()


def _mount_own(request: dict[str, Any]) -> None:
    """After this nothing of the host is in reach."""
    socket.sethostname("thaw")
    if not request["network"]:
        _bring_loopback_up()
    places = "%s/late/%s/m" % (_HOST, request["id"])
    _mount(places + "/tmp", "/tmp", None, _MS_BIND)
    for index, target in enumerate(request["targets"]):
        _bind_read_only("%s/%d" % (places, index), target)
    # These come from mounts that are read-only, and are so by that.
    _mount("%s/i/%s" % (_HOST, request["linkDirectory"]), os.path.dirname(request["link"]), None, _MS_BIND)
    for name in ("passwd", "group"):
        _mount("%s/users/%d.%s" % (_HOST, request["uid"], name), "/etc/" + name, None, _MS_BIND)
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    for name in ("sys", "sysrq-trigger", "irq", "bus"):
        if os.path.exists("/proc/" + name):
            _bind_read_only("/proc/" + name, "/proc/" + name, _MS_NOEXEC)
    terminals = "newinstance,ptmxmode=0666,mode=620"
    _mount("devpts", "/dev/pts", "devpts", _MS_NOSUID | _MS_NOEXEC, terminals)
    shared = "mode=1777,size=%d" % request["sharedBytes"]
    _mount("tmpfs", "/dev/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, shared)
    _check(_libc.umount2(_HOST.encode(), _MNT_DETACH), "umount2")


def _let_nothing_gain() -> None:
    """No program that is executed from here on, by whoever, is given a capability; those in force stay."""
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, capability, None, 0, 0) == 0:
        capability += 1
    if capability == 0:
        raise OSError("no capability could be dropped")


def _drop_rights(uid: int, rules: bytes) -> None:
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # That has emptied the sets in force, and not what may be inherited.
    _check(_libc.capset(ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION, 0)), (ctypes.c_uint32 * 6)()), "capset")
    program = _Program(len(rules) // _INSTRUCTION_BYTES, rules)
    _check(
        _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0),
        "prctl",
    )


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _bind_read_only(source: str, target: str, flags: int = 0) -> None:
    _mount(source, target, None, _MS_BIND)
    kept = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | flags
    _mount("none", target, None, _MS_REMOUNT | _MS_BIND | kept)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    kind_bytes = kind.encode() if kind is not None else None
    result = _libc.mount(source.encode(), target.encode(), kind_bytes, flags, data.encode())
    _check(result, "mounting at %s" % target)


def _prctl(option: int, argument: int) -> None:
    _check(_libc.prctl(option, argument, None, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (what, os.strerror(number)))


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 512):
            pass
    except BlockingIOError:
        pass


def _tell_ends() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        first = _firsts.pop(pid, None)
        if first is None:
            # The first process of a sandbox; the kernel ends the others with it.
            continue
        os.kill(first, signal.SIGKILL)
        _tell({"exited": pid, "status": os.waitstatus_to_exitcode(status)})


def _tell(what: dict[str, Any]) -> None:
    line = _line(what)
    while line:
        line = line[os.write(1, line) :]


def _line(what: dict[str, Any]) -> bytes:
    return json.dumps(what).encode() + b"\n"
