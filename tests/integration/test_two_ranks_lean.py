"""
Two processes on CPUs: a leaner step is the same step there too, although the ranks' rows differ in length and in how
many of them can move the policy. What each rank does stands in `lean_ranks.py`.
"""

import json
import sys

import pytest

from tests.grpo.test_same_gradients import qwen

from .lean_ranks import CASES, WRONG
from .test_two_ranks import environment, launcher_arguments, run_in_own_group


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["cpu_ddp", "cpu_zero3"])
def found(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, "-m", "accelerate.commands.launch", *launcher_arguments(request.param)]
    command += ["-m", "tests.integration.lean_ranks", qwen(folder / "model"), str(folder)]
    code, said = run_in_own_group(command, environment(request.param))
    assert code == 0, said[-6000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_weights_and_losses_are_those_of_trls_trainer(case, found):
    result = found[case]
    assert result["moved"] > 1e-2
    assert result["weights"] < 1e-5
    assert result["losses"] < 1e-6
    # Under ZeRO-3 the step is taken before a gradient can be seen.
    assert result["gradients"] is None or result["gradients"] < 1e-5
    if "skip_zero_advantage" in CASES[case][1]:
        # As many rows on every rank: those of the rank that has most to learn from. ZeRO-3 wants one in every call.
        all_needed = case == "one row a call" and result["gradients"] is None
        assert result["log"]["skipped_rows"] == pytest.approx(0 if all_needed else 1 / 3)


def test_wrong_mathematics_is_seen(found):
    assert found[WRONG]["weights"] > 1e-2
