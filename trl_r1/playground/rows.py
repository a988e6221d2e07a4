"""
The playground's data sets, in the columns that the stages read. Pure.

Train and held-out parts share no problem, no permutation of one and no request; the two languages of a problem are in
the same part.
"""

import itertools
import random
from typing import Any

from .config import PlaygroundConfig
from .general import Request, draw_pair, every_request
from .tasks import distinct_problems


Row = dict[str, Any]

# Share of each domain among the problems.
SHARES = {"sums": 0.25, "search": 0.50, "choice": 0.25}

# Share of the answers written for supervised fine-tuning that are kind as well as right. Low on purpose: what most
# people write is right and curt, and kindness is for the preference model to ask for.
KIND_ANSWERS = 0.25


def make_rows(config: PlaygroundConfig) -> dict[str, list[Row]]:
    """
    Make every data set of a playground.

    Args:
        config ([`PlaygroundConfig`]):
            Seed and sizes.

    Returns:
        `dict[str, list[Row]]`: rows by name.

        - `train`, `heldout`: problems, with `prompt`, `solution`, `domain`, `language`.
        - `general-train`, `general-heldout`: requests, with `prompt`, `domain`, `language`, and `reference`: a right
          and curt answer, which a model's answer beats by being kind, and loses to by being wrong.
        - `general-answers`: requests with `completion` (the answer), `thought` and `simple`.
        - `preference-pairs`: `prompt`, `chosen`, `rejected`.
    """
    seed = config.seed
    return {
        "train": problem_rows(config.train_prompts, f"{seed}/train", held_out=False),
        "heldout": problem_rows(config.heldout_prompts, f"{seed}/heldout", held_out=True),
        "general-train": request_rows(config.general_prompts, f"{seed}/general-train", held_out=False),
        "general-heldout": request_rows(config.general_heldout_prompts, f"{seed}/general-heldout", held_out=True),
        "general-answers": answer_rows(config.general_answers, f"{seed}/general-answers"),
        "preference-pairs": pair_rows(config.preference_pairs, f"{seed}/preference-pairs"),
    }


def problem_rows(count: int, seed: str, held_out: bool) -> list[Row]:
    """Draw problems, no two alike, each in one language."""
    drawn = itertools.islice(distinct_problems(SHARES, random.Random(seed), held_out), count)
    return [
        {"prompt": p.prompt(language), "solution": p.solution, "domain": p.domain, "language": language}
        for p, language in drawn
    ]


def draw_requests(count: int, rng: random.Random, held_out: bool) -> list[Request]:
    """Draw requests, as many of each act and language as there are; all of them once before any comes twice."""
    by_kind: dict[tuple[str, str], list[Request]] = {}
    for request in every_request(held_out):
        by_kind.setdefault((request.language, request.act), []).append(request)
    for requests in by_kind.values():
        rng.shuffle(requests)
    share = -(-count // len(by_kind))
    drawn = [r for requests in by_kind.values() for r in itertools.islice(itertools.cycle(requests), share)]
    rng.shuffle(drawn)
    return drawn[:count]


def request_rows(count: int, seed: str, held_out: bool) -> list[Row]:
    """Draw general prompts, no two alike."""
    # twice as many as asked, because the few greetings come more than once
    requests = list(dict.fromkeys(draw_requests(2 * count, random.Random(seed), held_out)))[:count]
    return [
        {"prompt": r.prompt, "domain": "general", "language": r.language, "reference": r.curt, "simple": r.simple}
        for r in requests
    ]


def answer_rows(count: int, seed: str) -> list[Row]:
    """Write answers to training requests: all right, some of them kind."""
    rng = random.Random(seed)
    rows = []
    for request in draw_requests(count, rng, held_out=False):
        answer = request.kind(rng) if rng.random() < KIND_ANSWERS else request.curt
        row = {"prompt": request.prompt, "completion": answer, "domain": "general", "language": request.language}
        rows.append({**row, "thought": None if request.simple else request.thought, "simple": request.simple})
    return rows


def pair_rows(count: int, seed: str) -> list[Row]:
    """Draw pairs of answers to training requests."""
    rng = random.Random(seed)
    requests = list(every_request(held_out=False))
    rows = []
    for _ in range(count):
        request = rng.choice(requests)
        chosen, rejected = draw_pair(request, rng)
        row = {"prompt": request.prompt, "chosen": chosen, "rejected": rejected}
        rows.append({**row, "domain": "general", "language": request.language})
    return rows
