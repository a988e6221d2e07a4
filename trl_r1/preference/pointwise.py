r"""
A reward model of labelled responses instead of pairs: R1's safety model (paper, v2 3.1: responses labelled safe or
unsafe, pointwise).

$$\mathcal{L} = -\,y \log \sigma(s) - (1 - y) \log(1 - \sigma(s))$$

with the score \( s \) of a response and its label \( y \), 1 for a good (safe) one. So \( \sigma(s) \) is the probability
that the response is safe, which is what [`~rewards.PreferenceModel`] pays with `normalise: sigmoid`. How the paper's loss
looks is not stated; this one is our own choice.
"""

from typing import Any

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import DataCollatorWithPadding
from typing_extensions import override

from .trainer import R1RewardTrainer


class R1PointwiseTrainer(R1RewardTrainer):
    """
    [`~preference.trainer.R1RewardTrainer`] for rows with `input_ids` and `label` (1.0 or 0.0), already tokenized.

    Args:
        *args, **kwargs:
            Of [`~trl.RewardTrainer`]; `processing_class` must be a tokenizer.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("data_collator", DataCollatorWithPadding(kwargs["processing_class"]))
        super().__init__(*args, **kwargs)

    @override
    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        return dataset

    @override
    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids", "label"]

    @override
    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels: Tensor = inputs.pop("labels")  # (B,)
        outputs = model(**inputs, use_cache=False)
        scores = outputs.logits.squeeze(-1).float()  # (B,)
        loss = binary_cross_entropy_with_logits(scores, labels.to(scores))
        mode = "train" if self.model.training else "eval"
        right = ((scores.detach() > 0) == (labels > 0.5)).float()
        kept = self.accelerator.gather_for_metrics(right)
        self._metrics[mode]["accuracy"].append(kept.mean().item())
        if mode == "train":
            tokens = self.accelerator.gather_for_metrics(inputs["attention_mask"].sum()).sum().item()
            self._total_train_tokens += int(tokens)
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        return (loss, outputs) if return_outputs else loss
