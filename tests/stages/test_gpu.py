"""What runs on a CPU everywhere else, on one GPU and in bfloat16: part `stages` of `python -m tests.gpu`."""

import importlib
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .test_training import losses
from .tiny import make_config


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]


@pytest.mark.parametrize("kind", ["sft", "grpo", "reward"])
def test_a_stage_trains_in_bfloat16(kind, common, grpo, tmp_path):
    config = {**(grpo if kind == "grpo" else common), "bf16": True, "use_cpu": False, "dtype": "bfloat16"}
    if kind == "grpo":
        config["languages"] = ["en", "zh"]  # for which no word list is needed
        config |= {"beta": 0.0, "trim_padding": True, "group_by_length": True, "skip_zero_advantage": True}
    stage = importlib.import_module(f"trl_r1.stages.{kind}")
    torch.cuda.reset_peak_memory_stats()
    assert stage.main(["--config", str(make_config(tmp_path / "stage.yaml", config))]) == 0
    assert torch.cuda.max_memory_allocated() > 0
    assert all(math.isfinite(loss) for loss in losses(common["output_dir"]))
    weights = load_file(Path(common["output_dir"]) / "model" / "model.safetensors")
    assert all(weight.isfinite().all() for weight in weights.values())
