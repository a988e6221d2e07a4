"""
The walls: a bubblewrap command line, and the process in it that takes jobs.

What stands inside: /usr and what the loader needs of /etc, the standard library of this interpreter, the tool chains
that are asked for and the packages that are named, all read-only; four devices; an empty /tmp. Not inside: home
directories, the rest of /etc, this project, the site-packages of this environment, the network, other processes.

The processes inside have a user namespace of their own. Run by an ordinary user, its one user is that user. Run by
root, bubblewrap's setup stays root, so that an interpreter under /root can be shown, and the fork server then changes to a
user id that exists nowhere else: the kernel counts root's processes against no limit.
"""

import contextlib
import importlib.util
import json
import os
import platform
import py_compile
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from ..errors import ConfigError, MachineError
from .seccomp import assemble


ISOLATIONS = ("jail", "none")
_INSIDE = Path(__file__).parent / "inside"
_USER_INSIDE, _HIGHEST_OUTSIDE = 1000, 2_147_400_000
_START_SECONDS = 60.0
_LENGTH = struct.Struct("!I")
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
_PASSWD = b"root:x:0:0::/tmp:/bin/sh\njail:x:1000:1000::/tmp:/bin/sh\n"
_HELP = (
    "Expected bubblewrap (`apt-get install bubblewrap`, `dnf install bubblewrap`) and user namespaces "
    "(`sysctl user.max_user_namespaces`, `kernel.unprivileged_userns_clone=1`, and on Ubuntu 24.04 "
    "`kernel.apparmor_restrict_unprivileged_userns=0`; a container must allow them, as `--security-opt "
    "seccomp=unconfined` does). `isolation: none` runs programs without a jail, which lets them do all that you can"
)


class Jail:
    """
    A running jail, or where `isolation` is `"none"` a process that looks like one from here.

    Args:
        isolation (`str`, *optional*, defaults to `"jail"`):
            `"jail"` or `"none"`.
        packages (`tuple[str, ...]`, *optional*):
            Top-level packages of this environment that programs may import.
        places (`tuple[str, ...]`, *optional*):
            Further directories to show, read-only.

    Attributes:
        connection (`socket.socket`):
            To the fork server.
        pid (`int`):
            The fork server's process id, as it is seen from here.
    """

    def __init__(self, isolation: str = "jail", packages: tuple[str, ...] = (), places: tuple[str, ...] = ()):
        self.jailed = isolation == "jail"
        self._directory = None if self.jailed else tempfile.mkdtemp(prefix="trl_r1_")
        self.connection, theirs = socket.socketpair()
        found = {name: package_path(name) for name in packages}
        try:
            with theirs, tempfile.TemporaryFile() as complaints:
                try:
                    if self.jailed:
                        self._start_in_jail(theirs, found, places, complaints)
                        paths = ["/packages"]
                    else:
                        self._start_bare(theirs, complaints)
                        paths = sorted({str(path.parent) for path in found.values()})
                    theirs.close()
                    self._greet(paths)
                except (OSError, ValueError) as error:
                    complaints.seek(0)
                    said = complaints.read().decode(errors="replace").strip()[-500:] or str(error)
                    raise MachineError(f"the sandbox cannot be started: {said}. {_HELP}") from None
        except BaseException:
            self.close()
            raise

    def _start_bare(self, theirs: socket.socket, complaints: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            _fork_server(str(_INSIDE), theirs.fileno()),
            pass_fds=[theirs.fileno()],
            env=_environment(self._directory),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )

    def _start_in_jail(
        self, theirs: socket.socket, packages: dict[str, Path], places: tuple[str, ...], complaints: IO[bytes]
    ) -> None:
        program = shutil.which("bwrap")
        if sys.platform != "linux" or program is None:
            raise OSError("there is no `bwrap` on this machine")
        root = _other_users() is not None
        passwd, go, told = _Pipe(), _Pipe(), _Pipe()
        try:
            os.write(passwd.write, _PASSWD)
            passwd.close("write")
            arguments = [program, *_NAMESPACES, "--cap-drop", "ALL"]
            for capability in ("SYS_ADMIN", "SETPCAP", *(("SETUID", "SETGID") if root else ())):
                arguments += ["--cap-add", f"CAP_{capability}"]
            if root:
                arguments += ["--userns-block-fd", str(go.read), "--info-fd", str(told.write)]
            else:
                arguments += ["--uid", str(_USER_INSIDE), "--gid", str(_USER_INSIDE)]
            arguments += _mounts(packages, places, passwd.read)
            libraries = os.path.join(os.path.realpath(sys.base_prefix), "lib")
            for name, value in {**_environment("/tmp"), "LD_LIBRARY_PATH": libraries}.items():
                arguments += ["--setenv", name, value]
            arguments += _fork_server("/jail", theirs.fileno())
            self._process = subprocess.Popen(
                arguments,
                pass_fds=[theirs.fileno(), passwd.read, go.read, told.write],
                env={},
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
            )
            told.close("write")
            if root:
                child = _read_info(told.read)["child-pid"]
                for name, other in _other_users().items():
                    Path(f"/proc/{child}/{name}").write_text(f"0 0 1\n{_USER_INSIDE} {other} 1\n")
                os.write(go.write, b"1")
        finally:
            for pipe in (passwd, go, told):
                pipe.close("read", "write")

    def _greet(self, paths: list[str]) -> None:
        settings = {
            "jailed": self.jailed,
            "uid": _USER_INSIDE if self.jailed and _other_users() is not None else None,
            "filters": [part.hex() for part in assemble()] if self.jailed else [],
            "machine": "x86_64" if platform.machine() == "x86_64" else "aarch64",
            "paths": paths,
        }
        self.connection.settimeout(_START_SECONDS)
        self.send(settings)
        reply = self.receive()
        if reply is None or "failed" in reply:
            raise OSError(reply["failed"] if reply else "it ended at once")
        self.connection.settimeout(None)
        self.pid = self._process.pid
        while self.jailed and (below := children_of(self.pid)):
            self.pid = below[0]

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send a message to the fork server, with descriptors."""
        body = json.dumps(message).encode("ascii")
        message = _LENGTH.pack(len(body)) + body
        # In one piece where it is short: each piece wakes the fork server.
        sent = socket.send_fds(self.connection, [message], list(fds)) if fds else 0
        self.connection.sendall(message[sent:])

    def receive(self) -> dict[str, Any] | None:
        """Receive a message; `None` where the fork server has gone."""
        try:
            (size,) = _LENGTH.unpack(_exactly(self.connection, _LENGTH.size))
            return json.loads(_exactly(self.connection, size))
        except (OSError, ValueError):
            return None

    def new_directory(self) -> str | None:
        """Without a jail, make a directory for the next test. In a jail each test has a /tmp of its own."""
        return None if self.jailed else tempfile.mkdtemp(dir=self._directory)

    def forget(self) -> None:
        """Let go of what was inherited from the process this one was forked from, without ending it."""
        self.connection.close()
        self._process.returncode = 0  # not this process's child: never to be waited for

    def close(self) -> None:
        """End it and everything in it."""
        self.connection.close()
        process = getattr(self, "_process", None)
        if process is not None:
            try:
                process.wait(timeout=0.5 if self.jailed else 5)  # the fork server leaves when its connection closes
            except subprocess.TimeoutExpired:
                for pid in [*descendants_of(process.pid)[::-1], process.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, 9)
                process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


_NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--hostname",
    "jail",
    "--new-session",
)


def _other_users() -> dict[str, int] | None:
    """
    Return, for root, a user and a group that no program outside has; `None` for others.

    Root of a container may be root over few ids, or over its own alone: then it is as good as an ordinary user.
    """
    if os.geteuid() != 0:
        return None
    highest = {}
    for name in ("uid_map", "gid_map"):
        lines = [list(map(int, line.split())) for line in Path("/proc/self", name).read_text().splitlines()]
        ends = [min(first + count - 1, _HIGHEST_OUTSIDE) for first, _, count in lines if first <= _HIGHEST_OUTSIDE]
        highest[name] = max(ends, default=0)
    return highest if all(highest.values()) else None


def _mounts(packages: dict[str, Path], places: tuple[str, ...], passwd: int) -> list[str]:
    """Return the arguments that build the jail's file system."""
    arguments, made, shown = ["--ro-bind", "/usr", "/usr"], {Path("/")}, [Path("/usr")]

    def show(kind: str, source: str, place: Path) -> None:
        # Parents that bubblewrap makes by itself are closed to every user but its own.
        for parent in reversed(place.parents):
            if parent not in made and not any(parent.is_relative_to(whole) for whole in shown):
                arguments.extend(["--dir", str(parent)])
                made.add(parent)
        arguments.extend([kind, source, str(place)])

    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            arguments += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for name in (*_ETC, *(path.name for path in Path("/etc").glob("java-*"))):
        show("--ro-bind-try", f"/etc/{name}", Path("/etc", name))
    show("--ro-bind-data", str(passwd), Path("/etc/passwd"))
    for place in [*_interpreter_places(), *map(Path, places)]:
        if not any(place.is_relative_to(parent) for parent in shown):
            show("--ro-bind", str(place), place)
            shown.append(place)
    for site in _site_packages():
        arguments += ["--tmpfs", str(site), "--remount-ro", str(site)]
    arguments += ["--ro-bind", str(_INSIDE), "/jail", "--dir", "/packages"]
    for path in packages.values():
        arguments += ["--ro-bind", str(path), f"/packages/{path.name}"]
        libraries = path.with_name(f"{path.name}.libs")
        if libraries.is_dir():
            arguments += ["--ro-bind", str(libraries), f"/packages/{libraries.name}"]
    arguments += ["--proc", "/proc", "--tmpfs", "/dev"]
    for name in ("null", "zero", "random", "urandom"):
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        arguments += ["--symlink", target, f"/dev/{name}"]
    arguments += ["--symlink", "/tmp", "/dev/shm", "--remount-ro", "/dev", "--dir", "/tmp"]
    return [*arguments, "--remount-ro", "/", "--chdir", "/tmp"]


def _interpreter() -> list[str]:
    # The environment's own packages stay outside (-S), and so do variables and the current directory (-I).
    return [os.path.realpath(getattr(sys, "_base_executable", sys.executable)), "-I", "-S", "-B"]


def _fork_server(folder: str, fd: int) -> list[str]:
    # Imported rather than run, so that it is read compiled: what compiling leaves in memory every test would copy.
    for path in _INSIDE.glob("*.py"):
        cached = Path(importlib.util.cache_from_source(str(path)))
        with contextlib.suppress(OSError):
            if not cached.exists() or cached.stat().st_mtime < path.stat().st_mtime:
                py_compile.compile(str(path), quiet=2)
    return [
        *_interpreter(),
        "-c",
        f"import sys; sys.path.insert(0, {folder!r}); import fork_server; fork_server.main({fd})",
    ]


def _interpreter_places() -> list[Path]:
    """Return where this interpreter and its standard library stand."""
    base, program = Path(os.path.realpath(sys.base_prefix)), Path(_interpreter()[0])
    return [path for path in (program, base / "lib", base / "lib64") if path.exists()]


def _site_packages() -> list[Path]:
    library = Path(os.path.realpath(os.__file__)).parent
    return [path for path in (library / "site-packages", library / "dist-packages") if path.is_dir()]


def package_path(name: str) -> Path:
    """
    Return where a package of this environment stands, without importing it.

    Raises:
        [`~errors.ConfigError`]: if there is none of that name.
    """
    try:
        found = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        found = None
    if found is None or not found.origin or not Path(found.origin).exists():
        raise ConfigError(f"expected top-level packages that are installed, got {name!r}", key="packages")
    path = Path(found.origin)
    return path.parent if path.name.startswith("__init__.") else path


def _environment(home: str) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",  # the same order of a set in every run
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _read_info(fd: int) -> dict[str, Any]:
    """Read what bubblewrap tells of its child."""
    text, end = b"", time.monotonic() + _START_SECONDS
    while not text.rstrip().endswith(b"}"):
        ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
        more = os.read(fd, 4096) if ready else b""
        if not more:
            raise OSError("bubblewrap ended at once")
        text += more
    return json.loads(text)


def children_of(pid: int) -> list[int]:
    """Return the process ids of a process's children, of all of its threads."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def descendants_of(pid: int) -> list[int]:
    """Return the process ids of all processes below a process, parents before children."""
    found = children_of(pid)
    for child in found:
        found += children_of(child)
    return found


class _Pipe:
    """The ends of a pipe, each closed once: by then another thread may have been given its number."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self._open = {"read", "write"}

    def close(self, *ends: str) -> None:
        for end in ends:
            if end in self._open:
                self._open.discard(end)
                os.close(getattr(self, end))


def _exactly(connection: socket.socket, size: int) -> bytes:
    chunks = bytearray()
    while len(chunks) < size:
        chunk = connection.recv(size - len(chunks))
        if not chunk:
            raise ConnectionResetError("it has ended")
        chunks += chunk
    return bytes(chunks)
