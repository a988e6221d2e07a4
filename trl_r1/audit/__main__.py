"""
Try the rewards of a recipe on the battery and print what would pay, and which right answers would be refused.

    trl-r1 audit RECIPE                      is the way in; it says what the recipe declares:
    python -m trl_r1.audit < declared.json   {"recipe": name, "rewards": [{"stage", "key", "file", "declared", "prompt_template"}]}
    python -m trl_r1.audit --json < ...      what was found, in JSON alone
    python -m trl_r1.audit --list            exploits and rewritings, with what each does and whom it fools

Exit code 1 if an exploit pays, 0 if none does, 2 if a reward cannot be made as it is declared.
"""

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError, ConfigErrors
from ..io import until_closed
from ..rewards.schedule import RewardSpec, load_reward
from .battery import load_battery
from .measure import Audit, audit_reward


@dataclass
class Declared:
    """A reward with the stages that declare it in the same words, so that it is tried once for all of them."""

    spec: RewardSpec
    reward: Any
    template: str
    stages: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How it is written in the stage's config."""
        args = ", ".join(f"{key}: {_short(value)}" for key, value in self.spec.args.items())
        return f"{self.spec.func}" + (f" ({args})" if args else "")


def declared_rewards(entries: Sequence[dict[str, Any]]) -> list[Declared]:
    """
    Make the rewards that stages declare, each once.

    Raises:
        [`~errors.ConfigErrors`]: with all that are wrong.
    """
    found: dict[str, Declared] = {}
    problems = []
    for entry in entries:
        inside = f"{entry['stage']}.{entry['key']}"
        template = entry.get("prompt_template") or "chat"
        try:
            spec, reward = load_reward(entry["declared"], inside)
        except ConfigError as error:
            problems += [ConfigError(e.message, file=entry.get("file"), key=e.key or inside) for e in error.problems]
            continue
        key = json.dumps([spec.func, spec.args, template], sort_keys=True, default=str)
        found.setdefault(key, Declared(spec, reward, template)).stages.append(entry["stage"])
    if problems:
        raise ConfigErrors(problems)
    return list(found.values())


def report(declared: Declared, audit: Audit) -> list[str]:
    """Return the lines on one reward: what each exploit and rewriting earned, and what those that fail do."""
    lines = ["", f"{declared.name}", f"  in {', '.join(dict.fromkeys(declared.stages))}"]
    if audit.skipped:
        return [*lines, f"  skipped: {audit.skipped}"]
    width = max(len(outcome.sample.id) for outcome in [*audit.exploits, *audit.rewritings])
    for heading, outcomes, fails in (
        ("exploit", audit.exploits, "PAYS"),
        ("right answer", audit.rewritings, "REFUSED"),
    ):
        if not outcomes:
            continue
        lines.append(f"  {heading:<{width}}  {'reward':>7} {'wrong':>7} {'right':>7}")
        for outcome in outcomes:
            earned = [_number(value) for value in (outcome.reward, outcome.wrong, outcome.right)]
            if outcome.error:
                earned[0] = "raises"
            row = f"  {outcome.sample.id:<{width}}  {earned[0]:>7} {earned[1]:>7} {earned[2]:>7}"
            lines.append(row + (f"  {fails}" if outcome.fails else ""))
        for outcome in outcomes:
            if outcome.fails:
                why = f" It raises {outcome.error}" if outcome.error else ""
                lines.append(f"  - {outcome.sample.id}: {outcome.sample.what}{why}")
    lines.append(
        f"  {len(audit.exploits)} exploits, {len(audit.paying) or 'none'} {_pay(len(audit.paying))}; {_refused(audit)}"
    )
    return lines


def record(declared: Declared, audit: Audit) -> dict[str, Any]:
    """Return what was found about one reward, for JSON."""
    found = {
        name: [
            {
                "id": outcome.sample.id,
                "row": outcome.sample.row,
                **{key: getattr(outcome, key) for key in ("reward", "wrong", "right", "error", "fails")},
            }
            for outcome in outcomes
        ]
        for name, outcomes in (("exploits", audit.exploits), ("right_answers", audit.rewritings))
    }
    counts = {"paying": len(audit.paying), "refused": len(audit.refused)}
    return {"reward": declared.name, "stages": declared.stages, "skipped": audit.skipped, **counts, **found}


def _refused(audit: Audit) -> str:
    return f"{len(audit.rewritings)} right answers, {len(audit.refused) or 'none'} refused"


def _pay(count: int) -> str:
    return "pay" if count > 1 else "pays"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _short(value: Any) -> str:
    text = str(value).removeprefix("${run}/")
    return text if len(text) <= 60 else f"{text[:57]}..."


def list_battery() -> list[str]:
    """Return the lines that document the exploits and the rewritings."""
    questions, exploits, rewritings = load_battery()
    lines = [f"{len(exploits)} exploits and {len(rewritings)} right answers on {len(questions)} questions"]
    for exploit in exploits:
        lines.append(f"{exploit.row}: {exploit.id}\n    {exploit.what}\n    fools {exploit.fools}")
    for one in rewritings:
        lines.append(f"{one.row}: {one.id}\n    right: {one.what}\n    refused by {one.refused_by}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Read what is declared from standard input, and report."""
    argv = sys.argv[1:] if argv is None else argv
    return until_closed(lambda: _main(argv))


def _main(argv: Sequence[str]) -> int:
    if "--list" in argv:
        print("\n".join(list_battery()))
        return 0
    asked = json.load(sys.stdin)
    try:
        rewards = declared_rewards(asked["rewards"])
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(f"error: {problem}", file=sys.stderr)
        return errors.exit_code
    try:
        return _tried(asked["recipe"], rewards, as_json="--json" in argv)
    except BrokenPipeError:
        raise
    except Exception:
        traceback.print_exc()
        return 2  # not 1, which says that an exploit pays


def _tried(recipe: str, rewards: list[Declared], as_json: bool) -> int:
    audits = []
    for declared in rewards:
        audits.append(audit_reward(declared.reward, declared.template))
        if not as_json:
            print("\n".join(report(declared, audits[-1])), flush=True)
    tried = sum(len(audit.exploits) for audit in audits)
    paying = sum(len(audit.paying) for audit in audits)
    if as_json:
        records = [record(declared, audit) for declared, audit in zip(rewards, audits)]
        print(json.dumps({"recipe": recipe, "rewards": records}, indent=2, ensure_ascii=False))
        return int(paying > 0)
    refused, right = (sum(len(getattr(audit, name)) for audit in audits) for name in ("refused", "rewritings"))
    skipped = [declared.name for declared, audit in zip(rewards, audits) if audit.skipped]
    width = max(len(declared.name) for declared in rewards)
    print(f"\n{'reward':<{width}}  exploits that pay  right answers refused")
    for declared, audit in zip(rewards, audits):
        if not audit.skipped:
            columns = (
                f"{len(audit.paying)} of {len(audit.exploits)}",
                f"{len(audit.refused)} of {len(audit.rewritings)}",
            )
            print(f"{declared.name:<{width}}  {columns[0]:>17}  {columns[1]:>21}")
    print(
        f"{recipe}: {len(rewards)} rewards, {tried} trials, {paying or 'none'} {_pay(paying)}; "
        f"{right} right answers, {refused or 'none'} refused"
    )
    if skipped:
        print(f"not tried: {'; '.join(skipped)}")
    return int(paying > 0)


if __name__ == "__main__":
    raise SystemExit(main())
