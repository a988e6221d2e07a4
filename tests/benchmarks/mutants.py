"""
Would the tests notice? Small changes to the modules whose numbers decide what is learned, each against the tests
nearest to it.

```bash
python -m tests.benchmarks.mutants                            # a sample of every module
python -m tests.benchmarks.mutants --sample 0 data/rows       # every mutant of one
```

A mutant is one change of one place: a comparison turned or moved by one, `+` and `-`, `and` and `or`, `min` and `max`,
a number or a truth value, a `not` or a call left out, a returned value, `break` and `continue`. Texts, messages and
annotations are left alone. A mutant is killed when a test fails, or takes ten times its processor time. Prints what
survives and the share that is killed; ends with exit code 1 below `--demand`.
"""

import argparse
import ast
import contextlib
import copy
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
# Module: the tests nearest to it, which must take seconds.
TESTS = {
    "select": ["tests/test_select.py", "tests/test_select_boundaries.py"],
    "solved": ["tests/test_solved.py"],
    "evaluation": ["tests/evaluation"],
    "data/rows": ["tests/data/test_rows.py", "tests/data/test_row_contents.py", "tests/test_solved.py"],
    "data/schedule": ["tests/data/test_schedule.py", "tests/data/test_schedule_order.py"],
    "rewards/schedule": ["tests/rewards/test_schedule.py"],
    "rewards/scheduled": ["tests/rewards/test_schedule.py", "tests/rewards/test_scheduled.py"],
    "grpo/metrics": ["tests/grpo/test_metrics.py", "tests/grpo/test_groups.py", "tests/grpo/test_further_prompts.py"],
    "grpo/curriculum": ["tests/grpo/test_components.py", "tests/grpo/test_further_prompts.py"],
    "grpo/dynamic_sampling": ["tests/grpo/test_components.py", "tests/grpo/test_further_prompts.py"],
    "grpo/prompt_stream": ["tests/grpo/test_components.py", "tests/grpo/test_further_prompts.py"],
    "runner/directory": ["tests/runner/test_directory.py"],
}
COMPARISONS: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
ANNOTATIONS = {"annotation", "returns", "decorator_list"}
QUIET = {"logger", "warnings", "super"}  # calls whose loss no number shows


@dataclass(frozen=True)
class Mutant:
    """One change: the module's text with it, and where and what it is."""

    module: str
    line: int
    change: str
    source: str


def alternatives(node: ast.AST) -> Iterator[ast.AST | None]:
    """Yield what may stand in a node's place."""
    match node:
        case ast.Compare(ops=ops):
            for i, each in enumerate(ops):
                for other in COMPARISONS[type(each)]:
                    changed = copy.deepcopy(node)
                    changed.ops[i] = other()
                    yield changed
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
            if isinstance(node.op, ast.Add):
                yield node.left
        case ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield ast.Call(ast.Name(CALLS[name]), node.args, node.keywords)
        case ast.Return(value=ast.expr()) if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.If() | ast.While() | ast.IfExp() if isinstance(node.test, (ast.Name, ast.Attribute, ast.Call)):
            changed = copy.copy(node)
            changed.test = ast.UnaryOp(ast.Not(), node.test)
            yield changed


def quiet(node: ast.AST) -> bool:
    """Tell whether nothing inside a node is to be changed: messages, and what only type checkers read."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    return isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[0].split("(")[0] in QUIET


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield every node below one with its parent, the parent's field and, in a list, the index."""
    for field, value in ast.iter_fields(node):
        if field in ANNOTATIONS:
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not quiet(child):
                if not (isinstance(child, ast.Expr) and quiet(child.value)):
                    yield node, field, i, child
                yield from places(child)


def mutants_of(module: str) -> list[Mutant]:
    """Return every mutant of a module of the package."""
    tree = ast.parse((ROOT / "trl_r1" / f"{module}.py").read_text(encoding="utf-8"))
    found = []

    def put(parent: ast.AST, field: str, i: int | None, child: ast.AST | None) -> None:
        if i is None:
            setattr(parent, field, child)
        else:
            getattr(parent, field)[i] = child

    for parent, field, i, node in list(places(tree)):
        for other in alternatives(node):
            put(parent, field, i, other)
            source = ast.unparse(ast.fix_missing_locations(tree))
            put(parent, field, i, node)
            before, after = (ast.unparse(each).split("\n")[0][:100] for each in (node, other))
            found.append(Mutant(module, getattr(node, "lineno", 0), f"{before}  ->  {after}", source))
    return found


def run_tests(place: Path, tests: list[str], cpu_seconds: int) -> int:
    """
    Run tests in a fork of this process, which has the large libraries loaded.

    Returns:
        `int`: pytest's exit code; another number where a signal ended it.
    """
    pid = os.fork()
    if not pid:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        os.chdir(place)
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "trl_r1")]:
            del sys.modules[name]
        sys.path[:] = [str(place), *(path for path in sys.path if path not in ("", str(ROOT)))]
        os.environ["PYTHONPATH"] = str(place)
        import pytest

        os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
    # What waits without computing is given a wall clock of its own, a long one: the machine may be busy.
    end = time.monotonic() + 60 + 10 * cpu_seconds
    while (done := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if done[0] == 0:
        done = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(done[1])


def judge(mutants: list[Mutant], seconds: dict[str, int], results: Path) -> None:
    """Judge mutants one by one in a copy of the repository, and write down which were killed."""
    with tempfile.TemporaryDirectory() as folder, open(results, "w", encoding="utf-8") as file:
        place = copy_of_repository(Path(folder))
        for mutant in mutants:
            path = place / "trl_r1" / f"{mutant.module}.py"
            whole = path.read_text(encoding="utf-8")
            path.write_text(mutant.source, encoding="utf-8")
            killed = run_tests(place, TESTS[mutant.module], seconds[mutant.module]) != 0
            path.write_text(whole, encoding="utf-8")
            file.write(json.dumps([mutant.module, mutant.line, mutant.change, killed]) + "\n")
            file.flush()


def copy_of_repository(folder: Path) -> Path:
    place = folder / "copy"
    place.mkdir()
    for name in ("trl_r1", "tests", "recipes", "docs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, place)
    return place


def untouched(modules: list[str]) -> dict[str, int]:
    """Return the processor time that a mutant of each module is given: ten times that of the tests as they are."""
    with tempfile.TemporaryDirectory() as folder:
        place = copy_of_repository(Path(folder))
        seconds = {}
        for module in modules:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            if code := run_tests(place, TESTS[module], 600):
                raise SystemExit(f"the tests of {module} end with {code} where nothing is changed: {TESTS[module]}")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            seconds[module] = 10 + int(10 * used)
            print(f"{module}: its tests take {used:.1f} s of one core", flush=True)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)}; all of them by default")
    parser.add_argument("--sample", type=int, default=40, help="mutants of each module; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--demand", type=float, default=0.8, help="the share that must be killed")
    arguments = parser.parse_args()
    if wrong := [module for module in arguments.modules if module not in TESTS]:
        parser.error(f"no tests are named for {', '.join(wrong)}")
    modules = arguments.modules or list(TESTS)
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    # A file that is written twice within a second would be read from its stale bytecode.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    import datasets  # noqa: F401 - loaded once, for all the forks
    import torch  # noqa: F401
    from trl import GRPOTrainer, SFTTrainer  # noqa: F401

    seconds = untouched(modules)
    chosen: list[Mutant] = []
    for module in modules:
        mutants = mutants_of(module)
        count = min(arguments.sample or len(mutants), len(mutants))
        chosen += random.Random(f"{arguments.seed} {module}").sample(mutants, count)
        print(f"{module}: {count} of {len(mutants)} mutants", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        workers = []
        for job in range(arguments.jobs):
            if not (pid := os.fork()):
                judge(chosen[job :: arguments.jobs], seconds, Path(folder, str(job)))
                os._exit(0)
            workers.append(pid)
        if any(os.waitpid(pid, 0)[1] for pid in workers):
            raise SystemExit("a worker failed")
        results = [json.loads(line) for file in Path(folder).iterdir() for line in file.read_text().splitlines()]

    for module in modules:
        of_it = sorted(result for result in results if result[0] == module)
        print(f"\n{module}: {sum(killed for *_, killed in of_it)} of {len(of_it)} killed")
        for _, line, change, killed in of_it:
            if not killed:
                print(f"  trl_r1/{module}.py:{line}: {change}")
    share = sum(killed for *_, killed in results) / len(results)
    print(f"\n{sum(killed for *_, killed in results)} of {len(results)} killed: {share:.1%}")
    return 0 if share >= arguments.demand else 1


if __name__ == "__main__":
    sys.exit(main())
