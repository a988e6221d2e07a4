"""
The cases of Math-Verify's own tests, read from a copy of its repository at run time; nothing of them stands here.

Expected is what their tests expect. Left out are cases that are about a switch of `math_verify.verify`
(`allow_set_relation_comp`, `strict`) and of which the expectation depends on it.
"""

import ast
import math
import random
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from .math_corpus import Pair, trace


_ANSWER, _EXPECTED, _SWITCHES = "pred", ("expected", "result"), ("allow_set_relation_comp", "strict")
_LONG = 300  # characters: an answer of that length is a text of its own, and not put into a box


def folder_of_tests(given: Path | None) -> Path:
    """Return the folder with the tests: the given one, or `tests` beside an installed copy of the sources."""
    spec = find_spec("math_verify")
    installed = Path(spec.origin).parents[2] / "tests" if spec is not None and spec.origin else None
    for folder in (given, given / "tests" if given is not None else None, installed):
        if folder is not None and (folder / "test_all.py").is_file():
            return folder
    raise SystemExit(
        "give the folder of Math-Verify's repository with --cases: `git clone` it; the package holds no tests"
    )


def cases(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield gold, prediction and expected verdict of each parametrised case."""
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if not isinstance(decorator, ast.Call) or not ast.unparse(decorator.func).endswith("parametrize"):
                    continue
                named = ast.literal_eval(decorator.args[0])
                names = [name.strip() for name in named.split(",")] if isinstance(named, str) else list(named)
                if not {"gold", _ANSWER} <= set(names) or not set(names).isdisjoint(_SWITCHES):
                    continue
                # The lists hold literals and one f-string of `math.sqrt`.
                rows = eval(compile(ast.Expression(decorator.args[1]), str(path), "eval"), {"math": math})
                for row in rows:
                    case = dict(zip(names, row, strict=True))
                    expected = next(case[name] for name in _EXPECTED if name in case)
                    yield case["gold"], case[_ANSWER], bool(expected)


def closing(prediction: str) -> str:
    """Write a prediction as a completion ends: in a box, unless it holds one or is a text of its own."""
    if "\\boxed" in prediction or len(prediction) > _LONG:
        return prediction
    formula = re.fullmatch(r"\s*\${1,2}([^$]*)\${1,2}\s*", prediction)
    return rf"\boxed{{{(formula[1] if formula else prediction).strip()}}}"


def pairs(folder: Path, traces: int = 1, seed: int = 0) -> list[Pair]:
    """Put each case at the end of as many long traces."""
    r = random.Random(seed)
    found = [
        Pair("math-verify", gold, prediction, trace(r, closing(prediction)), right)
        for _ in range(traces)
        for gold, prediction, right in cases(folder)
    ]
    r.shuffle(found)
    return found
