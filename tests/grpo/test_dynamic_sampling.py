"""Dynamic sampling: the batch holds groups that teach, its mathematics are stock TRL's, and its cost is counted."""

import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOTrainer

from trl_r1 import R1GRPOTrainer, read_traces
from trl_r1.errors import ConfigError
from trl_r1.grpo import dynamic_sampling
from trl_r1.grpo import trainer as trainer_module
from trl_r1.grpo.dynamic_sampling import join_batches
from trl_r1.grpo.prompt_stream import PromptStream

from .lively import Lively, mixed_prompts
from .test_resume import differences, what_matters
from .tiny import grpo_config


STEPS = 4
SETTINGS = {
    "dynamic_sampling": True,
    "max_sampling_rounds": 8,
    "beta": 0.0,
    "per_device_train_batch_size": 8,
    "max_steps": STEPS,
}


class Watched(R1GRPOTrainer):
    """Keeps each batch as it leaves sampling, before TRL shuffles it."""

    batches: list[dict[str, Any]]
    rounds: list[list[str]]

    def __init__(self, *args, **kwargs):
        self.batches, self.rounds = [], []
        super().__init__(*args, **kwargs)

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        self.batches.append(dict(batch))
        return batch

    def _generate(self, prompts):
        self.rounds.append(prompts)
        return super()._generate(prompts)


def make(model: str, folder: Path, trainer: type = Watched, rows: Dataset | None = None, **changes: Any):
    adapter = changes.pop("peft_config", None)
    rows = mixed_prompts() if rows is None else rows
    return trainer(model, Lively(), grpo_config(folder, **{**SETTINGS, **changes}), rows, peft_config=adapter)


def trained(model: str, folder: Path, **changes: Any) -> Watched:
    """The random state begins with the trainer, so it is trained before another one is made."""
    trainer = make(model, folder, **changes)
    trainer.train()
    return trainer


def prompts_of(trainer: R1GRPOTrainer, batch: dict[str, Any]) -> list[str]:
    return [
        trainer.processing_class.decode(ids[mask.bool()])
        for ids, mask in zip(batch["prompt_ids"], batch["prompt_mask"])
    ]


def kinds_of(trainer: R1GRPOTrainer, batch: dict[str, Any]) -> list[str]:
    known = {row["prompt"]: row["kind"] for row in mixed_prompts()}
    return [known[prompt] for prompt in prompts_of(trainer, batch)]


class TestTheBatch:
    def test_every_group_has_variance_where_the_data_have_such(self, model_path, tmp_path):
        trainer = make(model_path, tmp_path)
        trainer.train()
        assert len(trainer.batches) == STEPS
        for batch in trainer.batches:
            assert len(batch["advantages"]) == 8
            assert kinds_of(trainer, batch) == ["lively"] * 8
            assert (batch["advantages"].view(-1, 4).abs().amax(1) > 0.1).all()
            prompts = prompts_of(trainer, batch)
            assert len(set(prompts)) == 2
            assert all(len(set(prompts[start : start + 4])) == 1 for start in (0, 4))
        assert len(trainer.rounds) > STEPS  # it was not by luck

    def test_without_it_the_same_run_trains_on_groups_without_variance(self, model_path, tmp_path):
        trainer = make(model_path, tmp_path, dynamic_sampling=False)
        trainer.train()
        assert any("lively" not in kinds_of(trainer, batch) for batch in trainer.batches)
        assert len(trainer.rounds) == STEPS

    def test_the_groups_that_teach_stay_as_they_were_sampled(self, model_path, tmp_path):
        """Only groups without variance are replaced: the other rows are those that a run without it would have had."""
        ours, without = trained(model_path, tmp_path), trained(model_path, tmp_path, dynamic_sampling=False)
        first, twin = ours.batches[0], without.batches[0]
        stay = [i for i, kind in enumerate(kinds_of(without, twin)) if kind == "lively"]
        assert 0 < len(stay) < 8
        for name in ("completion_ids", "completion_mask", "advantages"):
            mine, theirs = first[name][stay], twin[name][stay]
            if mine.dim() == 2:
                width = int(twin["completion_mask"][stay].sum(1).max())
                mine, theirs = mine[:, :width], theirs[:, :width]
            assert torch.equal(mine, theirs), name

    def test_what_cannot_be_replaced_stays(self, model_path, tmp_path):
        rows = mixed_prompts().filter(lambda row: row["kind"] != "lively")
        trainer = make(model_path, tmp_path, rows=rows, max_sampling_rounds=3)
        trainer.train()
        log = trainer.state.log_history[0]
        assert log["dynamic_sampling/rounds"] == 3
        assert log["dynamic_sampling/frac_reward_zero_std"] == 1
        assert [len(batch["advantages"]) for batch in trainer.batches] == [8] * STEPS
        # 2 groups of 4 in each round: what was sampled first is what is trained on.
        assert prompts_of(trainer, trainer.batches[0])[::4] == trainer.rounds[0][::4]

    def test_a_prompt_is_not_offered_twice_in_a_generation(self, model_path, tmp_path):
        rows = mixed_prompts(12).filter(lambda row: row["kind"] != "lively")
        trainer = make(model_path, tmp_path, rows=rows, max_sampling_rounds=3, max_steps=1)
        trainer.train()
        offered = [prompt for prompts in trainer.rounds for prompt in prompts[::4]]
        assert len(offered) == len(rows) == len(set(offered))

    @pytest.mark.parametrize("conversational", [True, False])
    @pytest.mark.parametrize("adapter", [True, False])
    def test_with_several_uses_of_a_rollout(self, conversational, adapter, model_path, tmp_path):
        changes = {"num_iterations": 2, "gradient_accumulation_steps": 2, "steps_per_generation": 4, "beta": 0.1}
        if adapter:
            changes["peft_config"] = LoraConfig(task_type="CAUSAL_LM", r=2)
        trainer = make(
            model_path, tmp_path, rows=mixed_prompts(conversational=conversational),
            per_device_train_batch_size=2, **changes,
        )  # fmt: skip
        before = {name: value.clone() for name, value in trainer.model.named_parameters() if value.requires_grad}
        trainer.train()
        assert len(trainer.batches) == 1
        assert {"old_per_token_logps", "ref_per_token_logps"} <= set(trainer.batches[0])
        assert (trainer.batches[0]["advantages"].view(-1, 4).abs().amax(1) > 0.1).all()
        assert any(not torch.equal(value, before[n]) for n, value in trainer.model.named_parameters() if n in before)


class TestMathematics:
    """The loss and its gradients are those of a stock trainer that sampled the joined batch at once."""

    LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo")

    def gradients(self, trainer: Any, rows: list[dict[str, Any]]) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        batch = trainer._generate_and_score_completions(rows)
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        flat = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
        return batch, loss.detach(), flat

    def compare(self, model: str, folder: Path, **changes: Any) -> tuple[float, float]:
        """Return how far loss and gradient are from stock TRL's, relatively."""
        rows = [dict(row) for row in mixed_prompts().select(range(4)) for _ in range(4)]
        # Some completions end early and others are cut.
        ending = {"sequence_bias": [[[1], 7.0]]}
        changes |= {"per_device_train_batch_size": 16, "max_completion_length": 12, "generation_kwargs": ending}
        ours = make(model, folder / "ours", R1GRPOTrainer, **changes)
        torch.manual_seed(0)
        batch, loss, gradient = self.gradients(ours, rows)
        assert ours._metrics["train"]["dynamic_sampling/rounds"] != [0]
        assert len(batch["completion_mask"].sum(1).unique()) > 3
        known = {row["prompt"]: row for row in mixed_prompts()}
        prompt_ids = [ids[mask.bool()].tolist() for ids, mask in zip(batch["prompt_ids"], batch["prompt_mask"])]
        completion_ids = [
            ids[mask.bool()].tolist() for ids, mask in zip(batch["completion_ids"], batch["completion_mask"])
        ]
        tokenizer = ours.processing_class
        completions = tokenizer.batch_decode(completion_ids, skip_special_tokens=True)

        class Scripted(GRPOTrainer):
            def _generate(self, prompts):
                return prompt_ids, completion_ids, None, completions, None, {}, None, []

        stock = make(model, folder / "stock", Scripted, **changes)
        chosen = [dict(known[tokenizer.decode(ids)]) for ids in prompt_ids]
        theirs, their_loss, their_gradient = self.gradients(stock, chosen)
        assert batch["num_items_in_batch"] == theirs["num_items_in_batch"] or self.broken
        return float((loss - their_loss).abs()), float((gradient - their_gradient).norm() / their_gradient.norm())

    broken = False

    @pytest.mark.parametrize("beta", [0.0, 0.1])
    @pytest.mark.parametrize("loss_type", LOSSES)
    def test_equal_those_of_stock_trl(self, loss_type, beta, model_path, tmp_path):
        loss, gradient = self.compare(model_path, tmp_path, loss_type=loss_type, beta=beta, sync_ref_model=False)
        assert loss < 1e-6
        assert gradient < 1e-5

    def test_the_comparison_sees_a_normaliser_that_is_not_recomputed(self, model_path, tmp_path, monkeypatch):
        join = dynamic_sampling.join_batches

        class Kept(dict):
            def __setitem__(self, name, value):
                super().__setitem__(name, self.first if name == "num_items_in_batch" else value)

        def with_the_first_normaliser(batches, *rest):
            kept = Kept(join(batches, *rest))
            kept.first = batches[0]["num_items_in_batch"]
            return kept

        monkeypatch.setattr(trainer_module, "join_batches", with_the_first_normaliser)
        monkeypatch.setattr(type(self), "broken", True)
        _, gradient = self.compare(model_path, tmp_path, loss_type="dapo")
        assert gradient > 1e-3

    def test_the_comparison_sees_completions_padded_on_the_wrong_side(self, model_path, tmp_path, monkeypatch):
        for name in ("completion_ids", "completion_mask"):
            value = dynamic_sampling.PADDING[name][1]
            monkeypatch.setitem(dynamic_sampling.PADDING, name, ("left", value))
        # Padding between prompt and completion: masked, but the first token of a completion is then scored from it.
        _, gradient = self.compare(model_path, tmp_path, loss_type="grpo")
        assert gradient > 1e-3


class TestWhatIsLogged:
    def test_metrics_and_tables_are_of_the_prompts_as_offered(self, model_path, tmp_path):
        ours = trained(model_path, tmp_path / "a", max_steps=1)
        without = trained(model_path, tmp_path / "b", dynamic_sampling=False, max_steps=1)
        log, twin = ours.state.log_history[0], without.state.log_history[0]
        assert log["dynamic_sampling/rounds"] > 0
        of_the_update = ("loss", "grad_norm", "entropy", "clip_ratio", "skipped_rows", "padding")
        of_the_update += ("step_time", "num_tokens", "reward_time_share")
        same = [name for name in twin if not name.startswith(of_the_update)]
        assert {"reward", "reward_std", "solve_rate", "frac_reward_zero_std", "completions/mean_length"} <= set(same)
        assert {name: log[name] for name in same} == {name: twin[name] for name in same}
        assert list(ours._logs["prompt"]) == list(without._logs["prompt"])
        assert list(ours._logs["advantages"]) == list(without._logs["advantages"])

    def test_what_it_costs_is_counted(self, model_path, tmp_path):
        trainer = make(model_path, tmp_path, save_rollouts=True)
        trainer.train()
        logs = trainer.state.log_history[:STEPS]
        sampled = [len(prompts) for prompts in trainer.rounds]
        assert sum(log["dynamic_sampling/rounds"] for log in logs) == len(sampled) - STEPS
        assert sum(log["dynamic_sampling/extra_completions"] for log in logs) == sum(sampled) - STEPS * 8
        traces = list(read_traces(tmp_path / "rollouts"))
        assert len(traces) == sum(sampled)
        tokens = sum(trace.n_tokens for trace in traces)
        prompt_tokens = sum(len(prompt.split()) for prompts in trainer.rounds for prompt in prompts)
        assert logs[-1]["num_tokens"] == tokens + prompt_tokens

    def test_an_evaluation_samples_no_further(self, model_path, tmp_path):
        config = grpo_config(tmp_path, **{**SETTINGS, "per_device_eval_batch_size": 8})
        trainer = Watched(model_path, Lively(), config, mixed_prompts(), mixed_prompts(4))
        trainer.evaluate()
        assert len(trainer.rounds) == 2
        assert trainer.prompt_stream.position == 0


class TestResumption:
    CASES: ClassVar[dict[str, dict[str, Any]]] = {
        "one use": {},
        "several uses": {"num_iterations": 2, "gradient_accumulation_steps": 2, "steps_per_generation": 1},
        "an adapter": {"lora": True},
        "further than an epoch": {"data": 5},
    }

    def run(self, model: str, folder: Path, resume: Path | None = None, trainer: type = R1GRPOTrainer, **changes: Any):
        changes = dict(changes)
        if changes.pop("lora", False):
            changes["peft_config"] = LoraConfig(task_type="CAUSAL_LM", r=2)
        rows = mixed_prompts(changes.pop("data", 24))
        made = make(model, folder, trainer, rows=rows, **changes)
        made.train(resume_from_checkpoint=str(resume) if resume else None)
        return what_matters(made)

    @pytest.mark.parametrize("case", CASES)
    def test_is_exact_at_every_step(self, case, model_path, tmp_path):
        whole = self.run(model_path, tmp_path / "whole", **self.CASES[case])
        assert any(entry.get("dynamic_sampling/rounds") for entry in whole["log"])
        for step in range(1, STEPS):
            folder = tmp_path / f"from-{step}"
            shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", folder / f"checkpoint-{step}")
            resumed = self.run(model_path, folder, folder / f"checkpoint-{step}", **self.CASES[case])
            assert differences(whole, resumed) == [], f"resumed at step {step}"

    def test_is_not_where_the_place_in_the_stream_is_lost(self, model_path, tmp_path):
        class Forgetful(R1GRPOTrainer):
            def load_rank_state(self, state):
                super().load_rank_state({**state, "prompts_drawn": 0})

        whole = self.run(model_path, tmp_path / "whole")
        resumed = self.run(model_path, tmp_path / "whole", tmp_path / "whole" / "checkpoint-2", Forgetful)
        assert differences(whole, resumed)


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"scale_rewards": "batch"}, "scaled over the whole batch"),
            ({"multi_objective_aggregation": "normalize_then_sum"}, "scaled over the whole batch"),
            ({"per_device_train_batch_size": 2, "steps_per_generation": 1, "gradient_accumulation_steps": 2,
              "num_generations": 2}, None),
            ({"shuffle_dataset": False}, "in the order of training"),
            ({"max_sampling_rounds": 0}, "`max_sampling_rounds`: expected at least 1"),
        ],
        ids=lambda value: str(value)[:40],
    )  # fmt: skip
    def test_of_a_config(self, changes, reason, model_path, tmp_path):
        if reason is None:
            make(model_path, tmp_path, **changes)
            return
        with pytest.raises(ConfigError, match=reason):
            make(model_path, tmp_path, **changes)

    def test_of_groups_that_are_spread_over_processes(self, model_path, tmp_path):
        config = grpo_config(tmp_path, **{**SETTINGS, "per_device_train_batch_size": 2, "num_generations": 2})
        config.num_generations = 4  # as with two processes of 2 completions each
        with pytest.raises(ConfigError, match="must be a multiple of num_generations = 4"):
            dynamic_sampling.check_dynamic_sampling(config)

    def test_of_a_stream(self, model_path, tmp_path):
        with pytest.raises(ConfigError, match="not streamed"):
            make(model_path, tmp_path, rows=mixed_prompts().to_iterable_dataset())

    def test_of_images(self, model_path, tmp_path):
        rows = mixed_prompts().add_column("image", [None] * 24)
        with pytest.raises(ConfigError, match="batches with images"):
            make(model_path, tmp_path, rows=rows)


class TestJoinedBatches:
    def batch(self, prompt: int, completion: int, start: float) -> dict[str, torch.Tensor]:
        rows = torch.arange(2)[:, None] + start
        return {
            "prompt_ids": (rows + torch.zeros(2, prompt)).long(),
            "completion_mask": torch.ones(2, completion).long(),
            "importance_sampling_ratio": rows,
            "advantages": rows[:, 0],
            "num_items_in_batch": torch.tensor(7),
        }

    def test_are_padded_as_trl_pads(self):
        joined = join_batches([self.batch(2, 1, 10), self.batch(1, 3, 20)], [(1, 1), (0, 0)], pad_token_id=5)
        assert joined["prompt_ids"].tolist() == [[5, 21], [10, 10]]
        assert joined["completion_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
        assert joined["importance_sampling_ratio"].tolist() == [[21], [10]]
        assert joined["advantages"].tolist() == [21, 10]
        assert "num_items_in_batch" not in joined

    def test_of_what_is_not_known_are_not_made(self):
        batches = [{"advantages": torch.zeros(1), "pixel_values": torch.zeros(1, 2)}] * 2
        with pytest.raises(NotImplementedError, match="pixel_values"):
            join_batches(batches, [(0, 0)], 0)


class TestPromptStream:
    def test_goes_through_all_before_any_comes_again(self):
        stream = PromptStream(range(5), seed=1)
        drawn = [stream.next() for _ in range(15)]
        rounds = [drawn[i : i + 5] for i in (0, 5, 10)]
        assert [sorted(one) for one in rounds] == [[0, 1, 2, 3, 4]] * 3
        assert rounds[0] != rounds[1] or rounds[1] != rounds[2]

    def test_goes_on_from_a_position(self):
        whole, later = PromptStream(range(7), seed=3), PromptStream(range(7), seed=3)
        drawn = [whole.next() for _ in range(20)]
        later.position = 9
        assert [later.next() for _ in range(11)] == drawn[9:]

    def test_depends_on_the_seed(self):
        orders = {tuple(PromptStream(range(20), seed).next() for _ in range(1)) for seed in range(20)}
        assert len(orders) > 1
