"""What the correction for vLLM's log-probabilities leaves of a long completion's gradient."""

import pytest
import torch
from trl import GRPOTrainer

from trl_r1 import R1GRPOTrainer

from .tiny import DigitReward, grpo_config, sums


# As many standard deviations of the sum as 10,000 tokens have at a deviation of 0.02 a token.
TOKENS, DEVIATION = 100, 0.2
ROWS = 200


def share_of_gradient_kept(model_path, folder, monkeypatch, **changes) -> float:
    """The mean factor of a token's gradient, where sampler and trainer differ by noise alone."""
    noise = torch.Generator().manual_seed(0)
    differences = DEVIATION * torch.randn(ROWS, TOKENS, generator=noise) - DEVIATION**2 / 2

    def sampled(self, prompts):
        ids = [[5] * TOKENS] * ROWS
        return [[5]] * ROWS, ids, None, ["2"] * ROWS, (-differences).tolist(), {}, None, None

    def scored(self, *args, **named):
        return torch.zeros(ROWS, TOKENS), torch.zeros(ROWS, TOKENS), None

    args = grpo_config(folder, beta=0.0, per_device_train_batch_size=ROWS, **changes)
    trainer = R1GRPOTrainer(model_path, DigitReward(), args, sums(ROWS))
    monkeypatch.setattr(GRPOTrainer, "_generate", sampled)
    monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", scored)
    trainer.use_vllm = True
    trainer.model.train()
    batch = trainer._generate_and_score_completions([trainer.train_dataset[i // 4] for i in range(ROWS)])
    return batch["importance_sampling_ratio"].expand(ROWS, TOKENS).mean().item()


def test_a_long_completion_keeps_its_gradient(model_path, tmp_path, monkeypatch):
    assert share_of_gradient_kept(model_path, tmp_path, monkeypatch) == pytest.approx(1.0, abs=0.01)


def test_the_comparison_can_fail_as_it_does_with_trl_s_default(model_path, tmp_path, monkeypatch):
    kept = share_of_gradient_kept(model_path, tmp_path, monkeypatch, vllm_importance_sampling_mode="sequence_mask")
    assert 0.2 < kept < 0.45
