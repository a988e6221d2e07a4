"""
Rewards as a stage's YAML declares them: dotted import path, weight, arguments, and when and where they apply.

```yaml
rewards:
  - {func: trl_r1.rewards.MathAccuracy, domains: [math, stem]}
  - {func: trl_r1.rewards.LanguageConsistency, weight: 1.0}
  - {func: trl_r1.rewards.PreferenceModel, args: {model: preference}, domains: [general], from_step: 1300}
```

There is no registry: a reward of one's own is named the same way. The path may lead to a class (made with `args`), to a
ready instance or function (no `args`), or to a function that makes a reward: one without a parameter `completions`,
such as `trl.rewards.get_repetition_penalty_reward`. A class says with `recipe_models = ("model",)` which of its
arguments name a model of the recipe: a stage, `base_model`, a folder or a Hub id.

The stages, `trl-r1 plan` and `trl-r1 audit` read and make rewards with the functions here. Importable without torch.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError, did_you_mean, expect
from ..model_server import run_coroutine
from ..typed import make
from .scheduled import AsyncScheduled, Scheduled, is_async
from .scheduled import name_of as name_of
from .scheduled import required_columns as required_columns


@dataclass(frozen=True)
class RewardSpec:
    """
    One reward, as declared.

    Args:
        func (`str`):
            Dotted import path of a class, an instance, a function, or a function that makes a reward.
        weight (`float`, *optional*, defaults to `1.0`):
            Factor of the reward in the sum.
        args (`dict[str, Any]`, *optional*):
            Arguments of the class or of the function that makes the reward.
        domains (`tuple[str, ...]`, *optional*):
            Domains of the rows it applies to; all where it is not given.
        from_step (`int`, *optional*):
            First training step at which it applies; a step is one policy update, and the first is 0.
        until_step (`int`, *optional*):
            First training step at which it applies no more.
        needs (`str` or `list[str]`, *optional*):
            What a recipe must have for the reward to be part of it ([`~recipe.settle_needs`]). Says nothing to a stage
            that runs alone: there the reward itself refuses a machine that lacks what it needs.
    """

    func: str
    weight: float = 1.0
    args: dict[str, Any] = field(default_factory=dict)
    domains: tuple[str, ...] | None = None
    from_step: int | None = None
    until_step: int | None = None
    needs: str | list[str] | None = None

    @classmethod
    def parse(cls, declared: Any, key: str = "rewards") -> "RewardSpec":
        """
        Read a declaration.

        Args:
            declared (`str` or `Mapping`):
                A dotted path alone, or a mapping with the fields of this class.
            key (`str`, *optional*, defaults to `"rewards"`):
                Where it is, for messages.

        Raises:
            [`~errors.ConfigError`]: on an unknown key or a value of the wrong type.
        """
        if isinstance(declared, str):
            declared = {"func": declared}
        if not isinstance(declared, Mapping):
            raise ConfigError(f"expected a mapping with `func`, a dotted import path, got {declared!r}", key=key)
        given = {name: value for name, value in declared.items() if value is not None}
        (spec,) = make([cls], {"func": "", **given}, within=key)
        return spec  # type: ignore[no-any-return]

    def __post_init__(self) -> None:
        expect(self, "func", "." in self.func, "a dotted import path")
        expect(self, "domains", self.domains is None or len(self.domains) > 0, "a list of domains")
        first = self.from_step or 0
        expect(self, "from_step", first >= 0, "a step, 0 or later")
        expect(
            self,
            "until_step",
            self.until_step is None or self.until_step > first,
            f"a step after `from_step` ({first})",
        )
        if self.domains is not None:
            object.__setattr__(self, "domains", tuple(self.domains))


def declared_rewards(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """
    Find the rewards that a stage's config declares, without reading them.

    Args:
        config (`Mapping[str, Any]`):
            The config.

    Returns:
        `list[tuple[str, Any]]`: each declaration with its key: those of the list `rewards`, and every mapping with a
        `func` (`best_of_n: {func: ...}`).
    """
    listed = config.get("rewards")
    found = [(f"rewards[{i}]", one) for i, one in enumerate(listed)] if isinstance(listed, list) else []
    return [*found, *((key, one) for key, one in config.items() if isinstance(one, Mapping) and "func" in one)]


def load_reward(declared: Any, key: str) -> tuple[RewardSpec, Callable[..., Any]]:
    """
    Read one declaration and make its reward, without its schedule.

    Args:
        declared (`str` or `Mapping`):
            The declaration. See [`RewardSpec`].
        key (`str`):
            The key under which it is found, for messages.

    Raises:
        [`~errors.ConfigError`]: as [`load_rewards`].
    """
    spec = RewardSpec.parse(declared, key)
    return spec, make_reward(spec, key)


def model_arguments(func: Any) -> tuple[str, ...]:
    """
    Return which arguments of a reward name a model of the recipe: the class's `recipe_models`.

    Args:
        func (`str`):
            Dotted import path of the reward. One that does not import has none.
    """
    try:
        return tuple(getattr(_imported(func, "func"), "recipe_models", ())) if isinstance(func, str) else ()
    except ConfigError:
        return ()


def load_rewards(declared: Sequence[Any], *, where: str = "rewards") -> tuple[list[Callable[..., Any]], list[float]]:
    """
    Import and make the rewards that a stage declares.

    Args:
        declared (`Sequence[str | Mapping]`):
            The declarations. See [`RewardSpec`].
        where (`str`, *optional*, defaults to `"rewards"`):
            The key under which they are, for messages.

    Returns:
        `tuple[list[Callable], list[float]]`: the rewards and their weights, for `reward_funcs` and `reward_weights`.

    Raises:
        [`~errors.ConfigError`]: with the key and what was expected, if a declaration is wrong, a path does not import,
            what it leads to is no reward, or its arguments do not fit.
        [`~errors.MachineError`]: if the machine lacks what a reward needs.
    """
    if not isinstance(declared, (list, tuple)) or not declared:
        raise ConfigError(f"expected a list of at least one reward, got {declared!r}", key=where)
    rewards: list[Callable[..., Any]] = []
    weights: list[float] = []
    seen: dict[str, int] = {}
    for i, one in enumerate(declared):
        spec, reward = load_reward(one, f"{where}[{i}]")
        check_machine(reward, f"{where}[{i}]")
        weights.append(spec.weight)
        name = name_of(reward)
        seen[name] = seen.get(name, 0) + 1
        # Two rewards of one name would share their metrics and their columns in the log.
        another = f"{name}_{seen[name]}" if seen[name] > 1 else None
        scheduled = (spec.domains, spec.from_step, spec.until_step, another)
        if any(condition is not None for condition in scheduled):
            reward = (AsyncScheduled if is_async(reward) else Scheduled)(reward, *scheduled)
        rewards.append(reward)
    return rewards, weights


def make_reward(spec: RewardSpec, key: str = "rewards") -> Callable[..., Any]:
    """
    Import a declared reward and make it, without its schedule.

    Raises:
        [`~errors.ConfigError`]: if the path does not import, leads to no reward, or the arguments do not fit.
    """
    found = _imported(spec.func, f"{key}.func")
    makes_one = inspect.isclass(found) or (inspect.isfunction(found) and not _takes_completions(found))
    if spec.args and not makes_one:
        raise ConfigError(f"`{spec.func}` is ready as it is, expected no arguments", key=f"{key}.args")
    try:
        reward: Callable[..., Any] = found(**spec.args) if makes_one else found
    except ConfigError as error:
        raise _of_arguments(error, key) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the arguments do not fit `{spec.func}{_signature(found)}`: {error}", key=f"{key}.args"
        ) from None
    if not callable(reward):
        made = type(reward).__name__
        raise ConfigError(f"`{spec.func}` makes a {made}, expected a reward, which can be called", key=f"{key}.func")
    return reward


def check_machine(reward: Callable[..., Any], key: str = "rewards") -> None:
    """
    Check that this machine has what a reward needs (a jail, a compiler, a key), where it says so by `check_machine`.

    Raises:
        [`~errors.ConfigError`]: if an argument asks for what cannot be had.
        [`~errors.MachineError`]: if the machine lacks it.
    """
    try:
        if callable(check := getattr(reward, "check_machine", None)):
            check()
    except ConfigError as error:
        raise _of_arguments(error, key) from None


def _of_arguments(error: ConfigError, key: str) -> ConfigError:
    inner = f".{error.key}" if error.key else ""
    return ConfigError(error.message, file=error.file, key=f"{key}.args{inner}")


def _signature(found: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(found))
    except ValueError:  # one that cannot be read
        return ""


def call(reward: Callable[..., Any], **handed: Any) -> list[float | None]:
    """
    Call a reward from code that is not asynchronous, whether or not the reward is.

    Args:
        reward (`Callable`):
            The reward.
        **handed:
            What trainers hand to rewards: `completions`, `prompts`, columns.
    """
    rewards = reward(**handed)
    return run_coroutine(rewards) if inspect.isawaitable(rewards) else rewards


def describe(rewards: Sequence[Callable[..., Any]], weights: Sequence[float] | None = None) -> list[str]:
    """
    Say in one line each what the rewards are and when they apply.

    Args:
        rewards (`Sequence[Callable]`):
            The rewards.
        weights (`Sequence[float]`, *optional*):
            Their weights.
    """
    lines = []
    for reward, weight in zip(rewards, weights or [1.0] * len(rewards), strict=True):
        line = f"{name_of(reward)}, weight {weight:g}"
        if isinstance(reward, Scheduled):
            line += f", domains {', '.join(reward.domains)}" if reward.domains is not None else ""
            line += f", from step {reward.from_step}" if reward.from_step is not None else ""
            line += f", until step {reward.until_step}" if reward.until_step is not None else ""
        if columns := required_columns(reward):
            line += f"; reads {', '.join(columns)}"
        lines.append(line)
    return lines


def _imported(path: str, key: str) -> Any:
    module_name, _, attribute = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the module raises while it loads
        raise ConfigError(
            f"`{path}` does not import ({type(error).__name__}: {error}), expected the dotted path of a reward",
            key=key,
        ) from None
    try:
        found = getattr(module, attribute)
    except AttributeError:
        near = did_you_mean(attribute, [name for name in dir(module) if not name.startswith("_")])
        raise ConfigError(
            f"`{module_name}` has no `{attribute}`, expected a reward that it has{near}", key=key
        ) from None
    if not callable(found):
        raise ConfigError(f"`{path}` is a {type(found).__name__}, expected a reward, which can be called", key=key)
    return found


def _takes_completions(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters
    return "completions" in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
