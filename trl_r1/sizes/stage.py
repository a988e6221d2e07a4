"""
The figures of one stage, from the configs that its module makes. Runs in the process of `stages/_check.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from .figures import Figures, Setting
from .sampling import size_sampling
from .training import TrainingStage


def size_stage(made: Sequence[Any], config: Mapping[str, Any], setting: Setting) -> Figures:
    """
    Size a stage.

    Args:
        made (`Sequence[Any]`):
            Its configs, as its module has them made.
        config (`Mapping[str, Any]`):
            What they were made of.
        setting ([`Setting`]):
            What else counts.

    Returns:
        [`Figures`]: what could be sized, and notes on what could not.
    """
    figures = Figures(setting.name)
    args = next((each for each in made if hasattr(each, "per_device_train_batch_size")), None)
    sampling = next((each for each in made if hasattr(each, "backend") and hasattr(each, "n_samples")), None)
    try:
        if args is not None:
            figures.keeps_checkpoints = any(getattr(each, "keep_checkpoints", False) for each in made)
            TrainingStage(args, next(m for m in made if hasattr(m, "use_peft")), config, setting, figures).size()
        elif sampling is not None:
            size_sampling(sampling, config, setting, figures)
    except ConfigError as error:
        figures.notes.append(error.message)
    return figures
