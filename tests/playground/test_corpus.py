"""The corpus shows every skill, none of them reliably, and nothing that is held out."""

import random
import re

import pytest

from trl_r1.language import is_mixed
from trl_r1.playground.corpus import TEMPLATE, Corpus, draw_tongue, search, work
from trl_r1.playground.general import every_request
from trl_r1.playground.tasks import DOMAINS, draw_problem
from trl_r1.text import count_reflection_words, split_completion


def documents(clean, count=3000, seed=1):
    corpus = Corpus(seed)
    return [corpus.document(clean=clean) for _ in range(count)]


def dialogues(clean, count=3000):
    """What users ask and what the assistant says."""
    return [pieces for pieces in documents(clean, count) if pieces[0].startswith("User")]


def boxed(text):
    found = re.findall(r"\\boxed\{([^{}]*)\}", text or "")
    return found[-1] if found else None


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("solvable", [True, False])
def test_work_without_slips_ends_in_the_solution(domain, solvable):
    rng = random.Random(1)
    for _ in range(100):
        problem = draw_problem(domain, rng, solvable=solvable)
        thought, answer = work(problem, draw_tongue("en", rng), rng)
        assert answer == problem.solution
        for a, b, total in re.findall(r"(\d+)\+[A-D]?(\d+)=(\d+)", thought):
            assert int(a) + int(b) == int(total)


def test_a_search_that_gives_up_answers_what_it_has_just_found_wrong():
    rng = random.Random(1)
    problem = draw_problem("search", rng)
    first = (problem.numbers.index(int(problem.solution)) + 1) % 4
    thought, answer = search(problem, draw_tongue("en", rng, 1.0, 0.0), rng, give_up=1.0, first=first)
    assert thought.endswith(", wrong. ")
    assert answer == str(problem.numbers[first]) != problem.solution


def test_of_a_hit_the_candidate_that_fits_is_given_and_what_follows_is_to_be_predicted():
    hits = [pieces for pieces in dialogues(clean=False) if re.search(r"[A-L]$", pieces[0])]
    assert len(hits) > 60
    for given, said in hits:
        numbers = dict(re.findall(r"([A-L])(\d+)", given))
        number, total = re.match(r"(\d+)\+\d=(\d+)\D", said).groups()
        assert number == numbers[given[-1]] == boxed(said)
        assert int(total) % 10 == 0
        assert not count_reflection_words(said)


def test_clean_documents_are_all_right_and_noisy_ones_mostly_not():
    def share_right(clean):
        by_prompt = {
            TEMPLATE.format(prompt=problem.prompt(language)): problem.solution
            for problem, language in drawn_problems()
            for language in ("en", "zh")
        }
        judged = [boxed(text) == by_prompt[given] for given, text in dialogues(clean) if given in by_prompt]
        assert len(judged) > 30
        return sum(judged) / len(judged)

    def drawn_problems():
        rng = random.Random(7)
        return [(draw_problem("sums", rng, held_out=False), None) for _ in range(60_000)]

    clean, noisy = share_right(True), share_right(False)
    assert clean > 0.85  # the form is noisy here too: some answers have no box
    assert noisy < 0.5


def test_the_form_is_seldom_right_and_thoughts_are_often_mixed():
    texts = [text for given, text in dialogues(clean=False) if "\\boxed" in text]
    parts = [split_completion(text) for text in texts]
    assert 0.1 < sum(part.well_formed for part in parts) / len(parts) < 0.4
    worked = [part.thought for part in parts if part.thought and part.thought.count("=") >= 3]
    assert 0.1 < sum(is_mixed(thought, languages=("en", "zh")) for thought in worked) / len(worked) < 0.6


@pytest.mark.parametrize("clean", [True, False])
def test_searches_are_seldom_tried_and_hardly_ever_worked_out(clean):
    """What emerges in RL must be rare before it, in the first part of pre-training as in the second."""
    searches = [(given, text) for given, text in dialogues(clean, 12_000) if "which of" in given or "哪个" in given]
    with_reflection = sum(bool(count_reflection_words(text)) for _, text in searches) / len(searches)
    assert 0.08 < with_reflection <= 0.20
    many = [text for given, text in searches if given.count(" ") > 10]
    assert 0.0 < sum(text.count("=") >= 6 for text in many) / len(many) < 0.06


def test_lists_are_looked_up_and_tabulated_rightly():
    found = set()
    for given, *rest in documents(clean=False):
        if re.match(r"A\d+ ", given):
            numbers = dict(re.findall(r"([A-L])(\d+)", given.split("?")[0]))
            text = given.split("?")[1] + "".join(rest)
            kind = "table" if "+" in given else "lookup"
            found.add(kind)
            for label, number, _, addend, total in re.findall(r"([A-L])(\d+)(\+(\d+)=(\d+))?", text):
                assert numbers[label] == number
                assert not total or int(number) + int(addend) == int(total)
                assert bool(total) == (kind == "table")
    assert found == {"lookup", "table"}


def test_lists_that_are_looked_up_are_longer_than_those_of_searches():
    """The last labels are learned last: in one list in eleven, they would be in too few documents."""
    lists = [given.split("?")[0] for given, *_ in documents(clean=False) if re.match(r"A\d+ ", given)]
    assert sum("L" in listed for listed in lists) / len(lists) > 0.14
    lookups = [listed for listed in lists if "+" not in listed]
    assert lookups
    assert all("G" in listed for listed in lookups)


def test_nothing_held_out_is_shown():
    held_out = {TEMPLATE.format(prompt=request.prompt) for request in every_request(held_out=True)}
    shown = {given for clean in (True, False) for given, _ in dialogues(clean)}
    assert not shown & held_out
    labelled = re.compile(r"[A-L](\d+)")
    for given in shown:
        numbers = tuple(int(n) for n in labelled.findall(given))
        if numbers:
            addend = re.search(r"(?:plus |加)(\d+)", given)
            domain = "sums" if not addend else "choice" if ("pick" in given or "选" in given) else "search"
            assert not rebuilt(domain, numbers, addend and int(addend[1])).held_out


def rebuilt(domain, numbers, addend):
    from trl_r1.playground.tasks import Problem

    return Problem(domain, numbers, addend)


def test_the_same_seed_writes_the_same_corpus():
    assert documents(False, 50, seed=3) == documents(False, 50, seed=3)
    assert documents(False, 50, seed=3) != documents(False, 50, seed=4)
