"""
TRL's SFTTrainer, for R1.

What it adds: refusals before training ([`checks`]), the loss by source of the data, rows dealt out by length, and a
resumption that is exact ([`~resume`]). With [`~sft.config.R1SFTConfig`] its defaults are the paper's.
"""

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from datasets import Dataset, IterableDataset, Sequence, Value
from trl import SFTConfig, SFTTrainer, maybe_convert_to_chatml, pack_dataset
from typing_extensions import override

from .._compat import get_config_model_id
from ..data.parallel import processes_for
from ..resume import ExactResume
from .checks import check_packing, check_template_keeps_reasoning, fit_rows, token_counts
from .config import R1SFTConfig


_ROWS_TO_CHECK = 10_000
_SOURCE = "source_ids"


class R1SFTTrainer(ExactResume, SFTTrainer):
    """
    [`~trl.SFTTrainer`] with what fine-tuning on reasoning needs. Takes the same arguments.

    - It refuses, before training, a chat template that drops the reasoning of assistant turns, and data of which more
      than `args.max_truncated_share` of the rows would be cut by `args.max_length` (not with packing that splits); or
      cuts or leaves out rows that are too long, by `args.too_long`.
    - Where the data have a column `source`, it logs `loss/SOURCE`: the mean negative log-likelihood of the source's
      trained tokens since the last log. Not for iterable data sets, nor under context or sequence parallelism.
    - With `args.train_sampling_strategy: batch_rebalance`, the rows of each optimizer step are dealt out by length.
    - A resumed run equals the uninterrupted one, its log included.
    """

    _tag_names: ClassVar[list[str]] = [*SFTTrainer._tag_names, "trl_r1"]
    _signature_columns: list[str] | None
    data_collator: Any

    # Whatever TRL's constructor takes, this one takes.
    @functools.wraps(SFTTrainer.__init__)  # type: ignore[misc]
    def __init__(self, model: Any, args: Any = None, *rest: Any, **named: Any):
        if args is None:
            name = model if isinstance(model, str) else get_config_model_id(model.config)
            args = R1SFTConfig(f"{name.split('/')[-1]}-SFT")
        # TRL prepares the data in its constructor, and needs these there.
        self._sources: list[str] = []
        super().__init__(model, args, *rest, **named)
        self._source_sums: dict[str, dict[str, list[float]]] = {"train": {}, "eval": {}}
        self._window: torch.Tensor | None = None
        self._balanced: Any = None
        if self._sources:
            self.data_collator = _KeepSources(self.data_collator)
        if self.padding_free:
            check_packing(self.model.config)

    # Before training

    @override
    def _prepare_dataset(
        self, dataset: Any, processing_class: Any, args: Any, packing: bool, formatting_func: Any, dataset_name: str
    ) -> Any:
        prepare = super()._prepare_dataset
        if args.dataset_num_proc is None and isinstance(dataset, Dataset):
            args.dataset_num_proc = processes_for(len(dataset))
        trained = dataset_name == "train"
        if trained:
            self._check_template(dataset, processing_class)
        too_long: Any = getattr(args, "too_long", None)
        cuts = not (packing and args.packing_strategy != "bfd") or too_long == "drop"
        checked = trained and cuts and args.max_length is not None and too_long is not None
        has_sources = isinstance(dataset, Dataset) and "source" in dataset.column_names
        if isinstance(dataset, IterableDataset) or not (checked or has_sources):
            return prepare(dataset, processing_class, args, packing, formatting_func, dataset_name)

        # Tokenize alone. TRL takes a tokenized data set as it is, and goes on from there.
        whole = copy.copy(args)
        whole.max_length, whole.shuffle_dataset = None, False
        dataset = prepare(dataset, processing_class, whole, False, formatting_func, dataset_name)
        if checked:
            dataset = fit_rows(dataset, args.max_length, too_long, args.max_truncated_share)
        if has_sources:
            with args.main_process_first(desc="numbering the sources"):
                dataset = self._number_sources(dataset, args.dataset_num_proc, by_token=packing)
                if packing:
                    return _pack(dataset, args)
        return prepare(dataset, processing_class, args, packing, None, dataset_name)

    def _check_template(self, dataset: Dataset | IterableDataset, processing_class: Any) -> None:
        if isinstance(dataset, Dataset):
            rows = dataset.select(range(0, len(dataset), max(1, len(dataset) // _ROWS_TO_CHECK)))
        else:
            rows = dataset.take(100)

        def render(messages: list[dict[str, Any]], row: Mapping[str, Any]) -> str:
            text: str = processing_class.apply_chat_template(
                messages, tokenize=False, chat_template=self.chat_template, **(row.get("chat_template_kwargs") or {})
            )
            return text

        check_template_keeps_reasoning((maybe_convert_to_chatml(dict(row)) for row in rows), render)

    @override
    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy != "batch_rebalance" or not isinstance(dataset, Dataset):
            return super()._get_train_sampler(train_dataset)
        if self.args.length_column_name not in dataset.column_names:  # transformers would count in Python
            dataset = Dataset.from_dict({self.args.length_column_name: token_counts(dataset)})
        self._balanced = super()._get_train_sampler(dataset)
        self._balanced.seed = self.args.seed
        return self._balanced

    # Loss by source

    def _number_sources(self, dataset: Dataset, num_proc: int | None, by_token: bool) -> Dataset:
        names = {name for name in dataset.unique("source") if name is not None}
        self._sources += sorted(names - set(self._sources))
        number = {name: i for i, name in enumerate(self._sources)} | {None: -1}
        if not by_token:
            return dataset.add_column(_SOURCE, [number[name] for name in dataset["source"]])
        # Packing moves tokens about, so each needs to know its source.
        features = dataset.features.copy()
        features[_SOURCE] = Sequence(Value("int16"))
        return dataset.map(
            lambda row: {_SOURCE: [number[row["source"]]] * len(row["input_ids"])},
            features=features,
            num_proc=num_proc,
            desc="Numbering sources",
        )

    @override
    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if self._sources and _SOURCE not in (self._signature_columns or ()):
            self._signature_columns = [*(self._signature_columns or ()), _SOURCE]

    @override
    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        sources = inputs.pop(_SOURCE, None)
        if sources is None or self.accelerator.parallelism_config is not None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        # TRL may call the model several times; one of its outputs has log-probabilities, others the logits.
        scored: list[Any] = []

        def keep(module: Any, args: Any, output: Any) -> None:
            if getattr(output, "log_probs", None) is not None:
                scored.append(output)

        hook = model.register_forward_hook(keep)
        try:
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        finally:
            hook.remove()
        self._add_loss_by_source(scored[-1], sources)
        return result

    def _add_loss_by_source(self, outputs: Any, sources: torch.Tensor) -> None:
        log_probs = outputs.log_probs.detach()  # (B, T - 1), 0 where there is no label
        sources = sources[:, 1:]
        if log_probs.shape != sources.shape:  # virtual tokens of prompt tuning
            return
        counted = outputs.label_mask & (sources >= 0)
        sums = torch.zeros(2, len(self._sources), device=log_probs.device)
        sums[0].index_add_(0, sources[counted], -log_probs[counted].float())
        sums[1].index_add_(0, sources[counted], torch.ones_like(log_probs[counted], dtype=torch.float32))
        self._window = sums if self._window is None else self._window + sums
        if self.model.training and not self.accelerator.sync_gradients:
            return
        totals = self.accelerator.reduce(self._window, reduction="sum").tolist()
        self._window = None
        kept = self._source_sums["train" if self.model.training else "eval"]
        for name, loss, tokens in zip(self._sources, *totals):
            if tokens:
                before = kept.get(name, [0.0, 0.0])
                kept[name] = [before[0] + loss, before[1] + tokens]

    @override
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        mode = "train" if self.model.training else "eval"
        for name, (loss, tokens) in self._source_sums[mode].items():
            self._metrics[mode][f"loss/{name}"] = [loss / tokens]
        self._source_sums[mode] = {}
        super().log(logs, start_time)

    # Resumption

    @override
    def rank_state(self) -> dict[str, Any]:
        return {**super().rank_state(), "loss_by_source": self._source_sums["train"]}

    @override
    def load_rank_state(self, state: dict[str, Any]) -> None:
        super().load_rank_state(state)
        self._source_sums["train"] = state["loss_by_source"]

    @override
    def load_files(self, checkpoint: str) -> None:
        if self._balanced is not None:
            # transformers (5.23) does not tell the sampler of several ranks in which epoch it goes on. At the end of an
            # epoch this is a whole number.
            self._balanced.set_epoch(int(self.state.epoch or 0))


@dataclass
class _KeepSources:
    """Collate as `collator` does, with the number of each token's source; -1 for padding and for no source."""

    collator: Any

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = self.collator(examples)
        if any(_SOURCE not in example for example in examples):
            return batch
        sources = [torch.as_tensor(example[_SOURCE]).expand(len(example["input_ids"])) for example in examples]
        if batch["input_ids"].size(0) != len(sources):  # padding-free: one row of all
            sources = [torch.cat(sources)]
        numbers = torch.full_like(batch["input_ids"], -1)  # (B, T)
        for row, of_row in zip(numbers, sources):
            row[: len(of_row)] = of_row
        return {**batch, _SOURCE: numbers}


def _pack(dataset: Dataset, args: SFTConfig) -> Dataset:
    """Pack as TRL does, with the tokens' sources, which TRL would leave behind."""
    dataset = dataset.select_columns(["input_ids", "labels", _SOURCE])
    if args.shuffle_dataset:
        dataset = dataset.shuffle(seed=args.seed)
    dataset = pack_dataset(dataset, args.max_length, args.packing_strategy, {"num_proc": args.dataset_num_proc})
    return dataset.shuffle(seed=args.seed) if args.shuffle_dataset else dataset
