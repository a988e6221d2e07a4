"""Metrics of emergence, on numbers and texts alone."""

import math

import pytest

from trl_r1.grpo.metrics import (
    Group,
    count_emergence,
    emergence_metrics,
    group_metrics,
    group_tokens,
    groups_of,
    question_language,
)


NAN = math.nan


def of_groups(rewards, weights=(1.0,), accuracy=(0,), size=2, domains=None):
    groups = groups_of(rewards, weights, accuracy, size)
    return group_metrics(groups, domains or [None] * len(groups))


class TestMetricsOfGroups:
    def test_rates_are_means_over_groups(self):
        metrics = of_groups([[1.0], [1.0], [0.0], [1.0], [0.0], [0.0]])
        assert metrics == {"solve_rate": pytest.approx(0.5), "pass@G": pytest.approx(2 / 3)}

    def test_what_is_not_judged_counts_neither_way(self):
        assert of_groups([[1.0], [NAN]])["solve_rate"] == 1
        metrics = of_groups([[NAN], [NAN], [1.0], [0.0]])
        assert (metrics["solve_rate"], metrics["pass@G"]) == (0.5, 1)
        assert of_groups([[NAN], [NAN]]) == {}

    def test_several_accuracy_rewards_share_the_work(self):
        # Mathematics is judged by the first, code by the second.
        rewards = [[1.0, NAN], [0.0, NAN], [NAN, 1.0], [NAN, 1.0]]
        metrics = of_groups(rewards, (1.0, 1.0), (0, 1), domains=["math", "code"])
        assert metrics["solve_rate/math"] == 0.5
        assert metrics["solve_rate/code"] == 1

    def test_part_of_the_tests_passed_is_not_solved(self):
        assert of_groups([[0.9], [1.0]])["solve_rate"] == 0.5


class TestGroups:
    def solved(self, rewards, accuracy):
        return [(group.solved, group.judged) for group in groups_of(rewards, [1.0, 1.0], accuracy, 2)]

    def test_count_what_is_solved_of_what_is_judged(self):
        rewards = [[1.0, 0.0], [0.5, 0.0], [NAN, 0.0], [NAN, 1.0]]
        assert self.solved(rewards, [0]) == [(1, 2), (0, 0)]
        assert self.solved(rewards, [1]) == [(0, 2), (1, 2)]

    def test_what_two_accuracy_rewards_judge_both_must_give_full_marks(self):
        assert self.solved([[1.0, 0.0], [1.0, 1.0]], [0, 1]) == [(1, 2)]

    def test_follow_one_another(self):
        groups = groups_of([[1.0], [0.0], [1.0], [1.0]], [1.0], [0], 2)
        assert groups == [Group(1, 2, False), Group(2, 2, True)]

    def test_lengths_of_the_group_come_with_each_row(self):
        assert group_tokens([1, 2, 3, 4], 2) == [[1, 2], [1, 2], [3, 4], [3, 4]]


class TestEmergence:
    def test_counts_of_ranks_add_up(self):
        one = count_emergence(["<think>wait, the sum is two</think> 2"], ["en"], [False], ["en", "zh"])
        two = count_emergence(["<think>等等，错误</think> 2", "check"], ["zh", "zh"], [True, False], ["en", "zh"])
        metrics = emergence_metrics([one, two])
        words = 5 + 4 + 1
        assert metrics["reflection/wait"] == pytest.approx(1000 / words)
        assert metrics["reflection/等等"] == metrics["reflection/错误"] == pytest.approx(1000 / words)
        assert metrics["reflection/check"] == pytest.approx(1000 / words)
        assert metrics["reflection_per_1000_words"] == pytest.approx(4000 / words)
        assert metrics["language_share"] == pytest.approx((1 + 1 + 0) / 3)
        assert metrics["truncated"] == pytest.approx(1 / 3)

    def test_only_the_thought_is_looked_at_where_there_is_one(self):
        counts = count_emergence(["<think>so be it</think> wait wait"], ["en"], [False], ["en"])
        assert counts["words"] == 3
        assert not any(count for name, count in counts.items() if name.startswith("reflection/"))

    def test_nothing_said_is_nothing_counted(self):
        metrics = emergence_metrics([count_emergence(["12 + 3 = 15"], ["en"], [False])])
        assert metrics == {"truncated": 0}
        assert "language_share" not in emergence_metrics([count_emergence(["one two"], [None], [False])])

    def test_language_tags_are_read_by_their_first_part(self):
        assert count_emergence(["你好"], ["zh-CN"], [False])["language_share"] == 1

    def test_the_language_of_a_question(self):
        assert question_language("二加三等于多少？", ("en", "zh")) == "zh"
        assert question_language("What is the sum of two and three?", ("en", "zh")) == "en"
        assert question_language("2 + 3 = ?") is None
