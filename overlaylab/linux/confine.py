"""What a script may not ask of the kernel: for the calling thread, and all that it starts.

Three things that need no right, and of which none can be undone by whom they hold:

- *capabilities* (capabilities(7)): a script that root runs keeps root's power over files, and
  loses that over the machine.
- *a filter of system calls* (seccomp(2)), for what none of the other fences knows: mount_setattr(2)
  undoes a read-only mount, and connect(2) leads to whatever listens on this machine. It is
  written here, in the few kinds of instructions that it needs: the bindings of libseccomp want a
  library that many machines have not.
- *Landlock* (Linux 5.13; 5.19 for moves between directories): where files may be written.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import platform
import socket
import struct
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence

from . import syscalls

_LANDLOCK_WITH_REFER = 2
#: The version (Linux 6.12) from which a script cannot signal what is outside of its fence.
LANDLOCK_WITH_SIGNALS = 6
_HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")

# Options of prctl(2).
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 22, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 4, 2

#: What root keeps in a script: chown, dac_override, fowner, fsetid, kill, setgid, setuid,
#: net_bind_service, sys_chroot and setfcap. Docker's default set has setpcap, net_raw, mknod and
#: audit_write besides; a device that a script makes could be a disk of this machine.
_KEPT = (0, 1, 3, 4, 5, 6, 7, 10, 18, 31)
_MOST_CAPABILITIES = 64
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

#: Calls that no script is allowed, by their numbers on x86-64 and aarch64; -1 where there is none.
#: They change mounts and namespaces, the machine's settings and its time, or reach into other
#: processes, keys and files without a path.
FORBIDDEN = {
    **{"mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41)},
    **{"mount_setattr": (442, 442), "open_tree": (428, 428), "open_tree_attr": (467, 467)},
    **{"move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431)},
    **{"fsmount": (432, 432), "fspick": (433, 433), "unshare": (272, 97), "setns": (308, 268)},
    **{"swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "reboot": (169, 142)},
    **{"quotactl": (179, 60), "quotactl_fd": (443, 443), "settimeofday": (164, 170)},
    **{"clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266)},
    **{"sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116)},
    **{"iopl": (172, -1), "ioperm": (173, -1), "vhangup": (153, 58)},
    **{"init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106)},
    **{"kexec_load": (246, 104), "kexec_file_load": (320, 294), "bpf": (321, 280)},
    **{"perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262)},
    **{"open_by_handle_at": (304, 265), "add_key": (248, 217), "request_key": (249, 218)},
    **{"keyctl": (250, 219), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{"pidfd_getfd": (438, 438), "kcmp": (312, 272), "io_uring_setup": (425, 425)},
    **{"io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
}
#: Calls that a script may make of itself only: their first argument is a process, 0 for itself.
OF_ITSELF = {
    **{"prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setparam": (142, 118)},
    **{"sched_setscheduler": (144, 119), "sched_setattr": (314, 274)},
    **{"migrate_pages": (256, 238), "move_pages": (279, 239)},
}
#: The same, where the first argument says what the second is: a process, a group, a user.
OF_A_KIND = {"setpriority": (141, 140), "ioprio_set": (251, 30)}
_PROCESS = {"setpriority": 0, "ioprio_set": 1}
#: Calls that make what outlives a script, unless it has a namespace for that (ipc_namespaces(7)).
SHARED = {
    **{"shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180)},
}
TRACING = {"ptrace": (101, 117)}
#: Calls of which some arguments are forbidden.
LOOKED_INTO = {
    **{"socket": (41, 198), "ioctl": (16, 29), "clone": (56, 220), "clone3": (435, 435)},
    **{"kill": (62, 129)},
}
#: machine → column of the tables above, and its name in a filter (AUDIT_ARCH_…, linux/audit.h).
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

#: ioctl(2)s that type into a terminal, or take its output: TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS.
_TERMINALS = (0x5412, 0x541C, 0x5423, 0x541D)
#: The flags of clone(2) that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID,
#: NEWNET.
_NAMESPACES = 0x7E020000

#: What kill(2) takes for every process that may be signalled, which is -1.
_EVERYBODY = 0xFFFFFFFF

# Instructions of a filter (linux/filter.h): load a word, compare, test bits, answer.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
#: Where struct seccomp_data has the call's number and the machine's name.
_NUMBER, _MACHINE = 0, 4
#: The first call of the x32 ABI, whose numbers no table here has.
_X32 = 0x40000000

_Code = list[tuple[int, int, int, int]]


@functools.cache
def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where it has none."""
    try:
        import landlockpy

        return landlockpy.abi_version()
    except (ImportError, OSError):
        return 0


def has_landlock() -> bool:
    """Does Landlock fence here? Before its second version it forbids every move."""
    return landlock_abi() >= _LANDLOCK_WITH_REFER


@functools.cache
def has_filter() -> bool:
    """Is the filter known for this machine's calls, and does the kernel take one? Tried."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    try:
        syscalls.in_thread(lambda: filter_calls(frozenset()))
    except OSError:
        return False
    return True


def filter_calls(families: Collection[int], *, traced: bool = True, alone: bool = True) -> None:
    """Refuse the calls that no script may make (seccomp(2)).

    Args:
        families: of sockets that may be made (socket(2)); a pair of them always may.
        traced: may it trace the processes that it starts?
        alone: has it namespaces of its own?

    Raises:
        OSError: the kernel takes no filter.
    """
    refused = {**FORBIDDEN, **({} if traced else TRACING), **({} if alone else SHARED)}
    code = _filter(platform.machine(), families, refused, alone)
    instructions = b"".join(struct.pack("HBBI", *one) for one in code)
    buffer = ctypes.create_string_buffer(instructions)
    program = struct.pack("HP", len(code), ctypes.addressof(buffer))
    syscalls.prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscalls.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)


def _filter(
    machine: str, families: Collection[int], refused: Mapping[str, tuple[int, int]], alone: bool
) -> _Code:
    column, audit = MACHINES[machine]
    code: _Code = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, audit), *_fail(errno.EPERM)]
    code += [(_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), *_fail(errno.ENOSYS)]
    for numbers in refused.values():
        code += _at(numbers[column], _fail(errno.EPERM))
    for numbers in OF_ITSELF.values():
        code += _at(numbers[column], [*_argument(0), *_if_equal([0]), *_fail(errno.EPERM)])
    for name, numbers in OF_A_KIND.items():
        kind = [*_argument(0), (_EQUAL, 1, 0, _PROCESS[name]), *_fail(errno.EPERM)]
        itself = [*_argument(1), *_if_equal([0]), *_fail(errno.EPERM)]
        code += _at(numbers[column], [*kind, *itself])
    socket_, ioctl, clone, clone3, kill = (numbers[column] for numbers in LOOKED_INTO.values())
    code += _at(socket_, [*_argument(0), *_if_equal(sorted(families)), *_fail(errno.EACCES)])
    typing = [one for number in _TERMINALS for one in ((_EQUAL, 0, 1, number), *_fail(errno.EPERM))]
    code += _at(ioctl, [*_argument(1), *typing, *_allow()])
    spaces = [(_ANY_BIT, 0, 1, _NAMESPACES), *_fail(errno.EPERM)]
    code += _at(clone, [*_argument(0), *spaces, *_allow()])
    if not alone:  # Landlock knows signals since Linux 6.12 only, and `kill -9 -1` is a slip
        code += _at(
            kill, [*_argument(0), (_EQUAL, 0, 1, _EVERYBODY), *_fail(errno.EPERM), *_allow()]
        )
    # Its flags are in memory, which a filter cannot read; the C library then takes clone(2).
    code += _at(clone3, _fail(errno.ENOSYS))
    return [*code, *_allow()]


def _at(number: int, then: _Code) -> _Code:
    """At the call `number` do this, which ends with an answer."""
    return [(_EQUAL, 0, len(then), number), *then] if number >= 0 else []


def _argument(number: int) -> _Code:
    """Load the lower half of an argument: flags and small numbers have no other."""
    high = sys.byteorder == "big"
    return [(_LOAD, 0, 0, 16 + 8 * number + 4 * high)]


def _if_equal(values: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    for value in values:
        yield from ((_EQUAL, 0, 1, value), *_allow())


def _fail(number: int) -> _Code:
    return [(_ANSWER, 0, 0, _FAIL | number)]


def _allow() -> _Code:
    return [(_ANSWER, 0, 0, _ALLOW)]


def drop_capabilities() -> None:
    """Keep root's power over files, and none over the machine (capabilities(7)).

    Who has no right to drop anything has none of these powers, either.
    """
    with contextlib.suppress(OSError):  # EINVAL: the kernel knows no more; EPERM: see above
        for number in range(_MOST_CAPABILITIES):
            if number not in _KEPT:
                syscalls.prctl(PR_CAPBSET_DROP, number)
    with contextlib.suppress(OSError):
        syscalls.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    # A program that root starts gets what it may inherit, besides what the bounding set has.
    header = struct.pack("Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    syscalls.capget(header, data)
    words = list(struct.unpack("6I", data.raw))
    words[2] = words[5] = 0
    syscalls.capset(header, struct.pack("6I", *words))


def start_loopback() -> None:
    """Switch on the one interface of a new network namespace, for talking to oneself."""
    siocsifflags, up_and_running = 0x8914, 0x41
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sH22x", b"lo", up_and_running))


def restrict_files(*writable: str, network: bool) -> None:
    """Let files be written beneath these directories alone (landlock(7)).

    Devices beneath them or elsewhere take no ioctl(2), which Landlock knows since Linux 6.10;
    processes outside of the fence get no signal, and abstract sockets no connection (6.12).

    Args:
        writable: directories.
        network: may TCP and UDP be used?
    """
    from landlockpy import AccessFS, AccessNet, Ruleset, Scope

    unasked = AccessFS.EXECUTE | AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.RESOLVE_UNIX
    net = AccessNet.NONE
    if not network:
        net = AccessNet.BIND_TCP | AccessNet.CONNECT_TCP
    scoped = Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET
    with Ruleset(handled_fs=~unasked, handled_net=net, scoped=scoped) as rules:
        for path in writable:
            rules.allow_path(path, ~unasked & ~AccessFS.IOCTL_DEV)
        for device in filter(os.path.exists, _HARMLESS_DEVICES):
            rules.allow_path(device, AccessFS.WRITE_FILE | AccessFS.TRUNCATE)
        rules.restrict()
