"""Two ranks with dynamic sampling, curriculum, compact generation and awaited rewards: in step, and resumed exactly."""

import json
import sys

import pytest

from tests.grpo.tiny import save_tiny_model

from .test_two_ranks import environment, launcher_arguments, run_in_own_group


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["cpu_ddp", "cpu_zero3"])
def found(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, "-m", "accelerate.commands.launch", *launcher_arguments(request.param)]
    command += ["-m", "tests.integration.rounds_ranks", save_tiny_model(folder / "model"), str(folder)]
    code, said = run_in_own_group(command, environment(request.param))
    assert code == 0, said[-6000:]
    return json.loads((folder / "found.json").read_text())


def test_every_group_of_both_ranks_has_variance(found):
    for rank in found["ranks"]:
        assert min(rank["spread"]) > 0.1
        assert set(rank["rows"]) == {8}


def test_the_ranks_take_the_same_rounds_though_they_lack_different_numbers_of_groups(found):
    one, other = found["ranks"]
    assert one["zero_std"] != other["zero_std"]
    sizes = [[[len(prompts) for prompts in rounds] for rounds in rank["rounds"]] for rank in (one, other)]
    assert sizes[0] == sizes[1]
    assert max(map(len, sizes[0])) > 1


def test_no_prompt_is_offered_to_both(found):
    """Unless all 15 are taken already."""
    one, other = (rank["rounds"] for rank in found["ranks"])
    for mine, theirs in zip(one, other):
        offered = [prompt for prompts in [*mine, *theirs] for prompt in prompts]
        assert len(set(offered)) == min(len(offered), 15)


def test_the_normaliser_counts_the_tokens_of_both(found):
    one, other = found["ranks"]
    assert one["normaliser"] == other["normaliser"] == [a + b for a, b in zip(one["tokens"], other["tokens"])]
    assert one["tokens"] != other["tokens"]


def test_the_ranks_agree_on_what_is_known_of_the_prompts(found):
    one, other = found["ranks"]
    assert one["rates"] == other["rates"]
    assert one["drawn"] == other["drawn"] > 0
    assert any(float(entry.get("prompt_curriculum/replaced", 0)) > 0 for entry in found["log"])


def test_rows_that_have_ended_are_left_out(found):
    """A round has at least four rows on each rank."""
    assert all(rank["fewest_rows"] < 4 for rank in found["ranks"])


def test_resumed_it_is_the_same_number_for_number(found):
    assert found["resumed"] == found["log"]
    assert found["weights_apart"] == 0
