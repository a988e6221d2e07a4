r"""
Builders over real problems: are right completions accepted, and spoilt ones refused?

```bash
python -m tests.benchmarks.data_real --data DIR [--rows 300] [--builder cold_start]
```

Each problem of GSM8K, MATH, CMATH and LeetCode is answered twice, as a strong model at some server would: once with its
reference solution in R1's form (the worked steps or the problem's own words as the thought, then the answer in a box, or
the program), and once spoilt (another value in the box; a program that returns something else). A builder samples, scores
and selects with the rules of the recipes. Prints how many of either kind were judged as they should be and every exception
with its reason; ends with exit code 1 below 99.5 % in a set. LeetCode runs in the jail. The files stand outside the
repository. Some five minutes for all rows on two cores.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from tests.benchmarks import code_data
from tests.benchmarks.golds import perturbed
from trl_r1.builders import ColdStartConfig, RejectionConfig, build_cold_start, build_rejection
from trl_r1.data import load_prompts
from trl_r1.data_files import data_files
from trl_r1.errors import StageError
from trl_r1.sampling import Sample, SamplingConfig
from trl_r1.verify import read_gold


DEMANDED = 0.995
FORMS = {"think": "<think>\n{}\n</think>\n\n{}", "r1_zero": "<think>{}</think> <answer>{}</answer>"}
RULES = {"languages": ["en", "zh"], "max_paragraph_words": 400, "max_repetition": 0.3, "min_language_share": 0.9}
_PACKAGES = ("numpy", "sortedcontainers")  # what solutions of LeetCode import
_CALCULATION = re.compile(r"<<.*?>>")


@dataclass(frozen=True)
class Set:
    """
    A set of problems.

    Args:
        sources (`list[dict]`):
            Entries of `data:`.
        answers (`Callable`):
            Given a row, its thought, and its right and its spoilt answer.
        accuracy (`str`):
            The reward that decides.
    """

    sources: list[dict[str, Any]]
    answers: Callable[[dict[str, Any]], tuple[str, str, str]]
    accuracy: str = "trl_r1.rewards.MathAccuracy"


def boxed(row: dict[str, Any], thought: str, said: str) -> tuple[str, str, str]:
    """A thought, and a summary with the gold or with another value in its box."""
    gold = read_gold(row["solution"]) or row["solution"] or "no reference"  # a few rows of MATH have none
    other = perturbed(gold) or "none of these"
    return thought, f"{said} \\boxed{{{gold}}}", f"{said} \\boxed{{{other}}}"


def gsm8k(folder: Path) -> Set:
    """The worked steps are the thought."""
    worked: dict[str, str] = {}
    sources = []
    for name in ("gsm8k_train.jsonl", "gsm8k_test.jsonl"):
        path = folder / name
        sources.append({"path": str(path), "prompt_column": "question", "solution_column": "answer", "domain": "math"})
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            worked[row["question"]] = _CALCULATION.sub("", row["answer"].partition("####")[0]).strip()
    return Set(sources, lambda row: boxed(row, f"Let me see. {worked[row['prompt']]}", "The answer is"))


def math(folder: Path) -> Set:
    """The data have no worked steps: the thought goes over the problem's own words, with their LaTeX."""
    path = str(folder / "math_train.json")

    def answers(row: dict[str, Any]) -> tuple[str, str, str]:
        return boxed(row, f"Let me read it again: {row['prompt']}\n\nSo I work it out and check it.", "Hence")

    return Set([{"path": path, "prompt_column": "problem", "solution_column": "answer", "domain": "math"}], answers)


def cmath(folder: Path) -> Set:
    """As [`math`], in Chinese."""
    path = str(folder / "cmath_test.jsonl")

    def answers(row: dict[str, Any]) -> tuple[str, str, str]:
        return boxed(row, f"我先把题目再读一遍：{row['prompt']}\n\n然后一步一步地算，再检查一遍结果。", "所以答案是")

    return Set([{"path": path, "prompt_column": "question", "solution_column": "answer", "domain": "math"}], answers)


def leetcode(folder: Path) -> Set:
    """Programs; what is spoilt returns nothing, something else, or raises."""
    path = folder / "leetcode_train.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    problems = {row["problem"]: one for row, one in zip(rows, code_data.leetcode(path), strict=True)}
    ways = list(code_data.SPOILT)

    def answers(row: dict[str, Any]) -> tuple[str, str, str]:
        problem = problems[row["prompt"]]
        wrong = code_data.spoilt(problem, ways[int(problem.name.rpartition("/")[2]) % len(ways)])
        thought = "Let me think about what is asked, which cases there are, and how to go through them without waste."
        said = "This does it:\n\n```python\n{}\n```"
        return thought, said.format(code_data.whole(problem)), said.format(wrong)

    source = {"path": str(path), "prompt_column": "problem", "domain": "code", "language": "en"}
    return Set([source], answers, "trl_r1.rewards.CodeAccuracy")


SETS = {"GSM8K": gsm8k, "MATH": math, "CMATH": cmath, "LeetCode": leetcode}


class Reference:
    """An engine that knows two completions for each question: the right one and the spoilt one."""

    def __init__(self, completions: dict[str, tuple[str, str]]) -> None:
        self.completions = completions

    def generate(self, questions: list[str], n: int, seed: int) -> list[list[Sample]]:
        """See [`~sampling.Engine`]."""
        return [
            [Sample(text, "stop", len(text) // 3 + 1) for text in self.completions[question]] for question in questions
        ]

    def close(self) -> None:
        """Nothing is held."""


def run(name: str, folder: Path, limit: int | None, builder: str, out: Path) -> bool:
    """Build one set and print what became of it; whether it is as it should be."""
    found = SETS[name](folder)
    sources = [{**source, "limit": limit} for source in found.sources] if limit else found.sources
    style = "r1_zero" if builder == "cold_start" else "think"
    answered = {row["prompt"]: found.answers(row) for row in load_prompts(sources)}
    forms = {
        question: (FORMS[style].format(thought, right), FORMS[style].format(thought, wrong))
        for question, (thought, right, wrong) in answered.items()
    }
    arguments: dict[str, Any] = {"style": style}
    if "Code" in found.accuracy:
        arguments |= {"all_or_nothing": True, "packages": [name for name in _PACKAGES if find_spec(name)]}
    settings: dict[str, Any] = {
        "data": sources,
        "output_dir": str(out),
        "model_name_or_path": "references",
        "rewards": [{"func": found.accuracy, "args": arguments}],
        "rules": {**RULES, "style": style},
        "rejected_per_reason": None,
    }
    sampling = SamplingConfig(prompt_template="chat", n_samples=2, shard_prompts=256)
    engine: Any = Reference(forms)
    started = time.perf_counter()
    if builder == "cold_start":
        config = ColdStartConfig(
            **settings, form=FORMS["think"].replace("{}", "{thought}", 1).replace("{}", "{answer}")
        )
        build_cold_start(sampling, config, engine=engine)
    else:
        build_rejection(sampling, RejectionConfig(**settings), engine=engine)
    seconds = time.perf_counter() - started
    return _told(name, forms, seconds, out)


def _told(name: str, forms: dict[str, tuple[str, str]], seconds: float, out: Path) -> bool:
    rejected = pq.read_table(data_files(out / "rejected" / "train.parquet")).to_pylist()
    lost = [row for row in rejected if row["completion"] == forms[row["prompt"]][0]]
    known = {row["prompt"] for row in rejected if row["completion"] == forms[row["prompt"]][1]}
    taken = [question for question in forms if question not in known]
    total = len(forms)
    right, refused = total - len(lost), total - len(taken)
    print(
        f"{name:<10}{total:>7} problems: {right:>6} right ones accepted ({right / total:.2%}), {refused:>6} spoilt ones "
        f"refused ({refused / total:.2%}); {seconds:.0f} s, {2 * total / seconds:.0f} samples/s",
        flush=True,
    )
    for row in lost:
        print(
            f"  refused though right: {row['reason']}: ...{_end(row['prompt'])} ({row['solution'] or row['rewards']})"
        )
    for question in taken:
        print(f"  accepted though spoilt: ...{_end(question)}: ...{_end(forms[question][1])}")
    return min(right, refused) >= DEMANDED * total


def _end(text: str, length: int = 140) -> str:
    return " ".join(text.split())[-length:]


def main(argv: list[str] | None = None) -> int:
    """Run the check; 1 where a set is below what is demanded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the files")
    parser.add_argument("--rows", type=int, help="at most so many problems of each file, drawn at random")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--builder", default="rejection", choices=("rejection", "cold_start"))
    args = parser.parse_args(argv)
    datasets.disable_progress_bars()
    good = True
    for name in args.sets:
        with tempfile.TemporaryDirectory() as folder:
            try:
                good &= run(name, args.data, args.rows, args.builder, Path(folder) / "out")
            except StageError as error:
                print(f"{name}: {error}")
                good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
