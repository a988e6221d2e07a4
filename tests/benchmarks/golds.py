r"""
Can every reference answer of the public data sets be read, does it equal itself, and does it differ from a wrong one?

    python -m tests.benchmarks.golds --data DIR [--out golds.json]

For each gold three questions go to the reward itself, not to a function below it: the gold in a box, the gold with 0
added to each of its values (so that it must be read as mathematics), and a perturbed gold in a box. Prints counts per data set and every gold that fails, with the reason.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

from trl_r1.rewards import math_accuracy
from trl_r1.verify import read_gold
from trl_r1.verify.structure import Node, take_apart
from trl_r1.verify.units import take_unit
from trl_r1.verify.words import is_text


SETS = {
    "gsm8k_train.jsonl": "answer",
    "gsm8k_test.jsonl": "answer",
    "math_train.json": "answer",
    "cmath_test.jsonl": "answer",
}
_DIGITS = re.compile(r"\d+")
_TEXT = re.compile(r"\\(?:text|mbox|textnormal)\s*\{[^{}]*\}")


def solutions(path: Path, column: str) -> Iterator[str | None]:
    """Yield the solutions of one file, as they stand."""
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
    for row in rows:
        yield row[column]


def perturbed(gold: str) -> str | None:
    """Change one number of a gold, or one letter where there is none; `None` where there is neither."""
    before, _, after = gold.partition("\\approx")
    gold = before if before.strip() else after  # either side answers such a gold: keep the one that is changed
    masked = _TEXT.sub(lambda found: "\0" * len(found[0]), gold)
    numbers = [found for found in _DIGITS.finditer(masked) if gold[: found.start()][-1:] not in ("_",)]
    if numbers:
        last = numbers[-1]
        return f"{gold[: last.start()]}{int(last[0]) + 1:0{len(last[0])}d}{gold[last.end() :]}"
    command = re.sub(r"\\[A-Za-z]+", lambda found: "\0" * len(found[0]), gold)
    letters = [i for i, character in enumerate(command) if character.isalpha()]
    if not letters and "\\infty" in gold:
        return "1".join(gold.rsplit("\\infty", 1))
    if not letters:
        return None if "\\pi" not in gold else gold.replace("\\pi", "2\\pi")
    i = letters[0]
    return f"{gold[:i]}{'q' if gold[i] != 'q' else 'r'}{gold[i + 1 :]}"


def restated(gold: str) -> str:
    """Add 0 to every value of a gold, so that it is not equal as a text and must be read as mathematics."""
    return _restated(take_apart(gold))


def _restated(node: Node) -> str:
    inner = [_restated(item) for item in node.items]
    if node.kind == "matrix":
        width = int(node.shape.split("x")[1])
        rows = [" & ".join(inner[i : i + width]) for i in range(0, len(inner), width)]
        body = " \\\\ ".join(rows)
        return f"\\begin{{pmatrix}} {body} \\end{{pmatrix}}"
    if node.kind in ("list", "union"):
        return (", " if node.kind == "list" else " \\cup ").join(inner)
    if node.kind == "set" or (node.items and node.kind not in ("ratio", "time")):
        opening, closing = ("\\{", "\\}") if node.kind == "set" else node.shape
        return f"{opening}{', '.join(inner)}{closing}"
    if is_text(node.text) or re.search(r"[<>]|\\(?:le|ge|ne|approx|infty|in)(?![a-z])|:|_", node.text):
        return node.text
    body, unit = take_unit(node.text, any_words=True)
    return f"{body} + 0" + (node.text[len(body) :] if unit and node.text.startswith(body) else "")


def check(name: str, golds: list[str | None]) -> dict:
    """Put the questions for one data set."""
    started = time.perf_counter()
    readable = [gold for gold in golds if gold is not None and read_gold(gold) is not None]
    own = [read_gold(gold) for gold in readable]
    wrong = [perturbed(gold) for gold in own]
    questions = {
        "itself": [f"</think> \\boxed{{{gold}}}" for gold in own],
        "restated": [f"</think> \\boxed{{{restated(gold)}}}" for gold in own],
        "perturbed": [f"</think> \\boxed{{{gold}}}" for gold in wrong],
    }
    failures = [{"gold": gold, "why": "the row has no answer"} for gold in golds if gold is None]
    failures += [{"gold": gold, "why": "not read"} for gold in golds if gold is not None and read_gold(gold) is None]
    counts = {"golds": len(golds), "read": len(readable)}
    for question, completions in questions.items():
        expected = 0.0 if question == "perturbed" else 1.0
        rewards = math_accuracy(completions=completions, solution=readable)
        applies = [question != "perturbed" or changed is not None for changed in wrong]
        counts[question] = sum(reward == expected for reward, yes in zip(rewards, applies) if yes)
        failures += [
            {"gold": gold, "why": f"{question}: {completion[9:]} scores {reward}"}
            for gold, completion, reward, yes in zip(own, completions, rewards, applies)
            if yes and reward != expected
        ]
        failures += [
            {"gold": gold, "why": f"{question}: nothing to change"} for gold, yes in zip(own, applies) if not yes
        ]
    return {"set": name, **counts, "seconds": round(time.perf_counter() - started, 1), "failures": failures}


def main(argv: list[str] | None = None) -> int:
    """Run the check; exit code 1 if a gold that is there cannot be read or does not equal itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the files")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    args = parser.parse_args(argv)
    results = []
    print(f"{'set':<20}{'golds':>8}{'read':>8}{'itself':>8}{'restated':>11}{'perturbed differ':>18}{'seconds':>9}")
    for name, column in SETS.items():
        if not (args.data / name).is_file():
            print(f"{name:<20} not there")
            continue
        found = check(name, list(solutions(args.data / name, column)))
        results.append(found)
        counts = [found[key] for key in ("golds", "read", "itself", "restated", "perturbed", "seconds")]
        print(f"{name:<20}{counts[0]:>8}{counts[1]:>8}{counts[2]:>8}{counts[3]:>11}{counts[4]:>18}{counts[5]:>9}")
    for found in results:
        for failure in found["failures"]:
            print(f"  {found['set']}: {failure['gold']!r}: {failure['why']}")
    if args.out:
        args.out.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    return int(any(found["itself"] < found["read"] for found in results) or not results)


if __name__ == "__main__":
    raise SystemExit(main())
