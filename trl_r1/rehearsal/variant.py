"""A stage's own code with one name of it replaced while it runs."""

from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest import mock

from ..stages import program


def variant(stage: ModuleType, target: str, replacement: Callable[[], Any]) -> Callable[..., int]:
    """
    Return the `main` of a module whose stage is that of another one, but for one name.

    Args:
        stage (`ModuleType`):
            The module of a training stage, with `STAGE` and `train`.
        target (`str`):
            The dotted name that is replaced.
        replacement (`Callable`):
            Makes what takes its place, when the stage runs: it may import torch.
    """

    def train(*configs: Any) -> None:
        with mock.patch(target, replacement()):
            stage.train(*configs)

    return program(stage.STAGE, train)
