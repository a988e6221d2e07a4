"""Which prompts a generation takes: replaced groups, the curriculum's draws, the stream, and how batches are joined."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset

from trl_r1.errors import ConfigError
from trl_r1.solve_rates import FILE, SolveRates, read_solve_rates


pytest.importorskip("trl_r1.grpo.prompt_stream")

from trl_r1.grpo.curriculum import FLOOR, PromptCurriculum, SaveAtEnd
from trl_r1.grpo.dynamic_sampling import GroupReplacement, check_dynamic_sampling, join_batches
from trl_r1.grpo.prompt_stream import PromptStream, check_prompt_stream


class TestGroupReplacement:
    @pytest.mark.parametrize(
        ("with_variance", "asked_for"),
        [
            (2, 6),  # 4 missing, a third will do: 12, and at most a batch
            (4, 3),  # 2 missing: 3
            (5, 2),  # 1 missing: 6 / 5, rounded up
            (6, 0),
            (0, 6),
        ],
    )
    def test_samples_as_many_as_are_missing_by_the_share_that_had_variance(self, with_variance, asked_for):
        offered = [True] * with_variance + [False] * (6 - with_variance)
        assert GroupReplacement(offered, 1, 0, max_rounds=9).groups_to_sample() == asked_for

    def test_the_share_is_of_all_that_was_sampled_so_far(self):
        choice = GroupReplacement([True] * 7 + [False], 1, 0, max_rounds=9)
        assert choice.groups_to_sample() == 2  # 8 / 7
        choice.add([False] * 6)
        assert choice.groups_to_sample() == 2  # 14 / 7
        choice.add([False])
        assert choice.groups_to_sample() == 3  # 15 / 7
        choice.add([True])
        assert choice.groups_to_sample() == 0

    def test_fills_places_in_order_and_leaves_what_is_left_over(self):
        choice = GroupReplacement([False, True, False, False], 1, 0, max_rounds=9)
        assert choice.places == [(0, 0), (0, 1), (0, 2), (0, 3)]
        choice.add([False, True, False])
        assert choice.places == [(1, 1), (0, 1), (0, 2), (0, 3)]
        choice.add([True, True, True, True])
        assert choice.places == [(1, 1), (0, 1), (2, 0), (2, 1)]
        assert choice.rounds == 2
        assert choice.groups_to_sample() == 0

    def test_ends_with_the_last_round_that_is_allowed(self):
        choice = GroupReplacement([False, True], 1, 0, max_rounds=2)
        for _ in range(2):
            assert choice.groups_to_sample() == 2
            choice.add([False, False])
        assert choice.groups_to_sample() == 0
        assert choice.metrics(4) == {
            "dynamic_sampling/rounds": 2,
            "dynamic_sampling/extra_completions": 16,
            "dynamic_sampling/frac_reward_zero_std": 0.5,
        }

    def test_where_nothing_is_missing_nothing_is_sampled(self):
        choice = GroupReplacement([True, True], 1, 0, max_rounds=1)
        assert choice.groups_to_sample() == 0
        assert set(choice.metrics(8).values()) == {0}

    def test_ranks_take_the_rounds_of_the_one_that_lacks_most_and_replace_their_own(self):
        offered = [True, False, True, True, False, False]  # three groups on each of two ranks
        ranks = [GroupReplacement(offered, 2, rank, max_rounds=9) for rank in range(2)]
        assert [rank.groups_to_sample() for rank in ranks] == [3, 3]  # 2 missing, half will do: 4, and at most 3
        for rank in ranks:
            rank.add([False, True, True, True, False, False])
        assert ranks[0].places == [(0, 0), (1, 1), (0, 2)]
        assert ranks[1].places == [(0, 0), (1, 0), (0, 2)]
        assert [rank.groups_to_sample() for rank in ranks] == [2, 2]  # 1 missing on the second
        assert ranks[0].metrics(4) == ranks[1].metrics(4)
        assert ranks[0].metrics(4)["dynamic_sampling/frac_reward_zero_std"] == 1 / 6
        # What one rank has too much of is of no use to the other.
        for rank in ranks:
            rank.add([True, True, False, False])
        assert ranks[0].places == [(0, 0), (1, 1), (0, 2)]
        assert [rank.groups_to_sample() for rank in ranks] == [2, 2]  # 16 / 8


class TestCurriculum:
    def test_what_was_not_seen_is_always_offered(self):
        choice = PromptCurriculum(seed=0, num_generations=4)
        assert all(choice.is_offered("new", str(i)) for i in range(50))

    def share(self, choice, prompt, n=2000):
        return sum(choice.is_offered(prompt, str(i)) for i in range(n)) / n

    def test_a_prompt_is_offered_with_the_chance_that_its_group_teaches(self):
        choice = PromptCurriculum(seed=3, num_generations=4)
        choice.remember(5, ["half", "solved"], ["math", None], [(2, 4), (4, 4)])
        for prompt in ("half", "solved"):
            chance = choice.rates[prompt].chance_to_teach(4)
            assert FLOOR < chance < 1
            assert self.share(choice, prompt) == pytest.approx(chance, abs=0.03)
        assert choice.rates["half"].chance_to_teach(4) > choice.rates["solved"].chance_to_teach(4)

    def test_what_is_mastered_is_offered_with_the_least_chance(self):
        choice = PromptCurriculum(seed=3, num_generations=4)
        choice.remember(0, ["solved"], [None], [(400, 400)])
        assert choice.rates["solved"].chance_to_teach(4) < FLOOR == 0.1
        assert self.share(choice, "solved") == pytest.approx(FLOOR, abs=0.02)

    def test_the_draw_hangs_on_the_seed_and_the_occasion(self):
        def draws(seed):
            choice = PromptCurriculum(seed, num_generations=4)
            choice.remember(0, ["a"], [None], [(2, 4)])
            return [choice.is_offered("a", str(i)) for i in range(40)]

        assert draws(1) == draws(1)
        assert draws(1) != draws(2)
        assert len(set(draws(1))) == 2

    def test_remembers_what_was_judged(self):
        choice = PromptCurriculum(seed=0, num_generations=4)
        choice.remember(1, ["a", "b", "c"], ["math", None, 7], [(1, 4), (0, 0), (0, 3)])
        choice.remember(2, ["a"], ["law"], [(4, 4)])
        assert choice.rates == {
            "a": SolveRates("math", [1, 2], [1, 4], [4, 4]),
            "c": SolveRates("7", [1], [0], [3]),
        }
        with pytest.raises(ValueError, match="zip"):
            choice.remember(3, ["a"], [], [(1, 4)])

    def test_what_is_saved_is_loaded(self, tmp_path):
        choice = PromptCurriculum(seed=0, num_generations=4)
        choice.remember(1, ["a"], ["math"], [(1, 4)])
        choice.save(str(tmp_path / "one"), str(tmp_path / "two"))
        for folder in ("one", "two"):
            other = PromptCurriculum(seed=0, num_generations=4)
            other.load(str(tmp_path / folder))
            assert other.rates == choice.rates

    @pytest.mark.parametrize("first", [True, False])
    def test_is_saved_by_one_process_when_training_ends(self, first, tmp_path):
        choice = PromptCurriculum(seed=0, num_generations=4)
        choice.remember(1, ["a"], ["math"], [(1, 4)])
        state = SimpleNamespace(is_world_process_zero=first)
        SaveAtEnd(choice).on_train_end(SimpleNamespace(output_dir=str(tmp_path)), state, None)
        assert (tmp_path / FILE).exists() is first
        if first:
            assert read_solve_rates(tmp_path) == choice.rates


def rows(n):
    return [{"prompt": str(i)} for i in range(n)]


def name(row):
    return row["prompt"]


class TestStream:
    def test_each_pass_is_another_order_of_all_rows(self):
        stream = PromptStream(rows(8), seed=5)
        passes = [[stream.next() for _ in range(8)] for _ in range(3)]
        assert all(sorted(each) == list(range(8)) for each in passes)
        assert len({tuple(each) for each in passes}) == 3
        assert stream.position == 24
        again = PromptStream(rows(8), seed=5)
        again.position = 13
        assert again.next() == passes[1][5]

    def test_draws_what_is_not_taken(self):
        stream = PromptStream(rows(6), seed=5)
        order = [stream.next() for _ in range(6)]
        stream.position = 0
        taken = {str(order[0]), str(order[2])}
        drawn = stream.draw(2, taken, name)
        assert [int(name(row)) for row in drawn] == [order[1], order[3]]
        assert taken == {str(i) for i in order[:4]}
        assert stream.position == 4

    def test_what_is_taken_comes_again_where_a_whole_pass_finds_nothing_else(self):
        stream = PromptStream(rows(3), seed=5)
        assert len(stream.draw(2, {"0", "1", "2"}, name)) == 2
        assert stream.position == 8

    def test_asks_on_each_occasion_whether_a_prompt_is_offered(self):
        stream = PromptStream(rows(4), seed=5)
        order = [stream.next() for _ in range(4)]
        stream.position = 0
        asked = []

        def is_offered(prompt, occasion):
            asked.append((prompt, occasion))
            return occasion == "2"

        assert [int(name(row)) for row in stream.draw(1, set(), name, is_offered)] == [order[2]]
        assert asked == [(str(order[i]), str(i)) for i in range(3)]

    def test_draws_nothing_where_nothing_is_asked_for(self):
        stream = PromptStream(rows(4), seed=5)
        assert stream.draw(0, set(), name) == []
        assert stream.position == 0

    def test_needs_rows_by_number_and_in_no_order_of_their_own(self):
        data = Dataset.from_list(rows(2))
        check_prompt_stream(data, True, "prompt_curriculum")
        for wrong, shuffled in ((data.to_iterable_dataset(), True), (data, False)):
            with pytest.raises(ConfigError) as error:
                check_prompt_stream(wrong, shuffled, "prompt_curriculum")
            assert error.value.key == "prompt_curriculum"


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
        assert joined["importance_sampling_ratio"].tolist()[0] == [2.0, 1.0, 1.0]

    def test_numbers_of_one_a_row_need_no_padding_and_other_tensors_are_refused(self):
        one = {**self.batch(2, 1, 1, 10), "weights": torch.tensor([1.0, 2.0])}
        assert join_batches([one], [(0, 1)], 0)["weights"].tolist() == [2.0]
        one["weights"] = torch.ones(2, 3)
        with pytest.raises(NotImplementedError, match="'weights'"):
            join_batches([one], [(0, 1)], 0)
