"""A resumed run equals the uninterrupted one, number for number; TRL's own trainer is there to show that it need not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from trl_r1 import R1GRPOTrainer, R1SFTTrainer, read_traces
from trl_r1._compat import RepeatSampler
from trl_r1.errors import MachineError
from trl_r1.grpo.reference import is_sharded, load_reference, save_reference
from trl_r1.grpo.sampler import go_to_epoch

from .tiny import DigitReward, grpo_config, sft_config, sums, told


STEPS = 6
TIMES = (
    "step_time",
    "reward_time_share",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "train_loss",
    "total_flos",
)

# What stock TRL loses, each with the settings under which it does.
CASES = {
    "the reference is replaced": {"beta": 0.1, "ref_model_sync_steps": 2},
    "the reference is blended": {"beta": 0.1, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 0.3},
    "inner epochs": {"beta": 0.0, "num_iterations": 2},
    "a rollout serves two steps": {"beta": 0.0, "gradient_accumulation_steps": 2, "steps_per_generation": 4},
    "two rollouts a step": {"beta": 0.0, "gradient_accumulation_steps": 2, "steps_per_generation": 1},
    "past an epoch": {"beta": 0.0, "data": 2},
    "past an epoch, with inner epochs": {"beta": 0.0, "data": 2, "num_iterations": 2},
    "an epoch that accumulation does not divide": {
        "beta": 0.0,
        "data": 3,
        "gradient_accumulation_steps": 2,
        "steps_per_generation": 1,
    },
    "logs of several steps": {"beta": 0.0, "logging_steps": 4},
    "an adapter": {"beta": 0.1, "lora": True, "sync_ref_model": False, "num_iterations": 2},
    "a stream": {"beta": 0.0, "num_iterations": 2, "streamed": True},
    "rows by length, those without advantage left out": {
        "beta": 0.0,
        "num_iterations": 2,
        "trim_padding": True,
        "group_by_length": True,
        "skip_zero_advantage": True,
        "max_tokens_per_micro_batch": 40,
    },
    "rows by length, a rollout serves two steps": {
        "beta": 0.1,
        "sync_ref_model": False,
        "gradient_accumulation_steps": 2,
        "steps_per_generation": 4,
        "trim_padding": True,
        "group_by_length": True,
    },
    "rows without advantage left out, inner epochs, an adapter": {
        "beta": 0.0,
        "num_iterations": 2,
        "lora": True,
        "skip_zero_advantage": True,
    },
    "all at once": {
        "beta": 0.1,
        "ref_model_sync_steps": 2,
        "num_iterations": 2,
        "gradient_accumulation_steps": 2,
        "steps_per_generation": 4,
        "logging_steps": 2,
        "data": 4,
        "max_completion_length_schedule": {3: 5},
        "loss_type": "dr_grpo",
    },
}


def run(trainer_class: type, model: str, folder: Path, resume: Path | None = None, **changes: Any):
    """Train in `folder`; return the trainer."""
    settings = {"max_steps": STEPS, "data": 12, "lora": False, "streamed": False, **changes}
    dataset = sums(settings.pop("data"))
    if settings.pop("streamed"):
        dataset = dataset.to_iterable_dataset()
    adapter = LoraConfig(task_type="CAUSAL_LM", r=2) if settings.pop("lora") else None
    trainer = trainer_class(model, DigitReward(), grpo_config(folder, **settings), dataset, peft_config=adapter)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer


def what_matters(trainer: Any) -> dict[str, Any]:
    """All that must be equal: weights of the policy and of the reference, and the log without its clocks."""
    reference = getattr(trainer, "ref_model", None)
    return {
        "policy": {name: value.clone() for name, value in trainer.model.state_dict().items()},
        "reference": {} if reference is None else {n: v.clone() for n, v in reference.state_dict().items()},
        "log": [{k: v for k, v in entry.items() if k not in TIMES} for entry in trainer.state.log_history],
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    found = [
        f"{kind}.{name} by {(one[kind][name] - other[kind][name]).abs().max():.3g}"
        for kind in ("policy", "reference")
        for name in one[kind]
        if not torch.equal(one[kind][name], other[kind][name])
    ]
    if len(one["log"]) != len(other["log"]):
        return [*found, f"{len(one['log'])} log entries against {len(other['log'])}"]
    for entry, twin in zip(one["log"], other["log"]):
        found += [f"log[{entry['step']}].{k}" for k in {*entry, *twin} if repr(entry.get(k)) != repr(twin.get(k))]
    return found


def copy_checkpoint(whole: Path, folder: Path, step: int) -> Path:
    """A fresh folder that holds what an interrupted run would have left."""
    shutil.copytree(whole / f"checkpoint-{step}", folder / f"checkpoint-{step}")
    return folder / f"checkpoint-{step}"


@pytest.mark.parametrize("case", CASES)
def test_resumed_at_any_step_it_equals_the_uninterrupted_run(case, model_path, tmp_path):
    settings = CASES[case]
    uninterrupted = what_matters(run(R1GRPOTrainer, model_path, tmp_path / "whole", **settings))
    for step in range(1, STEPS):
        folder = tmp_path / f"from-{step}"
        checkpoint = copy_checkpoint(tmp_path / "whole", folder, step)
        resumed = what_matters(run(R1GRPOTrainer, model_path, folder, checkpoint, **settings))
        assert differences(uninterrupted, resumed) == [], f"resumed at step {step}"


@pytest.mark.parametrize("case", [case for case in CASES if case != "two rollouts a step"])
def test_the_comparison_can_fail_as_it_does_with_trl(case, model_path, tmp_path):
    settings = dict(CASES[case])
    settings.pop("max_completion_length_schedule", None)
    uninterrupted = what_matters(run(GRPOTrainer, model_path, tmp_path / "whole", **settings))
    diverged: list[str] = []
    for step in range(STEPS - 1, 0, -1):
        folder = tmp_path / f"from-{step}"
        checkpoint = copy_checkpoint(tmp_path / "whole", folder, step)
        resumed = what_matters(run(GRPOTrainer, model_path, folder, checkpoint, **settings))
        diverged += differences(uninterrupted, resumed)
        if diverged:
            return
    pytest.fail("TRL resumes this exactly: the case shows nothing")


def test_uninterrupted_it_trains_as_trl_does(model_path, tmp_path):
    settings = {"beta": 0.1, "ref_model_sync_steps": 2, "num_iterations": 2, "data": 4}
    # Bit by bit only where sums are taken in the same order; see test_same_gradients.py.
    settings |= {"trim_padding": False, "group_by_length": False}
    ours = what_matters(run(R1GRPOTrainer, model_path, tmp_path / "ours", **settings))
    stock = what_matters(run(GRPOTrainer, model_path, tmp_path / "stock", **settings))
    for entry, twin in zip(ours["log"], stock["log"]):
        for name in [name for name in entry if name not in twin]:
            del entry[name]
    assert differences(ours, stock) == []


def test_twice_interrupted(model_path, tmp_path):
    settings = CASES["all at once"]
    uninterrupted = what_matters(run(R1GRPOTrainer, model_path, tmp_path / "whole", **settings))
    run(R1GRPOTrainer, model_path, tmp_path / "parts", **{**settings, "max_steps": 2})
    first = tmp_path / "parts" / "checkpoint-2"
    run(R1GRPOTrainer, model_path, tmp_path / "parts", first, **{**settings, "max_steps": 5})
    last = run(R1GRPOTrainer, model_path, tmp_path / "parts", tmp_path / "parts" / "checkpoint-5", **settings)
    log = [entry for entry in what_matters(last)["log"] if "reward" in entry]
    assert log == [entry for entry in uninterrupted["log"] if "reward" in entry]
    for kind in ("policy", "reference"):
        assert all(torch.equal(v, what_matters(last)[kind][n]) for n, v in uninterrupted[kind].items())


def test_a_checkpoint_looks_whole_only_when_it_is(model_path, tmp_path):
    """`trainer_state.json` comes last: what was there when a state of ours was written did not hold it."""
    seen = []

    class Watched(R1GRPOTrainer):
        def _save_rng_state(self, output_dir):
            seen.append(Path(output_dir, "trainer_state.json").exists())
            super()._save_rng_state(output_dir)
            seen.append(Path(output_dir, "trainer_state.json").exists())

    settings = {"beta": 0.1, "max_steps": 2, "save_steps": 2}
    run(Watched, model_path, tmp_path, **settings)
    # The second time it writes into a checkpoint that is whole.
    run(Watched, model_path, tmp_path, **settings)
    assert seen == [False] * 4
    files = {path.name for path in (tmp_path / "checkpoint-2").iterdir()}
    assert {"trainer_state.json", "trl_r1_state_0.pt", "trl_r1_reference.pt", "rng_state.pth"} <= files
    state = torch.load(tmp_path / "checkpoint-2" / "trl_r1_state_0.pt", weights_only=True)
    assert state["world_size"] == 1


def test_a_rollout_is_kept_in_a_checkpoint_only_where_it_is_needed_again(model_path, tmp_path):
    run(R1GRPOTrainer, model_path, tmp_path, beta=0.0, num_iterations=2, max_steps=2)
    buffers = [
        torch.load(tmp_path / f"checkpoint-{step}" / "trl_r1_state_0.pt", weights_only=True)["rollout"]["buffer"]
        for step in (1, 2)
    ]
    assert buffers[0] is not None
    assert buffers[1] is None


def test_a_moving_reference_that_is_missing_is_an_error(model_path, tmp_path):
    run(R1GRPOTrainer, model_path, tmp_path, beta=0.1, max_steps=1)
    (tmp_path / "checkpoint-1" / "trl_r1_reference.pt").unlink()
    with pytest.raises(MachineError, match=r"trl_r1_reference\.pt is missing"):
        run(R1GRPOTrainer, model_path, tmp_path, tmp_path / "checkpoint-1", beta=0.1)


def rewrite_state(checkpoint: Path, change: Any) -> None:
    path = checkpoint / "trl_r1_state_0.pt"
    state = torch.load(path, weights_only=True)
    torch.save(change(state), path)


def as_0_1_0_wrote_it(state: dict[str, Any]) -> dict[str, Any]:
    """Written out, so that a change of today's layout does not change this one."""
    logs, rollout = state["logs"], state["rollout"]
    old = {
        "world_size": state["world_size"],
        "logs": {name: logs[name] for name in ("metrics", "loss", "logged_step", "tokens")},
        "rollout": {name: rollout[name] for name in ("batches_done", "buffer", "max_completion_length")},
        "entropy": {"coefficient": 0.0, "last": float("inf")},
    }
    return old | {name: state[name] for name in ("prompts_drawn",) if name in state}


@pytest.mark.parametrize(
    "case", ["inner epochs", "rows by length, those without advantage left out", "the reference is replaced"]
)
def test_a_checkpoint_of_0_1_0_resumes_exactly(case, model_path, tmp_path):
    uninterrupted = what_matters(run(R1GRPOTrainer, model_path, tmp_path / "whole", **CASES[case]))
    checkpoint = copy_checkpoint(tmp_path / "whole", tmp_path / "resumed", 3)
    rewrite_state(checkpoint, as_0_1_0_wrote_it)
    resumed = what_matters(run(R1GRPOTrainer, model_path, tmp_path / "resumed", checkpoint, **CASES[case]))
    assert differences(uninterrupted, resumed) == []


def test_the_adaptive_entropy_bonus_resumes_without_the_file_that_trl_writes_last(model_path, tmp_path):
    settings = {"beta": 0.0, "use_adaptive_entropy": True, "entropy_target": 10.0, "entropy_coef_delta": 0.1}
    uninterrupted = what_matters(run(R1GRPOTrainer, model_path, tmp_path / "whole", **settings))
    checkpoint = copy_checkpoint(tmp_path / "whole", tmp_path / "resumed", 3)
    (checkpoint / "entropy_ctrl_state.json").unlink()
    resumed = what_matters(run(R1GRPOTrainer, model_path, tmp_path / "resumed", checkpoint, **settings))
    assert differences(uninterrupted, resumed) == []


def test_a_checkpoint_of_another_layout_is_refused_untouched(model_path, tmp_path):
    run(R1GRPOTrainer, model_path, tmp_path, beta=0.0, max_steps=1)
    checkpoint = tmp_path / "checkpoint-1"
    rewrite_state(checkpoint, lambda state: {"world_size": 1, "logs": state["logs"], "generation": {}})
    before = {path: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()}
    with pytest.raises(MachineError, match=r"expected 'rollout' in trl_r1_state_0\.pt, found generation, logs"):
        run(R1GRPOTrainer, model_path, tmp_path, checkpoint, beta=0.0)
    assert {path: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()} == before


def test_a_checkpoint_of_trl_can_be_resumed(model_path, tmp_path, caplog):
    run(GRPOTrainer, model_path, tmp_path, beta=0.0, max_steps=2)
    trainer = run(R1GRPOTrainer, model_path, tmp_path, tmp_path / "checkpoint-2", beta=0.0)
    assert trainer.state.global_step == STEPS


def test_rollouts_are_there_once_after_a_resumption(model_path, tmp_path):
    settings = {"beta": 0.0, "save_rollouts": True, "gradient_accumulation_steps": 2, "steps_per_generation": 1}
    run(R1GRPOTrainer, model_path, tmp_path / "whole", **settings)
    whole = [(t.step, t.prompt_id, t.completion, t.rewards) for t in read_traces(tmp_path / "whole" / "rollouts")]
    assert len(whole) == STEPS * 2 * 4
    # Interrupted after four steps, of which the last two are lost.
    run(R1GRPOTrainer, model_path, tmp_path / "parts", **{**settings, "max_steps": 4})
    run(R1GRPOTrainer, model_path, tmp_path / "parts", tmp_path / "parts" / "checkpoint-2", **settings)
    parts = [(t.step, t.prompt_id, t.completion, t.rewards) for t in read_traces(tmp_path / "parts" / "rollouts")]
    assert parts == whole


def test_what_a_run_will_not_sample_again_is_removed(model_path, tmp_path):
    run(R1GRPOTrainer, model_path, tmp_path, beta=0.0, save_rollouts=True, max_steps=4)
    run(R1GRPOTrainer, model_path, tmp_path, tmp_path / "checkpoint-2", beta=0.0, save_rollouts=True, max_steps=3)
    assert sorted({t.step for t in read_traces(tmp_path / "rollouts")}) == [0, 1, 2]


def test_sft_resumes_with_its_log(model_path, tmp_path):
    def train(folder: Path, resume: Path | None = None):
        # Six steps are an epoch: of the second one, the rows are others.
        trainer = R1SFTTrainer(model_path, sft_config(folder, logging_steps=4, max_steps=10), train_dataset=told(24))
        assert trainer.args.train_sampling_strategy == "batch_rebalance"
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return what_matters(trainer)

    uninterrupted = train(tmp_path / "whole")
    assert any("loss/one" in entry for entry in uninterrupted["log"])
    for step in (3, 6, 7, 9):
        checkpoint = copy_checkpoint(tmp_path / "whole", tmp_path / f"from-{step}", step)
        assert differences(uninterrupted, train(tmp_path / f"from-{step}", checkpoint)) == [], f"resumed at {step}"


def test_a_sharded_reference_is_saved_and_loaded_by_its_shards(model_path, tmp_path):
    """FSDP2 in a world of one; two ranks under ZeRO-3 are in the integration tests."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        model = AutoModelForCausalLM.from_pretrained(model_path)
        fully_shard(model, mesh=mesh)
        assert is_sharded(model)
        before = {name: value.to_local().clone() for name, value in model.named_parameters()}
        save_reference(model, str(tmp_path / "new"), rank=0)
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["trl_r1_reference_0.pt"]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        load_reference(model, str(tmp_path / "new"), rank=0)
        assert all(torch.equal(value.to_local(), before[name]) for name, value in model.named_parameters())
        with pytest.raises(MachineError, match="trl_r1_reference_1"):
            load_reference(model, str(tmp_path / "new"), rank=1)
    finally:
        torch.distributed.destroy_process_group()


class TestGoToEpoch:
    def make(self, **changes: Any) -> RepeatSampler:
        settings = {"mini_repeat_count": 2, "batch_size": 3, "repeat_count": 2, "seed": 5, **changes}
        return RepeatSampler(range(7), **settings)

    @pytest.mark.parametrize("epoch", [0, 1, 3])
    def test_the_order_goes_on_as_trl_s_does(self, epoch):
        through = self.make()
        epochs = [list(through) for _ in range(5)]
        assert epochs[0] != epochs[1]
        anew = self.make()
        go_to_epoch(anew, epoch)
        assert [list(anew), list(anew)] == epochs[epoch : epoch + 2]

    def test_keeps_order_without_shuffle(self):
        stock = self.make(mini_repeat_count=1, repeat_count=1, shuffle=False)
        go_to_epoch(stock, 2)
        assert list(stock) == list(range(6))
