"""
What a plan assumes: how fast GPUs are, and how long what is sampled will be. Torch-free.

Every value may be stated in a YAML file (`trl-r1 plan RECIPE --throughput FILE`); docs/scaling.md has the source of each.
"""

import math
from dataclasses import dataclass, field, fields
from statistics import NormalDist

from ..docstrings import help_from_docstring
from ..errors import expect


@help_from_docstring
@dataclass(frozen=True)
class Throughput:
    """
    Assumptions of a plan.

    Args:
        peak_flops (`float`, *optional*, defaults to `989e12`):
            Operations per second of one GPU in bf16, dense. An H100 SXM's, by its data sheet.
        model_flops_utilization (`float`, *optional*, defaults to `0.35`):
            Share of them that training and prefill reach. Our own assumption.
        memory_bandwidth (`float`, *optional*, defaults to `3.35e12`):
            Bytes per second that one GPU reads. An H100 SXM's, by its data sheet.
        bandwidth_utilization (`float`, *optional*, defaults to `0.6`):
            Share of it that decoding reaches. Our own assumption.
        decode_step_seconds (`float`, *optional*, defaults to `0.005`):
            The least that a decoding step takes, however small the model. Our own assumption.
        mean_completion_tokens (`float`, *optional*):
            Mean length of a completion. By default 0.3 of the limit, and at most 5,000: between the 2,000 and 10,000 of
            R1-Zero's training (paper, v1 Fig. 3).
        mean_prompt_tokens (`int`, *optional*, defaults to `200`):
            Mean length of a prompt. Our own assumption.
        longest_prompt_tokens (`int`, *optional*, defaults to `1024`):
            The longest prompt, where `vllm_max_model_length` does not tell. Our own assumption.
        mean_row_tokens (`float`, *optional*):
            Mean length of a row in supervised training. By default as of a completion with its prompt.
        length_spread (`float`, *optional*, defaults to `0.85`):
            Standard deviation of the logarithm of the rows' lengths. Where each of several ranks has rows at random, all
            wait for the longest: 2.7 times the mean for 8 ranks. Our own assumption.
        reserve_gb (`float`, *optional*, defaults to `2.0`):
            GB of each GPU for CUDA, NCCL, and what the allocator cannot use. Our own assumption.
        vllm_reserve_gb (`float`, *optional*, defaults to `3.0`):
            GB of vLLM's share for its activations and CUDA graphs. Our own assumption.
        rows (`dict[str, int]`, *optional*):
            Rows of data, by the name or the path of a source, or all of a stage's by the stage's name, where they are not
            known beforehand.
    """

    peak_flops: float = 989e12
    model_flops_utilization: float = 0.35
    memory_bandwidth: float = 3.35e12
    bandwidth_utilization: float = 0.6
    decode_step_seconds: float = 0.005
    mean_completion_tokens: float | None = None
    mean_prompt_tokens: int = 200
    longest_prompt_tokens: int = 1024
    mean_row_tokens: float | None = None
    length_spread: float = 0.85
    reserve_gb: float = 2.0
    vllm_reserve_gb: float = 3.0
    rows: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in (each.name for each in fields(self) if each.name != "rows"):
            expect(self, key, getattr(self, key) is None or getattr(self, key) > 0, "a number above 0")

    def completion_tokens(self, limit: int) -> float:
        """Return the mean length of a completion that may have `limit` tokens."""
        return min(self.mean_completion_tokens or min(0.3 * limit, 5000.0), limit)

    def wait_of(self, ranks: int) -> float:
        """Return how much longer than the mean the longest of `ranks` rows is, at random."""
        if ranks == 1:
            return 1.0
        points, spread = 2000, self.length_spread
        quantiles = (NormalDist().inv_cdf(((i + 0.5) / points) ** (1 / ranks)) for i in range(points))
        return sum(math.exp(spread * each) for each in quantiles) / points / math.exp(spread**2 / 2)
