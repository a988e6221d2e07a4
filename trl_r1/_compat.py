"""
Names of TRL that it does not export, and whether the TRL at hand is one that our trainers were written for. Nothing else
in the package imports from TRL's insides.
"""

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import transformers
import trl
from trl.trainer.utils import RepeatSampler, get_config_model_id

from .errors import MachineError


__all__ = ["RepeatSampler", "check_attributes", "check_overrides", "get_config_model_id"]


def check_overrides(trainer: type) -> None:
    """
    Refuse a TRL or transformers whose methods no longer are those that a trainer of ours overrides.

    A method that is gone would never be called again, and one that takes other arguments would be called wrongly, both
    perhaps without an error.

    Args:
        trainer (`type`):
            One of our trainers, or a subclass. The methods are those that our classes mark by `typing.override`.

    Raises:
        [`~errors.MachineError`]: with the method, and with the parameter that is not as expected.
    """
    classes = trainer.__mro__
    for place, owner in enumerate(classes):
        if not owner.__module__.startswith(f"{__package__}."):
            continue
        for name, method in vars(owner).items():
            if not getattr(method, "__override__", False):
                continue
            base = next((base for base in classes[place + 1 :] if name in vars(base)), None)
            problem = f"`{name}` is gone from its base classes"
            if base is not None:
                difference = _difference(method, vars(base)[name])
                problem = f"`{base.__name__}.{name}`: {difference}" if difference else ""
            if problem:
                raise MachineError(
                    f"{owner.__name__} does not fit trl {trl.__version__} with transformers "
                    f"{transformers.__version__}: {problem}. Rewards and builders work all the same; for the "
                    "trainers install a version of trl that this version of trl_r1 was tested with."
                )


def _difference(ours: Callable[..., Any], theirs: Callable[..., Any]) -> str | None:
    expected, found = (inspect.signature(method).parameters for method in (ours, theirs))
    passes_on = [name for name, parameter in expected.items() if parameter.kind is inspect.Parameter.VAR_KEYWORD]
    names = [name for name in expected if name not in passes_on]
    for place, (name, other) in enumerate(itertools.zip_longest(names, found)):
        if name is None:
            return None if passes_on else f"takes a further parameter `{other}`"
        if name != other:
            return f"expected the parameter `{name}` at place {place}, found {f'`{other}`' if other else 'none'}"
    return None


def check_attributes(trainer: Any, **types: type) -> None:
    """
    Refuse a TRL whose trainer lacks an attribute that ours reads or restores.

    Args:
        trainer (`Any`):
            The trainer, set up.
        **types (`type`):
            What each attribute must be, by name.

    Raises:
        [`~errors.MachineError`]: with the attribute.
    """
    for name, kind in types.items():
        if not isinstance(getattr(trainer, name, None), kind):
            raise MachineError(
                f"{type(trainer).__name__} does not fit trl {trl.__version__}: expected the attribute `{name}` of type "
                f"{kind.__name__}, found {getattr(trainer, name, None)!r}"
            )
