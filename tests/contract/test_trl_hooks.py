"""
What we rely on in TRL, transformers and accelerate: signatures and behaviour. If one of these fails after an upgrade, the
place that relies on it is named beside it; `docs/architecture.md` has the table of private names with its reasons.
"""

import ast
import copy
import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.data_loader import DataLoaderShard
from datasets import Dataset
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer, RewardTrainer, SFTConfig, SFTTrainer
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer.callbacks import SyncRefModelCallback
from trl.trainer.utils import RepeatSampler

import trl_r1
from trl_r1 import R1GRPOConfig, R1GRPOTrainer, R1SFTConfig, R1SFTTrainer
from trl_r1._compat import check_attributes, check_overrides
from trl_r1.errors import MachineError
from trl_r1.grpo import trainer as grpo_trainer
from trl_r1.grpo.dynamic_sampling import PADDING
from trl_r1.preference.trainer import R1DPOTrainer, R1RewardTrainer

from ..grpo.scripted import Script, scripted
from ..grpo.tiny import DigitReward, grpo_config, make_tokenizer, save_tiny_model, sft_config, sums, told
from .trace_completion import way_of_a_completion


PACKAGE = Path(trl_r1.__file__).parent
CHECKPOINTS = {"__init__", "_load_optimizer_and_scheduler", "_save_rng_state", "create_optimizer"}
OVERRIDDEN = {
    R1GRPOTrainer: CHECKPOINTS
    | {
        "_calculate_rewards",
        "_generate",
        "_generate_and_score_completions",
        "_get_per_token_logps_and_entropies",
        "_get_train_sampler",
        "_prepare_inputs",
        "_tag_names",
        "compute_loss",
        "training_step",
    },
    R1SFTTrainer: CHECKPOINTS
    | {
        "_get_train_sampler",
        "_prepare_dataset",
        "_set_signature_columns_if_needed",
        "_tag_names",
        "compute_loss",
        "log",
    },
    R1RewardTrainer: CHECKPOINTS,
    R1DPOTrainer: CHECKPOINTS,
}


def ours_and_theirs(trainer: type) -> tuple[list[type], list[type]]:
    ours = [base for base in trainer.__mro__ if base.__module__.startswith("trl_r1.")]
    return ours, [base for base in trainer.__mro__ if base not in ours and base is not object]


class TestOverrides:
    @pytest.mark.parametrize("trainer", OVERRIDDEN, ids=lambda x: x.__name__)
    def test_fit_the_installed_trl(self, trainer):
        check_overrides(trainer)

    @pytest.mark.parametrize("trainer", OVERRIDDEN, ids=lambda x: x.__name__)
    def test_are_these_and_each_is_there_once(self, trainer):
        """Nothing is overridden by mistake, nor because TRL has grown a method of the name of one of ours."""
        ours, theirs = ours_and_theirs(trainer)
        inherited = {name for base in theirs for name in vars(base)} - {"__doc__", "__module__", "__annotations__"}
        inherited -= {"__annotations_cache__", "__static_attributes__", "__firstlineno__", "__annotate_func__"}
        found = [name for base in ours for name in vars(base) if name in inherited]
        assert set(found) == OVERRIDDEN[trainer]
        assert sorted(set(found) - {"__init__"}) == sorted(name for name in found if name != "__init__")

    @pytest.mark.parametrize("trainer", OVERRIDDEN, ids=lambda x: x.__name__)
    def test_are_marked_so_that_they_are_checked(self, trainer):
        ours, _ = ours_and_theirs(trainer)
        marked = {name for base in ours for name, value in vars(base).items() if getattr(value, "__override__", False)}
        assert marked >= OVERRIDDEN[trainer] - {"__init__", "_tag_names"}

    @pytest.mark.parametrize(
        ("ours", "theirs"), [(R1GRPOTrainer, GRPOTrainer), (R1SFTTrainer, SFTTrainer)], ids=lambda x: x.__name__
    )
    def test_constructors_take_the_same_arguments(self, ours, theirs):
        assert inspect.signature(ours) == inspect.signature(theirs)
        # Those that our constructors name, in their order.
        named = ["model", "reward_funcs", "args"] if theirs is GRPOTrainer else ["model", "args"]
        assert list(inspect.signature(theirs).parameters)[: len(named)] == named

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            (lambda self, inputs, prompts, completions: None, "found none"),
            (lambda self, batch, prompts, completions, completion_ids_list: None, "expected the parameter `inputs` at "
             "place 1, found `batch`"),
            (lambda self, inputs, prompts, completions, completion_ids_list, extra: None, "a further parameter `extra`"),
        ],
    )  # fmt: skip
    def test_that_take_other_arguments_are_refused_when_a_trainer_is_made(self, changed, said, monkeypatch, tmp_path):
        monkeypatch.setattr(GRPOTrainer, "_calculate_rewards", changed)
        with pytest.raises(MachineError, match=rf"`GRPOTrainer\._calculate_rewards`: .*{said}"):
            R1GRPOTrainer(str(tmp_path / "none"), DigitReward(), grpo_config(tmp_path), sums())

    def test_of_methods_that_are_gone_are_refused(self, monkeypatch):
        monkeypatch.delattr(GRPOTrainer, "_get_per_token_logps_and_entropies")
        with pytest.raises(MachineError, match="`_get_per_token_logps_and_entropies` is gone"):
            check_overrides(R1GRPOTrainer)

    def test_a_further_parameter_that_ours_passes_on_is_none_of_our_business(self, monkeypatch):
        def theirs(self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, new=None):
            """As TRL's."""

        monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", theirs)
        check_overrides(R1GRPOTrainer)

    def test_an_attribute_that_is_gone_is_refused(self):
        with pytest.raises(MachineError, match="expected the attribute `_step` of type int, found None"):
            check_attributes(SimpleNamespace(other=1), _step=int)


def private_names() -> set[str]:
    """Names of TRL's and transformers' that our trainers and stages use or define."""
    bases = {
        base for trainer in (GRPOTrainer, SFTTrainer, RewardTrainer) for base in trainer.__mro__ if base is not object
    }
    theirs = {name for base in bases for name in vars(base)}
    for base in bases:
        theirs |= set(re.findall(r"self\.(_[a-z]\w*)", inspect.getsource(base)))
    theirs = {name for name in theirs if name.startswith("_") and not name.startswith("__")}
    files = [PACKAGE / "resume.py", PACKAGE / "_compat.py"]
    files += [path for folder in ("grpo", "sft", "preference", "stages") for path in (PACKAGE / folder).glob("*.py")]
    used = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [getattr(node, field, None) for field in ("attr", "name", "id", "arg", "value")]
            used |= {name for name in names if isinstance(name, str)}
    return used & theirs


def test_private_names_are_few_and_each_has_a_reason():
    table = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = private_names()
    assert len(names) <= 20
    missing = {name for name in names if f"| `{name}` |" not in table}
    assert missing == set()


def test_a_completion_passes_few_files(tmp_path):
    """From TRL's call to the kept rollouts. As `python -m tests.contract.trace_completion` prints it."""
    way = way_of_a_completion(tmp_path)
    assert {"grpo/trainer.py", "grpo/metrics.py", "trace.py"} <= set(way)
    assert len(set(way)) <= 6, way
    assert len(way) <= 12, way


@pytest.mark.parametrize("folder", ["grpo", "sft", "preference", "stages"])
def test_no_file_of_trainers_and_stages_is_long(folder):
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in (PACKAGE / folder).glob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 450} == {}


class TestGRPOTrainer:
    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory: pytest.TempPathFactory) -> str:
        return save_tiny_model(tmp_path_factory.mktemp("model"))

    @pytest.fixture(scope="class")
    def probe(self, model: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
        """Stock TRL, which notes what passes through the methods that we override."""

        class Probe(GRPOTrainer):
            def __init__(self, *args: Any, **kwargs: Any):
                self.seen: dict[str, list[Any]] = {}
                super().__init__(*args, **kwargs)

            def note(self, what: str, value: Any) -> None:
                self.seen.setdefault(what, []).append(value)

            def _generate_and_score_completions(self, inputs):
                self.note("generated for", inputs)
                batch = super()._generate_and_score_completions(inputs)
                self.note("batch", dict(batch))
                return batch

            def _generate(self, prompts):
                result = list(super()._generate(prompts))
                self.note("generated", (prompts, *result))
                result[5] = {"ours": [f"row {i}" for i in range(len(prompts))]}
                return tuple(result)

            def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
                self.note("rewarded", (inputs, prompts, completions, completion_ids_list))
                rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
                self.note("rewards", rewards)
                return rewards

            def _prepare_inputs(self, generation_batch):
                step, before = self._step, self._buffered_inputs
                inputs = super()._prepare_inputs(generation_batch)
                self.note("prepared", (step, before, self._buffered_inputs, inputs))
                return inputs

            def _get_per_token_logps_and_entropies(self, model, *args, **named):
                self.note("log-probabilities", (torch.is_grad_enabled(), named.get("batch_size")))
                return super()._get_per_token_logps_and_entropies(model, *args, **named)

        folder = tmp_path_factory.mktemp("grpo")
        config = grpo_config(folder, beta=0.1, max_steps=4, num_iterations=2, gradient_accumulation_steps=1,
                             steps_per_generation=2, per_device_train_batch_size=4)  # fmt: skip
        trainer = Probe(model, DigitReward(), config, sums())
        trainer.train()
        return trainer

    def test_keeps_what_we_save_and_restore_under_these_names(self, probe):
        """resume.py and R1GRPOTrainer.rank_state."""
        assert probe._step == 4
        assert set(probe._metrics) == {"train", "eval"}
        assert isinstance(probe._total_train_tokens, int)
        assert probe._globalstep_last_logged == 4
        assert probe._tr_loss.item() == 0
        assert probe._entropy_window_stats is None  # else it would have to be kept as well

    def test_hands_the_list_that_it_generates_for_on_to_the_rewards(self, probe):
        """R1GRPOTrainer._sample: a Rollout is such a list."""
        for given, (inputs, *_) in zip(probe.seen["generated for"], probe.seen["rewarded"], strict=True):
            assert inputs is given

    def test_adds_extra_fields_of_a_generation_to_the_rows(self, probe):
        """R1GRPOTrainer._generate says in this way which prompts had opened the thought."""
        for inputs, *_ in probe.seen["rewarded"]:
            assert [row["ours"] for row in inputs] == [f"row {i}" for i in range(len(inputs))]

    def test_generation_returns_what_we_take_it_for(self, probe):
        """R1GRPOTrainer._generate."""
        prompts, prompt_ids, completion_ids, tool_mask, completions, logps, extra_fields, *images = probe.seen[
            "generated"
        ][0]
        assert prompt_ids == make_tokenizer()(prompts)["input_ids"]
        assert completions == make_tokenizer().batch_decode(completion_ids, skip_special_tokens=True)
        assert (tool_mask, logps, extra_fields, images) == (None, None, {}, [None, []])

    def test_hands_rewards_what_was_generated(self, probe):
        """R1GRPOTrainer._calculate_rewards."""
        for (_, prompts, completions, ids), generated in zip(probe.seen["rewarded"], probe.seen["generated"]):
            assert (prompts, completions, ids) == (generated[0], generated[4], generated[2])
        assert all(rewards.shape == (8, 1) for rewards in probe.seen["rewards"])

    def test_hands_rewards_every_key_of_a_row(self, probe):
        """R1GRPOTrainer._calculate_rewards passes `truncated` and `prefilled` on as if they were columns."""
        seen: dict[str, Any] = {}

        def reward(completions, **columns):
            seen.update(columns)
            return [0.0] * len(completions)

        probe.reward_funcs, before = [reward], probe.reward_funcs
        try:
            GRPOTrainer._calculate_rewards(probe, [{"prompt": "a", "extra": 7}], ["a"], ["b"], [[1]])
        finally:
            probe.reward_funcs = before
        assert seen["extra"] == [7]

    def test_samples_by_the_limits_that_we_change(self, probe):
        """R1GRPOTrainer._set_completion_length."""
        assert probe.max_completion_length == 8
        assert probe.generation_config.max_new_tokens == 8
        assert probe.generation_kwargs["max_new_tokens"] == 8
        assert "max_completion_length" in inspect.signature(VLLMGeneration).parameters

    def test_knows_of_its_rewards_what_we_read(self, probe):
        """R1GRPOTrainer._sample and ._keep."""
        assert probe.reward_func_names == ["digits"]
        assert probe.reward_weights.tolist() == [1.0]
        assert len(probe.reward_funcs) == 1
        assert (probe.num_generations, probe.num_generations_eval) == (4, 4)
        assert probe.eos_token_ids == [1]
        assert probe.processing_class.pad_token_id == 0
        assert (probe.temperature, probe.top_p, probe.top_k) == (1.0, 1.0, 0)

    def test_computes_a_whole_rollout_in_chunks_and_what_is_trained_on_not(self, probe):
        """R1GRPOTrainer._get_per_token_logps_and_entropies tells them apart by `batch_size`."""
        assert set(probe.seen["log-probabilities"]) == {(False, 4), (True, None)}

    def test_calls_the_model_as_ours_takes_its_place(self, probe):
        """grpo.padding.AtOwnWidth."""
        calls, read = [], set()

        class Outputs:
            def __init__(self, outputs):
                self.outputs = outputs

            def __getattr__(self, name):
                read.add(name)
                return getattr(self.outputs, name)

        def model(**inputs):
            calls.append(inputs)
            return Outputs(probe.model(**inputs))

        ids = torch.tensor([[0, 4, 5, 6, 7, 0]])
        GRPOTrainer._get_per_token_logps_and_entropies(probe, model, ids, (ids != 0).long(), 3, compute_entropy=True)
        assert [set(call) for call in calls] == [{"input_ids", "attention_mask", "labels", "fused_lm_head"}]
        assert calls[0]["fused_lm_head"] is True
        assert read == {"log_probs", "entropy"}

    def test_returns_zeros_for_what_is_padding(self, probe):
        """grpo.padding.AtOwnWidth puts zeros where columns were cut."""
        ids = torch.tensor([[0, 0, 4, 5, 6, 7, 0, 0]])
        mask = (ids != 0).long()
        log_probs, entropies, _ = probe._get_per_token_logps_and_entropies(
            probe.model, ids, mask, 4, compute_entropy=True
        )
        assert log_probs.shape == entropies.shape == (1, 4)
        assert (log_probs[:, 2:] == 0).all()
        assert (entropies[:, 2:] == 0).all()
        assert (log_probs[:, :2] != 0).all()

    def test_keeps_a_rollout_in_parts_that_its_steps_take_in_turn(self, probe):
        """R1GRPOTrainer._prepare_inputs."""
        assert [step for step, *_ in probe.seen["prepared"]] == [0, 1, 2, 3]
        for step, before, after, inputs in probe.seen["prepared"]:
            assert (after is not before) == (step == 0)  # two parts, each used twice
            assert inputs is after[step % 2]
        shaped = {name: tuple(value.shape) for name, value in probe._buffered_inputs[0].items()}
        assert shaped.pop("num_items_in_batch") == ()
        assert all(shape[0] == 4 for shape in shaped.values())

    def test_batches_are_of_tensors_whose_padding_we_know(self, probe, model, tmp_path):
        """grpo.dynamic_sampling.PADDING. Images are refused there."""
        batches = list(probe.seen["batch"])

        class Sampled(scripted(GRPOTrainer, Script())):
            def _generate(self, prompts):
                result = list(super()._generate(prompts))
                result[2] = [[1] * len(ids) for ids in result[1]]  # as tools leave it
                return tuple(result)

            def _generate_and_score_completions(self, inputs):
                self.use_vllm = True
                batches.append(super()._generate_and_score_completions(inputs))
                return batches[-1]

        config = grpo_config(tmp_path, beta=0.1, max_steps=1, max_completion_length=24)
        Sampled(model, DigitReward(), config, sums()).train()
        assert set().union(*batches) == {*PADDING, "advantages", "num_items_in_batch"}
        for batch in batches:
            sides = {"left": batch["prompt_ids"], "right": batch["completion_ids"]}
            for name, (side, value) in PADDING.items():
                if name not in batch or batch[name].size(1) != sides[side].size(1):
                    continue
                padding = batch["prompt_mask" if side == "left" else "completion_mask"] == 0
                assert (batch[name][padding] == (0 if value == "pad" else value)).all(), name
            mask = batch["completion_mask"]
            assert batch["num_items_in_batch"] == mask.sum()
            for mask, edge in ((batch["prompt_mask"], -1), (batch["completion_mask"], 0)):
                assert mask[:, edge].all()

    def test_groups_without_variance_have_no_advantage_but_for_rounding(self, probe, model, tmp_path):
        """grpo.metrics.groups_of decides by rewards."""
        advantages: list[torch.Tensor] = []

        class Watched(GRPOTrainer):
            def _generate_and_score_completions(self, inputs):
                batch = super()._generate_and_score_completions(inputs)
                advantages.append(batch["advantages"])
                return batch

        def half(completions, **columns):
            return [0.1] * 4 + [None, 0.0, 1.0, 1.0]

        config = grpo_config(tmp_path, beta=0.0, max_steps=1, per_device_train_batch_size=8)
        Watched(model, half, config, sums()).train()
        equal, other = advantages[0].view(2, 4)
        assert equal.abs().max() < 1e-3
        assert other[0] == 0  # no function could score it
        assert other[1:].abs().min() > 0.1

    def test_has_a_reference_that_one_callback_replaces(self, model, tmp_path):
        """R1GRPOTrainer.moving_reference."""
        trainer = GRPOTrainer(model, DigitReward(), grpo_config(tmp_path, beta=0.1), sums())
        callbacks = [c for c in trainer.callback_handler.callbacks if isinstance(c, SyncRefModelCallback)]
        assert [callback.ref_model for callback in callbacks] == [trainer.ref_model]

    def test_logs_into_what_can_be_put_aside(self, probe):
        """R1GRPOTrainer._unlogged."""
        assert set(probe._logs) == {"images", "prompt", "completion", "rewards", "advantages", "extra"}
        assert len(copy.deepcopy(probe._logs)["prompt"]) == len(probe._logs["prompt"])

    def test_says_how_long_a_step_took(self, probe):
        """R1GRPOTrainer.training_step."""
        assert all(entry["step_time"] > 0 for entry in probe.state.log_history if "reward" in entry)

    def test_scales_losses_for_accumulation_itself(self):
        """grpo.micro_batches.MicroBatches runs backward as Trainer.training_step does after compute_loss."""
        assert GRPOTrainer.loss_is_scaled_for_ga is True

    def test_samples_rows_by_a_sampler_that_we_can_rebuild(self, probe):
        """grpo.sampler.go_to_epoch."""
        sampler = probe._get_train_sampler()
        assert type(sampler) is RepeatSampler
        taken = list(inspect.signature(RepeatSampler).parameters)
        assert taken == ["data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed"]
        assert all(hasattr(sampler, name) for name in [*taken, "num_samples", "generator"])

    def test_sees_images_where_it_has_a_processor(self):
        """R1GRPOTrainer.__init__."""
        assert grpo_trainer.ProcessorMixin.__module__.startswith("transformers.")


class TestTrainer:
    """resume.py: the order in which transformers writes and reads a checkpoint."""

    def events(self, folder: Path, resume: Path | None = None) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []

        class Noted(TrainerCallback):
            def on_train_begin(self, args, state, control, **kwargs):
                found.append(("begin", trainer._tr_loss.item(), trainer._globalstep_last_logged))

            def on_step_end(self, args, state, control, **kwargs):
                found.append(("step", state.global_step, control.should_save, round(state.epoch, 3)))

        class Watched(GRPOTrainer):
            def _save_rng_state(self, output_dir):
                found.append(("save", Path(output_dir).name, Path(output_dir, TRAINER_STATE_NAME).exists()))
                super()._save_rng_state(output_dir)

            def _load_optimizer_and_scheduler(self, checkpoint):
                super()._load_optimizer_and_scheduler(checkpoint)
                found.append(("load", checkpoint and Path(checkpoint).name, self.state.global_step))

            def training_step(self, *args, **kwargs):
                found.append(("train",))
                return super().training_step(*args, **kwargs)

        model = save_tiny_model(folder / "model")
        config = grpo_config(folder, beta=0.0, max_steps=4)
        trainer = Watched(model, DigitReward(), config, sums(2), callbacks=[Noted()])
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        assert (folder / f"{PREFIX_CHECKPOINT_DIR}-4" / TRAINER_STATE_NAME).is_file()
        return found

    def test_loads_before_it_begins_and_saves_random_states_before_its_own(self, tmp_path):
        step = [("train",), ("step", 1, True, 0.5), ("save", "checkpoint-1", False)]
        assert self.events(tmp_path)[:4] == [("begin", 0, 0), *step]
        # The running loss is set anew after loading and before training begins; epochs are whole at their end.
        again = self.events(tmp_path, tmp_path / "checkpoint-2")
        assert again[:4] == [("load", "checkpoint-2", 2), ("begin", 0, 2), ("train",), ("step", 3, True, 1.5)]
        # What `resume` removes at the end of a step: a checkpoint that is written again is still there.
        assert again[4] == ("save", "checkpoint-3", True)
        assert again[-2] == ("step", 4, True, 2.0)

    def test_loader_begins_an_epoch_as_its_sampler_is_told(self):
        told: list[int] = []
        sampler = SimpleNamespace(set_epoch=told.append)
        loader = SimpleNamespace(
            iteration=0, batch_sampler=SimpleNamespace(batch_sampler=SimpleNamespace(sampler=sampler)), dataset=None
        )
        loader.batch_sampler.sampler = sampler
        DataLoaderShard.set_epoch(loader, 3)
        assert set(told) == {3}

    def test_says_epochs_first_and_steps_last(self):
        """stages._training takes no step when resumed from the last one."""
        parameters = list(inspect.signature(Trainer.set_initial_training_values).parameters)
        assert parameters == ["self", "args", "dataloader"]


class TestSFTTrainer:
    @pytest.fixture(scope="class")
    def trainer(self, tmp_path_factory: pytest.TempPathFactory) -> SFTTrainer:
        folder = tmp_path_factory.mktemp("sft")
        model = save_tiny_model(folder / "model")

        class Probe(SFTTrainer):
            def _prepare_dataset(self, dataset, processing_class, args, packing, formatting_func, dataset_name):
                # It knows its chat template before it prepares data.
                prepared.append((dataset_name, hasattr(self, "chat_template")))
                return super()._prepare_dataset(
                    dataset, processing_class, args, packing, formatting_func, dataset_name
                )

        prepared: list[tuple[str, bool]] = []
        probe = Probe(model, sft_config(folder), train_dataset=told(8), eval_dataset=told(4))
        probe.prepared = prepared
        return probe

    def test_calls_the_training_data_train_and_knows_its_template_before_it_prepares_them(self, trainer):
        assert trainer.prepared == [("train", True), ("eval", True)]

    def test_takes_tokenized_data_as_they_are(self, trainer):
        """R1SFTTrainer._prepare_dataset calls it twice: to tokenize alone, then for what follows."""
        config = sft_config(Path(trainer.args.output_dir), max_length=None)
        tokenized = trainer._prepare_dataset(told(8), trainer.processing_class, config, False, None, "train")
        assert {"input_ids", "labels", "source"} <= set(tokenized.column_names)
        again = trainer._prepare_dataset(tokenized, trainer.processing_class, config, False, None, "train")
        assert again["input_ids"] == tokenized["input_ids"]

    def test_asks_the_model_for_log_probabilities_by_token(self, trainer):
        """R1SFTTrainer.compute_loss looks at these outputs."""
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
        outputs = trainer.model(**batch, fused_lm_head=True)
        assert outputs.log_probs.shape == outputs.label_mask.shape == (2, batch["input_ids"].shape[1] - 1)
        assert (outputs.label_mask == (batch["labels"][:, 1:] != -100)).all()
        assert (outputs.log_probs[~outputs.label_mask] == 0).all()

    def test_keeps_what_we_save_and_restore_under_these_names(self, trainer):
        assert set(trainer._metrics) == {"train", "eval"}
        assert trainer._total_train_tokens == 0
        trainer._set_signature_columns_if_needed()
        assert trainer._signature_columns == ["input_ids", "labels", "seq_lengths"]


class TestConfigs:
    """Fields that our configs give another default: gone or renamed, the default would change without a word."""

    @pytest.mark.parametrize(
        ("ours", "theirs", "new"),
        [
            (
                R1GRPOConfig,
                GRPOConfig,
                {
                    "max_completion_length_schedule",
                    "trim_padding",
                    "group_by_length",
                    "max_tokens_per_micro_batch",
                    "skip_zero_advantage",
                    "save_rollouts",
                    "languages",
                    "dynamic_sampling",
                    "max_sampling_rounds",
                    "prompt_curriculum",
                    "max_steps_without_variance",
                    "compact_generation",
                },
            ),
            (R1SFTConfig, SFTConfig, {"max_truncated_share", "too_long"}),
        ],
        ids=["grpo", "sft"],
    )
    def test_every_other_field_is_one_of_trls(self, ours, theirs, new):
        declared = set(ours.__annotations__)
        assert declared - set(theirs.__dataclass_fields__) == new
        for name in declared:
            assert ours.__dataclass_fields__[name].metadata["help"]

    def test_the_defaults_that_are_not_the_papers(self):
        """If TRL's become the paper's, ours need not be declared any more."""
        theirs = {name: GRPOConfig.__dataclass_fields__[name].default for name in R1GRPOConfig.__annotations__
                  if name in GRPOConfig.__dataclass_fields__}  # fmt: skip
        assert theirs["loss_type"] == "dapo"
        assert theirs["beta"] == 0
        assert theirs["ref_model_mixup_alpha"] == 0.6
        assert theirs["use_bias_correction_kl"] is True


def test_a_row_reaches_the_collator_with_our_column(tmp_path):
    """R1SFTTrainer._set_signature_columns_if_needed."""
    model = save_tiny_model(tmp_path / "model")
    trainer = R1SFTTrainer(model, sft_config(tmp_path), train_dataset=told(8))
    assert isinstance(trainer.train_dataset, Dataset)
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["source_ids"].shape == batch["input_ids"].shape
