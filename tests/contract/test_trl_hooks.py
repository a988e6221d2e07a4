"""
What we rely on in TRL, transformers and accelerate. If one of these fails after an upgrade, the place that relies on it
is named beside it; `docs/architecture.md` says why it is overridden.
"""

import copy
import inspect
import re
from pathlib import Path

import pytest
import torch
from accelerate.data_loader import DataLoaderShard
from datasets import Dataset
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer.callbacks import SyncRefModelCallback
from trl.trainer.utils import RepeatSampler

from trl_r1 import R1GRPOConfig, R1GRPOTrainer, R1SFTConfig, R1SFTTrainer
from trl_r1.grpo.dynamic_sampling import PADDING

from ..grpo.tiny import DigitReward, grpo_config, save_tiny_model, sft_config, sums, told


# Each method that we wrap: whose it is, and the signature that our wrapper has to fit.
WRAPPED = {
    (GRPOTrainer, "_generate"): "(self, prompts: list)",
    (GRPOTrainer, "_generate_single_turn"): "(self, prompt_ids, images, multimodal_fields, num_generations, "
    "has_tool_images=False)",
    (GRPOTrainer, "_calculate_rewards"): "(self, inputs, prompts, completions, completion_ids_list)",
    (GRPOTrainer, "_generate_and_score_completions"): "(self, inputs: list[dict[str, torch.Tensor | typing.Any]])"
    " -> dict[str, torch.Tensor | typing.Any]",
    (GRPOTrainer, "_prepare_inputs"): "(self, generation_batch: dict[str, torch.Tensor | typing.Any])"
    " -> dict[str, torch.Tensor | typing.Any]",
    (GRPOTrainer, "compute_loss"): "(self, model, inputs, return_outputs=False, num_items_in_batch=None)",
    (GRPOTrainer, "training_step"): "(self, model, inputs, num_items_in_batch)",
    (GRPOTrainer, "_get_train_sampler"): "(self, dataset: datasets.arrow_dataset.Dataset | None = None)"
    " -> torch.utils.data.sampler.Sampler",
    (GRPOTrainer, "_load_optimizer_and_scheduler"): "(self, checkpoint)",
    (GRPOTrainer, "_save_checkpoint"): "(self, model, trial)",
    (SFTTrainer, "_save_checkpoint"): "(self, model, trial)",
    (Trainer, "_save_rng_state"): "(self, output_dir: str) -> None",
    (Trainer, "_load_optimizer_and_scheduler"): "(self, checkpoint: str | None) -> None",
    (Trainer, "set_initial_training_values"): "(self, args: transformers.training_args.TrainingArguments,"
    " dataloader: torch.utils.data.dataloader.DataLoader) -> tuple[int, int, int, int, int, int | None, int]",
    (SFTTrainer, "_set_signature_columns_if_needed"): "(self)",
    (SFTTrainer, "compute_loss"): "(self, model, inputs, return_outputs=False, num_items_in_batch=None)",
    (SFTTrainer, "log"): "(self, logs: dict[str, float], start_time: float | None = None) -> None",
}
LOG_PROBABILITIES = ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size"]
PREPARE_DATASET = ["self", "dataset", "processing_class", "args", "packing", "formatting_func", "dataset_name"]


def own(owner: type, name: str) -> str:
    return str(inspect.signature(owner.__dict__[name]))


@pytest.mark.parametrize(("owner", "name"), WRAPPED, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_signature_of_what_we_wrap(owner, name):
    wrapped = owner.__dict__[name]
    signature = str(inspect.signature(inspect.unwrap(wrapped)))
    assert signature == WRAPPED[owner, name]


def test_signature_of_log_probabilities():
    """trainers/padding.py names these and passes the rest on."""
    wrapped = inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies)
    assert list(inspect.signature(wrapped).parameters)[: len(LOG_PROBABILITIES)] == LOG_PROBABILITIES


def test_signature_of_prepare_dataset():
    assert list(inspect.signature(SFTTrainer._prepare_dataset).parameters) == PREPARE_DATASET


@pytest.mark.parametrize(
    ("ours", "theirs"), [(R1GRPOTrainer, GRPOTrainer), (R1SFTTrainer, SFTTrainer)], ids=lambda x: x.__name__
)
def test_constructors_take_the_same_arguments(ours, theirs):
    assert inspect.signature(ours) == inspect.signature(theirs)
    # Those that our constructors name, in their order.
    named = ["model", "reward_funcs", "args"] if theirs is GRPOTrainer else ["model", "args"]
    assert list(inspect.signature(theirs).parameters)[: len(named)] == named


@pytest.mark.parametrize(
    ("trainer", "overridden"),
    [
        (
            R1GRPOTrainer,
            {
                "__init__",
                "_calculate_rewards",
                "_generate",
                "_generate_and_score_completions",
                "_generate_single_turn",
                "_get_per_token_logps_and_entropies",
                "_get_train_sampler",
                "_load_optimizer_and_scheduler",
                "_prepare_inputs",
                "_save_checkpoint",
                "_save_rng_state",
                "compute_loss",
                "training_step",
            },
        ),
        (
            R1SFTTrainer,
            {
                "__init__",
                "_load_optimizer_and_scheduler",
                "_prepare_dataset",
                "_save_checkpoint",
                "_save_rng_state",
                "_set_signature_columns_if_needed",
                "compute_loss",
                "log",
            },
        ),
    ],
    ids=lambda x: x.__name__ if isinstance(x, type) else "",
)
def test_nothing_else_is_overridden(trainer, overridden):
    """Neither by intent, nor because TRL has grown a method of the name of one of ours."""
    ours = [base for base in trainer.__mro__ if base.__module__.startswith("trl_r1.")]
    theirs = [base for base in trainer.__mro__ if not base.__module__.startswith("trl_r1.") and base is not object]
    methods = {
        name for base in ours for name, value in vars(base).items() if callable(value) or isinstance(value, property)
    }
    inherited = {name for base in theirs for name in vars(base)}
    assert methods & inherited - {"__doc__", "__module__"} == overridden


class TestGRPOTrainer:
    @pytest.fixture(scope="class")
    def trainer(self, tmp_path_factory: pytest.TempPathFactory) -> GRPOTrainer:
        folder = tmp_path_factory.mktemp("grpo")
        model = save_tiny_model(folder / "model")
        config = grpo_config(folder, beta=0.1, max_steps=2, num_iterations=2)
        trainer = GRPOTrainer(model, DigitReward(), config, sums())
        trainer.train()
        return trainer

    def test_keeps_what_we_save_and_restore_under_these_names(self, trainer):
        """trainers/resume.py and R1GRPOTrainer._rank_state."""
        assert trainer._step == 2
        assert set(trainer._metrics) == {"train", "eval"}
        assert isinstance(trainer._total_train_tokens, int)
        assert trainer._globalstep_last_logged == 2
        assert trainer._tr_loss.item() == 0
        assert trainer.entropy_coef == 0
        assert trainer._last_world_entropy == float("inf")
        assert trainer._entropy_window_stats is None  # else it would have to be kept as well
        assert isinstance(trainer._buffered_inputs, list)
        assert {"prompt_ids", "completion_ids", "advantages"} <= set(trainer._buffered_inputs[0])

    def test_samples_by_the_limits_that_we_change(self, trainer):
        """R1GRPOTrainer._set_completion_length."""
        assert trainer.max_completion_length == 8
        assert trainer.generation_config.max_new_tokens == 8
        assert trainer.generation_kwargs["max_new_tokens"] == 8
        assert "max_completion_length = self.max_completion_length" in inspect.getsource(VLLMGeneration.generate)

    def test_knows_of_its_rewards_what_we_read(self, trainer):
        """R1GRPOTrainer._log_emergence and ._keep."""
        assert trainer.reward_func_names == ["digits"]
        assert trainer.reward_weights.tolist() == [1.0]
        assert len(trainer.reward_funcs) == 1
        assert (trainer.num_generations, trainer.num_generations_eval) == (4, 4)
        assert trainer.eos_token_ids == [1]
        assert trainer._tokenizer.pad_token_id == 0
        assert (trainer.temperature, trainer.top_p, trainer.top_k) == (1.0, 1.0, 0)

    def test_calls_the_model_as_ours_stands_in_for_it(self, trainer):
        """trainers.padding.AtOwnWidth."""
        source = inspect.getsource(inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies))
        assert source.count("model(") == 1
        assert "outputs = model(**model_inputs, labels=labels, fused_lm_head=True)" in source
        read = {"outputs.log_probs[:, -logits_to_keep:]", "outputs.entropy[:, -logits_to_keep:]", "outputs.aux_loss"}
        assert all(name in source for name in read)
        assert source.count("outputs.") == len(read)
        # What is computed once for a whole rollout comes in chunks, and what is trained on does not.
        whole = inspect.getsource(GRPOTrainer._generate_and_score_completions)
        assert whole.count("self._get_per_token_logps_and_entropies(") == whole.count("batch_size=batch_size,") == 3
        assert "batch_size=" not in inspect.getsource(inspect.unwrap(GRPOTrainer._compute_loss))

    def test_returns_zeros_for_what_is_padding(self, trainer):
        """trainers.padding.AtOwnWidth puts zeros where columns were cut."""
        ids = torch.tensor([[0, 0, 4, 5, 6, 7, 0, 0]])
        mask = (ids != 0).long()
        log_probs, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, 4, compute_entropy=True
        )
        assert log_probs.shape == entropies.shape == (1, 4)
        assert (log_probs[:, 2:] == 0).all()
        assert (entropies[:, 2:] == 0).all()
        assert (log_probs[:, :2] != 0).all()

    def test_keeps_a_rollout_in_parts_that_its_steps_take_in_turn(self, trainer):
        """trainers.micro_batches.MicroBatches._prepare_inputs."""
        source = inspect.getsource(inspect.unwrap(GRPOTrainer._prepare_inputs))
        assert "inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]" in source
        assert source.count("self._buffered_inputs = ") == 1
        part = trainer._buffered_inputs[0]
        shaped = {name: tuple(value.shape) for name, value in part.items()}
        rows = trainer.args.per_device_train_batch_size
        assert shaped.pop("num_items_in_batch") == ()
        assert all(shape[0] == rows for shape in shaped.values())

    def test_divides_losses_as_our_weights_expect(self):
        """trainers.exactness.MEAN_OVER_ROWS and .reasons_in_config."""
        lines = [line.strip() for line in inspect.getsource(GRPOTrainer._compute_loss).splitlines()]
        at = {line: lines[i + 1 :] for i, line in enumerate(lines) if "self.loss_type" in line and line.endswith(":")}
        mean = "loss = ((per_token_loss * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()"
        assert at['if self.loss_type in ["grpo", "sapo"]:'][0] == mean
        per_row = "loss = (per_token_loss * mask).sum() / (per_token_loss.size(0) * self.max_completion_length)"
        assert at['elif self.loss_type == "dr_grpo":'][0] == per_row
        assert "loss = (per_token_loss * mask).sum(-1).mean()" in at['elif self.loss_type == "luspo":'][:5]
        tokens = 'normalizer = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes'
        assert tokens in at['elif self.loss_type in ["cispo", "dapo", "vespo"]:'][:3]
        assert (
            "loss = (per_token_loss * mask).sum() / mask.sum().clamp(min=1.0)"
            in at['elif self.loss_type == "bnpo":'][:1]
        )

    def test_scales_losses_for_accumulation_itself(self):
        """trainers.micro_batches.MicroBatches runs backward as Trainer.training_step does after compute_loss."""
        assert GRPOTrainer.loss_is_scaled_for_ga is True
        source = inspect.getsource(Trainer.training_step)
        assert "self.accelerator.backward(loss, **kwargs)" in source
        assert 'kwargs["scale_wrt_gas"] = False' in source
        assert "self.accelerator.gradient_state._set_sync_gradients(do_sync_step)" in inspect.getsource(
            Trainer._run_epoch
        )

    def test_centres_rewards_as_we_tell_idle_rows(self):
        """trainers.idle_rows.without_advantage."""
        source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
        assert "unscorable_mask = torch.isnan(rewards_per_func).all(dim=1)" in source
        assert "rewards = (rewards_per_func * self.reward_weights.to(device).unsqueeze(0)).nansum(dim=1)" in source
        assert "mean_grouped_rewards = torch.nanmean(rewards.view(-1, num_generations), dim=1)" in source
        assert "grouped = rewards_per_func.view(-1, num_generations, len(self.reward_funcs))" in source

    def test_has_a_reference_that_one_callback_replaces(self, trainer):
        """R1GRPOTrainer._reference_moves."""
        callbacks = [c for c in trainer.callback_handler.callbacks if isinstance(c, SyncRefModelCallback)]
        assert [callback.ref_model for callback in callbacks] == [trainer.ref_model]

    def test_generation_returns_the_prompts_first(self, trainer):
        """R1GRPOTrainer._generate."""
        source = inspect.getsource(GRPOTrainer._generate)
        assert "return prompt_ids, completion_ids, tool_mask, completions," in source

    def test_hands_rewards_every_key_of_a_row(self, trainer):
        """R1GRPOTrainer._calculate_rewards passes `truncated` and `prefilled` on as if they were columns."""
        seen = {}

        def reward(completions, **columns):
            seen.update(columns)
            return [0.0] * len(completions)

        trainer.reward_funcs, before = [reward], trainer.reward_funcs
        try:
            trainer._calculate_rewards([{"prompt": "a", "extra": 7}], ["a"], ["b"], [[1]])
        finally:
            trainer.reward_funcs = before
        assert seen["extra"] == [7]

    def test_batches_are_of_tensors_whose_padding_we_know(self, trainer):
        """trainers.dynamic_sampling.PADDING. Images are refused there."""
        source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
        output = source[source.rindex("output = {") :]
        images = {"pixel_values", "image_grid_thw", "pixel_attention_mask", "spatial_shapes", "image_sizes",
                  "token_type_ids", "mm_token_type_ids", "image_position_ids", "num_images", "num_tiles"}  # fmt: skip
        keys = set(re.findall(r'^ *"(\w+)": ', output, re.M)) | set(re.findall(r'output\["(\w+)"\] =', output))
        assert keys - images == {*PADDING, "advantages", "num_items_in_batch"}
        assert source.count('padding_side="left"') == 2  # prompts and their mask
        assert "num_items_in_batch = self.accelerator.gather(loss_mask.sum()).sum()" in source

    def test_normalizes_by_group_alone_unless_told_otherwise(self, trainer):
        """trainers.dynamic_sampling.check_dynamic_sampling."""
        source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
        assert 'elif self.scale_rewards == "batch"' in source
        assert 'self.multi_objective_aggregation == "normalize_then_sum"' in source

    def test_logs_into_what_can_be_put_aside(self, trainer):
        """trainers.dynamic_sampling.DynamicSampling._unlogged."""
        assert set(trainer._logs) == {"images", "prompt", "completion", "rewards", "advantages", "extra"}
        assert len(copy.deepcopy(trainer._logs)["prompt"]) == len(trainer._logs["prompt"])

    def test_hands_rewards_what_early_calls_are_given(self, trainer):
        """trainers.overlap.OverlapRewards._call_early; the log's functions are TRL's methods."""
        source = inspect.getsource(GRPOTrainer._calculate_rewards)
        assert 'if key not in ["prompt", "completion", "completion_ids"]' in source
        assert set(re.findall(r'(?<!row_)reward_kwargs\["(\w+)"\] = ', source)) == {
            "trainer_state",
            "log_extra",
            "log_metric",
            "environments",
        }
        assert (
            "prompts=prompts, completions=completions, completion_ids=completion_ids_list, **reward_kwargs" in source
        )

    def test_says_how_long_a_step_took(self, trainer):
        """trainers.overlap.OverlapRewards.training_step."""
        source = inspect.getsource(GRPOTrainer.training_step)
        assert "if self._step % self.current_gradient_accumulation_steps == 0:" in source
        assert 'self._metrics["train"]["step_time"].append' in source

    def test_samples_rows_by_a_sampler_that_we_can_rebuild(self, trainer):
        """trainers.resume.EpochRepeatSampler."""
        sampler = trainer._get_train_sampler()
        assert type(sampler) is RepeatSampler
        taken = list(inspect.signature(RepeatSampler).parameters)
        assert taken == ["data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed"]
        assert all(hasattr(sampler, name) for name in [*taken, "num_samples", "generator"])
        assert "torch.randperm(self.num_samples, generator=self.generator)" in inspect.getsource(
            RepeatSampler.__iter__
        )


class TestTrainer:
    """trainers/resume.py: the order in which transformers writes and reads a checkpoint."""

    def test_writes_random_states_on_every_rank_before_its_own_state(self):
        source = inspect.getsource(Trainer._save_checkpoint)
        assert source.index("_save_optimizer_and_scheduler") < source.index("_save_rng_state")
        assert source.index("_save_rng_state") < source.index("save_to_json") < source.index("rotate_checkpoints(")
        # Not under `if self.args.should_save`, which holds on one rank alone.
        line = next(line for line in source.splitlines() if "_save_rng_state(" in line)
        assert len(line) - len(line.lstrip()) == 12
        assert (TRAINER_STATE_NAME, PREFIX_CHECKPOINT_DIR) == ("trainer_state.json", "checkpoint")

    def test_reads_optimizer_and_schedule_on_every_rank_under_every_strategy(self):
        source = inspect.getsource(Trainer._prepare_for_training)
        line = next(line for line in source.splitlines() if "self._load_optimizer_and_scheduler(" in line)
        assert len(line) - len(line.lstrip()) == 12  # in no branch but that of the resumption itself

    def test_sets_its_running_loss_after_it_has_loaded_and_before_training_begins(self):
        source = inspect.getsource(Trainer._inner_training_loop)
        places = [
            "self._prepare_for_training(",
            "self._tr_loss = ",
            "self._globalstep_last_logged = ",
            "on_train_begin",
            "self._run_epoch(",
        ]
        assert [source.index(place) for place in places] == sorted(source.index(place) for place in places)

    def test_tells_the_epoch_by_a_number_that_is_whole_at_its_end(self):
        source = inspect.getsource(Trainer._run_epoch)
        assert "self.state.epoch = epoch + (step + 1) / steps_in_epoch" in source

    def test_loader_begins_an_epoch_as_its_sampler_is_told(self):
        assert "self.batch_sampler.batch_sampler.sampler.set_epoch(epoch)" in inspect.getsource(
            DataLoaderShard.set_epoch
        )


class TestSFTTrainer:
    @pytest.fixture(scope="class")
    def trainer(self, tmp_path_factory: pytest.TempPathFactory) -> SFTTrainer:
        folder = tmp_path_factory.mktemp("sft")
        model = save_tiny_model(folder / "model")
        return SFTTrainer(model, sft_config(folder), train_dataset=told(8))

    def test_takes_tokenized_data_as_they_are(self, trainer):
        """R1SFTTrainer._prepare_dataset calls it twice: to tokenize alone, then for what follows."""
        config = sft_config(Path(trainer.args.output_dir), max_length=None)
        tokenized = trainer._prepare_dataset(told(8), trainer.processing_class, config, False, None, "train")
        assert {"input_ids", "labels", "source"} <= set(tokenized.column_names)
        again = trainer._prepare_dataset(tokenized, trainer.processing_class, config, False, None, "train")
        assert again["input_ids"] == tokenized["input_ids"]

    def test_calls_the_training_data_train(self):
        source = inspect.getsource(SFTTrainer.__init__)
        assert 'formatting_func, "train"' in source

    def test_knows_its_chat_template_before_it_prepares_data(self):
        source = inspect.getsource(SFTTrainer.__init__)
        assert source.rindex("self.chat_template = ") < source.index("self._prepare_dataset(")

    def test_asks_the_model_for_log_probabilities_by_token(self, trainer):
        """R1SFTTrainer.compute_loss looks at these outputs."""
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
        outputs = trainer.model(**batch, fused_lm_head=True)
        assert outputs.log_probs.shape == outputs.label_mask.shape == (2, batch["input_ids"].shape[1] - 1)
        assert (outputs.label_mask == (batch["labels"][:, 1:] != -100)).all()
        assert (outputs.log_probs[~outputs.label_mask] == 0).all()

    def test_packs_these_columns(self):
        """trainers.sft._pack stands in for these lines."""
        source = inspect.getsource(SFTTrainer._prepare_dataset)
        lines = [line.strip() for line in source[source.index("# Pack\n") :].splitlines()]
        code = [line for line in lines if line and not line.startswith("#")]
        assert [line for line in code if line.startswith(("dataset =", "if args.shuffle", "return"))] == [
            'dataset = dataset.select_columns(["input_ids", "labels"])',
            "if args.shuffle_dataset:",
            "dataset = dataset.shuffle(seed=args.seed)",
            "dataset = pack_dataset(dataset, args.max_length, args.packing_strategy, map_kwargs)",
            "if args.shuffle_dataset:",
            "dataset = dataset.shuffle(seed=args.seed)",
            "return dataset",
        ]

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
                    "overlap_rewards",
                    "prompt_curriculum",
                    "compact_generation",
                },
            ),
            (R1SFTConfig, SFTConfig, {"max_truncated_share"}),
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
