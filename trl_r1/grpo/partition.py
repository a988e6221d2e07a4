"""
Rows into micro-batches: few padded tokens, bounded memory.

A micro-batch is padded on both sides, prompts on the left and completions on the right, so it costs its number of rows
times the sum of its longest prompt and its longest completion.
"""

from bisect import bisect_left
from collections.abc import Sequence

import torch
from accelerate import Accelerator


def rounded_up(length: int, multiple: int | None) -> int:
    """
    Round a length up, at least to 1.

    Args:
        length (`int`):
            A number of columns.
        multiple (`int` or `None`):
            What the result is a multiple of.

    Returns:
        `int`: the width that is computed.
    """
    length = max(length, 1)
    return length if not multiple else -(-length // multiple) * multiple


def width(lengths: Sequence[tuple[int, int]], multiple: int | None = None) -> int:
    """
    Columns that some rows need together.

    Args:
        lengths (`Sequence[tuple[int, int]]`):
            Tokens of the prompt and of the completion of each row.
        multiple (`int`, *optional*):
            Each side is rounded up to a multiple of it.

    Returns:
        `int`: the columns.
    """
    prompts, completions = zip(*lengths)
    return rounded_up(max(prompts), multiple) + rounded_up(max(completions), multiple)


def partition(
    lengths: Sequence[tuple[int, int]],
    number: int,
    budget: int | None = None,
    multiple: int | None = None,
    exactly: bool = False,
) -> list[int]:
    """
    Cut rows, in the order given, into micro-batches of which the most expensive costs as little as it can.

    There are `number` of them, or more where `budget` asks for more, or fewer where the longest row alone makes the most
    expensive one: short rows then share what one long row takes. Each has at least one row.

    Args:
        lengths (`Sequence[tuple[int, int]]`):
            Tokens of the prompt and of the completion of each row. Sorted by length they make the least padding.
        number (`int`):
            How many micro-batches there are, if there are as many rows.
        budget (`int`, *optional*):
            The most tokens, padding included, that a micro-batch may have. A row that is longer by itself makes a
            micro-batch of its own.
        multiple (`int`, *optional*):
            What each side's width is rounded up to.
        exactly (`bool`, *optional*, defaults to `False`):
            Whether there must not be fewer.

    Returns:
        `list[int]`: the number of rows of each micro-batch.
    """
    if not lengths:
        return []
    low, high = max(width([row], multiple) for row in lengths), len(lengths) * width(lengths, multiple)
    if budget is not None:
        number = max(number, len(_fill(lengths, max(budget, low), multiple)))
        high = min(high, max(budget, low))
    number = min(number, len(lengths))
    # The smallest budget that makes no more micro-batches than that. The more it is, the fewer there are.
    budgets = range(low, high)
    enough = bisect_left(budgets, True, key=lambda budget: len(_fill(lengths, budget, multiple)) <= number)
    sizes = _fill(lengths, low + enough, multiple)
    while exactly and len(sizes) < number:
        widest = max((i for i, size in enumerate(sizes) if size > 1), key=lambda i: sizes[i])
        sizes[widest : widest + 1] = [sizes[widest] - sizes[widest] // 2, sizes[widest] // 2]
    return sizes


def _fill(lengths: Sequence[tuple[int, int]], budget: int, multiple: int | None) -> list[int]:
    """Fill one micro-batch after the other up to the budget: as few as the order allows."""
    sizes: list[int] = []
    rows = prompt = completion = 0
    for next_prompt, next_completion in lengths:
        longest = max(prompt, next_prompt), max(completion, next_completion)
        if rows and (rows + 1) * width([longest], multiple) > budget:
            sizes.append(rows)
            rows, longest = 0, (next_prompt, next_completion)
        rows += 1
        prompt, completion = longest
    return [*sizes, rows]


def row_lengths(attention_mask: torch.Tensor, prompt_width: int) -> torch.Tensor:
    """
    Tokens that are attended to.

    Args:
        attention_mask (`torch.Tensor` of shape `(B, P + C)`):
            1 for tokens, 0 for padding.
        prompt_width (`int`):
            P, the columns of prompts.

    Returns:
        `torch.Tensor` of shape `(B, 2)`, on the CPU: tokens of each row's prompt and completion.
    """
    sides = attention_mask[:, :prompt_width], attention_mask[:, prompt_width:]
    return torch.stack([side.sum(1) for side in sides], dim=1).cpu()


def longest_of_all_ranks(accelerator: Accelerator, lengths: torch.Tensor) -> list[tuple[int, int]]:
    """
    The longest of the rows at the same place on every rank.

    Cut by these, micro-batches hold a budget on every rank, are of the same number (ZeRO-3 and FSDP gather parameters in
    each pass) and have the same numbers of rows (TRL gathers clip ratios by row).

    Args:
        accelerator (`Accelerator`):
            The ranks.
        lengths (`torch.Tensor` of shape `(n, 2)`):
            As [`row_lengths`] returns them, for as many rows on every rank.

    Returns:
        `list[tuple[int, int]]`: the longest prompt and the longest completion at each of the `n` places.
    """
    gathered = accelerator.gather(lengths.to(accelerator.device))
    return [(prompt, completion) for prompt, completion in gathered.view(-1, *lengths.shape).amax(0).tolist()]
