"""
Rows that cannot move the policy, told by their rewards.

A group whose rewards are all equal has no advantage, and its rows no gradient, unless there is a KL term. Their float
advantages need not be 0: eight equal rewards of 0.1 give 7e-5, the rounding of their mean divided by a standard
deviation of 0 plus 1e-4. What is left out with such a row is that noise, so rewards decide, not advantages.
"""

import torch

from .exactness import Switches


class IdleRows:
    """Marks rows of a rollout that cannot move the policy, as `idle`. To stand before TRL's trainer."""

    _switches = Switches()

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self._switches.skip_zero_advantage and self.model.training:
            idle = without_advantage(
                rewards,
                self.reward_weights.to(rewards.device),
                self.num_generations,
                by_function=self.multi_objective_aggregation == "normalize_then_sum",
            )
            first = self.accelerator.process_index * len(prompts)
            self._without_advantage = idle[first : first + len(prompts)]
        return rewards

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        if self._switches.skip_zero_advantage and self.model.training:
            mask = output["completion_mask"]
            if output.get("tool_mask") is not None:
                mask = mask * output["tool_mask"]
            advantages = output["advantages"].view(len(mask), -1)
            # Besides: an advantage that is 0 all the same, and a completion of which no token counts, because it was
            # cut (`mask_truncated_completions`).
            output["idle"] = self._without_advantage | (advantages == 0).all(1) | (mask.sum(1) == 0)
        return output


def without_advantage(
    rewards: torch.Tensor, weights: torch.Tensor, num_generations: int, by_function: bool = False
) -> torch.Tensor:
    """
    Tell of which rows the advantage is 0, but for rounding.

    Args:
        rewards (`torch.Tensor` of shape `(N, F)`):
            Of each row by each reward function, NaN where one does not apply; the rows of a group after one another.
        weights (`torch.Tensor` of shape `(F,)`):
            The weights of the functions.
        num_generations (`int`):
            Rows of a group, G.
        by_function (`bool`, *optional*, defaults to `False`):
            Whether each function's rewards are centred by themselves before they are summed, instead of their sum.

    Returns:
        `torch.Tensor` of shape `(N,)`: `True` for the rows of a group without variance, and for those which no function
        could score.
    """
    unscorable = rewards.isnan().all(1)
    if by_function:
        values = rewards[:, weights != 0]
    else:
        values = (rewards * weights).nansum(1, keepdim=True).masked_fill(unscorable[:, None], torch.nan)
    groups = values.view(-1, num_generations, values.size(1))
    low = groups.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).amin(1)
    high = groups.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf).amax(1)
    return (low >= high).all(1).repeat_interleave(num_generations) | unscorable
