"""The preference trainer: TRL's, resumed with its log."""

import shutil
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from trl_r1.preference.config import R1RewardConfig
from trl_r1.preference.trainer import R1RewardTrainer

from ..grpo.test_resume import differences, what_matters
from ..grpo.tiny import save_tiny_model


def pairs(n: int = 16) -> Dataset:
    return Dataset.from_list(
        [{"chosen_ids": [3 + i % 9, 4, 1], "rejected_ids": [3 + i % 7, 5, 6, 1]} for i in range(n)]
    )


def train(model: str, folder: Path, resume: Path | None = None) -> dict[str, Any]:
    config = R1RewardConfig(
        str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, per_device_train_batch_size=2, max_steps=5,
        learning_rate=1e-2, logging_steps=4, save_steps=1, report_to="none", disable_tqdm=True, max_length=64,
    )  # fmt: skip
    scorer = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1)
    with_head = [value for name, value in scorer.named_parameters() if "score" in name]
    for value in with_head:  # the head is new, and random
        value.data.fill_(0.1)
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = R1RewardTrainer(scorer, args=config, train_dataset=pairs(), processing_class=tokenizer)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return what_matters(trainer)


def test_resumes_with_its_log(tmp_path):
    model = save_tiny_model(tmp_path / "model")
    whole = train(model, tmp_path / "whole")
    assert any("accuracy" in entry for entry in whole["log"])
    for step in (2, 4):
        checkpoint = tmp_path / f"from-{step}" / f"checkpoint-{step}"
        shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", checkpoint)
        assert differences(whole, train(model, tmp_path / f"from-{step}", checkpoint)) == [], f"resumed at {step}"
