"""What dynamic sampling refuses, how it joins batches, the order of further prompts, and the curriculum's memory."""

from types import SimpleNamespace

import pytest
import torch

from trl_r1.errors import ConfigError
from trl_r1.solve_rates import FILE, read_solve_rates


pytest.importorskip("trl_r1.grpo.curriculum")

from trl_r1.grpo.curriculum import PromptCurriculum, SaveAtEnd
from trl_r1.grpo.dynamic_sampling import GroupReplacement, check_dynamic_sampling, join_batches
from trl_r1.grpo.metrics import groups_of
from trl_r1.grpo.prompt_stream import PromptStream


@pytest.mark.parametrize("first", [True, False])
def test_the_curriculum_is_saved_by_one_process_when_training_ends(first, tmp_path):
    choice = PromptCurriculum(seed=0, num_generations=4)
    choice.remember(1, ["a"], ["math"], [(1, 4)])
    state = SimpleNamespace(is_world_process_zero=first)
    SaveAtEnd(choice).on_train_end(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    assert (tmp_path / FILE).exists() is first
    if first:
        assert read_solve_rates(tmp_path) == choice.rates


def test_the_curriculum_wants_as_many_domains_and_counts_as_prompts():
    with pytest.raises(ValueError, match="zip"):
        PromptCurriculum(seed=0, num_generations=4).remember(3, ["a"], [], [(1, 4)])


@pytest.mark.parametrize("varying", [0, 1])
def test_one_reward_that_varies_is_enough_where_each_is_centred_by_itself(varying):
    rewards = [[1.0, 1.0] for _ in range(4)]
    rewards[2][varying] = 0.0
    (group,) = groups_of(rewards, [1.0, 1.0], [0], 4, by_function=True)
    assert not group.zero_std


def test_one_group_of_two_without_variance_takes_two_for_one():
    assert GroupReplacement([True, False], 1, 0, max_rounds=9).groups_to_sample() == 2


class TestPromptStream:
    def stream(self, n):
        return PromptStream([{"prompt": str(i)} for i in range(n)], seed=5)

    def draw(self, stream, n, taken):
        return [int(row["prompt"]) for row in stream.draw(n, taken, lambda row: row["prompt"])]

    def test_each_pass_is_another_order_of_all_rows_and_a_position_is_a_place_in_it(self):
        stream = self.stream(8)
        passes = [[stream.next() for _ in range(8)] for _ in range(3)]
        assert all(sorted(each) == list(range(8)) for each in passes)
        assert len({tuple(each) for each in passes}) == 3
        assert stream.position == 24
        for start in (0, 13):
            again = self.stream(8)
            again.position = start
            assert again.next() == passes[start // 8][start % 8]

    def test_passes_over_what_is_taken(self):
        order = self.draw(self.stream(6), 6, set())
        stream = self.stream(6)
        taken = {str(order[0]), str(order[2])}
        assert self.draw(stream, 2, taken) == [order[1], order[3]]
        assert taken == {str(i) for i in order[:4]}
        assert stream.position == 4

    def test_takes_again_what_is_taken_where_a_whole_pass_finds_nothing_else(self):
        stream = self.stream(3)
        assert len(self.draw(stream, 2, {"0", "1", "2"})) == 2
        assert stream.position == 8  # three passed over and one taken, twice


GOOD = {
    "scale_rewards": "group",
    "multi_objective_aggregation": "sum_then_normalize",
    "per_device_train_batch_size": 8,
    "steps_per_generation": 2,
    "num_generations": 4,
    "max_sampling_rounds": 1,
}


class TestWhatItCannotBeCombinedWith:
    @pytest.mark.parametrize("columns", [None, [], ["prompt", "solution"]])
    @pytest.mark.parametrize("changes", [{}, {"per_device_train_batch_size": 6}, {"scale_rewards": "none"}])
    def test_all_the_rest_can(self, changes, columns):
        check_dynamic_sampling(SimpleNamespace(**GOOD | changes), columns)

    @pytest.mark.parametrize(
        ("changes", "columns", "says", "key"),
        [
            ({"scale_rewards": "batch"}, None, "`scale_rewards: batch`", "dynamic_sampling"),
            (
                {"multi_objective_aggregation": "normalize_then_sum"},
                None,
                "`multi_objective_aggregation: normalize_then_sum`",
                "dynamic_sampling",
            ),
            ({"num_generations": 5}, None, "= 16) must be a multiple of num_generations = 5", "dynamic_sampling"),
            ({"max_sampling_rounds": 0}, None, "at least 1, got 0", "max_sampling_rounds"),
            ({}, ["prompt", "image"], "'image'", "dynamic_sampling"),
            ({}, ["images"], "'images'", "dynamic_sampling"),
        ],
    )
    def test_is_said(self, changes, columns, says, key):
        with pytest.raises(ConfigError) as error:
            check_dynamic_sampling(SimpleNamespace(**GOOD | changes), columns)
        assert says in error.value.message
        assert error.value.key == key


class TestJoinedBatches:
    def batch(self, n, prompt, completion, first):
        return {
            "prompt_ids": torch.full((n, prompt), first),
            "prompt_mask": torch.ones(n, prompt, dtype=torch.long),
            "completion_ids": torch.full((n, completion), first + 1),
            "completion_mask": torch.ones(n, completion, dtype=torch.long),
            "tool_mask": torch.zeros(n, completion, dtype=torch.long),
            "old_per_token_logps": torch.full((n, completion), -1.0),
            "ref_per_token_logps": torch.full((n, completion), -2.0),
            "sampling_per_token_logps": torch.full((n, completion), -3.0),
            "importance_sampling_ratio": torch.full((n, completion), 2.0),
            "advantages": torch.arange(n) + float(first),
            "num_items_in_batch": torch.tensor(9),
        }

    def test_rows_come_from_where_they_are_and_are_padded_by_their_kind(self):
        one, two = self.batch(2, 1, 3, 10), self.batch(3, 2, 1, 20)
        joined = join_batches([one, two], [(1, 2), (0, 1), (0, 0)], pad_token_id=7)
        assert "num_items_in_batch" not in joined
        assert joined["advantages"].tolist() == [22.0, 11.0, 10.0]
        assert joined["prompt_ids"].tolist() == [[20, 20], [7, 10], [7, 10]]
        assert joined["prompt_mask"].tolist() == [[1, 1], [0, 1], [0, 1]]
        assert joined["completion_ids"].tolist() == [[21, 7, 7], [11, 11, 11], [11, 11, 11]]
        assert joined["completion_mask"].tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 1]]
        assert joined["tool_mask"].tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0]]
        assert joined["old_per_token_logps"].tolist()[0] == [-1.0, 0.0, 0.0]
        assert joined["ref_per_token_logps"].tolist()[0] == [-2.0, 0.0, 0.0]
        assert joined["sampling_per_token_logps"].tolist()[0] == [-3.0, 0.0, 0.0]
        assert joined["importance_sampling_ratio"].tolist()[0] == [2.0, 1.0, 1.0]

    def test_numbers_of_one_a_row_need_no_padding_and_other_tensors_are_refused(self):
        one = {**self.batch(2, 1, 1, 10), "weights": torch.tensor([1.0, 2.0])}
        assert join_batches([one], [(0, 1)], 0)["weights"].tolist() == [2.0]
        one["weights"] = torch.ones(2, 3)
        with pytest.raises(NotImplementedError, match="'weights'"):
            join_batches([one], [(0, 1)], 0)
