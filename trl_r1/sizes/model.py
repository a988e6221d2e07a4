"""
A model's size from its `config.json`: its modules are made on the meta device, and no weight is read.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class ModelSize:
    """
    What of a model memory and time depend on.

    Args:
        parameters (`int`):
            All of them, adapters included; tied ones once.
        trainable (`int`):
            Those that are trained.
        active (`int`):
            Those that each token is multiplied with: all but the embedding and the experts that are left out.
        head (`int`):
            Those of the output projection, whose weight may be the embedding's.
        largest (`int`):
            Those of the largest single weight.
        layers (`int`), hidden (`int`), vocabulary (`int`):
            As in the config.
        attention (`int`):
            Width of all query heads together, over all layers.
        cache (`int`):
            Elements of the key-value cache per token.
        trains_head (`bool`):
            Whether the output projection is trained.
        positions (`int`, *optional*):
            The longest sequence that the config names.
    """

    parameters: int
    trainable: int
    active: int
    head: int
    largest: int
    layers: int
    hidden: int
    vocabulary: int
    attention: int
    cache: int
    trains_head: bool = True
    positions: int | None = None


def build(config: Any, head: Literal["lm", "score"] = "lm", lora: Any = None) -> Any:
    """
    Make a model's modules where the caller's device context says.

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            The model's config.
        head (`str`, *optional*, defaults to `"lm"`):
            `"lm"`, or `"score"` for a reward model.
        lora ([`~peft.PeftConfig`], *optional*):
            The adapters.

    Returns:
        `nn.Module`: the model, of which the adapters alone are trained where there are any.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    config = copy.deepcopy(config)
    if head == "score":
        config.num_labels = 1
        model = AutoModelForSequenceClassification.from_config(config)
    else:
        model = AutoModelForCausalLM.from_config(config)
    if lora is None:
        return model
    from peft import get_peft_model

    return get_peft_model(model, lora)


def model_size(config: Any, head: Literal["lm", "score"] = "lm", lora: Any = None) -> ModelSize:
    """
    Count a model's parameters on the meta device.

    Args:
        config, head, lora:
            As [`build`] takes them.

    Returns:
        [`ModelSize`]: its size.
    """
    import torch

    with torch.device("meta"):
        model = build(config, head, lora)
    base = model if lora is None else model.get_base_model()
    text = config.get_text_config()
    named = {id(p): (name, p) for name, p in model.named_parameters()}  # a tied weight once
    counts = {name: p.numel() for name, p in named.values()}
    embedding = base.get_input_embeddings()
    head_weight = getattr(base.get_output_embeddings(), "weight", None) if head == "lm" else None
    tied = head_weight is not None and head_weight is embedding.weight
    layers = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    heads = text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    attending = sum("linear" not in kind and "mamba" not in kind and "conv" not in kind for kind in layers)
    if getattr(text, "kv_lora_rank", None):  # DeepSeek's latent attention
        per_layer = text.kv_lora_rank + text.qk_rope_head_dim
    else:
        per_layer = 2 * (getattr(text, "num_key_value_heads", None) or heads) * head_dim
    return ModelSize(
        parameters=sum(counts.values()),
        trainable=sum(p.numel() for _, p in named.values() if p.requires_grad),
        active=sum(counts.values()) - _left_out(counts, text) - (0 if tied else embedding.weight.numel()),
        head=head_weight.numel() if head_weight is not None else text.hidden_size,
        largest=max(counts.values()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        attention=heads * head_dim * attending,
        cache=per_layer * attending,
        trains_head=head_weight is None or bool(head_weight.requires_grad),
        positions=getattr(text, "max_position_embeddings", None),
    )


def _left_out(counts: Mapping[str, int], text: Any) -> int:
    """Parameters of the experts that a token does not pass through."""
    experts = getattr(text, "num_local_experts", None) or getattr(text, "num_experts", None)
    chosen = getattr(text, "num_experts_per_tok", None)
    if not experts or not chosen:
        return 0
    return sum(n for name, n in counts.items() if ".experts." in name) * int(experts - chosen) // int(experts)
