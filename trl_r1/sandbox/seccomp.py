"""
The system calls that a program in the jail may not make, as a seccomp filter.

The filter is assembled here, as classic BPF, so that nothing but the kernel is needed. It names what is refused rather
than what is allowed: compilers, the JVM, Node and Go make many calls that do no harm, and which they are changes with
their versions. Refused are the calls that reach outside a process (tracing, other processes' memory and descriptors),
that change the jail (mounts, namespaces), that hold memory or messages outside every process (memory files, System V
and POSIX queues, keys), that reach the network, and those by which kernels were broken into (BPF, io_uring,
userfaultfd, perf). Calls made through another architecture's table end the process.

It is in two parts. Installing a filter costs the kernel its length times the number of system calls, a third of a
millisecond for the long one: the fork server installs that once and its forks inherit it. What the fork server itself cannot do
without, mounting and making namespaces, a short second one takes from each test. The second also keeps what happens at
the end of a child as it is: a process that ignores SIGCHLD would have its children's CPU time counted for nobody.
"""

import platform
import struct

from ..errors import MachineError


# name: (x86_64, aarch64)
_REFUSED = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # mounts and namespaces
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "mknod": (133, None),
    "mknodat": (259, 33),
    # memory and messages that belong to no process, and so escape its limits
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    # the kernel and the machine
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "personality": (135, 92),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
}
# Refused as if the kernel did not have them, so that libraries take the older way.
_ABSENT = {
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_MOUNT, _UNMOUNT, _CLONE, _SOCKET = (165, 40), (166, 39), (56, 220), (41, 198)
_SIGNAL_ACTION, _SIGCHLD = (13, 134), 17
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}

_NAMESPACES = 0x7E020000  # every CLONE_NEW* flag that clone takes
_AF_UNIX = 1
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; the first argument's lower half


def assemble(machine: str | None = None) -> tuple[bytes, bytes]:
    """
    Return the two filters, each as an array of `struct sock_filter`.

    Args:
        machine (`str`, *optional*):
            Name of the architecture, as `platform.machine()` says it. Defaults to this machine's.

    Returns:
        `tuple[bytes, bytes]`: what no process in the jail may do, and what a test may not do either.

    Raises:
        [`~errors.MachineError`]: for an architecture whose system calls are not listed here.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise MachineError(
            f"the sandbox has no list of system calls for {machine}; expected one of {', '.join(_ARCHITECTURES)}"
        )
    column, audit = _ARCHITECTURES[machine]
    long = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    if column == 0:  # the x32 table, through which the numbers below would not be recognised
        long += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    for calls, error in ((_REFUSED, _EPERM), (_ABSENT, _ENOSYS)):
        for numbers in calls.values():
            if numbers[column] is not None:
                long += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ERRNO | error)]
    long += [
        (_EQUAL, 0, 3, _SOCKET[column]),
        (_LOAD, 0, 0, _ARGUMENT),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _ERRNO | _EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    ]
    short = [
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 4, 0, _MOUNT[column]),
        (_EQUAL, 3, 0, _UNMOUNT[column]),
        (_EQUAL, 0, 3, _CLONE[column]),
        (_LOAD, 0, 0, _ARGUMENT),
        (_ANY_BIT, 0, 9, _NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_EQUAL, 0, 7, _SIGNAL_ACTION[column]),
        (_LOAD, 0, 0, _ARGUMENT),
        (_EQUAL, 0, 5, _SIGCHLD),
        (_LOAD, 0, 0, _ARGUMENT + 8),  # both halves of the new action's address: nothing changes where there is none
        (_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _ARGUMENT + 12),
        (_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _ERRNO),  # as if it were done
        (_RETURN, 0, 0, _ALLOW),
    ]
    return _packed(long), _packed(short)


def _packed(program: list[tuple[int, int, int, int]]) -> bytes:
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
