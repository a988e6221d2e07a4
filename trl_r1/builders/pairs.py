"""
Preference pairs: a chosen and a rejected answer to a prompt, for a reward model.

Paper, v2 3.1: a judge scores each pair four times with A and B in random order; pairs whose mean scores are more than 1
apart are kept; the lengths of chosen and rejected answers are comparable overall. 66,000 pairs in all. Here each pair is
seen equally often in both orders. Which answers are paired is not stated: a comparing judge sees the samples of a prompt two by two, and where a reward scores each
answer by itself the best is paired with the worst, the second best with the second worst, and so on.
"""

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Unpack

from ..errors import ConfigError
from ..rewards.schedule import RewardSpec, check_machine, make_reward
from ..sampling import SamplingConfig, score_traces
from ..selection import Selection, normalized
from ..trace import Trace, by_prompt, grouped, read_traces
from .config import PairsConfig
from .job import Hooks, Job
from .judges import ComparisonJudge
from .outputs import PAIR_COLUMNS, sft_row


def build_pairs(sampling: SamplingConfig, config: PairsConfig, **hooks: Unpack[Hooks]) -> list[dict[str, Any]]:
    """
    Sample answers, have them compared, and write the pairs that are far enough apart.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample; at least two answers to a prompt.
        config ([`PairsConfig`]):
            From which model, on which prompts, and who compares.
        **hooks:
            See [`~builders.job.Hooks`].

    Returns:
        `list[dict[str, Any]]`: the rows of `data/train.parquet`.

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong; nothing has been sampled then.
        [`~errors.StageError`]: if no pair was kept.
    """
    if sampling.n_samples < 2:
        raise ConfigError("expected at least 2 answers to a prompt", key="n_samples")
    judge = make_reward(RewardSpec.parse(config.judge, "judge"), "judge")
    check_machine(judge, "judge")
    two_by_two = isinstance(judge, ComparisonJudge)
    rewards = {} if two_by_two else {"preference": judge}
    job = Job(sampling, config, rewards, well_formed=False, **hooks)

    def compare(traces: list[Trace]) -> list[Trace]:
        if isinstance(judge, ComparisonJudge):
            return compare_two_by_two(traces, judge, config.rounds, sampling.seed)
        return score_traces(traces, rewards)

    selection = job.select(
        trace for shard in job.shards(compare, [config.judge, config.rounds]) for trace in read_traces(shard)
    )
    pairs, rejected = choose_pairs(selection, config, two_by_two)
    pairs, rejected["lopsided"] = balance_lengths(pairs, config.max_length_ratio)
    kept = [_row(chosen, worse) for chosen, worse in pairs]
    report = {
        "seen": len(kept) + sum(rejected.values()),
        "kept": len(kept),
        "rejected": {reason: n for reason, n in rejected.items() if n},
        "kept_by_domain": Counter(row["domain"] for row in kept),
        "answers": selection.report,
    }
    job.write(kept, report, selection, columns=PAIR_COLUMNS)
    return kept


def compare_two_by_two(traces: list[Trace], judge: ComparisonJudge, rounds: int, seed: int) -> list[Trace]:
    """
    Have each prompt's samples scored in pairs, the first with the second, the third with the fourth.

    Returns:
        `list[Trace]`: the traces with their mean score over all rounds as the reward `preference`; `None` for a sample
        without a partner, or whose pair could not be judged even once.
    """
    groups: dict[str, list[int]] = {}
    pairs = []  # of each trace, the number of its pair among its prompt's
    for i, trace in enumerate(traces):
        group = groups.setdefault(trace.prompt_id, [])
        pairs.append(len(group) // 2)
        group.append(i)
    asked: list[tuple[int, int]] = []
    for prompt_id, group in groups.items():
        for pair, (i, j) in enumerate(zip(group[::2], group[1::2])):
            if normalized(traces[i].completion) == normalized(traces[j].completion):
                continue
            # Which order comes first is drawn, and then they take turns: by chance alone, one pair in eight of four
            # rounds would be seen in one order only, and a judge that favours the first answer would decide it.
            first = random.Random(f"{seed}:{prompt_id}:{pair}").random() < 0.5
            asked += [(j, i) if first ^ bool(turn % 2) else (i, j) for turn in range(rounds)]
    scores = judge([(traces[a].prompt, traces[a].completion, traces[b].completion) for a, b in asked])
    given: dict[int, list[float]] = {}
    for (a, b), both in zip(asked, scores):
        if both is not None:
            given.setdefault(a, []).append(both[0])
            given.setdefault(b, []).append(both[1])
    return [
        dataclasses.replace(
            trace,
            rewards={**trace.rewards, "preference": sum(given[i]) / len(given[i]) if i in given else None},
            extra={**trace.extra, "pair": str(pairs[i])},
        )
        for i, trace in enumerate(traces)
    ]


def choose_pairs(
    selection: Selection, config: PairsConfig, two_by_two: bool
) -> tuple[list[tuple[Trace, Trace]], dict[str, int]]:
    """
    Pair the answers that selection kept.

    Args:
        selection ([`~selection.Selection`]):
            Answers with the reward `preference`.
        config ([`PairsConfig`]):
            The least gap, and the most pairs of a prompt.
        two_by_two (`bool`):
            Whether scores hold within the pairs that were judged only.

    Returns:
        `tuple`: pairs of a chosen and a rejected answer, and how many were left out by reason.
    """
    rejected = {"unjudged": 0, "gap": 0, "capped": 0}
    pairs = []
    for group in by_prompt(selection.kept).values():
        judged = [trace for trace in group if trace.rewards.get("preference") is not None]
        rejected["unjudged"] += (len(group) - len(judged) + 1) // 2
        if two_by_two:
            partners = grouped(judged, lambda trace: trace.extra["pair"])
            both = [sorted(each, key=_score, reverse=True) for each in partners.values() if len(each) == 2]
            found = [(better, worse) for better, worse in both]
        else:
            ranked = sorted(judged, key=_score, reverse=True)
            found = list(zip(ranked, reversed(ranked)))[: len(ranked) // 2]
        far = sorted((pair for pair in found if _gap(pair) > config.min_gap), key=_gap, reverse=True)
        rejected["gap"] += len(found) - len(far)
        rejected["capped"] += len(far[config.pairs_per_prompt :])
        pairs += far[: config.pairs_per_prompt]
    return pairs, rejected


def balance_lengths(pairs: Sequence[tuple[Trace, Trace]], max_ratio: float) -> tuple[list[tuple[Trace, Trace]], int]:
    """
    Leave out the most lopsided pairs until chosen and rejected answers are about equally long overall.

    Args:
        pairs (`Sequence[tuple[Trace, Trace]]`):
            Chosen and rejected answers.
        max_ratio (`float`):
            The most by which either side's characters may outweigh the other's.

    Returns:
        `tuple`: the pairs that stay, in their order, and how many were left out.
    """
    surplus = [len(chosen.completion) - len(worse.completion) for chosen, worse in pairs]
    chosen = sum(len(pair[0].completion) for pair in pairs)
    worse = sum(len(pair[1].completion) for pair in pairs)
    longer = 1 if chosen > worse else -1
    out: set[int] = set()
    for i in sorted(range(len(pairs)), key=lambda i: (-longer * surplus[i], i)):
        if max(chosen, worse) <= max_ratio * min(chosen, worse) or longer * surplus[i] <= 0:
            break
        out.add(i)
        chosen -= len(pairs[i][0].completion)
        worse -= len(pairs[i][1].completion)
        if longer * (chosen - worse) < 0:
            break
    return [pair for i, pair in enumerate(pairs) if i not in out], len(out)


def _gap(pair: tuple[Trace, Trace]) -> float:
    return _score(pair[0]) - _score(pair[1])


def _score(trace: Trace) -> float:
    return trace.rewards["preference"]  # type: ignore[return-value]


def _row(chosen: Trace, rejected: Trace) -> dict[str, Any]:
    return {
        **sft_row(chosen),
        "chosen": chosen.completion,
        "rejected": rejected.completion,
        "domain": chosen.domain or "none",
    }
