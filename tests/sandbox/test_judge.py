"""Programs against their tests: what passes, and why what fails does."""

import pytest

from trl_r1.errors import ConfigError, MachineError
from trl_r1.sandbox import Comparison, Limits, Sandbox, Submission, read_row
from trl_r1.sandbox.toolchains import toolchain

from .conftest import SMALL, needs


SUMS = {"inputs": ["1 2\n", "3 4\n", "5 6\n"], "outputs": ["3\n", "7\n", "12\n"]}
DOUBLE = {
    "functional": "def check(candidate):\n    assert candidate(x = 1) == 2\n    assert candidate(x = 3) == 6\n\n\ncheck(Solution().double)"
}


def verdicts(sandbox: Sandbox, source: str, tests, language: str = "python", **row) -> list[str]:
    """Return the verdict of each test."""
    (results,) = sandbox.judge([Submission(source, read_row(tests, **row).tests, language)])
    return [result.verdict for result in results]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return 2 * x", ["passed", "passed"]),
        ("return 2", ["passed", "wrong_answer"]),
        ("return 2 / (x - 1) if x < 3 else 6", ["runtime_error", "passed"]),
        ("import os\n        return 2 * x if x > 1 else os._exit(0)", ["runtime_error", "passed"]),
        ("return 2 * x if x > 1 else [0] * 10**9", ["memory_limit", "passed"]),
        ("return 2 * x if x > 1 else 'x' * (30 << 20)", ["output_limit", "passed"]),
        ("while x < 3: pass\n        return 6", ["time_limit", "passed"]),
        ("return 2 * x +", ["compile_error", "compile_error"]),
    ],
)
def test_one_test_of_a_function_says_nothing_of_the_next(small, body, expected):
    assert verdicts(small, f"class Solution:\n    def double(self, x):\n        {body}\n", DOUBLE) == expected


def test_the_state_of_an_object_lasts_from_call_to_call(small):
    source = "class Solution:\n    def __init__(self):\n        self.seen = []\n    def double(self, x):\n        self.seen.append(x)\n        return 2 * sum(self.seen)\n"
    tests = {"functional": DOUBLE["functional"].replace("== 6", "== 8")}
    assert verdicts(small, source, tests) == ["passed", "passed"]


def test_names_that_leetcode_takes_for_granted(small):
    source = "class Solution:\n    def f(self, head: Optional[ListNode]) -> List[int]:\n        c, q = Counter(), deque()\n        while head:\n            c[head.val] += 1\n            heappush(h := [], (inf, pow(3, -1, 7)))\n            head = head.next\n        return max(accumulate(c.values()), default=gcd(0, 0))\n"
    tests = {
        "functional": "def check(candidate):\n    assert candidate(head = list_node([1, 1, 2])) == 3\n\n\ncheck(Solution().f)"
    }
    assert verdicts(small, source, tests) == ["passed"]


def test_a_program_may_define_its_own_nodes(small):
    source = "class ListNode:\n    def __init__(self, x):\n        self.val, self.next = x, None\nclass Solution:\n    def f(self, a):\n        b = ListNode(7)\n        b.next = a\n        return b\n"
    tests = "def check(candidate):\n    assert is_same_list(candidate(list_node([1])), list_node([7, 1]))\n\n\ncheck(Solution().f)"
    assert verdicts(small, source, {"functional": tests}) == ["passed"]


def test_lists_and_trees_come_back(small):
    source = "class Solution:\n    def f(self, a):\n        return a.next\n    def g(self, t):\n        t.left, t.right = t.right, t.left\n        return t\n"
    linked = "def check(candidate):\n    assert is_same_list(candidate(list_node([1, 2])), list_node([2]))\n    assert is_same_list(candidate(list_node([1])), list_node([]))\n\n\ncheck(Solution().f)"
    trees = "def check(candidate):\n    assert is_same_tree(candidate(tree_node([1, 2, None, 3])), tree_node([1, None, 2, 3]))\n    assert is_same_tree(candidate(tree_node([1, 2])), tree_node([1, 2]))\n\n\ncheck(Solution().g)"
    assert verdicts(small, source, {"functional": linked}) == ["passed", "passed"]
    assert verdicts(small, source, {"functional": trees}) == ["passed", "wrong_answer"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("print(sum(map(int, input().split())))", ["passed", "passed", "wrong_answer"]),
        (
            "import sys\na = sys.stdin.read().split()\nsys.stdout.write(str(int(a[0]) + int(a[1])))",
            ["passed", "passed", "wrong_answer"],
        ),
        (
            "def main():\n    print(sum(map(int, open(0).read().split())))\nif __name__ == '__main__':\n    main()",
            ["passed", "passed", "wrong_answer"],
        ),
        (
            "import atexit\natexit.register(lambda: print(sum(map(int, input().split()))))",
            ["passed", "passed", "wrong_answer"],
        ),
        ("print(3)\nraise SystemExit", ["passed", "wrong_answer", "wrong_answer"]),
        ("print(3)\nraise SystemExit(1)", ["runtime_error"] * 3),
        ("print(undefined)", ["runtime_error"] * 3),
        ("print(", ["compile_error"] * 3),
        ("x = '\0'", ["compile_error"] * 3),
        ("print(3) if input() == '1 2' else [0] * 10**9", ["passed", "memory_limit", "memory_limit"]),
    ],
)
def test_programs_that_read_and_write(small, source, expected):
    assert verdicts(small, source, SUMS) == expected


@pytest.mark.parametrize(
    "source",
    [
        "print(sum(map(int, open('/dev/stdin').read().split())))",
        "import os\nprint(sum(map(int, open('/proc/self/fd/0').read().split())), file=open('/dev/' + 'stdout', 'w'))",
        "\ufeffprint(sum(map(int, input().split())))",
    ],
)
def test_input_by_name_and_a_byte_order_mark(small, source):
    assert verdicts(small, source, SUMS) == ["passed", "passed", "wrong_answer"]


def test_a_program_that_ran_out_of_time_twice_is_not_asked_again(small):
    tests = {"inputs": ["1"] * 4, "outputs": ["1"] * 4}
    (results,) = small.judge([Submission("while True: pass", read_row(tests).tests)])
    assert [result.verdict for result in results] == ["time_limit"] * 4
    assert [result.detail.startswith("not run") for result in results] == [False, False, True, True]


def test_tests_may_end_with_the_first_failure(jailed):
    sandbox = Sandbox(SMALL, lanes=1, until_failure=True)
    assert verdicts(sandbox, "print(3)", SUMS) == ["passed", "wrong_answer"]
    assert verdicts(sandbox, "class Solution:\n    def double(self, x):\n        return 0\n", DOUBLE) == [
        "wrong_answer"
    ]


@pytest.mark.parametrize("value", ["3", "[3]", "(3,)"])
def test_taco_takes_an_answer_in_a_list_of_one(small, value):
    tests = {"fn_name": "f", "inputs": [[1], [1]], "outputs": [[3], [4]]}
    assert verdicts(small, f"def f(x):\n    return {value}\n", tests) == ["passed", "wrong_answer"]
    assert verdicts(small, f"class Solution:\n    def f(self, x):\n        return {value}\n", tests) == [
        "passed",
        "wrong_answer",
    ]


def test_scripts_that_cannot_be_taken_apart(small):
    loop = "import random\nfor i in range(5):\n    x = random.random()\n    assert f(x) == 2 * x\n"
    assert verdicts(small, "def f(x):\n    return x + x\n", loop) == ["passed"]
    assert verdicts(small, "def f(x):\n    return x\n", loop) == ["wrong_answer"]
    assert verdicts(small, "def f(x):\n    return 1 / 0\n", loop) == ["runtime_error"]
    assert verdicts(small, "def f(x) return", loop) == ["compile_error"]
    assert verdicts(small, "def g(x):\n    return x + x\n", loop) == ["runtime_error"]
    assert verdicts(small, "def f(x):\n    while True: pass\n", loop) == ["time_limit"]


def test_scripts_that_keep_objects_and_expect_errors(small):
    script = "c = Counter2(2)\nc.add(1)\nc.limit = 5\nassert c.total() == 1 and len(c) == 1 and c['a'] == 'aa' and 5 in c and 4 not in c\nassert c.same(c)\ntry:\n    c.add(-1)\n    assert False\nexcept ValueError as error:\n    assert 'negative' in str(error)\n"
    source = "class Counter2:\n    def __init__(self, limit):\n        self.limit, self.items = limit, []\n    def add(self, x):\n        if x < 0:\n            raise ValueError('negative')\n        self.items.append(x)\n    def total(self):\n        return sum(self.items)\n    def __len__(self):\n        return len(self.items)\n    def __getitem__(self, key):\n        return key * 2\n    def __iter__(self):\n        return iter([self.limit])\n    def same(self, other):\n        return other is self\n"
    assert verdicts(small, source, script) == ["passed"]
    assert verdicts(small, source.replace("'negative'", "'no'"), script) == ["wrong_answer"]


def test_a_unittest(small):
    script = "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        self.assertEqual(f(1), 2)\nunittest.main()\n"
    assert verdicts(small, "def f(x):\n    return 2\n", script) == ["passed"]
    assert verdicts(small, "def f(x):\n    return 3\n", script) == ["wrong_answer"]


def test_a_script_that_hands_over_what_cannot_be_sent_cannot_be_judged(small):
    assert verdicts(small, "def f(g):\n    return g(1)\n", "x = 2\nassert f(lambda y: x) == x\n") == [
        "sandbox_failure"
    ]


def test_what_a_prompt_defines_is_not_the_programs_to_define(small):
    script = "def check(candidate):\n    for i in range(3):\n        assert inverse(candidate(i)) == i\n"
    given = "def inverse(x):\n    return x - 1\n\n\ndef f(x):\n    pass\n"
    cheat = f"{given}\ndef inverse(x):\n    return inverse.x\ndef f(x):\n    inverse.x = x\n    return 0\n"
    assert verdicts(small, f"{given}\ndef f(x):\n    return x + 1\n", script, entry_point="f", given=given) == [
        "passed"
    ]
    assert verdicts(small, cheat, script, entry_point="f", given=given) == ["wrong_answer"]


def test_numbers_within_a_tolerance(jailed):
    tests = {"inputs": [""], "outputs": ["0.3"]}
    assert verdicts(Sandbox(SMALL, lanes=1), "print(0.1 + 0.2)", tests) == ["wrong_answer"]
    near = Sandbox(SMALL, Comparison(float_tolerance=1e-6), lanes=1)
    assert verdicts(near, "print(0.1 + 0.2)", tests) == ["passed"]


def test_a_checker_decides_where_several_answers_are_right(jailed):
    sandbox = Sandbox(SMALL, Comparison(checker="tests.sandbox.checkers.a_factor"), lanes=1)
    tests = {"inputs": ["12", "15"], "outputs": ["2", "3"]}
    assert verdicts(sandbox, "n = int(input())\nprint(6 if n == 12 else 5)", tests) == ["passed", "passed"]
    assert verdicts(sandbox, "print('six')", tests) == ["wrong_answer", "wrong_answer"]
    calls = Sandbox(SMALL, Comparison(checker="tests.sandbox.checkers.any_order"), lanes=1)
    assert verdicts(calls, "def f():\n    return [2, 1]\n", "assert f() == [1, 2]") == ["passed"]


def test_packages_that_are_named_can_be_imported_and_others_cannot(jailed):
    source = "def f():\n    import psutil\n    return psutil.__name__\n"
    script = "assert f() == 'psutil'"
    assert verdicts(Sandbox(SMALL, lanes=1), source, script) == ["runtime_error"]
    assert verdicts(Sandbox(SMALL, packages=("psutil",), lanes=1), source, script) == ["passed"]
    with pytest.raises(ConfigError, match="no_such_package"):
        Sandbox(SMALL, packages=("no_such_package",), lanes=1).check_machine()


PROGRAMS = {
    "cpp": "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b << std::endl; }",
    "c": '#include <stdio.h>\nint main() { int a, b; scanf("%d%d", &a, &b); printf("%d\\n", a + b); return 0; }',
    "javascript": "const [a, b] = require('fs').readFileSync(0, 'utf8').split(/\\s+/).map(Number);\nconsole.log(a + b);",
    "java": "import java.util.*;\npublic class Sum {\n  public static void main(String[] args) {\n    Scanner s = new Scanner(System.in);\n    System.out.println(s.nextInt() + s.nextInt());\n  }\n}",
    "go": 'package main\nimport "fmt"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b) }',
    "rust": 'use std::io::*;\nfn main() { let mut s = String::new(); stdin().read_to_string(&mut s).unwrap(); let n: i64 = s.split_whitespace().map(|x| x.parse::<i64>().unwrap()).sum(); println!("{}", n); }',
    "bash": "read a b\necho $((a + b))",
}
CRASHES = {
    "cpp": "#include <vector>\nint main() { std::vector<int> v; return v.at(1); }",
    "c": "int main() { return *(volatile int *)0; }",
    "javascript": "throw new Error('no');",
    "java": "class Main { public static void main(String[] a) { Object o = null; o.toString(); } }",
    "go": "package main\nfunc main() { var p *int; *p = 1 }",
    "rust": 'fn main() { let v: Vec<i32> = Vec::new(); println!("{}", v[std::env::args().count()]); }',
    "bash": "exit 3",
}
LANGUAGES = [pytest.param(name, marks=needs(name)) for name in PROGRAMS]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_in_another_language(jailed, language):
    sandbox = Sandbox(Limits(cpu_seconds=5.0, memory_bytes=256 << 20), languages=(language,), lanes=1)
    assert verdicts(sandbox, PROGRAMS[language], SUMS, language) == ["passed", "passed", "wrong_answer"]
    assert verdicts(sandbox, CRASHES[language], SUMS, language) == ["runtime_error"] * 3
    broken = "if then (" if language == "bash" else "} " + PROGRAMS[language]
    assert verdicts(sandbox, broken, SUMS, language) == ["compile_error"] * 3


_JAVA = "{ public static void main(String[] a) { Scanner s = new Scanner(System.in); System.out.println(s.nextInt() + s.nextInt()); } }"
OF_ITS_KIND = [
    (
        "cpp",
        "#include <iostream>\n#include <concepts>\nint main() { int a, b; std::cin >> a >> b; std::cout << [](std::integral auto x) { return x; }(a + b); }",
    ),
    (
        "cpp",
        "#include <iostream>\nint main() { int a, requires; std::cin >> a >> requires; std::cout << a + requires; }",
    ),
    (
        "c",
        '#include <stdio.h>\nint large[3000000] = {1};\nint main() { int a, b; scanf("%d%d", &a, &b); printf("%d", a + b); }',
    ),
    (
        "java",
        'import java.util.*;\n// the main class of this\npublic class A { /* class B { */ record P(int x) {} static class C { String s = "class D {"; } '
        + _JAVA[2:],
    ),
    (
        "java",
        "package a.b;\nimport java.util.*;\nclass Node {}\ninterface I { void go(); }\nfinal class Main " + _JAVA,
    ),
    ("java", "import java.util.*;\nclass Main { static class Inner " + _JAVA + " }"),
]


@pytest.mark.parametrize(("language", "source"), [pytest.param(*one, marks=needs(one[0])) for one in OF_ITS_KIND])
def test_programs_that_are_right_in_their_own_way(jailed, language, source):
    sandbox = Sandbox(Limits(memory_bytes=256 << 20, file_bytes=8 << 20), languages=(language,), lanes=1)
    assert verdicts(sandbox, source, SUMS, language) == ["passed", "passed", "wrong_answer"]


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("int main() { for (;;); }", "time_limit"),
        ("#include <unistd.h>\nint main() { for (;;) sleep(1); }", "time_limit"),
        (
            "#include <stdlib.h>\n#include <string.h>\nint main() { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }",
            "memory_limit",
        ),
        ('#include <stdio.h>\nint main() { for (;;) puts("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"); }', "output_limit"),
    ],
)
@pytest.mark.usefixtures("jailed")
def test_limits_hold_for_compiled_programs(source, verdict):
    try:
        toolchain("c")
    except MachineError as error:
        pytest.skip(str(error))
    sandbox = Sandbox(SMALL, languages=("c",), lanes=1)
    found = verdicts(sandbox, source, {"inputs": [""], "outputs": [""]}, "c")
    # memset of what malloc refused is a crash, as it would be anywhere
    assert found in ([verdict], ["runtime_error"] if verdict == "memory_limit" else [verdict])


def test_tests_of_python_functions_are_for_python(jailed):
    assert (
        verdicts(Sandbox(SMALL, languages=("python", "bash"), lanes=1), "echo", DOUBLE, "bash")
        == ["compile_error"] * 2
    )


def test_a_missing_tool_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    toolchain.cache_clear()
    try:
        with pytest.raises(MachineError, match=r"no `g\+\+`.*Expected g\+\+"):
            Sandbox(languages=("cpp",)).check_machine()
    finally:
        toolchain.cache_clear()


@pytest.mark.parametrize(
    ("language", "tools", "seen"),
    [("javascript", ["node"], ["bin/node"]), ("java", ["java", "javac"], ["bin/javac", "conf", "lib", "bin/java"])],
)
def test_of_a_tool_elsewhere_no_more_is_shown_than_it_reads(monkeypatch, tmp_path, language, tools, seen):
    for name in ("bin", "lib", "conf", "secret"):
        (tmp_path / name).mkdir()
    for tool in tools:
        (tmp_path / "bin" / tool).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    toolchain.cache_clear()
    try:
        assert toolchain(language).places == tuple(str(tmp_path / name) for name in seen)
    finally:
        toolchain.cache_clear()


@pytest.mark.parametrize(
    "arguments", [{"isolation": "docker"}, {"lanes": 0}, {"lanes": True}, {"languages": ("cobol",)}]
)
def test_wrong_arguments_are_told(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        Sandbox(**arguments).check_machine()


@pytest.mark.parametrize(
    "field", ["cpu_seconds", "wall_seconds", "memory_bytes", "processes", "output_bytes", "file_bytes"]
)
def test_limits_are_above_nothing(field):
    with pytest.raises(ConfigError, match=field):
        Limits(**{field: 0})
