"""
What `compact_generation` saves.

```bash
python -m tests.benchmarks.grpo_switches [--rows 64] [--longest 512] [--pairs 3]
```

A random model of five million parameters samples completions whose lengths are laid down, lognormal with a mean of a
quarter of the longest, with and without rows that have ended; the two take turns. Prints the medians of CPU time and their
ratio.
"""

import argparse
import contextlib
import os
import statistics
from collections.abc import Iterator


os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import logging

from tests.benchmarks.grpo_step import Clock
from trl_r1.compact_generation import compact_rows


VOCABULARY = 4096
PROMPT = 32  # tokens


def make_model() -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=8,
            num_key_value_heads=4, head_dim=32, pad_token_id=0, eos_token_id=1, tie_word_embeddings=True,
        )
    ).eval()  # fmt: skip


class EndAt(LogitsProcessor):
    """Ends each row where it is laid down to end."""

    def __init__(self, lengths: torch.Tensor):
        self.lengths = lengths

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, 1] = torch.where(self.lengths == input_ids.size(1) - PROMPT + 1, 1e4, -1e4)
        return scores


def ragged(rows: int, longest: int) -> torch.Tensor:
    """Lengths, lognormal, with a mean of a quarter of the longest."""
    lengths = torch.randn(rows, generator=torch.Generator().manual_seed(0)).mul(0.9).exp()
    for _ in range(20):  # what is cut at the longest lowers the mean
        lengths = (lengths * longest / 4 / lengths.clamp(1, longest).mean()).clamp(1, longest)
    lengths[0] = longest
    return lengths.round().long()


def generation(
    model: PreTrainedModel, rows: int, longest: int, pairs: int, device: str = "cpu"
) -> Iterator[dict[str, float]]:
    """
    Sample with and without rows that have ended, in turns.

    Yields:
        `dict[str, float]`: the seconds of both in one pair, and the share of rows in which they gave the same tokens.
    """
    lengths, now = ragged(rows, longest).to(device), Clock(device).now
    prompts = torch.randint(2, VOCABULARY, (rows, PROMPT), generator=torch.Generator().manual_seed(1)).to(device)
    config = GenerationConfig(max_new_tokens=longest, do_sample=True, top_k=0, eos_token_id=1, pad_token_id=0)
    for pair in range(pairs):
        taken, outputs = {}, {}
        for compact in (pair % 2 == 0, pair % 2 == 1):
            torch.manual_seed(pair)
            begun = now()
            with torch.no_grad(), compact_rows(model, 1) if compact else contextlib.nullcontext():
                outputs[compact] = model.generate(
                    input_ids=prompts,
                    attention_mask=torch.ones_like(prompts),
                    generation_config=config,
                    logits_processor=LogitsProcessorList([EndAt(lengths)]),
                )
            taken[compact] = now() - begun
        same = (outputs[True] == outputs[False]).all(1).float().mean().item()
        tokens = lengths.sum().item()
        yield {"tokens": tokens, "whole_s": taken[False], "compact_s": taken[True], "rows_equal": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--longest", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    found = []
    for row in generation(make_model(), options.rows, options.longest, options.pairs):
        found.append(row)
        print(
            f"pair {len(found)}: {row['whole_s']:.1f} s, compact {row['compact_s']:.1f} s; "
            f"{row['rows_equal']:.0%} of rows equal"
        )
    whole, compact = (statistics.median(row[one] for row in found) for one in ("whole_s", "compact_s"))
    print(
        f"generation, {options.rows} rows of {found[0]['tokens'] / options.rows:.0f} tokens on average and "
        f"{options.longest} at most: {whole:.1f} s of CPU, compact {compact:.1f} s: {whole / compact:.2f}x\n"
    )


if __name__ == "__main__":
    main()
