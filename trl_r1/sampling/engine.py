"""What samples: the interface of every engine, and how one is found by its name. Torch-free."""

import copy
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError


if TYPE_CHECKING:
    from .config import SamplingConfig


FAILED = "failed"


@dataclass(frozen=True)
class Sample:
    """
    One completion.

    Args:
        text (`str`):
            The completion, including the start of it that the prompt contains (`<think>`).
        finish_reason (`str`):
            `"stop"` or `"length"`; where there is no completion, why: `"prompt_too_long"` (it leaves no room in the
            model's window), `"refused"` (by the server) or `"failed"` (after all retries: it is asked for again when the
            job is started the next time).
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

    @classmethod
    def failed(cls, why: str) -> "Sample":
        """Return the sample that stands for a completion that failed; in place of its text stands why."""
        return cls(why, FAILED, 0)


@dataclass(frozen=True)
class Request:
    """
    One completion that is wanted.

    Args:
        question (`str`):
            As a user writes it, without template.
        seed (`int`):
            31 bits.
        of (`Any`):
            What it is for. The engine leaves it alone.
    """

    question: str
    seed: int
    of: Any = None


class Engine:
    """
    Base class of what samples completions.

    An engine is one module, `trl_r1.sampling.engines.NAME` or one of your own, with its class under the name `ENGINE`;
    `backend: NAME`, or the module's dotted name, chooses it. The module is imported to check a config, so it imports
    torch where it computes, not at its top. It has one of two methods: [`generate`], which is given a batch at a time, or,
    where `rolling` is true, [`complete`], which asks for further requests while others are under way.

    Args:
        model (`str`):
            Directory or Hub id of a full model; for an engine that loads none, the model's name elsewhere.
        config ([`SamplingConfig`]):
            How to sample.

    Attributes:
        rolling (`bool`):
            Whether it has `complete`, and is asked by it.
        loads_model (`bool`):
            Whether it loads the model's weights itself. An adapter is merged into its base for it.
        needs_own_process (`bool`):
            Whether each model needs a process to itself, because within one the engine does not give back all of its
            memory. The `evaluate` stage then samples from each of several models in a child process.
    """

    rolling: ClassVar[bool] = False
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

    def sampling_as(self, config: "SamplingConfig") -> "Engine":
        """Return an engine with the same weights that samples by another config. Only one of the two is closed."""
        other = copy.copy(self)
        other.config = config
        return other

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """
        Complete each question `n` times, the same way for the same arguments. At most `batch_size` completions are asked for
        at once; what a call returns is kept at once, and a call that a kill cuts short is made again as it was.

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

    def complete(self, requests: Iterator[Request | None]) -> Iterator[tuple[Request, Sample]]:
        """
        Take requests as long as there is room for them, and yield each with its completion when that is there, in any order.

        Args:
            requests (`Iterator[Request | None]`):
                The requests. `None`: there is none now, and may be one soon or when others have been yielded; it is never
                given when none is under way.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the engine holds: memory, processes."""


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
