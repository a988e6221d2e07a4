"""
A pytest plugin that puts our trainers in the place of TRL's, to run TRL's own test suites against them.

TRL's tests are not part of its wheel: take them from a checkout of TRL at the installed version. They load models and
data sets of the Hub organization `trl-internal-testing`.

```bash
PYTHONPATH=tests/contract python -m pytest -p as_trl TRL_CHECKOUT/tests/test_grpo_trainer.py
```

`AS_TRL=configs` puts our configs in the place of TRL's as well, with the paper's defaults instead of those which the
tests were written for; `AS_TRL=none` changes nothing, to see what passes anyway. (As `tests.contract.as_trl` it would
hide TRL's own package `tests`.)
"""

import os

import trl

from trl_r1 import R1GRPOConfig, R1GRPOTrainer, R1SFTConfig, R1SFTTrainer


def _replace(name: str, ours: type) -> None:
    for module in (trl, trl.trainer):
        setattr(module, name, ours)


_WHAT = os.environ.get("AS_TRL", "trainers")
if _WHAT in ("trainers", "configs"):
    _replace("GRPOTrainer", R1GRPOTrainer)
    _replace("SFTTrainer", R1SFTTrainer)
if _WHAT == "configs":
    _replace("GRPOConfig", R1GRPOConfig)
    _replace("SFTConfig", R1SFTConfig)


def pytest_report_header() -> str:
    """Say in whose name the tests run."""
    return f"trl.GRPOTrainer is {trl.GRPOTrainer.__module__}, trl.GRPOConfig is {trl.GRPOConfig.__module__}"
