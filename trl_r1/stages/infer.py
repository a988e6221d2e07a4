"""
The `infer` stage: many samples of each question, one answer: the most frequent, or the best by a reward.

```bash
trl-r1 infer Qwen/Qwen2.5-1.5B-Instruct --question "What is 37 * 48?" --n_samples 16
python -m trl_r1.stages.infer --config infer.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~inference.config.InferenceConfig`]. It leaves
`data/answers.parquet` and what was sampled in `traces/`; killed, it goes on where it was.
"""

import sys
from typing import Any

from ..kinds import StageKind
from ._common import Progress, program


STAGE = StageKind(
    configs=("trl_r1.sampling.config:SamplingConfig", "trl_r1.inference.config:InferenceConfig"),
    leaves=("data/answers.parquet",),
    writes={"answers": ("prompt_id", "prompt", "completion", "answer", "solution", "domain", "language")},
    references={"reward.args.model": "model"},
    purpose="Many answers to each question, and the one that they agree on or that a reward prefers.",
)

_SHOWN = 20


def infer(sampling: Any, config: Any) -> None:
    """Answer the questions, and print the first ones' answers."""
    from ..inference.run import infer
    from ..sampling import Worker

    if Worker.of_environment().rank:  # a vote that stops early needs all samples in one place
        return
    progress = Progress(config.output_dir, 0, unit="samples")
    answers = infer(sampling, config, on_progress=progress.update)
    for each in answers[:_SHOWN]:
        share = "" if each.share is None else f", {each.share:.0%} of the votes"
        print(f"{each.question['prompt']}\n  {each.text or 'no answer'}  ({each.n_samples} samples{share})")
    samples, tokens = sum(each.n_samples for each in answers), sum(each.n_tokens for each in answers)
    answered = sum(each.chosen is not None for each in answers)
    print(
        f"{answered} of {len(answers)} questions answered, with {samples} samples and {tokens} tokens: "
        f"{config.output_dir}/data/answers.parquet"
    )


main = program(STAGE, infer)

if __name__ == "__main__":
    sys.exit(main())
