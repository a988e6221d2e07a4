"""Which curves a training stage's log holds, and in which panels they stand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..scores import number
from .chart import MAX_LINES, Line, Panel


def rl_panels(history: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """
    The panels of an RL stage: reward, reward by kind, solve rate, length, truncation, format, language, reflection.

    What a run did not log has no panel.

    Args:
        history (`Sequence[Mapping[str, Any]]`):
            `log_history` of `trainer_state.json`.
    """
    keys = _keys(history)
    rewards = [key for key in keys if key.startswith("rewards/") and key.endswith("/mean")]
    names = {key: key[len("rewards/") : -len("/mean")].rsplit(".", 1)[-1] for key in rewards}
    formats = [key for key in rewards if "format" in names[key].lower()]
    solve = [key for key in keys if key == "solve_rate" or key.startswith("solve_rate/")]
    words = [key for key in keys if key.startswith("reflection/")]
    truncated = "truncated" if "truncated" in keys else "completions/clipped_ratio"
    zero = "zero_variance_groups" if "zero_variance_groups" in keys else "frac_reward_zero_std"
    panels = [
        _panel("Reward, all together", history, {"reward": "reward"}),
        _panel("Reward by kind, unweighted", history, names),
        _panel(
            "Solve rate", history, {k: "all" if k == "solve_rate" else k.split("/", 1)[1] for k in solve}, share=True
        ),
        _panel("Solved at least once (pass@G)", history, {"pass@G": "pass@G"}, share=True),
        _panel("Completion length, tokens", history, {"completions/mean_length": "tokens"}, digits=1),
        _panel("Truncated completions", history, {truncated: "truncated"}, share=True),
        _panel("Format", history, {key: names[key] for key in formats}, share=True),
        _panel("Share of prompt's language", history, {"language_share": "share"}, share=True),
        _panel("Reflection words per 1,000", history, {"reflection_per_1000_words": "reflection"}, digits=1),
        _panel("Reflection by word, per 1,000", history, _most(history, words), digits=1),
        _panel("Groups with equal rewards", history, {zero: "equal"}, share=True),
        _panel("KL to the reference, nats", history, {"kl": "kl"}, digits=3),
        _panel("Entropy of the policy, nats", history, {"entropy": "entropy"}),
    ]
    return [panel for panel in panels if panel is not None]


def supervised_panels(history: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """The panels of a fine-tuning or of a reward model: loss, loss by source, accuracy, margin."""
    keys = _keys(history)
    by_source = {key: key.split("/", 1)[1] for key in keys if key.startswith("loss/")}
    panels = [
        _panel("Loss", history, {"loss": "training", "eval_loss": "held-out"}, digits=3),
        _panel("Loss by source", history, by_source, digits=3),
        _panel("Accuracy of tokens", history, {"mean_token_accuracy": "tokens"}, share=True),
        _panel("Pairs ordered right", history, {"accuracy": "training", "eval_accuracy": "held-out"}, share=True),
        _panel("Margin between chosen and rejected", history, {"margin": "margin"}),
    ]
    return [panel for panel in panels if panel is not None]


def _panel(
    title: str,
    history: Sequence[Mapping[str, Any]],
    labels: Mapping[str, str],
    share: bool = False,
    digits: int = 2,
) -> Panel | None:
    lines = [Line(label, points) for key, label in labels.items() if (points := _points(history, key))]
    if not lines:
        return None
    if max(abs(y) for line in lines for _, y in line.points) < 0.01 and not share:
        digits += 2
    return Panel(title, tuple(lines[:MAX_LINES]), share, digits, max(0, len(lines) - MAX_LINES))


def _points(history: Iterable[Mapping[str, Any]], key: str) -> tuple[tuple[float, float], ...]:
    """Step and value wherever both are finite numbers, one value a step: a resumed run may have logged a step twice."""
    found: dict[float, float] = {}
    for entry in history:
        step, value = number(entry.get("step")), number(entry.get(key))
        if step is not None and value is not None:
            found[step] = value
    return tuple(sorted(found.items()))


def _keys(history: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(key) for entry in history for key in entry))


def _most(history: Sequence[Mapping[str, Any]], keys: Iterable[str], most: int = 5) -> dict[str, str]:
    """The words that were used most, without those that never were."""
    totals = {key: sum(y for _, y in _points(history, key)) for key in keys}
    ranked = sorted((key for key in totals if totals[key] > 0), key=lambda key: (-totals[key], key))
    return {key: key.split("/", 1)[1] for key in ranked[:most]}
