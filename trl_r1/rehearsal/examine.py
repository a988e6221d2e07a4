"""
What the rewards of a rehearsed stage said of right completions and of spoilt ones, read from what it kept. Torch-free.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..data_files import data_files, parquet_files
from ..io import read_json
from ..solved import FULL_MARKS
from ..trace import Trace, grouped, read_traces


_SEVERAL = 6  # prompts, which do not have one solution by chance


def examine(
    folder: Path, config: Mapping[str, Any], rewards: Sequence[tuple[str, bool]]
) -> tuple[list[str], list[str]]:
    """
    Look at what a stage sampled.

    Args:
        folder (`Path`):
            The stage's folder, with `traces/` or `rollouts/`.
        config (`Mapping[str, Any]`):
            Its config.
        rewards (`Sequence[tuple[str, bool]]`):
            Name of each of its rewards, in their order, and whether it judges accuracy.

    Returns:
        `tuple[list[str], list[str]]`: faults and notes.
    """
    faults: list[str] = []
    notes: list[str] = []
    traces = list(_traces(folder))
    declared = config.get("rewards")
    declared = [one if isinstance(one, dict) else {} for one in declared] if isinstance(declared, list) else [{}]
    known = {source.get("domain") for source in config.get("data") or ()}
    idle: list[str] = []  # rewards that would judge answers, and have none to judge
    for spec, (name, accuracy) in zip(declared, rewards):
        rows = [trace for trace in traces if not spec.get("domains") or trace.domain in spec["domains"]]
        rows = [trace for trace in rows if trace.step is None or trace.step >= (spec.get("from_step") or 0)]
        rows = [trace for trace in rows if trace.step is None or trace.step < (spec.get("until_step") or math.inf)]
        found = _of_reward(name, accuracy, rows)
        faults += found[0]
        notes += found[1]
        if traces and not rows:
            elsewhere = spec.get("domains") and known and None not in known and not known & {*spec["domains"]}
            what = f"`{name}` applied to none of the rows that were sampled"
            if elsewhere and accuracy:  # one config may declare the rewards for the data of several stages
                idle.append(f"{what}: its domains are {spec['domains']}, those of the data {sorted(known)}")
            elif not elsewhere:
                notes.append(what)
    if idle and len(idle) == sum(accuracy for _, accuracy in rewards):
        faults += idle
    faults += _of_losses(folder)
    unkept = _of_selection(folder, traces)
    # What is held out is so by its prompts, of which a rehearsal has few.
    held_out = read_json(folder / "selection.json").get("contamination", {}).get("contaminated", 0)
    (notes if held_out else faults).extend(unkept)
    if (folder / "rollouts").is_dir() and not faults:
        faults += _variance(traces, {name: float(one.get("weight", 1.0)) for one, (name, _) in zip(declared, rewards)})
    return faults, notes


def _of_losses(folder: Path) -> list[str]:
    """Whether every logged loss is a number."""
    losses = [
        line["loss"] for line in read_json(folder / "trainer_state.json").get("log_history", ()) if "loss" in line
    ]
    bad = [loss for loss in losses if not isinstance(loss, (int, float)) or not math.isfinite(loss)]
    return [f"its loss is {bad[0]}; expected a number: is any token of its rows trained on?"] if bad else []


def _of_selection(folder: Path, traces: Sequence[Trace]) -> list[str]:
    """Whether a builder kept something of each domain and each language that it sampled."""
    files = data_files(folder / "data" / "train.parquet")
    if not (folder / "selection.json").is_file() or not files:
        return []
    import pyarrow.parquet as pq

    columns = ["prompt_id", "domain", "language"]
    rows = [row for file in files for row in pq.read_table(file, columns=columns).to_pylist()]
    known = {row["prompt_id"] for row in rows}
    if not known & {trace.prompt_id for trace in traces}:
        return []  # prompts of its own
    rejected = ", ".join(
        f"{reason} {n}" for reason, n in read_json(folder / "selection.json").get("rejected", {}).items()
    )
    faults = []
    # What a model wrote at a row's instruction instead of answering it (general data) has neither.
    traces = [trace for trace in traces if trace.domain is not None or trace.language is not None]
    for key in ("domain", "language"):
        prompts = grouped(traces, attrgetter(key))
        kept = {row[key] for row in rows}
        faults += [
            f"it keeps no completion of the {len({t.prompt_id for t in group})} prompts whose {key} is `{value}`, though one "
            f"of each is right; rejected in all: {rejected}"
            for value, group in prompts.items()
            if value not in kept and len({t.prompt_id for t in group}) >= _SEVERAL // 2
        ]
    return faults


def _traces(folder: Path) -> Iterator[Trace]:
    for name in ("traces", "rollouts"):
        for path in parquet_files(folder / name):
            yield from read_traces(path)


def _of_reward(name: str, accuracy: bool, rows: list[Trace]) -> tuple[list[str], list[str]]:
    if not rows:
        return [], []
    judged = [trace for trace in rows if _value(trace, name) is not None]
    if 2 * len(judged) <= len(rows):
        unjudged = next(trace for trace in rows if _value(trace, name) is None)
        what = f"`{name}` could judge {len(judged)} of {len(rows)} completions"
        return [
            f"{what}; expected a reference that it can read. One that it cannot: solution {unjudged.solution!r}"
        ], []
    values = {_value(trace, name) for trace in judged}
    if accuracy:
        groups = grouped(judged, lambda trace: trace.prompt_id)
        unsolved = [group for group in groups.values() if all((_value(t, name) or 0.0) < FULL_MARKS for t in group)]
        if 2 * len(unsolved) > len(groups):
            what = f"`{name}` gives no completion of {len(unsolved)} of {len(groups)} prompts full marks"
            if "code" in name:
                return [], [f"{what}: no right program could be made of their rows"]
            return [
                f"{what}, though one repeats the reference: expected a reference that it can read. One that it cannot: "
                f"solution {unsolved[0][0].solution!r}"
            ], []
        golds = {group[0].solution for group in groups.values()}
        if len(golds) == 1 and len(groups) >= _SEVERAL and "choice" not in name and None not in golds:
            return [
                f"all {len(groups)} prompts have the same solution, {golds.pop()!r}; expected the column of the answers"
            ], []
    if "format" in name and values == {0.0}:
        return [
            f"`{name}` pays no completion, whatever its form: expected the form that the prompt's template asks for"
        ], []
    if len(values) == 1 and len(judged) > 1:
        return [], [f"`{name}` gave every completion {values.pop()}"]
    return [], []


def _value(trace: Trace, name: str) -> float | None:
    value = trace.rewards.get(name)
    return None if value is None or math.isnan(value) else value


def _variance(traces: Sequence[Trace], weights: Mapping[str, float]) -> list[str]:
    """Whether any group of completions has rewards that differ: without, nothing is learned."""
    groups = grouped(traces, lambda trace: f"{trace.step}:{trace.prompt_id}")

    def total(trace: Trace) -> float:
        values = {name: _value(trace, name) for name in weights}
        return sum(weights[name] * value for name, value in values.items() if value is not None)

    same = [group for group in groups.values() if len({round(total(trace), 6) for trace in group}) == 1]
    if groups and len(same) == len(groups):
        worth = sorted({round(total(group[0]), 3) for group in same})
        return [
            f"the rewards never vary: in each of {len(groups)} groups a right, a wrong and a misshapen completion earn the "
            f"same ({', '.join(map(str, worth[:4]))}), so that nothing would be learned"
        ]
    return []
