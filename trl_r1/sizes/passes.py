"""
What a forward and a backward pass hold in memory, counted while they run on fake tensors, which have shapes and no data.

All that PyTorch would allocate passes by: what autograd keeps for the backward pass, recomputation with gradient
checkpointing, copies of weights under autocast, adapters, gradients on their way. Parameters and their gradients are not
counted. Layers are alike, so that two passes, with one layer and with two, tell what any number of them takes.

The output projection is left out: TRL computes log-probabilities in tiles ([`~sizes.memory.head_bytes`]).
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal
from unittest import mock

from ..errors import ConfigError
from .model import build


# Stages of a recipe share models and lengths.
_counted: dict[Any, "Pass"] = {}


@dataclass(frozen=True)
class Pass:
    """
    A forward and a backward pass through a model's layers.

    Args:
        kept (`int`):
            Bytes that are held between the two.
        peak (`int`):
            Bytes that are held at most.
    """

    kept: int
    peak: int


def count_pass(
    config: Any,
    rows: int,
    length: int,
    *,
    dtype: str,
    autocast: bool = False,
    checkpointing: bool = False,
    head: Literal["lm", "score"] = "lm",
    lora: Any = None,
) -> Pass:
    """
    Count the bytes of a pass.

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            The model's config.
        rows (`int`), length (`int`):
            Rows of a micro-batch, and their tokens.
        dtype (`str`):
            Type of the weights: `"float32"`, `"bfloat16"`.
        autocast (`bool`, *optional*, defaults to `False`):
            Whether bfloat16 is computed with, whatever the weights are.
        checkpointing (`bool`, *optional*, defaults to `False`):
            Whether layers are computed again in the backward pass.
        head (`str`, *optional*, defaults to `"lm"`), lora ([`~peft.PeftConfig`], *optional*):
            As [`~sizes.model.build`] takes them.

    Returns:
        [`Pass`]: what it holds, with all layers.

    Raises:
        [`~errors.ConfigError`]: the model cannot run on tensors without data.
    """
    how = rows, length, dtype, autocast, checkpointing, head
    key = (config.to_json_string(use_diff=False), *how, repr(lora))
    if key in _counted:
        return _counted[key]
    try:
        one, two = (_count(config, n, *how, lora) for n in (1, 2))
    except Exception as error:  # whatever a model's code raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"its activations could not be counted ({reason})", key="model_name_or_path") from error
    more = config.get_text_config().num_hidden_layers - 1
    _counted[key] = Pass(one.kept + more * (two.kept - one.kept), one.peak + more * (two.peak - one.peak))
    return _counted[key]


def _count(
    config: Any,
    layers: int,
    rows: int,
    length: int,
    dtype: str,
    autocast: bool,
    checkpointing: bool,
    head: Any,
    lora: Any,
) -> Pass:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from .live import LiveBytes

    config = copy.deepcopy(config)
    text = config.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = (text.layer_types * layers)[:layers]
    text.vocab_size, config.pad_token_id = 8, None  # neither the embedding nor the output projection takes part
    type_of_weights = getattr(torch, dtype)
    with torch.device("meta"):
        model = build(config, head, lora)
    base = model if lora is None else model.get_base_model()
    model.train()
    if checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    with FakeTensorMode():
        for module in model.modules():
            for name, tensor in module._parameters.items():
                if tensor is not None:
                    own_type = tensor.dtype if lora is not None and tensor.requires_grad else type_of_weights
                    fake = torch.empty(tensor.shape, dtype=own_type)
                    module._parameters[name] = torch.nn.Parameter(fake, requires_grad=tensor.requires_grad)
            for name, tensor in module._buffers.items():
                if tensor is not None:
                    module._buffers[name] = torch.empty(tensor.shape, dtype=tensor.dtype)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter)
        hidden = torch.empty(
            rows, length, text.hidden_size, dtype=type_of_weights, requires_grad=lora is None or checkpointing
        )
        # Rows of unlike lengths are padded, and attend through a mask; a single row is not. (transformers looks for packed
        # rows in the values of the positions, of which there are none here.)
        mask = {"attention_mask": torch.ones(rows, length, dtype=torch.long)} if rows > 1 else {}
        unpacked = mock.patch("transformers.masking_utils.find_packed_sequence_indices", return_value=None)
        live = LiveBytes()
        with live, unpacked:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                out = base.base_model(inputs_embeds=hidden, use_cache=False, **mask).last_hidden_state
            kept = live.now
            out.backward(torch.empty_like(out))
        own = hidden.numel() * hidden.element_size()
        return Pass(kept + own, live.peak + own)
