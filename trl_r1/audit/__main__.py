"""
Try the rewards of a recipe on the battery and print what would pay.

    trl-r1 audit RECIPE                      is the way in; it says what the recipe declares:
    python -m trl_r1.audit < declared.json   {"recipe": name, "rewards": [{"stage", "key", "file", "declared", "prompt_template"}]}
    python -m trl_r1.audit --list            the exploits, with what each does and whom it fools

Exit code 1 if an exploit pays, 0 if none does, 2 if a reward cannot be made as it is declared.
"""

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError, ConfigErrors
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
    """Return the lines on one reward: what each exploit earned, and what those that pay do."""
    lines = ["", f"{declared.name}", f"  in {', '.join(dict.fromkeys(declared.stages))}"]
    if audit.skipped:
        return [*lines, f"  skipped: {audit.skipped}"]
    width = max(len(outcome.exploit.id) for outcome in audit.outcomes)
    lines.append(f"  {'exploit':<{width}}  {'reward':>7} {'wrong':>7} {'right':>7}")
    for outcome in audit.outcomes:
        earned = [_number(value) for value in (outcome.reward, outcome.wrong, outcome.right)]
        if outcome.error:
            earned[0] = "raises"
        row = f"  {outcome.exploit.id:<{width}}  {earned[0]:>7} {earned[1]:>7} {earned[2]:>7}"
        lines.append(row + ("  PAYS" if outcome.pays else ""))
    for outcome in audit.paying:
        why = f" It raises {outcome.error}" if outcome.error else ""
        lines.append(f"  - {outcome.exploit.id}: {outcome.exploit.what}{why}")
    lines.append(f"  {len(audit.outcomes)} exploits, {len(audit.paying) or 'none'} {_pay(len(audit.paying))}")
    return lines


def _pay(count: int) -> str:
    return "pay" if count > 1 else "pays"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _short(value: Any) -> str:
    text = str(value).removeprefix("${run}/")
    return text if len(text) <= 60 else f"{text[:57]}..."


def list_battery() -> list[str]:
    """Return the lines that document the exploits."""
    questions, exploits = load_battery()
    lines = [f"{len(exploits)} exploits on {len(questions)} questions"]
    for exploit in exploits:
        lines.append(f"{exploit.row}: {exploit.id}\n    {exploit.what}\n    fools {exploit.fools}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Read what is declared from standard input, and report."""
    argv = sys.argv[1:] if argv is None else argv
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
        return _tried(asked["recipe"], rewards)
    except BrokenPipeError:  # `trl-r1 audit ... | head`
        return 1
    except Exception:
        traceback.print_exc()
        return 2  # not 1, which says that an exploit pays


def _tried(recipe: str, rewards: list[Declared]) -> int:
    audits = []
    for declared in rewards:
        audits.append(audit_reward(declared.reward, declared.template))
        print("\n".join(report(declared, audits[-1])), flush=True)
    tried = sum(len(audit.outcomes) for audit in audits)
    paying = sum(len(audit.paying) for audit in audits)
    skipped = [declared.name for declared, audit in zip(rewards, audits) if audit.skipped]
    print(f"\n{recipe}: {len(rewards)} rewards, {tried} trials, {paying or 'none'} {_pay(paying)}")
    if skipped:
        print(f"not tried: {'; '.join(skipped)}")
    return int(paying > 0)


if __name__ == "__main__":
    raise SystemExit(main())
