"""
What every stage program does alike: parse its config, report its progress, publish its outputs, end with a code.

A stage is `python -m trl_r1.stages.KIND --config FILE [--key value ...]`, alone or under `accelerate launch`. It ends
with 0 when it is done, with 2 and one message (no traceback) when its config, its data or the machine is wrong, and
with 1 otherwise. Unlike TRL's own scripts it refuses a key that it does not know, on every way of launching it.

This module imports neither torch nor TRL.
"""

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, Interrupted, TrlR1Error
from ..io import write_json
from ..kinds import StageKind


if TYPE_CHECKING:
    from ._parser import StageParser


def program(kind: StageKind, stage: Callable[..., None]) -> Callable[..., int]:
    """
    Return the `main` of a stage's module.

    Args:
        kind ([`~kinds.StageKind`]):
            What the module says about itself.
        stage (`Callable`):
            Called with an instance of each of the kind's config classes.

    Returns:
        `Callable`: takes the stage's arguments, by default those of the process, and returns the exit code of
        [`run_stage`].
    """

    def main(argv: Sequence[str] | None = None) -> int:
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        with importing():
            from ._parser import StageParser

            parser = StageParser(kind.config_classes(), prog=spec.name if spec else None)
        return run_stage(stage, parser, argv)

    return main


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """
    Import what is heavy without the garbage collector, which would take a quarter of the time and find nothing; nor does it look at
    what was imported afterwards.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def run_stage(stage: Callable[..., None], parser: "StageParser", argv: Sequence[str] | None = None) -> int:
    """
    Run a stage and turn how it ends into an exit code.

    Args:
        stage (`Callable`):
            Called with an instance of each of the parser's dataclasses.
        parser ([`StageParser`]):
            The stage's parser.
        argv (`Sequence[str]`, *optional*):
            The stage's arguments; those of the process by default.

    Returns:
        `int`: 0 when the stage is done; the `exit_code` of a [`~errors.TrlR1Error`], whose message goes to stderr and,
        with the code, into the stage's `progress.json` (`accelerate launch` ends with 1 whatever its workers end with).
    """
    configs: tuple[Any, ...] = ()
    try:
        configs = parser.parse_stage(argv)
        stage(*configs)
    except TrlR1Error as error:
        if isinstance(error, ConfigError) and error.file is None and error.key is not None:
            error.file = parser.config_file
        if is_main_process():
            print(f"{parser.prog}: {error}", file=sys.stderr, flush=True)
            output_dir = next((config.output_dir for config in configs if hasattr(config, "output_dir")), None)
            if output_dir and Path(output_dir).is_dir() and not isinstance(error, Interrupted):
                write_progress(output_dir, 0, 0, error=str(error), exit_code=error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def is_main_process() -> bool:
    """Tell whether this process is the first of its world, by the environment alone."""
    return int(os.environ.get("RANK", "0")) == 0


def write_progress(
    output_dir: str | os.PathLike[str],
    step: int,
    total: int,
    unit: str = "steps",
    info: Mapping[str, float] | None = None,
    **more: Any,
) -> None:
    """Write `progress.json`, from which the runner draws its live line."""
    content = {"step": step, "total": total, "unit": unit, "info": dict(info or {}), **more}
    write_json(Path(output_dir) / "progress.json", content)


class Progress:
    """
    Progress of a stage, written at most once a second.

    Args:
        output_dir (`str` or `os.PathLike`):
            The stage's directory.
        total (`int`):
            How many units the stage has.
        unit (`str`, *optional*, defaults to `"steps"`):
            What is counted.
        seconds_between (`float`, *optional*, defaults to `1.0`):
            The least time between two writes; the last unit is always written.
    """

    def __init__(
        self, output_dir: str | os.PathLike[str], total: int, unit: str = "steps", seconds_between: float = 1.0
    ) -> None:
        self.output_dir, self.total, self.unit, self.seconds_between = output_dir, total, unit, seconds_between
        self._written = float("-inf")

    def update(self, step: int, total: int | None = None, /, **info: float) -> None:
        """
        Say that `step` units are done, with numbers worth showing beside them; of `total`, where the size of the work
        shows only when it has begun.
        """
        self.total = self.total if total is None else total
        now = time.monotonic()
        if step >= self.total or now - self._written >= self.seconds_between:
            self._written = now
            write_progress(self.output_dir, step, self.total, self.unit, info)
