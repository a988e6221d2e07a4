"""The SFT trainer: what it refuses before training, and the loss by source."""

import functools
import time
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

from trl_r1 import R1SFTConfig, R1SFTTrainer, cores
from trl_r1.data import parallel
from trl_r1.errors import ConfigError, DataError
from trl_r1.sft.checks import check_template_keeps_reasoning

from ..grpo.tiny import CHAT_TEMPLATE, make_tokenizer, sft_config, told


# What the templates of R1's distilled models do with an assistant's turn.
DROPS_REASONING = CHAT_TEMPLATE.replace(
    "message['content'] +",
    "(message['content'].split('</think>')[-1] if message['role'] == 'assistant' else message['content']) +",
)
# What Qwen3's does: only the last turn keeps its reasoning.
KEEPS_THE_LAST = CHAT_TEMPLATE.replace(
    "message['content'] +",
    "(message['content'] if loop.last else message['content'].split('</think>')[-1]) +",
)
THOUGHT = "<think> wait two </think> 2"


def turns(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


def trainer(model_path: str, folder: Path, dataset: Dataset, template: str = CHAT_TEMPLATE, **changes) -> R1SFTTrainer:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    return R1SFTTrainer(model_path, sft_config(folder, **changes), train_dataset=dataset, processing_class=tokenizer)


class TestTemplate:
    @pytest.mark.parametrize(
        "dataset",
        [
            {"prompt": [turns("what is one ?")], "completion": [turns("", THOUGHT)[1:]]},
            {"messages": [turns("what is one ?", THOUGHT)]},
            {"conversations": [[{"from": "user", "value": "what ?"}, {"from": "assistant", "value": THOUGHT}]]},
            # The reasoning comes late, and after rows that have none.
            {"messages": [turns("what ?", "2")] * 30 + [turns("what ?", THOUGHT)]},
            # A prefilled <think> leaves only its end.
            {"messages": [turns("what ?", "wait two </think> 2")]},
        ],
        ids=["prompt and completion", "messages", "from and value", "one row among many", "prefilled"],
    )
    def test_that_drops_the_reasoning_is_refused(self, dataset, model_path, tmp_path):
        with pytest.raises(ConfigError, match="drops the reasoning of assistant turn 1 of 1"):
            trainer(model_path, tmp_path, Dataset.from_dict(dataset), DROPS_REASONING)
        assert trainer(model_path, tmp_path, Dataset.from_dict(dataset)).train_dataset

    def test_of_r1s_distilled_models_is_refused_and_trls_version_for_training_is_not(self, model_path, tmp_path):
        templates = resources.files("trl") / "chat_templates"
        rows = Dataset.from_dict({"messages": [turns("what is one ?", THOUGHT)]})
        with pytest.raises(ConfigError, match="drops the reasoning"):
            trainer(model_path, tmp_path, rows, (templates / "deepseek_r1_distill.jinja").read_text())
        kept = trainer(model_path, tmp_path, rows, (templates / "deepseek_r1_distill_training.jinja").read_text())
        assert "wait" in make_tokenizer().decode(kept.train_dataset[0]["input_ids"])

    def test_that_drops_it_from_all_turns_but_the_last_is_refused_where_all_are_trained_on(self, model_path, tmp_path):
        talk = turns("what ?", THOUGHT, "and ?", THOUGHT)
        with pytest.raises(ConfigError, match="drops the reasoning of assistant turn 1 of 2"):
            trainer(model_path, tmp_path, Dataset.from_dict({"messages": [talk]}), KEEPS_THE_LAST)
        # In a prompt the earlier turns are only read: there it is right to drop it.
        rows = Dataset.from_dict({"prompt": [talk[:-1]], "completion": [talk[-1:]]})
        assert trainer(model_path, tmp_path, rows, KEEPS_THE_LAST).train_dataset

    def test_that_drops_it_does_no_harm_to_rows_without_reasoning(self, model_path, tmp_path):
        for rows in ({"messages": [turns("what ?", "2")]}, {"messages": [turns("what ?", "<think> </think> 2")]}):
            assert trainer(model_path, tmp_path, Dataset.from_dict(rows), DROPS_REASONING).train_dataset

    def test_does_not_matter_to_plain_text(self, model_path, tmp_path):
        assert trainer(model_path, tmp_path, told(), DROPS_REASONING).train_dataset

    def test_is_looked_at_with_reasoning_in_a_field_of_its_own(self, model_path, tmp_path):
        message = {"role": "assistant", "content": "2", "reasoning_content": "wait two"}
        rows = Dataset.from_dict({"prompt": [turns("what ?")], "completion": [[message]]})
        with pytest.raises(ConfigError, match="drops the reasoning"):
            trainer(model_path, tmp_path, rows, CHAT_TEMPLATE)

    def test_of_a_chat_template_path_is_what_counts(self, model_path, tmp_path):
        (tmp_path / "keeps.jinja").write_text(CHAT_TEMPLATE)
        rows = Dataset.from_dict({"messages": [turns("what ?", THOUGHT)]})
        kept = trainer(model_path, tmp_path, rows, DROPS_REASONING, chat_template_path=str(tmp_path / "keeps.jinja"))
        assert "wait" in make_tokenizer().decode(kept.train_dataset[0]["input_ids"])

    @pytest.mark.parametrize("text", ["wait ", "<think>", "</", "</think>"])
    def test_is_looked_at_in_linear_time(self, text):
        """A long text, as a model leaves it that is cut while it repeats itself."""
        rows = [{"messages": turns("what ?", text * 60_000)}]
        started = time.process_time()
        check_template_keeps_reasoning(rows, lambda messages, row: messages[1]["content"])
        assert time.process_time() - started < 20  # in quadratic time it takes minutes

    def test_is_looked_at_in_a_stream(self, model_path, tmp_path):
        rows = Dataset.from_dict({"messages": [turns("what ?", THOUGHT)] * 3}).to_iterable_dataset()
        with pytest.raises(ConfigError, match="drops the reasoning"):
            trainer(model_path, tmp_path, rows, DROPS_REASONING)


class TestTruncation:
    def rows(self, long: int, n: int = 100) -> Dataset:
        return Dataset.from_dict(
            {
                "prompt": ["what is "] * n,
                "completion": ["so " * (40 if i < long else 3) for i in range(n)],
            }
        )

    def test_of_more_than_the_stated_share_is_refused(self, model_path, tmp_path):
        with pytest.raises(DataError) as caught:
            trainer(model_path, tmp_path, self.rows(2), max_length=16)
        for part in (
            "2 of 100 rows (2.0%)",
            "longer than 16 tokens",
            "at most 1.0%",
            "The longest row has 43",
            "max_length",
        ):
            assert part in str(caught.value)

    def test_of_no_more_than_the_stated_share_is_accepted(self, model_path, tmp_path):
        assert (
            max(map(len, trainer(model_path, tmp_path, self.rows(1), max_length=16).train_dataset["input_ids"])) == 16
        )
        assert trainer(model_path, tmp_path, self.rows(30), max_length=16, max_truncated_share=0.3).train_dataset
        assert trainer(model_path, tmp_path, self.rows(100), max_length=None).train_dataset

    @pytest.mark.parametrize("packing", [False, True])
    def test_is_avoided_by_leaving_out_what_is_too_long(self, model_path, tmp_path, packing, caplog):
        settings = {"max_length": 16, "too_long": "drop", "packing": packing}
        kept = trainer(model_path, tmp_path, self.rows(30), **settings).train_dataset
        assert sum(map(len, kept["input_ids"])) == 70 * 6
        assert "30 of 100 rows (30.0%) are longer than 16 tokens and are left out" in caplog.text
        with pytest.raises(DataError, match="none is left"):
            trainer(model_path, tmp_path, self.rows(100), **settings)

    def test_is_done_to_any_share_of_rows_where_that_is_asked_for(self, model_path, tmp_path, caplog):
        cut = trainer(model_path, tmp_path, self.rows(30), max_length=16, too_long="cut").train_dataset
        assert sorted(map(len, cut["input_ids"])) == [6] * 70 + [16] * 30
        assert "30 of 100 rows (30.0%) are longer than 16 tokens and are cut" in caplog.text

    def test_by_packing_is_refused_where_it_cuts(self, model_path, tmp_path):
        with pytest.raises(DataError, match=r"2 of 100 rows"):
            trainer(model_path, tmp_path, self.rows(2), max_length=16, packing=True)
        split = trainer(model_path, tmp_path, self.rows(2), max_length=16, packing=True, packing_strategy="bfd_split")
        assert sum(map(len, split.train_dataset["input_ids"])) == 2 * 43 + 98 * 6

    def test_is_not_looked_at_with_the_config_of_trl(self, model_path, tmp_path):
        config = SFTConfig(str(tmp_path), max_length=16, use_cpu=True, bf16=False, report_to="none")
        assert R1SFTTrainer(model_path, config, train_dataset=self.rows(50)).train_dataset


@pytest.mark.parametrize("packing", [None, "bfd", "bfd_split"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_data_are_prepared_as_by_trl(packing, shuffle, model_path, tmp_path):
    settings = {"max_length": 24, "shuffle_dataset": shuffle, "max_truncated_share": 1.0}
    if packing:
        settings |= {"packing": True, "packing_strategy": packing}
    rows = told(60)
    ours = R1SFTTrainer(model_path, sft_config(tmp_path, **settings), train_dataset=rows).train_dataset
    stock = SFTTrainer(model_path, sft_config(tmp_path, **settings), train_dataset=rows).train_dataset
    for column in ("input_ids", "labels", *(["seq_lengths"] if packing in ("bfd", "bfd_split") else [])):
        assert ours[column] == stock[column]


def test_rows_are_tokenized_by_several_processes(model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "ROWS_PER_PROCESS", 20)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    one = R1SFTTrainer(model_path, sft_config(tmp_path), train_dataset=told(48))
    assert one.args.dataset_num_proc == 2
    asked = R1SFTTrainer(model_path, sft_config(tmp_path, dataset_num_proc=1), train_dataset=told(48))
    assert asked.args.dataset_num_proc == 1
    assert one.train_dataset["input_ids"] == asked.train_dataset["input_ids"]


class TestLossBySource:
    def reference(self, model_path: str, rows: Dataset) -> dict[str, float]:
        """Mean loss per trained token of each source, by a forward pass of each row."""
        tokenizer, model = make_tokenizer(), AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
        sums: dict[str, list[float]] = {}
        for row in rows:
            prompt = tokenizer(row["prompt"])["input_ids"]
            ids = tokenizer(row["prompt"] + row["completion"] + "<eos>")["input_ids"]
            with torch.no_grad():
                logp = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
            losses = -logp[torch.arange(len(ids) - 1), torch.tensor(ids[1:])][len(prompt) - 1 :]
            total = sums.setdefault(row["source"], [0.0, 0])
            total[0] += losses.sum().item()
            total[1] += len(losses)
        return {f"loss/{name}": total / n for name, (total, n) in sums.items()}

    # Without updates (a learning rate of 0), the loss of an epoch is that of the data under the first model.
    settings: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.0,
        "max_steps": -1,
        "num_train_epochs": 1,
        "save_strategy": "no",
    }

    @pytest.mark.parametrize("accumulation", [1, 3])
    def test_is_the_mean_over_the_trained_tokens_of_each_source(self, accumulation, model_path, tmp_path):
        rows = told(24)
        settings = {**self.settings, "gradient_accumulation_steps": accumulation, "logging_steps": 6 // accumulation}
        one = R1SFTTrainer(model_path, sft_config(tmp_path, **settings), train_dataset=rows)
        one.train()
        logged = one.state.log_history[0]
        expected = self.reference(model_path, rows)
        assert set(expected) == {"loss/one", "loss/two"}
        assert {name: logged[name] for name in expected} == pytest.approx(expected, rel=1e-5)

    def test_with_packing_is_that_of_the_rows_by_themselves(self, model_path, tmp_path):
        """So no row sees the one before it, and each token counts for its source."""
        rows = told(24)
        settings = {**self.settings, "packing": True, "max_length": 40, "logging_steps": 100}
        one = R1SFTTrainer(model_path, sft_config(tmp_path, **settings), train_dataset=rows)
        assert len(one.train_dataset) < len(rows) / 2
        one.train()
        expected = self.reference(model_path, rows)
        logged = one.state.log_history[0]
        assert {name: logged[name] for name in expected} == pytest.approx(expected, rel=1e-5)

    def test_with_packing_knows_the_source_of_each_token(self, model_path, tmp_path):
        rows = Dataset.from_dict(
            {
                "prompt": ["what " for _ in range(20)],
                "completion": [("one " if i % 2 else "two ") * (1 + i % 5) for i in range(20)],
                "source": ["one" if i % 2 else "two" for i in range(20)],
            }
        )
        tokenizer = make_tokenizer()
        one = R1SFTTrainer(model_path, sft_config(tmp_path, packing=True, max_length=17), train_dataset=rows)
        batch = one.data_collator(list(one.train_dataset))
        for word, number in (("one", 0), ("two", 1)):
            of_word = batch["source_ids"][batch["input_ids"] == tokenizer.convert_tokens_to_ids(word)]
            assert len(of_word) == 30
            assert (of_word == number).all()

    def test_does_not_touch_the_training(self, model_path, tmp_path):
        weights = []
        for trainer_class in (R1SFTTrainer, SFTTrainer):
            config = sft_config(tmp_path, save_strategy="no", train_sampling_strategy="random")
            one = trainer_class(model_path, config, train_dataset=told(24))
            one.train()
            weights.append((one.model.state_dict(), [entry.get("loss") for entry in one.state.log_history]))
        assert weights[0][1] == weights[1][1]
        assert all(torch.equal(value, weights[1][0][name]) for name, value in weights[0][0].items())

    def test_of_an_evaluation(self, model_path, tmp_path):
        rows = told(24)
        one = R1SFTTrainer(model_path, sft_config(tmp_path), train_dataset=rows, eval_dataset=rows)
        metrics = one.evaluate()
        logged = one.state.log_history[-1]
        expected = self.reference(model_path, rows)
        assert {name: logged[f"eval_{name}"] for name in expected} == pytest.approx(expected, rel=1e-5)
        assert metrics["eval_loss"] > 0

    def test_is_not_there_without_the_column(self, model_path, tmp_path):
        one = R1SFTTrainer(model_path, sft_config(tmp_path), train_dataset=told().remove_columns("source"))
        one.train()
        assert not [name for entry in one.state.log_history for name in entry if name.startswith("loss/")]

    def test_counts_rows_without_a_source_for_none(self, model_path, tmp_path):
        rows = told(24)
        rows = rows.remove_columns("source").add_column("source", ["one"] * 12 + [None] * 12)
        one = R1SFTTrainer(model_path, sft_config(tmp_path), train_dataset=rows)
        one.train()
        names = {name for entry in one.state.log_history for name in entry if name.startswith("loss/")}
        assert names == {"loss/one"}


class TestLengths:
    """Rows of an optimizer step, dealt out by length."""

    LENGTHS = torch.randn(960, generator=torch.Generator().manual_seed(0)).mul(0.9).exp().mul(30).clamp(2, 200).int()

    def rows(self, lengths: list[int]) -> Dataset:
        return Dataset.from_dict({"prompt": ["what"] * len(lengths), "completion": [" so" * n for n in lengths]})

    def dealt(self, model_path: str, folder: Path, ranks: int, monkeypatch, **changes) -> list[list[list[int]]]:
        """The rows of each pass of each rank, as their lengths."""
        dealt = []
        for rank in range(ranks):
            settings = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 64 // ranks, **changes}
            config = sft_config(folder, **settings, max_length=None)
            one = R1SFTTrainer(model_path, config, train_dataset=self.rows(self.LENGTHS.tolist()))
            monkeypatch.setattr(R1SFTConfig, "world_size", ranks)
            monkeypatch.setattr(R1SFTConfig, "process_index", rank)
            counts = [len(ids) for ids in one.train_dataset["input_ids"]]
            dealt.append([[counts[i] for i in batch] for batch in one._get_train_sampler()])
            monkeypatch.undo()
        return dealt

    def test_no_process_waits_long_for_another(self, model_path, tmp_path, monkeypatch):
        dealt = self.dealt(model_path, tmp_path, 8, monkeypatch)
        passes = list(zip(*dealt, strict=True))
        waited = sum(max(len(rows) * max(rows) for rows in ranks) for ranks in passes) * 8
        needed = sum(n for rank in dealt for rows in rank for n in rows)
        at_random = self.LENGTHS[torch.randperm(960, generator=torch.Generator().manual_seed(1))].view(-1, 8)
        assert at_random.amax(1).sum() * 8 / at_random.sum() > 2.2
        assert waited / needed < 1.4

    def test_a_step_has_the_same_rows_on_any_number_of_processes(self, model_path, tmp_path, monkeypatch):
        steps = []
        for ranks in (1, 4):
            dealt = self.dealt(model_path, tmp_path, ranks, monkeypatch)
            by_step = [[rank[i : i + 64 // ranks] for rank in dealt] for i in range(0, 960 // ranks, 64 // ranks)]
            steps.append([sorted(n for rank in step for rows in rank for n in rows) for step in by_step])
        assert steps[0] == steps[1]
        other = self.dealt(model_path, tmp_path, 1, monkeypatch, seed=8)
        assert sorted(n for rows in other[0][:64] for n in rows) != steps[0][0]  # the stage's seed counts

    def test_a_resumed_training_goes_on_with_the_rows_of_its_epoch(self, model_path, tmp_path):
        """On one rank transformers says so itself; of several, `tests/integration/test_two_ranks_training.py`."""
        rows = told(24)
        one, other = (R1SFTTrainer(model_path, sft_config(tmp_path), train_dataset=rows) for _ in range(2))
        resumed, whole = one._get_train_sampler(), other._get_train_sampler()
        first = list(whole)
        whole.set_epoch(1)
        one.state.epoch = 1.25
        one.load_files("checkpoint")
        assert list(resumed) == list(whole) != first

    def test_with_packing_rows_are_dealt_out_at_random(self, tmp_path):
        assert sft_config(tmp_path).train_sampling_strategy == "batch_rebalance"
        assert sft_config(tmp_path, packing=True).train_sampling_strategy == "random"
        assert sft_config(tmp_path, train_sampling_strategy="sequential").train_sampling_strategy == "sequential"


def test_packing_is_refused_where_a_row_would_see_the_one_before_it(model_path, tmp_path):
    with pytest.raises(ConfigError, match=r"`packing_strategy`: `wrapped` cuts rows .*; expected `bfd`"):
        sft_config(tmp_path, packing=True, packing_strategy="wrapped")
    model = AutoModelForCausalLM.from_pretrained(model_path)
    model.config.layer_types = ["linear_attention"]
    with pytest.raises(ConfigError, match=r"`packing`: the model has layers of type linear_attention"):
        R1SFTTrainer(
            model,
            sft_config(tmp_path, packing=True, max_length=40),
            train_dataset=told(),
            processing_class=make_tokenizer(),
        )


def test_without_a_config_the_defaults_are_the_papers(model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # By default TRL trains in bfloat16, which it refuses to do on a CPU that it was not asked to use.
    on_cpu = functools.partial(R1SFTConfig, use_cpu=True)
    monkeypatch.setattr("trl_r1.sft.trainer.R1SFTConfig", on_cpu)
    one = R1SFTTrainer(model_path, train_dataset=told(), processing_class=make_tokenizer())
    assert one.args.learning_rate == 5e-5
    assert one.args.output_dir.endswith("-SFT")
