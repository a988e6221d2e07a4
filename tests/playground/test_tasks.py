"""Problems have one right answer, and no held-out problem has a permutation in training."""

import itertools
import random

import pytest

from trl_r1.playground.tasks import DOMAINS, LABELS, NO_ANSWER, Problem, distinct_problems, draw_problem


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_solution_is_the_answer(domain):
    rng = random.Random(1)
    counts = set()
    for _ in range(400):
        problem = draw_problem(domain, rng)
        counts.add(len(problem.numbers))
        if domain == "sums":
            assert int(problem.solution) == sum(problem.numbers)
            continue
        fitting = [n for n in problem.numbers if (n + problem.addend) % 10 == 0]
        assert len(fitting) == 1
        expected = str(fitting[0]) if domain == "search" else LABELS[problem.numbers.index(fitting[0])]
        assert problem.solution == expected
    assert counts == (set(range(2, 13)) if domain == "search" else {4})


@pytest.mark.parametrize("domain", ["search", "choice"])
def test_a_problem_without_an_answer_says_so(domain):
    assert draw_problem(domain, random.Random(1), solvable=False).solution == NO_ANSWER


@pytest.mark.parametrize("domain", DOMAINS)
def test_all_permutations_of_a_problem_are_in_one_part(domain):
    rng = random.Random(2)
    for _ in range(50):
        problem = draw_problem(domain, rng)
        permutations = itertools.islice(itertools.permutations(problem.numbers), 100)
        parts = {Problem(domain, numbers, problem.addend).held_out for numbers in permutations}
        assert len(parts) == 1


@pytest.mark.parametrize("domain", DOMAINS)
def test_about_a_tenth_is_held_out(domain):
    rng = random.Random(3)
    share = sum(draw_problem(domain, rng).held_out for _ in range(2000)) / 2000
    assert 0.05 < share < 0.16


def test_training_has_every_addition_that_held_out_sums_need():
    def additions(problems):
        found = set()
        for problem in problems:
            total = problem.numbers[0]
            for number in problem.numbers[1:]:
                found.add((total, number))
                total += number
        return found

    rng = random.Random(4)
    train = additions(draw_problem("sums", rng, held_out=False) for _ in range(10_000))
    held_out = additions(draw_problem("sums", rng, held_out=True) for _ in range(1_000))
    assert held_out
    assert len(held_out - train) <= len(held_out) * 0.01


def test_no_problem_is_drawn_twice_in_the_same_words():
    drawn = list(itertools.islice(distinct_problems({"sums": 0.5, "choice": 0.5}, random.Random(5), False), 500))
    prompts = [problem.prompt(language) for problem, language in drawn]
    assert len(set(prompts)) == 500
    assert {problem.domain for problem, _ in drawn} == {"sums", "choice"}
    assert {language for _, language in drawn} == {"en", "zh"}
