"""
The figures of `trl-r1 plan` as a terminal and `--json` show them. The check process makes them (`trl_r1.sizes`); here they
are only added up.
"""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import listed
from .display import table
from .sizes import Sizing


GB = 10**9
GIB = 1 << 30
_COLUMNS = 100
_OF_CHECKPOINTS = ("checkpoint", "checkpoints", "rollout buffer")


def totals_of(figures: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """
    Add the figures of a recipe's stages up.

    Args:
        figures (`Sequence[Mapping[str, Any]]`):
            Of each stage, as [`~sizes.figures.Figures`] has them.

    Returns:
        `dict[str, float]`: `hours` of the clock, with one stage after the other; `gpu_hours`; `disk_bytes` at most: all that
        stays, and the checkpoints of the stage that has most, as they go when it is done; `gpus` of the largest stage.
    """
    stays = [{key: n for key, n in each["disk"].items() if key not in _OF_CHECKPOINTS} for each in figures]
    kept = sum(_checkpoints(each) for each in figures if each["keeps_checkpoints"])
    passing = max((_checkpoints(each) for each in figures if not each["keeps_checkpoints"]), default=0)
    return {
        "hours": sum(_hours(each) for each in figures),
        "gpu_hours": sum(_hours(each) * each["gpus"] for each in figures),
        "disk_bytes": sum(sum(each.values()) for each in stays) + kept + passing,
        "gpus": max((each["gpus"] for each in figures), default=0),
    }


def _checkpoints(figures: Mapping[str, Any]) -> int:
    return int(figures["disk"].get("checkpoints", 0))


def _hours(figures: Mapping[str, Any]) -> float:
    return float(sum(figures["hours"].values()))


def figures_of(records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the figures that were made, in the order of the stages."""
    return [record["figures"] for record in records.values() if record.get("figures")]


def as_json(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of all stages and their totals."""
    figures = figures_of(records)
    return json.dumps({"stages": figures, "totals": totals_of(figures)}, indent=2)


def figures_text(records: Mapping[str, Mapping[str, Any]], sizing: Sizing) -> str:
    """
    Return what a terminal shows: a table of work, one of memory, what could not be sized, and the totals.

    Args:
        records (`Mapping[str, Mapping[str, Any]]`):
            What the check process returned, by stage.
        sizing ([`Sizing`]):
            What the figures were made with.
    """
    figures = figures_of(records)
    if not any(each["gpus"] for each in figures):
        return ""
    parts = [_work_table(figures), _memory_table(figures, sizing), _caches(figures), _not_sized(figures)]
    return "\n\n".join(part for part in [*parts, _totals(figures, sizing)] if part)


def _work_table(figures: Sequence[Mapping[str, Any]]) -> str:
    head = ["stage", "parameters", "a step", "tokens", "steps", "GPUs", "hours", "GPU-hours", "disk, GB"]
    rows = []
    for each in figures:
        hours = _hours(each)
        kept = sum(n for key, n in each["disk"].items() if key not in _OF_CHECKPOINTS) + _checkpoints(each)
        rows.append(
            [
                each["stage"],
                _parameters(each),
                _batch(each),
                _short(each["tokens"]),
                f"{each['steps']:,}" if each["steps"] is not None else "-",
                str(each["gpus"] or "-"),
                _number(hours) if hours else "-",
                _number(hours * each["gpus"]) if hours else "-",
                _number(kept / GB) if each["disk"] else "-",
            ]
        )
    return table(head, rows, right=range(1, len(head)))


def _memory_table(figures: Sequence[Mapping[str, Any]], sizing: Sizing) -> str:
    columns = ("weights", "gradients", "optimizer", "reference", "reward_models", "activations", "engine")
    names = ("weights", "grads", "optim", "ref", "rewards", "activ", "vLLM")
    sized = [dict(each) for each in figures if each["memory"] and each["gpus"]]
    if not sized:
        return ""
    for each in sized:  # a rollout's tensors are in the table with the activations
        each["memory"] = {**each["memory"], "activations": each["memory"]["activations"] + each["memory"]["rollout"]}
    used = [i for i, column in enumerate(columns) if any(each["memory"][column] for each in sized)]
    head = ["stage", "divided", "longest", *(names[i] for i in used), "peak", "free"]
    rows = []
    for each in sized:
        memory, micro = each["memory"], each["micro_batch"]
        rows.append(
            [
                each["stage"],
                each["strategy"] or "vLLM",
                f"{micro[0]} x {micro[1]:,}" if micro else "-",
                *(_gib(memory[columns[i]]) for i in used),
                _gib(memory["peak"]),
                f"{sizing.gpu_memory - memory['peak'] / GIB:.1f}",
            ]
        )
    reserve = sizing.throughput.reserve_gb * GB / GIB
    title = (
        f"GiB of a GPU of {sizing.gpu_memory:g}, at the longest micro-batch (rows x tokens); a training's peak has "
        f"{reserve:.1f} for CUDA\n"
    )
    return title + table(head, rows, right=range(2, len(head)))


def _caches(figures: Iterable[Mapping[str, Any]]) -> str:
    lines: dict[str, list[str]] = {}
    for each in figures:
        if cache := each["cache"]:
            text = (
                f"{_short(cache['tokens'])} tokens, {cache['at_longest']:.1f} sequences of {cache['longest']:,} or "
                f"{cache['at_mean']:.0f} of {cache['mean']:,.0f}, the mean"
            )
            lines.setdefault(text, []).append(each["stage"])
    return "vLLM's cache holds\n" + _listed_lines(lines) if lines else ""


def _not_sized(figures: Iterable[Mapping[str, Any]]) -> str:
    lines: dict[str, list[str]] = {}
    for each in figures:
        for note in dict.fromkeys(each["notes"]):  # an evaluation has the same of several models
            lines.setdefault(note, []).append(each["stage"])
    return "Not sized\n" + _listed_lines(lines) if lines else ""


def _listed_lines(lines: Mapping[str, Sequence[str]]) -> str:
    return "\n".join(_wrapped(f"  - {listed(names)}: {text}", "    ") for text, names in lines.items())


def _totals(figures: Sequence[Mapping[str, Any]], sizing: Sizing) -> str:
    totals, assumed = totals_of(figures), sizing.throughput
    missing = sum(not each["hours"] for each in figures)
    gpus = sizing.gpus or int(totals["gpus"])
    part = f", {missing} of {len(figures)} stages left out" if missing else ""
    alone = sum(_hours(each) for each in figures if each["gpus"] < gpus)
    time = (
        f"In all{part}: {_number(totals['gpu_hours'])} GPU-hours; {_number(totals['hours'] / 24)} days, one stage after the "
        "other" + (f", {_number(alone / 24)} of them on fewer than {gpus} GPUs." if alone else ".")
    )
    disk = f"Disk at most: {_number(totals['disk_bytes'] / GB)} GB, with the checkpoints of one stage at a time."
    source = (
        f"Estimates, from {assumed.peak_flops / 1e12:.0f} TFLOP/s at {assumed.model_flops_utilization:.0%}, "
        f"{assumed.memory_bandwidth / 1e12:.2f} TB/s at {assumed.bandwidth_utilization:.0%}, and lengths that are assumed: "
        "see docs/scaling.md; --throughput FILE states others."
    )
    return "\n".join(map(_wrapped, (time, disk, source)))


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _parameters(figures: Mapping[str, Any]) -> str:
    total, trained = figures["parameters"], figures["trainable"]
    if total is None:
        return "-"
    return _short(total) + (f" ({_short(trained)})" if trained not in (None, total) else "")


def _batch(figures: Mapping[str, Any]) -> str:
    questions, completions = figures["questions"], figures["completions"]
    if completions is None:
        return "-"
    if questions:
        return f"{questions:,g} x {completions / questions:g}"
    return f"{completions:,}"


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _gib(value: int) -> str:
    return f"{value / GIB:.1f}" if value else "-"
