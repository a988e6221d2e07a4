"""
Parts of a recipe that are used only where what they need is there: `needs:` on data, rewards and stages.

```yaml
data:
  prompts:
    - {path: org/problems, domain: math}
    - {path: org/programs, domain: code, needs: bubblewrap}
judge: {base_url: "http://127.0.0.1:8000/v1", model: Qwen/Qwen2.5-72B-Instruct}   # or left out
```

| need | is met where |
|---|---|
| `bubblewrap` | the machine that plans and starts the run can build a jail (docs/sandbox.md) |
| `judge` | the recipe has `judge:`; its keys become arguments of the rewards that need it |

A part whose need is not met is left out of the recipe before anything else is looked at, so it is not in the stages'
configs nor in their fingerprints; `trl-r1 plan` says what is off. `without: [bubblewrap]` turns parts off by hand. What
was off when a run was started is kept with it (`without` in `RUN/recipe.yaml`) and stays off: going on with the run on
another machine changes nothing of it.
"""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from ..errors import ConfigError, did_you_mean, listed
from .document import shown
from .records import Recipe, Stage


@cache
def _no_bubblewrap() -> str | None:
    """Return why this machine cannot build a jail; `None` where it can."""
    if shutil.which("bwrap") is None:
        return "there is no `bwrap` here"
    jail = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    try:
        ran = subprocess.run(jail, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`bwrap` does not run here: {error}"
    said = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"`bwrap` cannot build a jail here: {said}" if ran.returncode else None


# What of the machine a part may need: why it is not there, or nothing.
_MACHINE = {"bubblewrap": _no_bubblewrap}
NEEDS = (*_MACHINE, "judge")


def settle_needs(recipe: Recipe, recorded: Any = None) -> tuple[Recipe, list[ConfigError]]:
    """
    Leave out of a recipe the parts whose needs are not met.

    Args:
        recipe (`Recipe`):
            As it was read.
        recorded (`list[str]`, *optional*):
            Needs that were not met when the run in its directory was started; `None` for a new run.

    Returns:
        `tuple[Recipe, list[ConfigError]]`: the recipe without any `needs:`, with `without` and `off` filled in; and
        what is wrong.
    """
    settling = _Settling(recipe, recorded if isinstance(recorded, list) else None)
    return settling.settled(), settling.problems


class _Settling:
    """One recipe, what it needs and what is found wrong."""

    def __init__(self, recipe: Recipe, recorded: list[str] | None):
        self.recipe = recipe
        self.recorded = recorded
        self.problems: list[ConfigError] = []
        self.unmet: dict[str, str | None] = {}
        self.left_out: dict[str, list[str]] = {}
        for name in recipe.without:
            self.known(name, shown(recipe.path), "without")

    def settled(self) -> Recipe:
        data = dict(self.recipe.data)
        for name in self.used(data):
            parts = [self.part(each, f"data `{_short(each)}`") for each in data[name]]
            data[name] = [part for part in parts if part is not None]
        stages = [stage for each in self.recipe.stages if (stage := self.stage(each, data)) is not None]
        off = tuple(
            f"{need} ({self.unmet[need]}): {', '.join(dict.fromkeys(parts))}" for need, parts in self.left_out.items()
        )
        machine = sorted(name for name, reason in self.unmet.items() if reason and name in _MACHINE)
        return replace(
            self.recipe,
            data={name: sources for name, sources in data.items() if sources},
            stages=tuple(stages),
            # Written down even where nothing is off: a run that was started with everything goes on with everything.
            without=tuple(machine) if set(_MACHINE) & set(self.unmet) else self.recipe.without,
            settled=bool(self.unmet),
            off=off,
        )

    def used(self, data: Mapping[str, Any]) -> list[str]:
        """Return which data a stage reads: a file that is included may have many more."""
        named = [item for stage in self.recipe.stages for item in (*stage.data, *_names(stage.config.get("held_out")))]
        names = {item.get("source") if isinstance(item, dict) else item for item in named}
        return [name for name in data if name in names]

    def stage(self, stage: Stage, data: Mapping[str, Any]) -> Stage | None:
        if not self.met({"needs": stage.needs}, f"stage `{stage.name}`", stage.at):
            return None
        gone = {name for name, sources in data.items() if not sources}

        def there(item: Any) -> bool:
            return (item.get("source") if isinstance(item, dict) else item) not in gone

        config: dict[str, Any] = {}
        for key, value in stage.config.items():
            where = stage.origins.get(key) or stage.at
            if isinstance(value, list):
                parts = [self.part(each, f"`{_short(each)}` of {stage.name}", where) for each in value]
                config[key] = [each for each in parts if each is not None and (key != "held_out" or there(each))]
            elif (part := self.part(value, f"`{_short(value)}` of {stage.name}", where)) is not None:
                config[key] = part
            elif value is None:
                config[key] = None
        found = [
            self.part(item, f"data `{_short(item)}` of {stage.name}", stage.at) for item in stage.data if there(item)
        ]
        return replace(stage, config=config, needs=None, data=[item for item in found if item is not None])

    def part(self, entry: Any, name: str, where: str | None = None) -> Any:
        """Return an entry without its `needs`, a judge's arguments filled in; `None` where it is left out."""
        if not isinstance(entry, dict) or "needs" not in entry:
            return entry
        if not self.met(entry, name, where or shown(self.recipe.path)):
            return None
        kept = {key: value for key, value in entry.items() if key != "needs"}
        if "judge" in _names(entry["needs"]) and "func" in entry:
            kept["args"] = {**(self.recipe.judge or {}), **(entry.get("args") or {})}
        return kept

    def met(self, entry: Mapping[str, Any], name: str, where: str) -> bool:
        for need in _names(entry.get("needs")):
            if not self.known(need, where, "needs"):
                continue
            if need not in self.unmet:
                self.unmet[need] = self.why_not(need)
            if self.unmet[need]:
                self.left_out.setdefault(need, []).append(name)
                return False
        return True

    def known(self, need: Any, where: str, key: str) -> bool:
        if need in NEEDS:
            return True
        self.problems.append(
            ConfigError(
                f"is {need!r}; expected one of {listed(NEEDS)}{did_you_mean(str(need), NEEDS)}", file=where, key=key
            )
        )
        return False

    def why_not(self, need: str) -> str | None:
        if need in self.recipe.without:
            return "turned off by `without`"
        if need == "judge":
            return None if self.recipe.judge else "the recipe names none by `judge:`"
        if self.recorded is not None and need in self.recorded:
            return "was off when this run was started"
        reason = _MACHINE[need]()
        if reason and self.recorded is not None:
            self.problems.append(
                ConfigError(
                    f"this run was started with `{need}`, and {reason}; expected it, or `--set without=[{need}]`, which "
                    "makes the stages that use it run again",
                    file=shown(self.recipe.path),
                    key="without",
                )
            )
        return reason


def _names(needs: Any) -> Iterable[Any]:
    return needs if isinstance(needs, list) else () if needs is None else (needs,)


def _short(entry: Any) -> str:
    """Name an entry of a config as a reader knows it: a reward by its class, data by their name or path."""
    if not isinstance(entry, dict):
        return str(entry)
    if "func" in entry:
        return str(entry["func"]).rpartition(".")[2]
    return str(entry.get("name") or entry.get("source") or entry.get("path"))
