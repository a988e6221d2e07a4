"""Programs that attack earn nothing, harm nothing outside, and leave no process and no file."""

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from trl_r1.sandbox import Sandbox, Submission, read_row
from trl_r1.sandbox.jail import descendants_of
from trl_r1.sandbox.verdicts import records

from .conftest import SMALL, needs
from .hostile import CALLED, WRITING


HONEST = Submission("def f():\n    return 1\n", read_row("assert f() == 1").tests)


def lanes_of(sandbox: Sandbox) -> list:
    return sandbox._pool()._idle


def marks_on_the_machine() -> list[str]:
    """What hostile programs would leave: the files that they write, and mounts where they mount."""
    places = (
        "/",
        "/etc",
        "/usr",
        "/var",
        "/tmp",
        "/dev",
        "/home",
        os.path.dirname(os.__file__),
        os.path.expanduser("~"),
    )
    files = [f"{place}/{name}" for place in places for name in ("owned", "daemon", "x", "left")]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted([*filter(os.path.exists, files), *(m for m in mounts if m in ("/tmp", "/etc", "/jail", "/proc"))])


@pytest.fixture
def watched(small, tmp_path, monkeypatch):
    """Around a hostile program: what must be as it was before, and an honest program in the same lane."""
    monkeypatch.setenv("SECRET_TOKEN", "7777")
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    small.judge([HONEST])
    (lane,) = lanes_of(small)
    before, fork_server = marks_on_the_machine(), lane.jail().pid
    yield small
    assert bystander.poll() is None, "another process was killed"
    bystander.kill()
    bystander.wait()
    assert marks_on_the_machine() == before
    (lane,) = lanes_of(small)
    assert lane.jail().pid == fork_server, "the lane did not survive"
    assert descendants_of(fork_server) == [], "a process was left behind"
    assert [result.verdict for result in small.judge([HONEST])[0]] == ["passed"]


@pytest.mark.parametrize("name", CALLED)
def test_a_hostile_function_earns_nothing_and_harms_nothing(watched, name):
    secret = 7777 * 10**14 + random.Random(name).randrange(10**14)
    ((result,),) = watched.judge([Submission(CALLED[name], read_row(f"assert f() == {secret}").tests)])
    assert result.verdict not in ("passed", "sandbox_failure"), result
    assert "escaped" not in result.detail


def test_the_search_for_the_expected_value_would_find_it(small):
    secret = 777712345678901234
    source = CALLED["expected value in memory"] + "\ndef g(x):\n    return 1\n"
    tests = read_row(f"assert f() == {secret}\nassert g({secret}) == 1").tests
    assert [result.verdict for result in small.judge([Submission(source, tests)])[0]] == ["passed", "passed"]


@pytest.mark.parametrize("name", WRITING)
def test_a_hostile_program_earns_nothing_and_harms_nothing(watched, name):
    tests = read_row({"inputs": [""], "outputs": ["424242"]}).tests
    ((result,),) = watched.judge([Submission(WRITING[name], tests)])
    assert result.verdict not in ("passed", "sandbox_failure"), result


EXPECTED = {
    "endless loop": "time_limit",
    "one long operation": "time_limit",
    "sleep": "time_limit",
    "memory bomb": "memory_limit",
    "value flood": "output_limit",
    "hard exit in the call": "runtime_error",
    "equal to everything": "wrong_answer",
    "brackets": "compile_error",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_verdict_says_what_happened(small, name):
    ((result,),) = small.judge([Submission(CALLED[name], read_row("assert f() == 'x'").tests)])
    assert result.verdict == EXPECTED[name], result


def test_nothing_of_the_machine_is_seen(watched):
    source = """
import os
def f():
    return [sorted(os.listdir("/")), sorted(os.listdir("/tmp")), sorted(os.listdir("/proc")), sorted(os.environ)]
def can(path):
    try:
        open(path).read() if not os.path.isdir(path) else os.listdir(path)
        return True
    except OSError:
        return False
"""
    secret = Path(__file__)
    paths = [
        "/etc/shadow",
        "/etc/hosts",
        "/proc/1/environ",
        "/home",
        "/var",
        "/sys",
        str(secret),
        str(secret.parents[2]),
    ]
    script = "\n".join(f"assert not can({path!r})" for path in paths)
    results = watched.judge([Submission(source, read_row(script).tests)])[0]
    assert [result.verdict for result in results] == ["passed"] * len(paths)
    seen = watched.judge([Submission(source, read_row("assert f() == 0").tests)])[0][0].detail
    assert "SECRET_TOKEN" not in seen
    assert '"bin", "dev", "etc", "jail"' in seen
    assert '[], [], ["HOME"' in seen


def test_a_test_has_no_descriptor_but_its_own(watched):
    source = """
import os
def f():
    found = []
    for fd in range(1024):
        try:
            found.append((fd, os.fstat(fd).st_rdev))
        except OSError:
            pass
    return found
"""
    null = os.stat("/dev/null").st_rdev
    ((result,),) = watched.judge([Submission(source, read_row("assert f() == 0").tests)])
    found = json.loads(result.detail.removeprefix("got "))
    assert [pair["t"][1] for pair in found] == [null, null, null, 0], found


FORGED = [
    *(
        "1",
        "null",
        '"x"',
        "[]",
        "{}",
        '{"n": 0}',
        '{"n": true, "v": 1}',
        '{"n": 0.0, "v": 7}',
        '{"n": "0", "v": 7}',
        '{"n": 9, "v": 1}',
    ),
    *(
        '{"n": 0, "e": {"a": [1]}}',
        '{"n": 0, "e": null}',
        '{"n": 0, "e": DEEP}',
        '{"load": DEEP}',
        '{"compile": [DEEP]}',
        '{"loaded": DEEP}',
    ),
    *(
        '{"n": 0, "v": DEEP}',
        '{"n": 0, "v": {"t": DEEP}}',
        '{"n": 0, "v": {"d": [[DEEP, 1]]}}',
        '{"n": 0, "v": {"s": [DEEP]}}',
    ),
    *(
        '{"n": 0, "v": {"i": "0xg"}}',
        '{"n": 0, "v": {"i": 5}}',
        '{"n": 0, "v": {"c": ["a", "b"]}}',
        '{"n": 0, "v": {"b": 1}}',
        '{"n": 0, "v": NaN}',
    ),
    *(
        '{"n": 0, "v": {"L": 3}}',
        '{"n": 0, "v": {"T": [null]}}',
        '{"n": 0, "v": {"T": [[1]]}}',
        '{"n": 0, "v": 1e999}',
        '{"n": 0, "v": DIGITS}',
    ),
    *('{"r": "passed"}', '{"n": 0, "v": "\\ud800"}', '{"n": 0, "v": {"o": DEEP}}', '{"n": 0, "v": {"": 1, "t": 2}}'),
]


@pytest.mark.parametrize(
    "script",
    [
        "f() == [7]",
        "f() == (7, {7})",
        "f() == {7: (7,)}",
        "not f(7) is None",
        "abs(f() - 7) < 1",
        "is_same_list(f(), list_node([7]))",
        "is_same_tree(f(), tree_node([7, 7]))",
        "f() is True",
        "not f()",
        "f() == 7.5",
    ],
)
def test_whatever_is_written_in_the_place_of_results_is_judged(small, script):
    texts = [one.replace("DEEP", "[" * 700 + "]" * 700).replace("DIGITS", "7" * 4000) for one in FORGED]
    sources = [
        f"import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b'{{\"loaded\": true}}\\n' + {text.encode()!r} + b'\\n')\n    except OSError:\n        pass\nos._exit(0)\n"
        for text in texts
    ]
    tests = read_row(f"assert {script}").tests
    found = small.judge([Submission(source, tests) for source in sources])
    assert len(found) == len(FORGED)
    claims = {text for text, (result,) in zip(FORGED, found, strict=True) if result.verdict == "passed"}
    if script not in ("not f()", "not f(7) is None"):  # which ask for nothing that could not be claimed
        assert claims == set()


def test_a_value_that_is_forged_for_a_test_runner_is_no_failure_of_the_sandbox(watched):
    """What is no verdict costs nothing: a program must not be able to choose it."""
    tests = read_row("for i in range(2):\n    assert f(f(i)) == i\n").tests
    for value in ('{"o": "x"}', '{"h": 3}', '{"n": "f"}', '{"L": [1]}', "[" * 500 + "]" * 500, '{"s": [[1]]}'):
        forged = json.dumps('{"v": ' + value + "}\n")
        source = f"import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, ('{{\"loaded\": true}}\\n' + {forged} * 3).encode())\n    except OSError:\n        pass\ndef f(x):\n    return x\n"
        ((result,),) = watched.judge([Submission(source, tests)])
        assert result.verdict not in ("passed", "sandbox_failure"), (value, result)


def test_there_is_no_network(watched):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        source = f"""
import socket
def f(family):
    try:
        socket.socket(family).connect(("127.0.0.1", {server.getsockname()[1]}))
        return "escaped"
    except OSError as error:
        return "refused"
"""
        script = "\n".join(
            f"assert f({int(family)}) == 'refused'" for family in (socket.AF_INET, socket.AF_INET6, 16, 17)
        )
        results = watched.judge([Submission(source, read_row(script).tests)])[0]
        assert [result.verdict for result in results] == ["passed"] * 4
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_test_leaves_nothing_for_the_next_one(watched):
    writes = "import builtins, sys, os\nopen('/tmp/x', 'w').write('secret')\nsys.left = builtins.left = 1\nos.environ['LEFT'] = '1'\ndef f():\n    return 1\n"
    reads = "import builtins, sys, os\ndef f():\n    return [os.listdir('/tmp'), hasattr(sys, 'left'), hasattr(builtins, 'left'), 'LEFT' in os.environ]\n"
    one = Submission(writes, read_row("assert f() == 1").tests)
    other = Submission(reads, read_row("assert f() == [[], False, False, False]").tests)
    assert [[r.verdict for r in results] for results in watched.judge([one, other, one, other])] == [["passed"]] * 4


@pytest.mark.parametrize(
    "trace",
    [
        "open('/tmp/x', 'w').close()",
        "open('/tmp/x', 'w').close(); os.unlink('/tmp/x'); os.utime('/tmp', (1, 1))",
        "os.utime('/tmp', ns=(5, os.stat('/tmp').st_mtime_ns))",
        "os.chmod('/tmp', 0)",
        "os.setxattr('/tmp', 'user.x', b'x')",
        "[(os.mkdir('d'), os.chdir('d')) for _ in range(3000)]",
        "os.symlink('/', '/tmp/x')",
        "[open(f'/tmp/{i}', 'w').close() for i in range(9000)]",
    ],
)
def test_a_test_finds_tmp_as_if_it_were_the_first(watched, trace):
    looks = """
import os
def f():
    info = os.stat("/tmp")
    open("/tmp/y", "w").write("y" * 1000)
    os.unlink("/tmp/y")
    return [oct(info.st_mode), info.st_mtime_ns > 10**15, info.st_atime_ns > 10**15, os.listdir("/tmp"), os.listxattr("/tmp"), info.st_nlink]
"""
    first = read_row("assert f() == ['0o41777', True, True, [], [], 2]").tests
    leaves = Submission(
        f"import os\ntry:\n    {trace}\nexcept OSError:\n    pass\ndef f():\n    return 1\n", HONEST.tests
    )
    look = Submission(looks, first)
    assert [[r.verdict for r in results] for results in watched.judge([look, leaves, look])] == [["passed"]] * 3


def test_output_of_the_program_under_test_cannot_reach_a_test_runner(watched):
    """What a script's comparison needs stands in another jail than the program."""
    script = "import random\nfor i in range(3):\n    x = random.random()\n    assert f(x) == x + 1\n"
    cheats = [
        "class E(float):\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return E(0)\n",
        "import os\nos._exit(0)\n",
        "def f(x):\n    raise SystemExit(0)\n",
        "def f(x):\n    import time\n    time.sleep(1000)\n",
        "def f(x):\n    while True:\n        pass\n",
        "def f(x):\n    return 'x' * (40 << 20)\n",
        'import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b\'{"r": "passed", "why": ""}\\n\' * 3 + b\'{"loaded": true}\\n\')\n    except OSError:\n        pass\ndef f(x):\n    return 0\n',
        "def f(x):\n    import os\n    for fd in range(3, 64):\n        try:\n            os.write(fd, b'\\xff{[' * 9 + b'\\n')\n        except OSError:\n            pass\n    return 0\n",
        "import os\nif os.fork() == 0:\n    import time\n    time.sleep(1000)\ndef f(x):\n    return 0\n",
        "def f(x):\n    return {i * ((1 << 61) - 1) for i in range(60_000)}\n",
    ]
    tests = read_row(script).tests
    for source in cheats:
        ((result,),) = watched.judge([Submission(source, tests)])
        assert result.verdict not in ("passed", "sandbox_failure"), (source, result)
    assert [r.verdict for r in watched.judge([Submission("def f(x):\n    return x + 1\n", tests)])[0]] == ["passed"]


COMPILED = {
    "fork bomb": "#include <unistd.h>\nint main() { for (;;) fork(); }",
    "memory bomb": "#include <stdlib.h>\n#include <string.h>\nint main() { for (;;) { char *p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); } }",
    "output flood": '#include <stdio.h>\nint main() { for (;;) puts("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"); }',
    "reads a secret while compiling": '#include <stdio.h>\n__asm__(".incbin \\"/etc/shadow\\"");\nint main() { puts("424242"); }',
    "endless file while compiling": '#include "/dev/zero"\nint main() {}',
    "kills": "#include <signal.h>\nint main() { kill(-1, 9); kill(1, 9); }",
    "daemon": "#include <unistd.h>\nint main() { if (!fork()) { setsid(); if (!fork()) for (;;) sleep(1); } return 0; }",
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs("c")) for name in COMPILED])
def test_a_hostile_c_program_earns_nothing_and_harms_nothing(jailed, name, watched):
    sandbox = Sandbox(SMALL, languages=("c",), lanes=1)
    tests = read_row({"inputs": [""], "outputs": ["424242"]}).tests
    ((result,),) = sandbox.judge([Submission(COMPILED[name], tests, "c")])
    assert result.verdict not in ("passed", "sandbox_failure"), result
    assert all(descendants_of(lane.jail().pid) == [] for lane in lanes_of(sandbox))


@pytest.mark.parametrize("ignore", ["signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "pass"])
def test_the_time_of_children_counts_whoever_waits_for_them(watched, ignore):
    source = f"""
import os, signal, time
def f():
    {ignore}
    for _ in range(100):
        try:
            child = os.fork()
        except OSError:
            time.sleep(0.01)
            continue
        if not child:
            while time.process_time() < 0.04:
                pass
            os._exit(0)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return 1
"""
    ((result,),) = watched.judge([Submission(source, HONEST.tests)])
    assert result.verdict == "time_limit"


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs bash")
def test_a_program_has_no_capability_and_can_be_given_none(jailed):
    sandbox = Sandbox(SMALL, languages=("bash",), lanes=1)
    tests = read_row({"inputs": [""], "outputs": [f"{'0' * 16}\n" * 5]}).tests
    source = "while read name value; do case $name in Cap*) echo $value;; esac; done < /proc/self/status"
    assert sandbox.judge([Submission(source, tests, "bash")])[0][0].verdict == "passed"


def test_records_are_bounded_before_they_are_read():
    nested = b'{"n": 0, "v": [' + b"{}, " * 1_000_000 + b"{}]}\n"
    found = list(records(nested + b'{"n": 1, "v": 1}\n', 1 << 20))
    assert found == [{"too_long": True}, {"n": 1, "v": 1}]
