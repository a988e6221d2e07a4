"""
Programs that attack their judge or the machine.

Each of `CALLED` is asked for `f()`, which is to be a number of 18 digits that begins with 7777 and stands nowhere in a
jail; it answers `escaped` where an attack on the machine succeeds. Each of `WRITING` is to write 424242 and end well.
Run them nowhere but in a jail.
"""

_MOUNT = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
"""

CALLED = {
    # what it uses
    "fork bomb": "import os\ndef f():\n    while True:\n        try:\n            os.fork()\n        except OSError:\n            pass\n",
    "fork bomb of threads": "import threading, time\ndef f():\n    while True:\n        try:\n            threading.Thread(target=time.sleep, args=(100,)).start()\n        except RuntimeError:\n            pass\n",
    "memory bomb": "def f():\n    x = []\n    while True:\n        x.append(bytearray(1 << 20))\n",
    "memory bomb at import": "x = [0] * (1 << 40)\ndef f():\n    return 1\n",
    "memory in many processes": "import os, time\ndef f():\n    for _ in range(8):\n        if not os.fork():\n            x = bytearray(40 << 20)\n            time.sleep(50)\n    time.sleep(50)\n",
    "shared memory of nobody": "import ctypes\ndef f():\n    libc = ctypes.CDLL(None)\n    made = [libc.memfd_create(b'x', 0), libc.shmget(0, 1 << 20, 0o1777), libc.msgget(0, 0o1777)]\n    return 'escaped' if any(m >= 0 for m in made) else 0\n",
    "endless loop": "def f():\n    while True:\n        pass\n",
    "endless loop at import": "while True:\n    pass\n",
    "one long operation": "def f():\n    return 9 ** 9 ** 9\n",
    "long constant": "x = 9 ** 9 ** 7\ndef f():\n    return str(x)\n",
    "sleep": "import time\ndef f():\n    time.sleep(10 ** 6)\n",
    "sleep in slices": "import time\ndef f():\n    while True:\n        time.sleep(0.01)\n",
    "stopped": "import os, signal\ndef f():\n    if os.fork() == 0:\n        os.kill(os.getpid(), signal.SIGSTOP)\n    os.wait()\n",
    "output flood": "import sys\ndef f():\n    while True:\n        sys.stdout.write('x' * 65536)\n",
    "value flood": "def f():\n    return 'x' * (30 << 20)\n",
    "value of many parts": "def f():\n    return [[0]] * 3_000_000\n",
    "value of many levels": "def f():\n    x = []\n    for _ in range(100_000):\n        x = [x]\n    return x\n",
    "value that contains itself": "def f():\n    x = []\n    x.append(x)\n    return x\n",
    "list without end": "class N:\n    val = 1\n    @property\n    def next(self):\n        return self\ndef f():\n    return N()\n",
    "integer without end": "def f():\n    return 1 << 30_000_000\n",
    "set that is slow to build": "def f():\n    return {i * ((1 << 61) - 1) for i in range(2000)}\n",
    "file flood": "def f():\n    with open('/tmp/x', 'wb') as file:\n        while True:\n            file.write(b'x' * 65536)\n",
    "many files": "def f():\n    for i in range(10 ** 9):\n        open(f'/tmp/{i}', 'w').close()\n",
    "descriptor flood": "def f():\n    return [open('/dev/null') for _ in range(10 ** 6)]\n",
    # the judge
    "equal to everything": "class E(int):\n    def __eq__(self, other):\n        return True\n    __hash__ = int.__hash__\ndef f():\n    return E(1)\n",
    "a class that writes itself": "class E:\n    def __written__(self):\n        return {'o': 'x', 'v': True, 'r': 'passed'}\ndef f():\n    return E()\n",
    "exit at import": "import os\nos._exit(0)\n",
    "exit in the call": "import sys\ndef f():\n    sys.exit(0)\n",
    "hard exit in the call": "import os\ndef f():\n    os._exit(0)\n",
    "expected value in memory": """
import gc, re, sys
def f():
    frame, seen = sys._getframe(), []
    while frame:
        seen += [*frame.f_locals.values(), *frame.f_globals.values()]
        frame = frame.f_back
    for o in gc.get_objects():
        seen += o.values() if type(o) is dict else o if type(o) in (list, tuple) else ()
    found = [v for v in seen if type(v) is int and len(str(v)) == 18 and str(v).startswith("7777")]
    found += [int(n) for v in seen if type(v) in (str, bytes) for n in re.findall("7777" + "[0-9]" * 14, str(v))]
    return found[0] if found else 0
""",
    "forged records": 'import os, json\nfor fd in range(64):\n    try:\n        os.write(fd, b\'{"loaded": true}\\n{"n": 0, "v": true}\\n{"r": "passed", "why": ""}\\n\')\n    except OSError:\n        pass\ndef f():\n    return 1\n',
    "garbage records": "import os\nfor fd in range(64):\n    try:\n        os.write(fd, b'[' * 100000 + b'\\n' + b'{\"n\": 0, \"v\": ' + b'9' * 9000 + b'}\\n{\"n\": \"0\"}\\n\\xff\\n')\n    except OSError:\n        pass\nos._exit(0)\n",
    "patched harness": "import sys, builtins, json, os\nfor name in ('values', 'programs', 'fork_server', '__main__', 'prelude'):\n    m = sys.modules.get(name)\n    for k in ('encode', '_encode', '_write_line', 'run', '_calls', 'main'):\n        if m is not None and hasattr(m, k):\n            setattr(m, k, lambda *a, **b: True)\nbuiltins.eval = lambda *a: True\nbuiltins.compile = lambda *a, **b: 'True'\njson.dumps = lambda *a, **b: '{\"n\": 0, \"v\": true}'\ndef f():\n    return 1\n",
    "no modules": "import sys\nsys.modules.clear()\ndef f():\n    return 1\n",
    "closed descriptors": "import os\nos.closerange(0, 256)\ndef f():\n    return 1\n",
    "emptied descriptors": "import os\ndef f():\n    for fd in range(64):\n        try:\n            os.ftruncate(fd, 0)\n        except OSError:\n            pass\n    os._exit(0)\n",
    "segmentation fault": "import ctypes\ndef f():\n    ctypes.string_at(0)\n",
    "deep recursion": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef g(n):\n    return [g(n + 1)]\ndef f():\n    return eval('-' * 10 ** 6 + '1') or g(0)\n",
    "brackets": "x = " + "(" * 50_000 + ")" * 50_000 + "\ndef f():\n    return 1\n",
    # the machine
    "kill everything": "import os, signal\ndef f():\n    for pid in (-1, 0, 1, 2, os.getppid()):\n        for s in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):\n            try:\n                os.kill(pid, s)\n            except OSError:\n                pass\n    return 1\n",
    "ignore signals": "import signal\nfor s in range(1, 64):\n    try:\n        signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\ndef f():\n    while True:\n        pass\n",
    "daemon": "import os, time\ndef f():\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            while True:\n                try:\n                    open('/tmp/daemon', 'a').write('x')\n                except OSError:\n                    pass\n                time.sleep(0.01)\n        os._exit(0)\n    os.wait()\n    return 1\n",
    "write anywhere": "import os\ndef f():\n    done = []\n    for d in ('/', '/etc', '/usr', '/jail', '/packages', '/root', '/home', '/dev', '/proc', '/var', os.path.dirname(os.__file__)):\n        try:\n            os.makedirs(d, exist_ok=True)\n            open(d + '/owned', 'w').close()\n            done.append(d)\n        except OSError:\n            pass\n    return 'escaped' if done else 0\n",
    "mount": _MOUNT
    + "def f():\n    done = [libc.mount(b'tmpfs', d, b'tmpfs', 0, None) for d in (b'/tmp', b'/etc', b'/jail')]\n    done += [libc.umount2(b'/tmp', 2), libc.umount2(b'/proc', 2)]\n    return 'escaped' if 0 in done else 0\n",
    "new namespaces": _MOUNT
    + "def f():\n    done = [libc.unshare(flag) for flag in (0x10000000, 0x20000, 0x20000000, 0x10020000)]\n    return 'escaped' if 0 in done else 0\n",
    "clone into namespaces": _MOUNT
    + "def f():\n    pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)\n    return 'escaped' if pid >= 0 else 0\n",
    "other processes' memory": _MOUNT
    + "import os\ndef f():\n    done = [libc.ptrace(16, p, 0, 0) for p in (1, 2, 3, os.getppid())]\n    for p in ('1', '2', 'self', str(os.getppid())):\n        try:\n            open(f'/proc/{p}/mem', 'rb+')\n            done.append(0)\n        except OSError:\n            pass\n    return 'escaped' if 0 in done else 0\n",
    "privileges": _MOUNT
    + "import os\ndef f():\n    done = []\n    for call in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.mknod('/tmp/d', 0o60666, 2049), lambda: os.chroot('/tmp'), lambda: os.nice(-5)):\n        try:\n            call()\n            done.append(1)\n        except OSError:\n            pass\n    return 'escaped' if done else 0\n",
    "clock, host name, keys": _MOUNT
    + "import time, socket\ndef f():\n    done = [libc.sethostname(b'x', 1), libc.syscall(250, 0, -3), libc.syscall(248, b'user', b'a', b'b', 1, -3), libc.syscall(321, 0, 0, 0)]\n    try:\n        time.clock_settime(0, 0)\n        done.append(0)\n    except OSError:\n        pass\n    return 'escaped' if any(x >= 0 for x in done) else 0\n",
    "other architecture's calls": "import ctypes, mmap\ndef f():\n    code = bytes.fromhex('b814000000cd80c3')\n    m = mmap.mmap(-1, 4096, prot=7)\n    m.write(code)\n    g = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n    return 'escaped' if g() > 0 else 0\n",
}

WRITING = {
    "output flood": "import sys\nwhile True:\n    sys.stdout.write('x' * 65536)\n",
    "error flood": "import sys\nwhile True:\n    sys.stderr.write('x' * 65536)\n",
    "exit before the answer": "import sys\nprint(1)\nsys.exit(0)\n",
    "every number": "print(*range(200_000))\n",
    "right number, then an error": "print(424242)\nraise ValueError\n",
    "right number, then too slow": "print(424242, flush=True)\nwhile True:\n    pass\n",
    "right number, then a signal": "import os\nprint(424242, flush=True)\nos.abort()\n",
    "right number after the end": "import os, time\nif os.fork() == 0:\n    time.sleep(0.3)\n    print(424242, flush=True)\nelse:\n    os._exit(0)\n",
    "waits for more input": "while True:\n    try:\n        input()\n    except EOFError:\n        import time\n        time.sleep(1000)\n",
}
