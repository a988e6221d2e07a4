import itertools
import random

import pytest

from trl_r1.inference import Pool, group_answers, is_decided, scaling_curves, winner
from trl_r1.inference.votes import best_of_k, consensus_at_k, group_votes, pass_at_k
from trl_r1.trace import Trace


def trace(completion):
    return Trace(prompt_id="p", prompt="p", completion=completion)


def answer(text):
    return f"<think>the sum is clear</think> \\boxed{{{text}}}"


def test_pass_at_k_is_the_share_of_choices_with_a_right_sample():
    right = [True, False, False, True, False]
    for k in range(1, 6):
        choices = list(itertools.combinations(right, k))
        assert pass_at_k(5, 2, k) == pytest.approx(sum(map(any, choices)) / len(choices))
    assert pass_at_k(64, 0, 16) == 0.0
    assert pass_at_k(64, 64, 16) == 1.0
    for k in (0, 5):
        with pytest.raises(ValueError, match="expected a k from 1 to 4"):
            pass_at_k(4, 2, k)
        with pytest.raises(ValueError, match="expected a k from 1 to 4"):
            consensus_at_k([0] * 4, [True] * 4, k)


def test_consensus_is_the_majority_and_a_tie_counts_half():
    assert consensus_at_k([0, 0, 1], [True, True, False], 3) == 1.0
    assert consensus_at_k([0, 1, 1], [True, False, False], 3) == 0.0
    assert consensus_at_k([0, 1], [True, False], 2) == 0.5
    assert consensus_at_k([0], [True], 1) == 1.0
    assert consensus_at_k([0, 1, 2], [True, False, False], 3) == pytest.approx(1 / 3)
    assert consensus_at_k([0, None, None], [True, False, False], 3) == 1.0
    assert consensus_at_k([None, None], [False, False], 2) == 0.0


def test_consensus_of_k_is_the_exact_mean_over_all_choices_and_close_to_it_where_they_are_too_many():
    votes = [0] * 6 + [1] * 4 + [2] * 2
    right = [True] * 6 + [False] * 6
    # One vote: whoever is drawn wins. Of 3: counted by hand over the C(12, 3) = 220 choices.
    assert consensus_at_k(votes, right, 1) == pytest.approx(0.5)
    wins = 0.0
    for choice in itertools.combinations(range(12), 3):
        counts = [sum(votes[i] == group for i in choice) for group in range(3)]
        most = max(counts)
        wins += (counts[0] == most) / sum(count == most for count in counts)
    assert consensus_at_k(votes, right, 3) == pytest.approx(wins / 220)

    votes, right = votes * 4, right * 4  # C(48, 5) = 1.7 million choices
    draw = random.Random(0)
    often = 0.0
    for _ in range(20_000):
        counts = [0, 0, 0]
        for vote in draw.sample(votes, 5):
            counts[vote] += 1
        often += (counts[0] == max(counts)) / sum(count == max(counts) for count in counts)
    assert consensus_at_k(votes, right, 5) == pytest.approx(often / 20_000, abs=0.06)


def test_votes_are_grouped_by_mathematical_equality():
    traces = [trace(answer(a)) for a in ("4", "1/2", "0.5", "\\frac{1}{2}", "7")] + [trace("<think>cut")]
    groups = group_votes(traces, [True, False, False, False, False, False])
    assert groups == [0, 1, 1, 1, 2, None]


def test_the_winner_stands_for_the_largest_group_and_among_its_members_weighs_most():
    assert winner([None, 2, 0, 2]) == 1
    assert winner([1, 0, 0, 1]) == 0  # tied: the first to appear
    assert winner([None, None]) is None
    assert winner([0, 0, 1], [0.2, 0.3, 0.9]) == 2
    assert winner([0, 0, 1], [0.5, 0.6, 0.9]) == 1


def test_answers_without_a_gold_are_grouped_by_equality():
    texts = [answer("1/2"), answer("7"), "<think>cut", answer("0.5"), answer("7.0")]
    assert group_answers(texts) == [0, 1, None, 0, 1]


@pytest.mark.parametrize("so_far", [[0, 0, 1], [0, 0, 0], [1, 0, 0, 0], [0, None], [], [0, 1, 2, 0, 0]])
def test_a_vote_is_decided_where_no_continuation_changes_the_winner(so_far):
    for left in range(5):
        winners = set()
        for rest in itertools.product([0, 1, 2, 3, None], repeat=left):
            groups = [*so_far, *rest]
            position = winner(groups)
            winners.add(None if position is None else groups[position])
        assert is_decided(so_far, left) == (len(winners) == 1)


def test_the_best_of_k_is_the_mean_over_all_choices_and_ties_are_broken_at_random():
    scores, right = [0.1, 0.5, 0.5, 0.9, 0.2], [True, True, False, False, True]
    for k in range(1, 6):
        wins = []
        for choice in itertools.combinations(range(5), k):
            top = max(scores[i] for i in choice)
            best = [right[i] for i in choice if scores[i] == top]
            wins.append(sum(best) / len(best))
        assert best_of_k(scores, right, k) == pytest.approx(sum(wins) / len(wins))


def test_a_weighted_vote_of_all_counts_weights():
    votes, right = [0, 0, 1], [False, False, True]
    assert consensus_at_k(votes, right, 3) == 0.0
    assert consensus_at_k(votes, right, 3, [0.2, 0.2, 0.9]) == 1.0


def test_curves_rise_in_powers_of_two_up_to_the_smallest_pool_and_count_tokens():
    easy = Pool((True,) * 5, (0,) * 5, 10.0, (0.5,) * 5)
    mixed = Pool((True, True, False, True, False, True), (0, 0, 1, 0, 2, 0), 30.0, (0.9, 0.8, 0.1, 0.9, 0.2, 0.7))
    curves = scaling_curves([easy, mixed])
    assert sorted(curves) == ["any", "best_of_n", "vote", "weighted_vote"]
    for points in curves.values():
        assert [point["samples"] for point in points] == [1, 2, 4]
        assert [point["tokens"] for point in points] == [20.0, 40.0, 80.0]
        assert points[0]["accuracy"] == pytest.approx((1 + 4 / 6) / 2)
        assert points[-1]["accuracy"] > points[0]["accuracy"]
    assert curves["any"][0]["stderr"] == pytest.approx(1 / 6)


def test_a_score_below_zero_weighs_no_vote_and_a_missing_one_chooses_nothing():
    pool = Pool((True, False), (0, 1), 10.0, (1.0, -1.0))
    assert sorted(scaling_curves([pool])) == ["any", "best_of_n", "vote"]
    assert sorted(scaling_curves([Pool((True, False), (0, 1), 10.0, (1.0, None))])) == ["any", "vote"]
    assert scaling_curves([]) == {}
