r"""
How fast is `trl_r1.rewards.MathAccuracy` beside `trl.rewards.accuracy_reward`, and where do their verdicts differ?

    python -m tests.benchmarks.math_rewards [--pairs 4000] [--data DIR] [--out differences.json]

Three contestants: TRL's reward, ours with two workers, ours with one. Each runs in a process of its own that is warmed
up on other pairs, so that none finds what another has computed; batch by batch they take turns at the same pairs, in
an order that rotates. Wall time is measured inside their processes, around the call of the reward alone.

Two loads, both made from a seed (see `math_corpus`): *groups* as GRPO samples them, 16 completions to a prompt with at
most 4 distinct answers, and a *diverse* corpus in which no two pairs belong together. With `--data` the diverse corpus
also holds golds of MATH. A third of the pairs are plain numbers, the rest LaTeX that takes some algebra.

`--corpus math-verify --cases DIR` races over Math-Verify's own cases instead, from a copy of its repository, each at the end of
as many long traces as `--traces` says. The workers are then not started before: their start is part of the time. Exit code 1
if a right verdict is rarer than .93, a wrong answer is paid, or the race is won by less than 15 times.

Every pair knows by construction whether it is right, so each difference of verdicts, all of which are listed, is
judged by that. Exit code 1 if our verdict differs from the truth anywhere.
"""

import argparse
import json
import multiprocessing
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from . import math_verify_cases
from .math_corpus import Pair, diverse, from_data, groups


CONTESTANTS = ("trl", "two workers", "one worker")
_BATCH = 128
_REWARD: list[Any] = []


def prepare(contestant: str, cold: bool = False) -> None:
    """
    Load a contestant's reward in its own process, and use it once so that nothing is loaded while it is timed; where `cold`,
    but for the workers.
    """
    if contestant == "trl":
        import logging

        from trl.rewards import accuracy_reward

        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        _REWARD.append(accuracy_reward)
    else:
        from trl_r1.rewards import MathAccuracy

        _REWARD.append(MathAccuracy(workers=2 if contestant == "two workers" else 1))
    if cold:
        judge([("5", "<think>so</think> $\\boxed{5}$")]) if contestant == "trl" else None
        return
    judge([(pair.gold, pair.completion) for pair in diverse(40, seed=99)])
    # Start the workers too: a pair that takes computer algebra.
    judge([(rf"$\binom{{{k}}}{{2}}$", rf"<think>so</think> $\boxed{{{k}}}$") for k in (3, 5, 7, 9)])


def judge(pairs: list[tuple[str, str]]) -> tuple[list[float | None], float]:
    """Judge a batch as a trainer would, conversational completions in one call; return rewards and seconds."""
    completions = [[{"role": "assistant", "content": completion}] for _, completion in pairs]
    solutions = [gold for gold, _ in pairs]
    started = time.perf_counter()
    rewards = _REWARD[0](completions=completions, solution=solutions)
    return rewards, time.perf_counter() - started


def race(pairs: list[Pair], cold: bool = False) -> tuple[dict[str, float], dict[str, list[float | None]]]:
    """Let the contestants take turns at batches of the same pairs; return seconds and rewards of each."""
    context = multiprocessing.get_context("spawn")
    processes = {name: ProcessPoolExecutor(1, mp_context=context) for name in CONTESTANTS}
    seconds = dict.fromkeys(CONTESTANTS, 0.0)
    rewards: dict[str, list[float | None]] = {name: [] for name in CONTESTANTS}
    try:
        for name, process in processes.items():
            process.submit(prepare, name, cold).result()
        for turn, start in enumerate(range(0, len(pairs), _BATCH)):
            batch = [(pair.gold, pair.completion) for pair in pairs[start : start + _BATCH]]
            for k in range(len(CONTESTANTS)):
                name = CONTESTANTS[(turn + k) % len(CONTESTANTS)]
                found, spent = processes[name].submit(judge, batch).result()
                rewards[name] += found
                seconds[name] += spent
    finally:
        for process in processes.values():
            process.shutdown()
    return seconds, rewards


def reason(pair: Pair, theirs: float | None) -> str:
    """Say in words what sort of difference it is, by what TRL's reward made of the pair."""
    if "in the thought only" in pair.kind:
        return "pays for an answer that stands in the thought alone"
    if theirs is None:
        return "cannot read the gold, and drops the row"
    if theirs:
        return "pays for a wrong answer"
    return "does not pay for a right answer"


def differences(pairs: list[Pair], rewards: dict[str, list[float | None]]) -> list[dict[str, Any]]:
    """List every pair on which TRL's verdict, ours, or the truth differ."""
    found = []
    for pair, theirs, ours, alone in zip(pairs, *(rewards[name] for name in CONTESTANTS), strict=True):
        truth = float(pair.right)
        if theirs == ours == alone == truth:
            continue
        found.append(
            {
                "kind": pair.kind,
                "gold": pair.gold,
                "answer": pair.answer,
                "truth": truth,
                "trl": theirs,
                "trl_r1": ours,
                "trl_r1, one worker": alone,
                "to our credit": ours == alone == truth,
                "trl's reward": reason(pair, theirs) if theirs != truth else "is right",
            }
        )
    return found


def report(name: str, pairs: list[Pair]) -> tuple[str, list[dict[str, Any]], bool]:
    """Race over one load, print what differs, and return its last line, its differences, and whether all are right."""
    seconds, rewards = race(pairs)
    found = differences(pairs, rewards)
    ours_wrong = [one for one in found if not one["to our credit"]]
    print(f"\n{name}: {len(pairs)} pairs, {len(found)} verdicts differ, {len(ours_wrong)} of them not to our credit")
    for (kind, why), count in sorted(Counter((one["kind"], one["trl's reward"]) for one in found).items()):
        print(f"  {count:>4}  {kind}: TRL's reward {why}")
    lines = Counter(
        f"{' ' if one['to our credit'] else '!'} {one['gold']} answered by {one['answer']} ({one['kind']}): "
        f"truth {one['truth']}, TRL {one['trl']}, ours {one['trl_r1']}"
        for one in found
    )
    for line, count in lines.items():
        print(line + (f", {count} times" if count > 1 else ""))
    trl, two, alone = (seconds[contestant] for contestant in CONTESTANTS)
    line = (
        f"{name}: {len(pairs)} pairs; TRL {trl:.2f} s ({1000 * trl / len(pairs):.2f} ms a pair), "
        f"two workers {two:.2f} s = {trl / two:.1f}x, one worker {alone:.2f} s = {trl / alone:.1f}x"
    )
    return line, [{"load": name, **one} for one in found], not ours_wrong


def others_corpus(folder: Path, traces: int, seed: int) -> int:
    """Race over Math-Verify's cases; return 1 if one of the three figures falls short."""
    pairs = math_verify_cases.pairs(folder, traces, seed)
    seconds, rewards = race(pairs, cold=True)
    for name in CONTESTANTS:
        judged = list(zip(pairs, rewards[name], strict=True))
        right = sum(reward == float(pair.right) for pair, reward in judged) / len(pairs)
        paid = sum(bool(reward) and not pair.right for pair, reward in judged)
        print(f"{name}: {right:.3f} as expected, {paid / traces:g} cases paid wrongly, {seconds[name]:.2f} s")
    ours = list(zip(pairs, rewards["two workers"], strict=True))
    for case in sorted(
        {(pair.gold, pair.answer, reward) for pair, reward in ours if reward != float(pair.right)}, key=str
    ):
        print("  ", *(repr(part if not isinstance(part, str) else part[-120:]) for part in case))
    right = sum(reward == float(pair.right) for pair, reward in ours) / len(pairs)
    paid = sum(bool(reward) and not pair.right for pair, reward in ours)
    factor = seconds["trl"] / seconds["two workers"]
    print(f"{len(pairs)} pairs of {len(pairs) // traces} cases, a worker's start included: {factor:.1f}x TRL's")
    return int(right < 0.93 or paid > 0 or factor < 15)


def main(argv: list[str] | None = None) -> int:
    """Race over both loads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4_000, help="pairs of the diverse corpus; the groups hold half")
    parser.add_argument(
        "--data", type=Path, help="folder with `math_train.json`: a quarter as many pairs of its golds"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", choices=["ours", "math-verify"], default="ours")
    parser.add_argument("--cases", type=Path, help="a copy of Math-Verify's repository, for `--corpus math-verify`")
    parser.add_argument("--traces", type=int, default=6, help="traces to a case of it")
    parser.add_argument("--out", type=Path, help="write the differences as JSON")
    args = parser.parse_args(argv)
    if args.corpus == "math-verify":
        return others_corpus(math_verify_cases.folder_of_tests(args.cases), args.traces, args.seed)
    loads = {
        "groups of 16": groups(max(1, args.pairs // 32), seed=args.seed),
        "diverse": diverse(args.pairs, seed=args.seed),
    }
    if args.data is not None:
        loads["golds of MATH"] = list(from_data(args.data, args.pairs // 4, seed=args.seed))
    results = [report(name, pairs) for name, pairs in loads.items()]
    if args.out is not None:
        listed = [one for _, found, _ in results for one in found]
        args.out.write_text(json.dumps(listed, indent=1, ensure_ascii=False), encoding="utf-8")
    print()
    for line, _, _ in results:
        print(line)
    return int(not all(right for _, _, right in results))


if __name__ == "__main__":
    raise SystemExit(main())
