"""
Where a leaner step is the same step: which switches are on, and why one cannot be.

A switch of [`~grpo.config.R1GRPOConfig`] that is left at `None` is on where what is learned stays the same up to the order
of floating-point sums, and off elsewhere. One that is asked for where it would change the result is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelerate.logging import get_logger
from torch import nn

from ..errors import ConfigError


logger = get_logger(__name__)

# Losses whose mean over the rows of a micro-batch has to become a mean over the nominal number of rows. Those of
# `dapo`, `cispo` and `vespo` are divided by the tokens of the whole rollout.
MEAN_OVER_ROWS = ("grpo", "sapo", "luspo", "dr_grpo")
# Frequencies that change with the length of what the model is shown.
_LENGTH_DEPENDENT = ("dynamic", "longrope")
_RELATIVE_LAYERS = {"full_attention", "sliding_attention"}
_REARRANGING = ("group_by_length", "max_tokens_per_micro_batch", "skip_zero_advantage")


@dataclass(frozen=True)
class Switches:
    """
    What is left out of a step, as decided for a run.

    Args:
        trim_padding (`bool`, *optional*, defaults to `False`):
            See [`~grpo.padding`].
        group_by_length (`bool`, *optional*, defaults to `False`):
            See [`~grpo.micro_batches`].
        max_tokens_per_micro_batch (`int`, *optional*):
            See [`~grpo.micro_batches`].
        skip_zero_advantage (`bool`, *optional*, defaults to `False`):
            See [`~grpo.metrics.groups_of`].
        compact_generation (`bool`, *optional*, defaults to `False`):
            See [`~compact_generation`].
    """

    trim_padding: bool = False
    group_by_length: bool = False
    max_tokens_per_micro_batch: int | None = None
    skip_zero_advantage: bool = False
    compact_generation: bool = False

    @property
    def rearranges(self) -> bool:
        """Whether rows leave the micro-batches in which TRL puts them."""
        return self.group_by_length or self.skip_zero_advantage or self.max_tokens_per_micro_batch is not None


def reasons_in_config(args: Any) -> dict[str, str]:
    """
    Why a switch would change what is learned, as far as the config tells.

    Args:
        args ([`~trl.GRPOConfig`]):
            The config.

    Returns:
        `dict[str, str]`: the reason by the name of the switch, in words that follow "not possible, since".
    """
    reasons = {}
    together = _why_rows_depend_on_each_other(args)
    if together:
        reasons = dict.fromkeys(_REARRANGING, together)
    window, rollout = args.gradient_accumulation_steps, args.steps_per_generation
    if window % rollout and rollout % window:
        reasons.setdefault(
            "group_by_length",
            f"`gradient_accumulation_steps` ({window}) and `steps_per_generation` ({rollout}) do not divide each "
            "other, so that the rows of one optimizer step come from parts of two rollouts",
        )
    if args.beta != 0:
        reasons["skip_zero_advantage"] = (
            f"with `beta` ({args.beta}) a row without advantage is still pulled towards the reference"
        )
    if str(getattr(args.optim, "value", args.optim)) in ("lomo", "adalomo"):
        reasons.setdefault("max_tokens_per_micro_batch", f"`optim` ({args.optim}) updates within each backward pass")
    compaction = _why_rows_that_have_ended_stay(args)
    if compaction:
        reasons["compact_generation"] = compaction
    return reasons


def _why_rows_depend_on_each_other(args: Any) -> str | None:
    if args.loss_type == "bnpo":
        return "`loss_type` bnpo divides by the tokens of a micro-batch, so each row counts by the rows beside it"
    if args.entropy_coef or args.use_adaptive_entropy:
        return "the entropy bonus is a mean over the tokens of a micro-batch"
    if args.top_entropy_quantile < 1:
        return "`top_entropy_quantile` below 1 picks tokens by a quantile of the micro-batch"
    return None


def _why_rows_that_have_ended_stay(args: Any) -> str | None:
    for name in ("use_vllm", "use_transformers_continuous_batching"):
        if getattr(args, name, False):
            return f"`{name}` leaves out rows that have ended by itself"
    given = args.generation_kwargs or {}
    cache = args.cache_implementation or given.get("cache_implementation")
    if cache not in (None, "dynamic", "dynamic_full"):
        return f"rows are taken out of a cache that grows; got `cache_implementation: {cache}`"
    beams = next((name for name in ("num_beams", "num_return_sequences") if (given.get(name) or 1) > 1), None)
    return f"rows are completions of their own; got `{beams}` above 1" if beams else None


def reasons_in_model(model: nn.Module, *, is_vlm: bool, has_aux_loss: bool) -> dict[str, str]:
    """
    Why a switch would change what is learned, as far as the model tells.

    Args:
        model (`nn.Module`):
            The policy.
        is_vlm (`bool`):
            Whether it sees images.
        has_aux_loss (`bool`):
            Whether the load of its experts is part of the loss.

    Returns:
        `dict[str, str]`: as [`reasons_in_config`].
    """
    if is_vlm:
        return dict.fromkeys(
            ("trim_padding", "compact_generation", *_REARRANGING), "the images of a row travel apart from its tokens"
        )
    reasons = {}
    if has_aux_loss:
        reasons = dict.fromkeys(_REARRANGING, "the load of the experts is balanced over the tokens of a micro-batch")
    positions = why_positions_matter(model)
    if positions:
        reasons["trim_padding"] = positions
    return reasons


def why_positions_matter(model: Any) -> str | None:
    """
    Say why a row's log-probabilities would change if it began further left; `None` if they would not.

    Args:
        model (`nn.Module`):
            The model.

    Returns:
        `str` or `None`: the reason. A model that is not known to be free of one has one.
    """
    config = model.config.get_text_config()
    given = getattr(config, "rope_parameters", None) or {}
    # One mapping, or one for each kind of layer.
    by_layer = [given, *(each for each in given.values() if isinstance(each, Mapping))]
    rotary = [each for each in by_layer if "rope_type" in each]
    if not rotary:
        return f"the positions of a {config.model_type} are not rotary: a row that begins further left has others"
    for parameters in rotary:
        if parameters.get("rope_type") in _LENGTH_DEPENDENT:
            return f"its rotary positions ({parameters['rope_type']}) depend on the length of the batch"
        if parameters.get("llama_4_scaling_beta"):
            return "its attention is scaled by absolute positions"
    layers = set(getattr(config, "layer_types", None) or ()) - _RELATIVE_LAYERS
    if layers:
        return f"its layers ({', '.join(sorted(layers))}) are not known to be blind to padding"
    if any(isinstance(module, nn.Conv1d) for module in model.modules()):
        return "it has recurrent or convolutional layers, which are not known to be blind to padding"
    return None


def refuse(args: Any, reasons: Mapping[str, str]) -> None:
    """
    Refuse what is asked for and would change what is learned.

    Args:
        args ([`~trl.GRPOConfig`]):
            The config.
        reasons (`Mapping[str, str]`):
            Why, by the name of the switch.

    Raises:
        [`~errors.ConfigError`]: with the switch and the reason.
    """
    for name, reason in reasons.items():
        # A switch that is left at its default is `None`, and a budget a number.
        if getattr(args, name, None):
            raise ConfigError(f"not possible here, since {reason}; expected false or nothing", key=name)


def decide(args: Any, reasons: Mapping[str, str]) -> Switches:
    """
    Decide which switches are on, and say in one line which are off for a reason.

    Args:
        args ([`~trl.GRPOConfig`]):
            The config. One that has no such fields, as TRL's own, switches nothing on.
        reasons (`Mapping[str, str]`):
            Why one would change what is learned.

    Returns:
        [`Switches`]: what is on.

    Raises:
        [`~errors.ConfigError`]: if one that is asked for would.
    """
    refuse(args, reasons)
    asked = {name: getattr(args, name, False) for name in Switches.__dataclass_fields__}
    on: dict[str, Any] = {name: name not in reasons if value is None else bool(value) for name, value in asked.items()}
    on["max_tokens_per_micro_batch"] = asked["max_tokens_per_micro_batch"] or None
    if asked["group_by_length"] is None and not on["trim_padding"]:
        on["group_by_length"] = False  # without it there is nothing to win
    # That one is on at `beta` 0 alone, and another with a cache that grows, is part of their definition.
    silent = {"max_tokens_per_micro_batch", "compact_generation", *(["skip_zero_advantage"] if args.beta else [])}
    off = [f"`{name}`: {why}" for name, why in reasons.items() if asked[name] is None and name not in silent]
    if off:
        logger.warning(f"Off, since not exact here: {'; '.join(off)}.")
    return Switches(**on)
