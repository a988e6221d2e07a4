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
such as `trl.rewards.get_repetition_penalty_reward`. Importable without torch.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import ConfigError
from ..model_server import waited


# What TRL hands to every reward, so that it is no column of the data set.
_HANDED = frozenset(
    ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
)


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
    """

    func: str
    weight: float = 1.0
    args: dict[str, Any] = field(default_factory=dict)
    domains: tuple[str, ...] | None = None
    from_step: int | None = None
    until_step: int | None = None

    @classmethod
    def parse(cls, declared: Any, key: str = "rewards") -> "RewardSpec":
        """
        Read a declaration.

        Args:
            declared (`str` or `Mapping`):
                A dotted path alone, or a mapping with the fields of this class.
            key (`str`, *optional*, defaults to `"rewards"`):
                Where it stands, for messages.

        Raises:
            [`~errors.ConfigError`]: on an unknown key or a value of the wrong type.
        """
        if isinstance(declared, str):
            declared = {"func": declared}
        if not isinstance(declared, Mapping):
            raise ConfigError(f"expected a mapping with `func`, a dotted import path, got {declared!r}", key=key)
        known = [f.name for f in fields(cls)]
        for name in declared:
            if name not in known:
                raise ConfigError(f"unknown key, expected one of {', '.join(known)}", key=f"{key}.{name}")
        given = {name: value for name, value in declared.items() if value is not None}

        def check(name: str, right: bool, expected: str) -> None:
            if not right:
                raise ConfigError(f"expected {expected}, got {given.get(name)!r}", key=f"{key}.{name}")

        check("func", isinstance(given.get("func"), str) and "." in given.get("func", ""), "a dotted import path")
        check("weight", _is_number(given.get("weight", 1.0)), "a number")
        args = given.get("args", {})
        check("args", isinstance(args, Mapping) and all(isinstance(k, str) for k in args), "a mapping of arguments")
        domains = given.get("domains")
        if domains is not None:
            listed = isinstance(domains, (list, tuple)) and bool(domains)
            check("domains", listed and all(isinstance(domain, str) for domain in domains), "a list of domains")
        for name in ("from_step", "until_step"):
            step = given.get(name, 0)
            check(name, isinstance(step, int) and not isinstance(step, bool) and step >= 0, "a step, 0 or later")
        if "until_step" in given:
            later = given["until_step"] > given.get("from_step", 0)
            check("until_step", later, f"a step after `from_step` ({given.get('from_step', 0)})")
        return cls(
            func=given["func"],
            weight=float(given.get("weight", 1.0)),
            args=dict(args),
            domains=tuple(domains) if domains is not None else None,
            from_step=given.get("from_step"),
            until_step=given.get("until_step"),
        )


@dataclass(frozen=True)
class Scheduled:
    """
    A reward that applies to some domains or steps only, and is `None` elsewhere.

    The reward itself is called with the rows that it applies to, and not at all where there is none.

    Args:
        reward (`Callable`):
            The reward.
        domains (`tuple[str, ...]`, *optional*):
            Domains it applies to, by the column `domain`.
        from_step (`int`, *optional*):
            First step at which it applies.
        until_step (`int`, *optional*):
            First step at which it applies no more.
        name (`str`, *optional*):
            Name under which it is logged. Defaults to the reward's own.
    """

    reward: Callable[..., Any]
    domains: tuple[str, ...] | None = None
    from_step: int | None = None
    until_step: int | None = None
    name: str | None = None

    @property
    def __name__(self) -> str:
        return self.name or name_of(self.reward)

    @property
    def requires(self) -> tuple[str, ...]:
        columns = required_columns(self.reward)
        return (*columns, "domain") if self.domains is not None and "domain" not in columns else columns

    @property
    def is_accuracy(self) -> bool:
        return getattr(self.reward, "is_accuracy", False) is True

    @property
    def reads_group_tokens(self) -> bool:
        return getattr(self.reward, "reads_group_tokens", False) is True

    def __call__(self, *, completions: list, trainer_state: Any = None, **handed: Any) -> list[float | None]:
        rows = self._rows(completions, trainer_state, handed)
        if not rows:
            return [None] * len(completions)
        rewards = self.reward(**self._chosen(rows, completions, trainer_state, handed))
        return _scattered(rewards, rows, len(completions))

    def _rows(self, completions: list, trainer_state: Any, handed: dict[str, Any]) -> list[int]:
        """Return the positions of the rows that the reward applies to."""
        if self.from_step is not None or self.until_step is not None:
            step = getattr(trainer_state, "global_step", None)
            if step is None:
                raise ConfigError(
                    f"the reward `{self.__name__}` depends on the training step, which this trainer does not hand to "
                    f"rewards; expected no `from_step` and no `until_step`",
                    key="from_step",
                )
            if step < (self.from_step or 0) or (self.until_step is not None and step >= self.until_step):
                return []
        if self.domains is None:
            return list(range(len(completions)))
        if handed.get("domain") is None:
            raise ConfigError(
                f"the reward `{self.__name__}` has `domains` and needs the column `domain`", key="domain"
            )
        return [i for i, domain in enumerate(handed["domain"]) if domain in self.domains]

    def _chosen(
        self, rows: list[int], completions: list, trainer_state: Any, handed: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the reward is called with: the chosen rows of every column, and loggers that put them back."""
        size = len(completions)
        everything = {"completions": completions, **handed}
        chosen = {
            name: [value[i] for i in rows] if isinstance(value, list) and len(value) == size else value
            for name, value in everything.items()
        }
        if trainer_state is not None:
            chosen["trainer_state"] = trainer_state
        suffix = self.name.removeprefix(name_of(self.reward)) if self.name else ""
        if log_extra := handed.get("log_extra"):
            chosen["log_extra"] = lambda column, values: log_extra(column + suffix, _scattered(values, rows, size))
        if (log_metric := handed.get("log_metric")) and suffix:
            chosen["log_metric"] = lambda name, value: log_metric(name + suffix, value)
        return chosen


@dataclass(frozen=True)
class AsyncScheduled(Scheduled):
    """[`Scheduled`] for a reward whose call is a coroutine, so that trainers see that it is one."""

    async def __call__(self, *, completions: list, trainer_state: Any = None, **handed: Any) -> list[float | None]:
        rows = self._rows(completions, trainer_state, handed)
        if not rows:
            return [None] * len(completions)
        rewards = await self.reward(**self._chosen(rows, completions, trainer_state, handed))
        return _scattered(rewards, rows, len(completions))


def load_rewards(declared: Sequence[Any], *, where: str = "rewards") -> tuple[list[Callable[..., Any]], list[float]]:
    """
    Import and make the rewards that a stage declares.

    Args:
        declared (`Sequence[str | Mapping]`):
            The declarations. See [`RewardSpec`].
        where (`str`, *optional*, defaults to `"rewards"`):
            The key under which they stand, for messages.

    Returns:
        `tuple[list[Callable], list[float]]`: the rewards and their weights, for `reward_funcs` and `reward_weights`.

    Raises:
        [`~errors.ConfigError`]: with the key and what was expected, if a declaration is wrong, a path does not import,
            what it leads to is no reward, or its arguments do not fit.
    """
    if not isinstance(declared, (list, tuple)) or not declared:
        raise ConfigError(f"expected a list of at least one reward, got {declared!r}", key=where)
    specs = [RewardSpec.parse(one, f"{where}[{i}]") for i, one in enumerate(declared)]
    rewards: list[Callable[..., Any]] = []
    seen: dict[str, int] = {}
    for i, spec in enumerate(specs):
        reward = make_reward(spec, f"{where}[{i}]")
        name = name_of(reward)
        seen[name] = seen.get(name, 0) + 1
        # Two rewards of one name would share their metrics and their columns in the log.
        name = f"{name}_{seen[name]}" if seen[name] > 1 else None
        scheduled = (spec.domains, spec.from_step, spec.until_step, name)
        if any(condition is not None for condition in scheduled):
            reward = (AsyncScheduled if is_async(reward) else Scheduled)(reward, *scheduled)
        rewards.append(reward)
    return rewards, [spec.weight for spec in specs]


def make_reward(spec: RewardSpec, key: str = "rewards") -> Callable[..., Any]:
    """
    Import a declared reward and make it, without its schedule.

    Raises:
        [`~errors.ConfigError`]: if the path does not import, leads to no reward, or the arguments do not fit.
        [`~errors.EnvironmentalError`]: if the machine lacks what the reward needs.
    """
    found = _imported(spec.func, f"{key}.func")
    makes_one = inspect.isclass(found) or (inspect.isfunction(found) and not _takes_completions(found))
    if not makes_one:
        if spec.args:
            raise ConfigError(f"`{spec.func}` is ready as it is, expected no arguments", key=f"{key}.args")
        return _checked(found, key)
    try:
        inspect.signature(found).bind(**spec.args)
    except TypeError as error:
        raise ConfigError(
            f"the arguments do not fit `{spec.func}{inspect.signature(found)}`: {error}", key=f"{key}.args"
        ) from None
    except ValueError:
        pass  # a signature that cannot be read is tried by the call below
    try:
        reward = found(**spec.args)
    except ConfigError as error:
        inner = f".{error.key}" if error.key else ""
        raise ConfigError(error.message, file=error.file, key=f"{key}.args{inner}") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"`{spec.func}` refuses its arguments: {error}", key=f"{key}.args") from None
    if not callable(reward):
        raise ConfigError(
            f"`{spec.func}` makes a {type(reward).__name__}, expected a reward, which can be called", key=f"{key}.func"
        )
    return _checked(reward, key)


def _checked(reward: Callable[..., Any], key: str) -> Callable[..., Any]:
    """Have a reward that needs more of the machine than Python check that it is there: a jail, a compiler."""
    check = getattr(reward, "check_machine", None)
    if callable(check) and not inspect.isclass(reward):
        try:
            check()
        except ConfigError as error:
            inner = f".{error.key}" if error.key else ""
            raise ConfigError(error.message, file=error.file, key=f"{key}.args{inner}") from None
    return reward


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
    return waited(rewards) if inspect.isawaitable(rewards) else rewards


def required_columns(reward: Any) -> tuple[str, ...]:
    """
    Tell which columns of the data set a reward reads: its `requires`, or a function's parameters without default.

    Args:
        reward (`Callable` or `type`):
            A reward, or a class of rewards.
    """
    declared = getattr(reward, "requires", None)
    if isinstance(declared, (tuple, list)):
        return tuple(declared)
    target = reward.__call__ if inspect.isclass(reward) else reward
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return ()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(
        p.name
        for p in parameters
        if p.kind in named and p.default is inspect.Parameter.empty and p.name not in _HANDED and p.name != "self"
    )


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


def name_of(reward: Any) -> str:
    """Return the name under which TRL logs a reward."""
    while hasattr(reward, "func") and not hasattr(reward, "__name__"):  # functools.partial
        reward = reward.func
    return getattr(reward, "__name__", type(reward).__name__)


def is_async(reward: Any) -> bool:
    """Tell whether calling a reward gives a coroutine, as TRL tells it."""
    while hasattr(reward, "func") and not hasattr(reward, "__name__"):
        reward = reward.func
    return inspect.iscoroutinefunction(reward) or inspect.iscoroutinefunction(getattr(reward, "__call__", None))  # noqa: B004


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
        raise ConfigError(f"`{module_name}` has no `{attribute}`, expected a reward that it has", key=key) from None
    if not callable(found):
        raise ConfigError(f"`{path}` is a {type(found).__name__}, expected a reward, which can be called", key=key)
    return found


def _takes_completions(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters
    return "completions" in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _scattered(values: Sequence[Any], rows: list[int], size: int) -> list[Any]:
    everywhere: list[Any] = [None] * size
    for row, value in zip(rows, values, strict=True):
        everywhere[row] = value
    return everywhere


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
