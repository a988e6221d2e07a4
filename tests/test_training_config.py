"""Our configs change the defaults of TRL's that they declare, and no other."""

import pytest
from trl import DPOConfig, GRPOConfig, RewardConfig, SFTConfig

from trl_r1 import R1GRPOConfig, R1SFTConfig
from trl_r1.preference.config import R1DPOConfig, R1RewardConfig
from trl_r1.training_config import TrainingConfig


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(R1GRPOConfig, GRPOConfig), (R1SFTConfig, SFTConfig), (R1RewardConfig, RewardConfig), (R1DPOConfig, DPOConfig)],
)
def test_no_default_changes_that_is_not_declared(ours, theirs):
    declared = {*vars(ours).get("__annotations__", {}), *TrainingConfig.__annotations__}
    defaults = {name: field.default for name, field in ours.__dataclass_fields__.items()}
    for name, field in theirs.__dataclass_fields__.items():
        assert name in declared or repr(defaults[name]) == repr(field.default), name
