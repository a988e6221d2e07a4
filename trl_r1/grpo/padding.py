"""
Log-probabilities at the width of the rows at hand.

TRL pads a whole rollout to its longest prompt and its longest completion, and runs every pass at that width. Here the
columns that are padding in every row of a pass are cut before the model sees them, and put back, as zeros, in what it
returns: what TRL reads there are the same numbers.

Exact where positions are relative (rotary ones): a row that begins further left has its positions shifted, all alike.
See [`~grpo.switches`] for where it is not.
"""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch.nn import functional as F

from .partition import longest_of_all_ranks, partition, rounded_up, row_lengths


LogProbabilities = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


def in_chunks_of_similar_length(
    log_probabilities: Callable[[torch.Tensor, torch.Tensor], LogProbabilities],
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    prompt_width: int,
    accelerator: Accelerator,
    *,
    rows: int,
    budget: int | None = None,
    multiple: int | None = None,
) -> LogProbabilities:
    """
    Compute log-probabilities of a whole rollout, without gradient, in chunks. No row's result depends on the others, so
    rows of similar length go together, whatever the loss.

    Args:
        log_probabilities (`Callable`):
            Computes log-probabilities and entropies, each of shape `(b, C)`, of ids and mask of shape `(b, P + C)`.
        input_ids (`torch.Tensor` of shape `(B, P + C)`):
            Prompts and completions.
        attention_mask (`torch.Tensor` of shape `(B, P + C)`):
            1 for tokens, 0 for padding.
        prompt_width (`int`):
            P.
        accelerator (`Accelerator`):
            The ranks, which take the same chunks.
        rows (`int`):
            Rows of a chunk, were all as long as the longest.
        budget (`int`, *optional*):
            The most tokens of a chunk, padding included.
        multiple (`int`, *optional*):
            What the width of each side is rounded up to.
    """
    lengths = row_lengths(attention_mask, prompt_width)
    order = lengths.sum(1).argsort(descending=True, stable=True)
    longest = longest_of_all_ranks(accelerator, lengths[order])
    sizes = partition(longest, number=-(-len(order) // rows), budget=budget, multiple=multiple)
    chunks = [
        log_probabilities(input_ids[chosen], attention_mask[chosen])
        for chosen in torch.split(order.to(input_ids.device), sizes)
    ]
    back = order.argsort().to(input_ids.device)
    log_probs, entropies, _ = zip(*chunks)
    return torch.cat(log_probs)[back], None if entropies[0] is None else torch.cat(entropies)[back], None


class AtOwnWidth:
    """
    A model that is shown no column of padding which all rows share. Called as TRL calls its own.

    Args:
        model (`Callable`):
            The model, with TRL's fused LM head.
        prompt_width (`int`):
            Columns of prompts, padded on the left; those of completions follow, padded on the right.
        multiple (`int`, *optional*):
            What the width of each side is rounded up to, as far as there are columns.
    """

    def __init__(self, model: Callable[..., Any], prompt_width: int, multiple: int | None = None):
        self._model = model
        self._prompt_width = prompt_width
        self._multiple = multiple

    def __call__(
        self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor, **named: Any
    ) -> Any:
        left, right = self._margins(attention_mask)
        kept = slice(left, input_ids.size(1) - right)
        outputs = self._model(
            input_ids=input_ids[:, kept], attention_mask=attention_mask[:, kept], labels=labels[:, kept], **named
        )
        # TRL's head returns zeros where there is nothing to predict.
        outputs.log_probs = F.pad(outputs.log_probs, (left, right))
        if outputs.entropy is not None:
            outputs.entropy = F.pad(outputs.entropy, (left, right))
        return outputs

    def _margins(self, attention_mask: torch.Tensor) -> tuple[int, int]:
        """Columns that can go on the left and on the right."""
        prompt = self._prompt_width
        used = attention_mask.any(dim=0).nonzero()[:, 0].tolist() or [prompt]
        left = prompt - rounded_up(prompt - used[0], self._multiple)
        right = attention_mask.size(1) - prompt - rounded_up(used[-1] + 1 - prompt, self._multiple)
        return max(0, left), max(0, right)
