"""
Real solutions and what is left of them after a mutation, through the code reward.

```bash
python -m tests.benchmarks.code_data --data DIR
```

Every solution of LeetCode (`leetcode_train.json`: `tests.functional`) and HumanEval (`HumanEval.jsonl.gz`: `test`,
`entry_point`) must earn 1; those that do not are listed with what was seen. Then each is spoilt in several ways and must
earn less than 1. `nothing`, `other` and `raises` change what is returned whatever the tests ask; the rest change the
program's text (`compare`, `arithmetic`: the first operator), which a row with few tests may not notice: a share is told,
and only of every eighth program, as some of them no longer end. The files stand outside the repository. About two
minutes on two cores.
"""

import argparse
import ast
import gzip
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl_r1.rewards import CodeAccuracy
from trl_r1.sandbox import Sandbox, Submission, read_row
from trl_r1.sandbox.extract import completed, defined_in_prompt


_OTHER = """
def __spoil__(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "~"
    if isinstance(value, (list, tuple)):
        return value + type(value)([0])
    return 77
"""
SPOILT = {"nothing": "None", "other": "__spoil__(value)", "raises": "[][0]"}
_OPPOSITE = {ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_OTHER_OPERATOR = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}


@dataclass(frozen=True)
class Problem:
    """A solution with its tests, as the data set has them."""

    name: str
    source: str
    function: str
    method: bool
    columns: dict[str, Any]


def leetcode(path: Path) -> list[Problem]:
    """Read LeetCode's problems."""
    problems = []
    for number, row in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        function = row["tests"]["functional"].rstrip().rpartition("Solution().")[2].rstrip(")")
        problems.append(Problem(f"leetcode/{number}", row["solutions"], function, True, {"tests": row["tests"]}))
    return problems


def humaneval(path: Path) -> list[Problem]:
    """Read HumanEval's problems; a completion is the function's body, as the data have it."""
    problems = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            columns = {"test": row["test"], "entry_point": row["entry_point"], "question": row["prompt"]}
            problems.append(Problem(row["task_id"], row["canonical_solution"], row["entry_point"], False, columns))
    return problems


def whole(problem: Problem) -> str:
    """Return the program with what the prompt gives."""
    if problem.method:
        return problem.source
    beginning = defined_in_prompt(problem.columns["question"], problem.function)
    return completed(beginning, problem.source, problem.function)[0]


def spoilt(problem: Problem, way: str) -> str | None:
    """Return the program spoilt in one way; `None` where there is nothing to spoil in that way."""
    source = whole(problem)
    if way in SPOILT:
        owner = "Solution" if problem.method else "globals()"
        get = f"{owner}.{problem.function}" if problem.method else problem.function
        put = f"{owner}.{problem.function}" if problem.method else f"{owner}[{problem.function!r}]"
        return (
            f"{source}\n{_OTHER}\n__right__, __depth__ = {get}, [0]\ndef __wrong__(*args, **kwargs):\n"
            "    __depth__[0] += 1  # only the outermost call: two wrongs make a right\n"
            "    value = __right__(*args, **kwargs)\n    __depth__[0] -= 1\n"
            f"    return value if __depth__[0] else {SPOILT[way]}\n{put} = __wrong__\n"
        )
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if way == "compare" and isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITE:
            node.ops[0] = _OPPOSITE[type(node.ops[0])]()
            return ast.unparse(tree)
        if way == "arithmetic" and isinstance(node, ast.BinOp) and type(node.op) in _OTHER_OPERATOR:
            node.op = _OTHER_OPERATOR[type(node.op)]()
            return ast.unparse(tree)
    return None


def rewards_of(problems: list[Problem], sources: list[str], accuracy: CodeAccuracy) -> list[float | None]:
    """Return the rewards of programs, handed over as completions are."""
    rewards: list[float | None] = []
    for kind in ("tests", "test"):
        chosen = [i for i, problem in enumerate(problems) if kind in problem.columns]
        if not chosen:
            continue
        names = problems[chosen[0]].columns
        columns = {name: [problems[i].columns[name] for i in chosen] for name in names}
        completions = [f"<think>Let me see.</think>\nHere it is:\n```python\n{sources[i]}\n```" for i in chosen]
        scores = accuracy(completions=completions, **columns)
        rewards += zip(chosen, scores, strict=True)
    return [score for _, score in sorted(rewards)]


def reason(problem: Problem, accuracy: CodeAccuracy) -> str:
    """Say what was seen where a solution does not pass."""
    tests = read_row(
        problem.columns.get("tests") or problem.columns["test"],
        problem.columns.get("entry_point"),
        defined_in_prompt(problem.columns.get("question", ""), problem.function),
    ).tests
    sandbox = Sandbox(packages=accuracy.packages)
    ((*results,),) = sandbox.judge([Submission(whole(problem), tests)])
    for number, result in enumerate(results):
        if result.verdict != "passed":
            call = tests.calls[number] if hasattr(tests, "calls") else None
            asked = f"{call.expression} is to be {call.expected!r}: " if call else ""
            return f"{result.verdict} in test {number}: {asked[:160]}{result.detail}"
    return "passes alone"


def main() -> int:
    """Run the check; 1 where a solution fails or a spoilt one passes that is not known."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lanes", type=int)
    args = parser.parse_args()
    packages = tuple(name for name in ("numpy", "sortedcontainers") if importlib.util.find_spec(name))
    accuracy = CodeAccuracy(packages=packages, lanes=args.lanes)
    quick = CodeAccuracy(packages=packages, lanes=args.lanes, cpu_seconds=1.0, all_or_nothing=True)
    sets = {
        "LeetCode": leetcode(args.data / "leetcode_train.json"),
        "HumanEval": humaneval(args.data / "HumanEval.jsonl.gz"),
    }
    wrong = 0
    for name, problems in sets.items():
        scores = rewards_of(problems, [problem.source for problem in problems], accuracy)
        failing = [problem for problem, score in zip(problems, scores, strict=True) if score != 1.0]
        print(f"{name}: {len(problems) - len(failing)} of {len(problems)} solutions pass", flush=True)
        for problem in failing:
            print(f"  {problem.name}: {reason(problem, accuracy)}")
        for way in (*SPOILT, "compare", "arithmetic"):
            sure = way in SPOILT
            chosen = [problem for problem in problems if problem not in failing][:: 1 if sure else 8]
            pairs = [(problem, source) for problem in chosen if (source := spoilt(problem, way)) is not None]
            scores = rewards_of([problem for problem, _ in pairs], [source for _, source in pairs], quick)
            passing = [problem.name for (problem, _), score in zip(pairs, scores, strict=True) if score != 0.0]
            print(f"  spoilt, {way}: {len(pairs) - len(passing)} of {len(pairs)} fail", flush=True)
            if sure and passing:
                wrong += len(passing)
                print(f"    pass all the same: {', '.join(passing)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
