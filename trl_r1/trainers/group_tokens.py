"""
The lengths of a whole group, for rewards that compare them, whichever ranks hold its rows.

A rank holds a slice of the batch, and a slice may begin or end within a group. A reward that gathered by itself would
hang: it is called with the rows of its domains, not at all where there are none, and in no agreed order. Here all ranks
pass at the same time.
"""

from typing import Any

from accelerate.utils import gather_object


class HandsGroupTokens:
    """
    Hands rewards with `reads_group_tokens` the column `group_tokens`: for each row the lengths, in tokens, of all
    completions of its group. Groups are rows that follow one another over all ranks, as TRL's advantages have them.
    """

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        if any(getattr(reward, "reads_group_tokens", False) is True for reward in self.reward_funcs):
            size = self.num_generations if self.model.training else self.num_generations_eval
            lengths = [len(ids) for ids in completion_ids_list]
            groups = group_tokens(gather_object(lengths), size)
            first = self.accelerator.process_index * len(lengths)
            inputs = [{**row, "group_tokens": groups[first + i]} for i, row in enumerate(inputs)]
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)


def group_tokens(lengths: list[int], size: int) -> list[list[Any]]:
    """
    Return for each row the lengths of its group.

    Args:
        lengths (`list[int]`):
            Lengths of the completions of all ranks, in the order of the ranks.
        size (`int`):
            Completions to a group.
    """
    return [lengths[i - i % size : i - i % size + size] for i in range(len(lengths))]
