"""What samples: the interface of every engine, and how one is found by its name. Torch-free."""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import ConfigError


if TYPE_CHECKING:
    from .config import SamplingConfig


@dataclass(frozen=True)
class Sample:
    """
    One completion.

    Args:
        text (`str`):
            The completion, including the start of it that the prompt contains (`<think>`).
        finish_reason (`str`):
            `"stop"` or `"length"`; where there is no completion, why: `"prompt_too_long"` (it leaves no room in the
            model's window) or `"refused"` (by the server).
        n_tokens (`int`):
            Its length, the end-of-sequence token included.
    """

    text: str
    finish_reason: str
    n_tokens: int

    @classmethod
    def missing(cls, reason: str) -> "Sample":
        """Return the sample that stands for a completion that could not be had."""
        return cls("", reason, 0)


class Engine:
    """
    Base class of what samples completions.

    An engine is one module, `trl_r1.sampling.engines.NAME` or one of your own, with its class under the name `ENGINE`;
    `backend: NAME`, or the module's dotted name, chooses it. The module is imported to check a config, so it imports
    torch where it computes, not at its top.

    Args:
        model (`str`):
            Directory or Hub id of a full model; for an engine that loads none, the model's name elsewhere.
        config ([`SamplingConfig`]):
            How to sample.

    Attributes:
        loads_model (`bool`):
            Whether it loads the model's weights itself. An adapter is merged into its base for it.
        needs_own_process (`bool`):
            Whether each model needs a process to itself, because within one the engine does not give back all of its
            memory. The `evaluate` stage then samples from each of several models in a child process.
    """

    loads_model: ClassVar[bool] = True
    needs_own_process: ClassVar[bool] = False

    def __init__(self, model: str, config: "SamplingConfig") -> None:
        self.model_name, self.config = model, config

    @classmethod
    def check(cls, config: "SamplingConfig") -> None:
        """Raise [`~errors.ConfigError`] for settings that the engine cannot sample with. Nothing is loaded."""

    @classmethod
    def check_machine(cls, config: "SamplingConfig") -> None:
        """
        Raise [`~errors.MachineError`] where this machine lacks what the engine needs. Nothing is loaded.

        `trl-r1 plan` lists what it says, and `trl-r1 run` refuses to start.
        """

    @classmethod
    def gpus(cls, config: "SamplingConfig") -> int:
        """Return how many GPUs it cannot do without."""
        return 0

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """
        Complete each question up to `n` times, the same way for the same seed.

        Args:
            questions (`Sequence[str]`):
                Questions as a user writes them, without template.
            n (`int`):
                Completions of each. In place of those that it cannot have, an engine returns [`Sample.missing`] and logs
                why: one question must not end the sampling of all others, nor be left out of what is counted.
            seed (`int`):
                31 bits.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the engine holds: memory, processes."""


def prompt_seed(seed: int, prompt: int, n: int) -> int:
    """
    Return the seed of a request for `n` completions of the prompt with this number: 31 bits.

    Servers and vLLM give completion j of a request the seed `s + j`, so those of two prompts must be `n` apart: else
    neighbours would share all random numbers but those of one completion.
    """
    return (seed + n * prompt) % 2**31


def engine_of(name: str) -> type[Engine]:
    """
    Return an engine's class by the name that `backend` gives.

    Raises:
        [`~errors.ConfigError`]: there is no such module, it does not import, or has no `ENGINE`.
    """
    engines = f"{__package__}.engines"
    try:
        found: type[Engine] = importlib.import_module(name if "." in name else f"{engines}.{name}").ENGINE
        return found
    except Exception as error:  # whatever a module of the user's raises
        known = ", ".join(module.name for module in pkgutil.iter_modules(importlib.import_module(engines).__path__))
        raise ConfigError(
            f"expected one of {known}, or the dotted name of a module with an `ENGINE`, got {name!r} ({error})",
            key="backend",
        ) from error
