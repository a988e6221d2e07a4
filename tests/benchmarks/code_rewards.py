"""
Tests per second of the code reward, against a fresh interpreter per test.

```bash
python -m tests.benchmarks.code_rewards
```

Both run the same programs: small functions in the style of LeetCode, no two alike, each with the nine imports that such
programs take for granted and its asserts. The reward runs them as a trainer would, from completions, in two lanes, each
in its jail. The other way is what most graders do: `subprocess.run([sys.executable, "-c", program])`, over two threads,
with no isolation at all. The two take turns within the same run; the ratio of the medians stands on the last line. Needs
bubblewrap; under a minute on two cores.
"""

import argparse
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from trl_r1.rewards import CodeAccuracy


LANES = 2
IMPORTS = (
    "import bisect, collections, datetime, functools, heapq, itertools, math, random, string\nfrom typing import *\n"
)

# A function's name, its body, and its asserts; {n} makes each program its own.
PROBLEMS = [
    (
        "twoSum",
        "seen = {{}}\nfor i, x in enumerate(a):\n    if b - x in seen:\n        return [seen[b - x], i + {n} - {n}]\n    seen[x] = i\nreturn []",
        ["([2, 7, 11, 15], 9) == [0, 1]", "([3, 2, 4], 6) == [1, 2]", "([3, 3], 6) == [0, 1]"],
    ),
    (
        "primes",
        "found = []\nfor x in range(2, a):\n    if all(x % p for p in found):\n        found.append(x)\nreturn len(found) + b + {n} - {n}",
        ["(100, 0) == 25", "(300, 1) == 63"],
    ),
    (
        "fib",
        "@functools.lru_cache(None)\ndef f(k):\n    return k if k < 2 else f(k - 1) + f(k - 2)\nreturn f(a) % (b + {n} - {n})",
        ["(60, 1000007) == 919941", "(90, 97) == 21"],
    ),
    (
        "editDistance",
        "rows = list(range(len(b) + 1))\nfor i, x in enumerate(a, 1):\n    before, rows[0] = rows[0], i\n    for j, y in enumerate(b, 1):\n        before, rows[j] = rows[j], min(rows[j] + 1, rows[j - 1] + 1, before + (x != y))\nreturn rows[-1] + {n} - {n}",
        ["('intention', 'execution') == 5", "('horse', 'ros') == 3"],
    ),
    (
        "kth",
        "heap = [-x for x in a[:b]]\nheapq.heapify(heap)\nfor x in a[b:]:\n    heapq.heappushpop(heap, -x)\nreturn -heap[0] + {n} - {n}",
        ["([5, 2, 9, 1, 7], 2) == 2", "(list(range(50, 0, -1)), 10) == 10"],
    ),
    (
        "groups",
        "by = collections.defaultdict(list)\nfor w in a:\n    by[''.join(sorted(w))].append(w)\nreturn sorted(map(sorted, by.values()))[: b + {n} - {n}]",
        ["(['eat', 'tea', 'tan', 'ate', 'nat', 'bat'], 9) == [['ate', 'eat', 'tea'], ['bat'], ['nat', 'tan']]"],
    ),
    (
        "reach",
        "queue, seen = collections.deque([(0, 0)]), {{(0, 0)}}\nwhile queue:\n    x, y = queue.popleft()\n    for p in ((x + 1, y), (x, y + 1)):\n        if p[0] < a and p[1] < b and p not in seen:\n            seen.add(p)\n            queue.append(p)\nreturn len(seen) + {n} - {n}",
        ["(12, 9) == 108", "(1, 1) == 1"],
    ),
    (
        "searched",
        "return [bisect.bisect_left(a, x) + {n} - {n} for x in b]",
        ["([1, 3, 5, 7], [0, 3, 8]) == [0, 1, 4]", "([2, 2, 2], [2]) == [0]"],
    ),
]


def programs(count: int) -> list[tuple[str, str]]:
    """Return programs and their test scripts, no two alike."""
    made = []
    for n in range(count):
        name, body, asserts = PROBLEMS[n % len(PROBLEMS)]
        lines = "\n".join(f"        {line}" for line in body.format(n=n).split("\n"))
        source = f"{IMPORTS}class Solution:\n    def {name}(self, a, b):\n{lines}\n"
        checks = "\n".join(f"    assert candidate{check}" for check in asserts)
        made.append((source, f"def check(candidate):\n{checks}\n\n\ncheck(Solution().{name})\n"))
    return made


def fresh_interpreters(some: list[tuple[str, str]]) -> float:
    """Return tests per second of a fresh interpreter per test."""

    def one(program: tuple[str, str]) -> int:
        return subprocess.run([sys.executable, "-c", "\n".join(program)], capture_output=True).returncode

    began = time.perf_counter()
    with ThreadPoolExecutor(LANES) as threads:
        codes = list(threads.map(one, some))
    seconds = time.perf_counter() - began
    assert codes == [0] * len(some), "a program of the benchmark fails"
    return len(some) / seconds


def reward(some: list[tuple[str, str]], accuracy: CodeAccuracy) -> float:
    """Return tests per second of the reward."""
    completions = [f"<think>As usual.</think>\n```python\n{source}```" for source, _ in some]
    tests = [{"functional": script} for _, script in some]
    began = time.perf_counter()
    scores = accuracy(completions=completions, tests=tests)
    seconds = time.perf_counter() - began
    assert scores == [1.0] * len(some), "the reward disagrees"
    return len(some) / seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    accuracy = CodeAccuracy(lanes=LANES)
    accuracy.check_machine()
    every = programs(rounds * 200)
    reward(programs(16), accuracy)
    theirs, ours = [], []
    for turn in range(rounds):
        some = every[turn * 200 : (turn + 1) * 200]
        theirs.append(fresh_interpreters(some[:48]))
        ours.append(reward(some, accuracy))
        print(f"round {turn + 1}: fresh interpreters {theirs[-1]:6.1f} tests/s, reward {ours[-1]:6.1f} tests/s")
    ratio = statistics.median(b / a for a, b in zip(theirs, ours, strict=True))
    print(f"fresh interpreter per test, no isolation: {statistics.median(theirs):.1f} tests/s")
    print(f"code_accuracy, {LANES} lanes, isolated:        {statistics.median(ours):.1f} tests/s")
    print(f"ratio: {ratio:.1f}x (target: at least 8x)")


if __name__ == "__main__":
    main()
