"""
A curriculum over prompts: what is mastered, and what is hopeless, is offered less often.

It remembers of each prompt how many completions of its groups were solved ([`~solve_rates`]). When TRL's sampler brings a
prompt that was seen before, it is kept with the chance that its next group is neither all right nor all wrong, but never
less than [`FLOOR`]; otherwise a fresh prompt takes its place, drawn under the same rule ([`~grpo.prompt_stream`]). A prompt
that was not seen, or that no accuracy reward judges, is always kept: the first epoch is the one that TRL's sampler brings.

So the sampler, the loader that fetches ahead of it, and the skipping of batches on resumption remain TRL's. Which prompts
are trained on depends on the seed, on the memory, and on two numbers (the batches done, the position in the stream), and
all of these are in each checkpoint. An epoch keeps its number of steps.

With `dynamic_sampling`, its further rounds add to the memory, and draw from the stream under this rule.

What is logged: `prompt_curriculum/replaced`, the share of the sampler's prompts that were replaced, and
`prompt_curriculum/known`, the number of prompts in the memory. The memory is saved as `solve_rates.parquet`.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.logging import get_logger
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..solve_rates import FILE, SolveRates, read_solve_rates, write_solve_rates


logger = get_logger(__name__)

# The least chance with which a prompt is offered: the policy may unlearn, or learn at last. Our own choice.
FLOOR = 0.1


class PromptCurriculum:
    """
    The memory of solve rates, and which prompts are offered by it.

    Args:
        seed (`int`):
            Seed of the draws.
        num_generations (`int`):
            Completions of a group.
    """

    def __init__(self, seed: int, num_generations: int):
        self.rates: dict[str, SolveRates] = {}
        self._seed = seed
        self._num_generations = num_generations

    def is_offered(self, name: str, occasion: str) -> bool:
        """
        Say whether a prompt is offered.

        Args:
            name (`str`):
                Its id.
            occasion (`str`):
                What comes once in a run: the draw depends on it.
        """
        if name not in self.rates:
            return True
        chance = max(FLOOR, self.rates[name].chance_to_teach(self._num_generations))
        return random.Random(f"{self._seed}/{occasion}").random() < chance

    def remember(
        self, step: int, names: Sequence[str], domains: Sequence[object], counts: Sequence[tuple[int, int]]
    ) -> None:
        """
        Remember the groups of a generation.

        Args:
            step (`int`):
                Updates done when they were sampled.
            names (`Sequence[str]`):
                The ids of their prompts.
            domains (`Sequence`):
                Their domains, where there are any.
            counts (`Sequence[tuple[int, int]]`):
                Of each group, how many completions were solved and how many were judged. What was not judged is not
                remembered.
        """
        for name, domain, (solved, judged) in zip(names, domains, counts, strict=True):
            if judged:
                known = self.rates.setdefault(name, SolveRates(None if domain is None else str(domain)))
                known.add(step, solved, judged)

    def save(self, *folders: str) -> None:
        """Write the memory into folders."""
        for folder in folders:
            write_solve_rates(Path(folder, FILE), self.rates)

    def load(self, checkpoint: str) -> None:
        """Read the memory of a checkpoint."""
        path = Path(checkpoint, FILE)
        if path.is_file():
            self.rates = read_solve_rates(path)
        else:
            logger.warning(f"{path} is missing: no prompt's solve rate is known, and this run will not be the same.")


class SaveAtEnd(TrainerCallback):
    """Saves a curriculum's memory when training ends."""

    def __init__(self, curriculum: PromptCurriculum):
        self._curriculum = curriculum

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write it into the output directory."""
        if state.is_world_process_zero:
            self._curriculum.save(args.output_dir)
