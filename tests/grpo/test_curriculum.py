"""The curriculum: what is mastered or hopeless comes less often, never never, and a resumed run goes on as it would."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from peft import LoraConfig

from trl_r1 import R1GRPOTrainer, read_traces
from trl_r1.errors import ConfigError
from trl_r1.grpo import curriculum
from trl_r1.solve_rates import FILE, SolveRates, read_solve_rates

from .lively import Lively, mixed_prompts
from .test_resume import differences, what_matters
from .tiny import DigitReward, grpo_config


STEPS = 6


class Judged(Lively):
    """Right are all completions of what is solved, none of what is hopeless, and of the lively each second one."""

    def __call__(self, *, completions, kind, **columns):
        shares = {"solved": (1.0, 1.0), "hopeless": (0.0, 0.0), "lively": (0.0, 1.0)}
        return [shares[k][i % 2] for i, k in enumerate(kind)]


class Watched(R1GRPOTrainer):
    """Keeps the prompts of each group that is sampled."""

    def __init__(self, *args, **kwargs):
        self.offered: list[str] = []
        super().__init__(*args, **kwargs)

    def _generate(self, prompts):
        self.offered += prompts[:: self.num_generations]
        return super()._generate(prompts)


def run(model: str, folder: Path, resume: Path | None = None, trainer: type = Watched, **changes: Any):
    changes = {"prompt_curriculum": True, "beta": 0.0, "max_steps": STEPS, "per_device_train_batch_size": 8, **changes}
    adapter = LoraConfig(task_type="CAUSAL_LM", r=2) if changes.pop("lora", False) else None
    rows = mixed_prompts(changes.pop("data", 6), conversational=changes.pop("conversational", False))
    rows = rows if (keep := changes.pop("rows", None)) is None else rows.select(keep)
    reward = changes.pop("reward", Judged())
    made = trainer(model, reward, grpo_config(folder, **changes), rows, peft_config=adapter)
    made.train(resume_from_checkpoint=str(resume) if resume else None)
    return made


class TestWhatIsOffered:
    def kinds(self, offered: list[str], n: int) -> Counter:
        known = {row["prompt"]: row["kind"] for row in mixed_prompts(n)}
        return Counter(known[prompt] for prompt in offered)

    def test_what_teaches_comes_more_often_and_all_the_rest_still_comes(self, model_path, tmp_path):
        settings = {"data": 12, "max_steps": 60, "max_completion_length": 1, "save_strategy": "no"}
        trainer = run(model_path, tmp_path, **settings)
        kinds = self.kinds(trainer.offered, 12)
        assert sum(kinds.values()) == 120
        assert kinds["lively"] > 0.55 * 120
        assert min(kinds["solved"], kinds["hopeless"]) > 4
        without = run(model_path, tmp_path, prompt_curriculum=False, **settings)
        assert self.kinds(without.offered, 12) == {"lively": 40, "solved": 40, "hopeless": 40}

    def test_the_first_epoch_is_the_samplers(self, model_path, tmp_path):
        settings = {"data": 12, "max_steps": 6, "save_strategy": "no"}
        ours, without = (
            run(model_path, tmp_path, prompt_curriculum=chosen, **settings).offered for chosen in (True, False)
        )
        assert ours == without
        assert len(set(ours)) == 12

    def test_what_no_reward_judges_is_offered_as_ever(self, model_path, tmp_path):
        class Unjudged(Judged):
            def __call__(self, *, completions, **columns):
                return [None] * len(completions)

        settings = {"max_steps": 9, "save_strategy": "no"}
        trainer = run(model_path, tmp_path, reward=[Unjudged(), DigitReward()], **settings)
        assert set(Counter(trainer.offered).values()) == {3}
        assert trainer.curriculum.rates == {}

    def test_a_prompt_that_makes_way_is_replaced_by_another_one(self, model_path, tmp_path, monkeypatch):
        monkeypatch.setattr(curriculum, "FLOOR", 0.0)
        monkeypatch.setattr(SolveRates, "chance_to_teach", lambda self, n: float(self.solve_rate == 0.5))
        trainer = run(model_path, tmp_path, data=12, max_steps=18, save_strategy="no")
        later = trainer.offered[12:]
        assert self.kinds(later, 12) == {"lively": 24}
        assert all(len(set(later[i : i + 2])) == 2 for i in range(0, 24, 2))

    def test_where_nothing_else_is_left_the_rest_comes_all_the_same(self, model_path, tmp_path, monkeypatch):
        monkeypatch.setattr(curriculum, "FLOOR", 0.0)
        monkeypatch.setattr(SolveRates, "chance_to_teach", lambda self, n: 0.0)
        trainer = run(model_path, tmp_path, data=3, max_steps=4, per_device_train_batch_size=4)
        assert len(trainer.offered) == 4

    def test_the_shares_are_logged(self, model_path, tmp_path, monkeypatch):
        monkeypatch.setattr(curriculum, "FLOOR", 0.0)
        monkeypatch.setattr(SolveRates, "chance_to_teach", lambda self, n: float(self.solve_rate == 0.5))
        logs = run(model_path, tmp_path, data=6, max_steps=6).state.log_history[:6]
        assert [log["prompt_curriculum/known"] for log in logs] == [0, 2, 4, 6, 6, 6]
        assert sum(log["prompt_curriculum/replaced"] for log in logs[:3]) == 0
        assert sum(log["prompt_curriculum/replaced"] for log in logs[3:]) == pytest.approx(2)


class TestMemory:
    def test_is_what_the_rollouts_say(self, model_path, tmp_path):
        trainer = run(model_path, tmp_path, save_rollouts=True, max_steps=9, dynamic_sampling=True)
        rates = read_solve_rates(tmp_path)
        assert rates == trainer.curriculum.rates
        solved, groups = Counter(), Counter()
        for trace in read_traces(tmp_path / "rollouts"):
            solved[trace.prompt_id] += trace.rewards["lively"]
            groups[trace.prompt_id] += 0.25
        assert trainer.state.log_history[0]["dynamic_sampling/rounds"] > 0
        assert {name: sum(known.solved) for name, known in rates.items()} == dict(solved)
        assert {name: len(known.steps) for name, known in rates.items()} == dict(groups)
        assert all(known.steps == sorted(known.steps) for known in rates.values())

    def test_is_in_each_checkpoint_and_in_the_run(self, model_path, tmp_path):
        run(model_path, tmp_path, save_steps=2, max_steps=5)
        steps = {place: max(step for known in read_solve_rates(place).values() for step in known.steps)
                 for place in (tmp_path / "checkpoint-2", tmp_path / "checkpoint-4", tmp_path)}  # fmt: skip
        assert list(steps.values()) == [1, 3, 4]

    def test_is_not_written_unless_asked_for_nor_added_to_by_an_evaluation(self, model_path, tmp_path):
        run(model_path, tmp_path, prompt_curriculum=False, max_steps=1)
        assert not list(tmp_path.rglob(FILE))
        config = grpo_config(tmp_path, prompt_curriculum=True, beta=0.0, per_device_eval_batch_size=8)
        trainer = R1GRPOTrainer(model_path, Judged(), config, mixed_prompts(), mixed_prompts(4))
        trainer.evaluate()
        assert trainer.curriculum.rates == {}


class TestResumption:
    CASES: ClassVar[dict[str, dict[str, Any]]] = {
        "one use": {},
        "several uses": {"num_iterations": 2, "gradient_accumulation_steps": 2, "steps_per_generation": 1},
        "with dynamic sampling": {"dynamic_sampling": True},
        "an adapter and conversations": {"lora": True, "conversational": True},
        "a loader that fetches ahead": {"dataloader_num_workers": 1, "dataloader_prefetch_factor": 4},
    }

    @pytest.mark.parametrize("case", CASES)
    def test_is_exact_at_every_step(self, case, model_path, tmp_path):
        settings = self.CASES[case]
        trainer = run(model_path, tmp_path / "whole", **settings)
        whole = what_matters(trainer)
        assert any(entry.get("prompt_curriculum/replaced") for entry in whole["log"])
        for step in range(1, STEPS):
            folder = tmp_path / f"from-{step}"
            shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", folder / f"checkpoint-{step}")
            resumed = run(model_path, folder, folder / f"checkpoint-{step}", **settings)
            assert differences(whole, what_matters(resumed)) == [], f"resumed at step {step}"
            assert read_solve_rates(folder) == trainer.curriculum.rates

    def test_is_not_where_the_memory_is_lost(self, model_path, tmp_path):
        whole = what_matters(run(model_path, tmp_path))
        (tmp_path / "checkpoint-4" / FILE).unlink()
        resumed = what_matters(run(model_path, tmp_path, tmp_path / "checkpoint-4"))
        assert differences(whole, resumed)


@pytest.mark.parametrize("reason", ["not streamed", "in the order of training"])
def test_what_it_cannot_be_combined_with_is_said(reason, model_path, tmp_path):
    streamed = reason == "not streamed"
    rows = mixed_prompts().to_iterable_dataset() if streamed else mixed_prompts()
    config = grpo_config(tmp_path, prompt_curriculum=True, beta=0.0, shuffle_dataset=streamed)
    with pytest.raises(ConfigError, match=f"`prompt_curriculum`: .*{reason}"):
        R1GRPOTrainer(model_path, Judged(), config, rows)
