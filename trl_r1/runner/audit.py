"""
`trl-r1 audit`: which known exploits would the rewards of a recipe pay for, and which right answers would they refuse?

The recipe is read here; the battery runs in a separate process, since it calls rewards, which may import what they like.
"""

import json
import subprocess
import sys
from collections.abc import Iterable

from ..errors import ConfigErrors
from ..recipe import read_recipe, resolve, settle_needs
from ..rewards.schedule import declared_rewards


def audit(recipe_name: str, *, overrides: Iterable[str] = (), as_json: bool = False) -> int:
    """
    Try the battery on every reward that a recipe's stages declare.

    Args:
        recipe_name (`str`):
            The recipe, by path or by name.
        overrides (`Iterable[str]`, *optional*):
            `stage.key=value`.
        as_json (`bool`, *optional*, defaults to `False`):
            Whether to print what was found alone, in JSON.

    Returns:
        `int`: 0 if no exploit pays, 1 if one does, 2 if a reward cannot be made.

    Raises:
        `ConfigErrors`: the recipe is wrong.
    """
    recipe, problems = read_recipe(recipe_name, overrides=overrides)
    recipe, unknown = settle_needs(recipe)
    stages, more = resolve(recipe)
    if problems or unknown or more:
        raise ConfigErrors([*problems, *unknown, *more])
    entries = [
        {
            "stage": item.name,
            "key": key,
            "file": item.at(key),
            "declared": declared,
            "prompt_template": item.config.get("prompt_template"),
        }
        for item in stages
        for key, declared in declared_rewards(item.config)
    ]
    if not entries and not as_json:
        print(f"{recipe.name}: no stage declares a reward")
        return 0
    asked = json.dumps({"recipe": recipe.name, "rewards": entries}, default=str)
    command = [sys.executable, "-m", "trl_r1.audit", *(["--json"] if as_json else [])]
    return subprocess.run(command, input=asked, text=True).returncode
