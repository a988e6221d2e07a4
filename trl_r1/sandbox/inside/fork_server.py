"""
The fork server of a jail: a warm interpreter that forks a confined process for each test.

It serves one caller over a socket. It is trusted, holds
CAP_SYS_ADMIN over the jail's own user namespace, and never runs a line of the program under test. For each job it makes
a process in a process namespace of its own, which sets its resource limits, gives up every capability, installs the last
of the seccomp filter, and only then turns to the program. That process is process 1 of its namespace: when it ends, in
whatever way, the kernel kills every process that it left behind. /tmp, the one place that can be written to, is replaced
by an empty one when a test has touched it. So nothing that one test does can reach the next one.

A job that becomes another program gets a mount namespace too, with a /proc of its own, which compilers and the JVM need.
Mounting for every test would take as long as all the rest: the kernel waits for its other readers.

When the caller's end of the socket closes, the fork server kills the running test and exits, and the jail with it.
"""

import contextlib
import ctypes
import errno
import functools
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys

import prelude
import programs


_LENGTH = struct.Struct("!I")
_CLONE_NUMBERS = {"x86_64": 56, "aarch64": 220}
_CLONE_NEWNS, _CLONE_NEWPID = 0x20000, 0x20000000
_CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID = 0x200000, 0x1000000
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 4, 8, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_GET_TID_ADDRESS = 36, 38, 40
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
_MNT_DETACH = 2
_CAP_SYS_ADMIN = 21
_STACK_BYTES = 64 << 20
_RESOURCES = ("cpu_seconds", "file_bytes", "open_files", "processes", "memory_bytes")

_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock, so that a fork inside a call is safe


class Refused(Exception):
    """The kernel does not let the jail confine a test."""


def _checked(result, what):
    if result < 0:
        raise Refused(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def receive(connection):
    """Return the next message and the descriptors that came with it; `None` where the caller has gone."""
    head, fds, _, _ = socket.recv_fds(connection, _LENGTH.size, 8)
    body = b""
    while len(head) < _LENGTH.size:
        more = connection.recv(_LENGTH.size - len(head)) if head else b""
        if not more:
            return None, fds
        head += more
    size = _LENGTH.unpack(head)[0]
    chunks = bytearray()
    while len(chunks) < size:
        body = connection.recv(min(1 << 20, size - len(chunks)))
        if not body:
            return None, fds
        chunks += body
    return json.loads(chunks), list(fds)


def send(connection, message):
    """Send one message."""
    body = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


class ForkServer:
    """
    Serves jobs, one after the other.

    Args:
        control (`socket.socket`):
            The caller's connection.
        settings (`dict`):
            `jailed`; `uid`, to which the fork server changes where the jail was made by root; `filters`, the two parts of
            the seccomp filter in hexadecimal; `machine`; `paths`, where further packages stand.
    """

    def __init__(self, control, settings):
        self.control = control
        self.jailed = settings["jailed"]
        self.filters = [_Filter(part) for part in settings["filters"]]
        self.machine = settings["machine"]
        self.tid_address = 0
        self._scratch = self._untouched = None
        os.chdir("/")
        sys.path.extend(settings["paths"])
        self.memory_bytes = _own_address_space() if sys.platform == "linux" else 0
        if self.jailed:
            self._become_unprivileged(settings["uid"])
            self._hide()
            self.filters[0].install()
        elif sys.platform == "linux":
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        gc.collect()
        if sys.platform == "linux" and hasattr(_libc, "malloc_trim"):
            _libc.malloc_trim(ctypes.c_size_t(0))  # what was needed to start is not copied with each fork
        gc.freeze()  # a collection in a fork would write to, and so copy, every page
        gc.disable()

    def _become_unprivileged(self, uid):
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for capability in range(64):  # before the change of user, which would end the right to
            if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
                if ctypes.get_errno() != errno.EINVAL:  # that is the end of those which the kernel knows
                    _checked(-1, "dropping a capability")
                break
        if uid is not None:
            _libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        self._set_capabilities(1 << _CAP_SYS_ADMIN)
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        address = ctypes.c_void_p()
        if _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) == 0:
            self.tid_address = address.value or 0

    @staticmethod
    def _hide() -> None:
        """Cover what a test has no use for, once for all of them: /proc tells of the fork server."""
        _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount /")
        _mount(b"tmpfs", b"/proc", b"size=4k,nr_inodes=1,mode=555", _MS_NOEXEC)

    @staticmethod
    def _set_capabilities(bits):
        header = struct.pack("=Ii", 0x20080522, 0)
        low, high = bits & 0xFFFFFFFF, bits >> 32
        _checked(_libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)), "capset")

    def serve(self) -> None:
        """Serve until the caller has gone."""
        while True:
            job, fds = receive(self.control)
            if job is None:
                return
            if job.get("do") == "kill":
                continue  # it crossed with the end of the test
            try:
                reply = self._run(job, fds)
            except (OSError, Refused) as error:
                reply = {"failed": f"{type(error).__name__}: {error}"}
            finally:
                for fd in fds:
                    os.close(fd)
            if reply is None:
                return
            send(self.control, reply)
            if self._scratch is not None and _look(b"/tmp") != self._untouched:
                self._mount_scratch(self._scratch)

    def _run(self, job, fds):
        limits = job["limits"]
        resources = self._resource_limits(*(limits[name] for name in _RESOURCES))
        own_mounts = job.get("proc", False)
        if self.jailed and not own_mounts and self._scratch != _scratch_options(limits):
            self._mount_scratch(_scratch_options(limits))
        made = os.pipe()  # closed by the child when it is confined; holds a message where it could not be
        pid = self._clone(own_mounts)
        if not pid:
            os.close(made[0])
            self._become_test(job, resources, fds, made[1])
        os.close(made[1])
        ended, killed = os.pidfd_open(pid), False
        try:
            waiting = select.poll()
            waiting.register(ended, select.POLLIN)
            waiting.register(self.control, select.POLLIN)
            while True:
                ready = [fd for fd, _ in waiting.poll()]
                if ended in ready:
                    break
                message, _ = receive(self.control)
                os.kill(pid, signal.SIGKILL)
                if message is None:
                    return None
                killed = True
            _, status, used = os.wait4(pid, 0)
            if not self.jailed:
                _reap_the_rest(pid)
            failed = os.read(made[0], 1000).decode()
        finally:
            os.close(ended)
            os.close(made[0])
        if failed:
            return {"failed": failed}
        cpu = used.ru_utime + used.ru_stime
        return {"status": status, "killed": killed, "cpu": cpu, "peak": used.ru_maxrss << 10}

    def _clone(self, own_mounts):
        """
        Fork, in the jail with namespaces of its own for the child.

        The interpreter's own work after a fork is left out: it renews locks that other threads might have held, and
        there are none; it touches a fifth of all pages, which takes as long as the fork.
        """
        if not self.jailed:
            return os.fork()
        flags = _CLONE_NEWPID | signal.SIGCHLD | (_CLONE_NEWNS if own_mounts else 0)
        address = self.tid_address
        if address:
            flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID  # as the C library's own fork does it
        rest = (0, 0, address, 0) if self.machine == "x86_64" else (0, 0, 0, address)
        pid = _libc.syscall(
            ctypes.c_long(_CLONE_NUMBERS[self.machine]), ctypes.c_ulong(flags), *map(ctypes.c_ulong, rest)
        )
        if pid == 0 and not address and (child := os.fork()):  # the C library must learn of its new thread id
            status = os.waitpid(child, 0)[1]
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 255)
        if pid < 0:
            raise Refused(f"clone: {os.strerror(ctypes.get_errno())}")
        return pid

    def _become_test(self, job, resources, fds, made):
        code = 70
        try:
            try:
                self.control.close()
                self._confine(job["limits"], resources, job.get("proc", False))
            except BaseException as error:
                os.write(made, f"{type(error).__name__}: {error}".encode()[:1000])
                os._exit(70)
            gc.enable()
            code = programs.run(job, fds, prelude.__dict__, made)
        finally:
            os._exit(code)

    def _mount_scratch(self, options):
        """Replace /tmp by an empty one."""
        if self._scratch is not None:
            _checked(_libc.umount2(b"/tmp", _MNT_DETACH), "umount /tmp")
        self._scratch = None
        _mount(b"tmpfs", b"/tmp", options)
        self._scratch, self._untouched = options, _look(b"/tmp")

    def _confine(self, limits, resources, own_mounts):
        if self.jailed and own_mounts:
            _mount(b"tmpfs", b"/tmp", _scratch_options(limits))
            _mount(b"proc", b"/proc", None, _MS_NOEXEC)
        os.chdir("/tmp" if self.jailed else limits["directory"])
        os.setsid()  # a signal to its own group would reach the fork server, which its other namespaces hide
        for number, value in resources:
            resource.setrlimit(number, (value, value))
        if self.jailed:
            self._set_capabilities(0)
            self.filters[1].install()

    @functools.lru_cache(maxsize=16)  # noqa: B019  there is one fork server
    def _resource_limits(self, cpu_seconds, file_bytes, open_files, processes, memory_bytes):
        found = []
        for name, value in (
            ("RLIMIT_CORE", 0),
            ("RLIMIT_CPU", cpu_seconds),
            ("RLIMIT_FSIZE", file_bytes),
            ("RLIMIT_NOFILE", open_files),
            ("RLIMIT_STACK", _STACK_BYTES),
            ("RLIMIT_MEMLOCK", 0),
            ("RLIMIT_NPROC", processes and processes + 3),  # with bwrap, its init and the fork server
            ("RLIMIT_AS", memory_bytes and memory_bytes + self.memory_bytes),
        ):
            if value is not None and hasattr(resource, name):
                number = getattr(resource, name)
                hard = resource.getrlimit(number)[1]
                found.append((number, value if hard == resource.RLIM_INFINITY else min(value, hard)))
        return found


class _Filter:
    """
    A seccomp filter, ready to be installed.

    Args:
        program (`str`):
            An array of `struct sock_filter`, in hexadecimal.
    """

    def __init__(self, program):
        program = bytes.fromhex(program)
        self._instructions = ctypes.create_string_buffer(program)
        self._program = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(self._instructions))

    def install(self) -> None:
        """Install it for this process and those that it will make."""
        _checked(_libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(self._program), 0, 0), "seccomp")


def _mount(kind, place, options, further=0):
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | further)
    _checked(_libc.mount(kind, place, kind, flags, options), f"mount {place.decode()}")


def _scratch_options(limits):
    return f"mode=1777,size={limits['file_bytes']},nr_inodes={limits['files']}".encode()


def _look(place):
    """Return what tells whether a directory was touched: a program can set its times, but not when it last did so."""
    try:
        info = os.stat(place)
        times = info.st_mtime_ns, info.st_ctime_ns
        return info.st_ino, info.st_mode, info.st_uid, info.st_gid, *times, os.listdir(place), os.listxattr(place)
    except OSError:
        return None


def _own_address_space():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _reap_the_rest(pid):
    """Without a jail: end what the test's process group and its orphans left. What has changed its session escapes."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def _leave_only(kept):
    """Close what bubblewrap and the caller left open: every test would inherit it."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.closerange(3, kept)
    os.closerange(kept + 1, 1024)


def main(fd):
    """Serve the caller on a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides what an interrupt means
    control = socket.socket(fileno=fd)
    settings, _ = receive(control)
    if settings is None:
        return
    try:
        fork_server = ForkServer(control, settings)
    except Exception as error:
        send(control, {"failed": f"{type(error).__name__}: {error}"})
        return
    _leave_only(control.fileno())
    send(control, {"ready": os.getpid()})
    fork_server.serve()
