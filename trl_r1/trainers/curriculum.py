"""
A curriculum over prompts: what is mastered, and what is hopeless, is offered less often.

The trainer remembers of each prompt how many completions of its groups were solved ([`~solve_rates`]). When TRL's sampler
brings a prompt that was seen before, it is kept with the chance that its next group is neither all right nor all wrong,
but never less than [`FLOOR`]; otherwise a fresh prompt takes its place, drawn under the same rule
([`~trainers.fresh_prompts`]). A prompt that was not seen, or that no reward judges, is always kept: the first epoch is
the one that TRL's sampler brings.

So the sampler, the loader that fetches ahead of it, and the skipping of batches on resumption stay TRL's. Which prompts
are trained on depends on the seed, on the memory, and on two numbers (the batches done, the place in the stream), and all
of these are in each checkpoint. An epoch keeps its number of steps.

A solved completion is what `solve_rate` counts ([`~trainers.metrics`]). With `dynamic_sampling`, its further rounds add to the
memory, and draw from the stream under this rule.

What is logged: `prompt_curriculum/replaced`, the share of the sampler's prompts that made way, and
`prompt_curriculum/known`, the number of prompts in the memory. The memory is saved as `solve_rates.parquet`.
"""

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.logging import get_logger
from accelerate.utils import gather_object
from transformers import TrainerCallback

from ..solve_rates import FILE, SolveRates, read_solve_rates, write_solve_rates
from .fresh_prompts import FreshPrompts
from .metrics import judging_rewards, solved_of_groups


logger = get_logger(__name__)

# The least chance with which a prompt is offered: the policy may unlearn, or learn at last. Our own choice.
FLOOR = 0.1


class PromptCurriculum(FreshPrompts):
    """The curriculum in a GRPO trainer. To stand before [`~dynamic_sampling.DynamicSampling`] in a list of bases."""

    _solve_rates: dict[str, SolveRates] | None = None

    def __init__(self, model, reward_funcs, args, *rest, **named):
        super().__init__(model, reward_funcs, args, *rest, **named)
        if getattr(args, "prompt_curriculum", False):
            self._open_stream("prompt_curriculum")
            self._solve_rates = {}
            self._judging = judging_rewards(self.reward_funcs, self.reward_func_names)
            self.add_callback(_WriteAtTheEnd(self))

    def _generate_and_score_completions(self, inputs):
        if self._solve_rates is not None and self.model.training:
            inputs = self._offer(inputs)
        return super()._generate_and_score_completions(inputs)

    def _offer(self, inputs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """This rank's rows, with fresh prompts in place of those that are not offered this time."""
        names = self._ids_of_groups(inputs)
        kept = [self._is_offered(name, f"batch {self._step}, group {i}") for i, name in enumerate(names)]
        metrics = self._metrics["train"]
        metrics["prompt_curriculum/replaced"].append(kept.count(False) / len(kept))
        metrics["prompt_curriculum/known"].append(len(self._solve_rates))
        fresh = iter(self._fresh_rows(kept.count(False), set(names), list(inputs[0])))
        replacement = {i: next(fresh) for i, stays in enumerate(kept) if not stays}
        first = self.accelerator.process_index * len(inputs)
        groups = [(first + i) // self.num_generations for i in range(len(inputs))]
        return [
            dict(replacement[group]) if group in replacement else row
            for group, row in zip(groups, inputs, strict=True)
        ]

    def _is_offered(self, name: str, occasion: str) -> bool:
        known = None if self._solve_rates is None else self._solve_rates.get(name)
        if known is None:
            return super()._is_offered(name, occasion)
        chance = max(FLOOR, known.chance_to_teach(self.num_generations))
        return random.Random(f"{self.args.seed}/{occasion}").random() < chance

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self._solve_rates is not None and self.model.training:
            names = self._ids_of_groups(inputs)
            domains = gather_object([row.get("domain") for row in inputs])[:: self.num_generations]
            counts = solved_of_groups(rewards.tolist(), self._judging, self.num_generations)
            for name, domain, (solved, judged) in zip(names, domains, counts, strict=True):
                if judged:
                    known = self._solve_rates.setdefault(name, SolveRates(None if domain is None else str(domain)))
                    known.add(self.state.global_step, solved, judged)
        return rewards

    def _write_solve_rates(self, *folders: str) -> None:
        if self._solve_rates is not None and self.accelerator.is_main_process:
            for folder in folders:
                write_solve_rates(os.path.join(folder, FILE), self._solve_rates)

    def _save_rng_state(self, output_dir):
        self._write_solve_rates(output_dir, self.args.output_dir)
        super()._save_rng_state(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint):
        super()._load_optimizer_and_scheduler(checkpoint)
        if self._solve_rates is None or checkpoint is None:
            return
        path = Path(checkpoint, FILE)
        if path.is_file():
            self._solve_rates = read_solve_rates(path)
        else:
            logger.warning(f"{path} is missing: no prompt's solve rate is known, and this run will not be the same.")


class _WriteAtTheEnd(TrainerCallback):
    def __init__(self, trainer: PromptCurriculum):
        self._trainer = trainer

    def on_train_end(self, args, state, control, **kwargs):
        self._trainer._write_solve_rates(args.output_dir)
