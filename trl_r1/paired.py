r"""
Two models on the same problems: is one better than the other?

Problems differ in difficulty far more than models differ in skill, so what is compared is each problem's own difference.
With the pass rate \( p_i \) of each model on problem \( i \) of \( n \), the mean over its samples,

$$d_i = p_i^{(b)} - p_i^{(a)}, \qquad \bar d = \frac{1}{n} \sum_i d_i, \qquad
\mathrm{stderr} = \sqrt{\frac{\sum_i (d_i - \bar d)^2}{n (n - 1)}}$$

(arXiv 2411.00640, section 4: paired differences, clustered by question). The p-value is that of the sign-flip test
(Fisher): where neither model is better, each \( d_i \) is as likely to be \( -d_i \); it is the share of choices of signs
\( s \) with \( |\sum_i s_i d_i| \ge |\sum_i d_i| \). It needs no assumption about the distribution of the \( d_i \), which a
t-test on AIME's 30 problems does.
"""

import itertools
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from .scores import mean_and_error


_ALL_SIGNS_UP_TO = 14  # 2^14 choices of signs are gone through; of more, so many are drawn:
_DRAWS = 20_000


def compare(first: Mapping[str, float], second: Mapping[str, float], seed: str = "") -> dict[str, Any] | None:
    """
    Compare the pass rates of two models on the problems that both have.

    Args:
        first (`Mapping[str, float]`):
            Pass rate of the first model by problem.
        second (`Mapping[str, float]`):
            Pass rate of the second model by problem.
        seed (`str`, *optional*):
            Seed of the signs, where they are drawn.

    Returns:
        `dict[str, Any]` or `None`: `n_prompts`, `difference` (second less first), `difference_stderr` and `p_value`,
        two-sided; `None` where no problem is common. The error of a single problem is 0.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    differences = [second[problem] - first[problem] for problem in common]
    mean, error = mean_and_error(differences)
    return {
        "n_prompts": len(differences),
        "difference": mean,
        "difference_stderr": error,
        "p_value": sign_flip_p([each for each in differences if each], seed),
    }


def sign_flip_p(differences: list[float], seed: str = "") -> float:
    """
    Return the two-sided p-value of the sign-flip test.

    Exact for at most 14 differences; for more, 20,000 choices of signs are drawn, and the observed one counts as one of
    them, so that it is never 0.

    Args:
        differences (`list[float]`):
            Differences other than 0, which no sign changes.
        seed (`str`, *optional*):
            Seed of the draws.
    """
    if not differences:
        return 1.0
    values = np.asarray(differences)
    least = abs(values.sum()) * (1 - 1e-12)  # sums in another order differ by rounding
    if len(values) <= _ALL_SIGNS_UP_TO:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(values))))
        return float((abs(signs @ values) >= least).mean())
    draw = np.random.default_rng(random.Random(f"{seed}:{len(values)}").getrandbits(64))
    beyond = 0
    for _ in range(0, _DRAWS, 1000):  # (1000, n) signs at a time
        signs = draw.integers(0, 2, size=(1000, len(values))) * 2.0 - 1.0
        beyond += int((abs(signs @ values) >= least).sum())
    return (1 + beyond) / (1 + _DRAWS)


def compare_all(rates: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """
    Compare every two models.

    Args:
        rates (`Mapping[str, Mapping[str, float]]`):
            Pass rates by problem, by model.

    Returns:
        `list[dict[str, Any]]`: for each pair, in the order of the models, `models` and what [`compare`] returns.
    """
    found = []
    for (a, first), (b, second) in itertools.combinations(rates.items(), 2):
        if (result := compare(first, second, f"{a}:{b}")) is not None:
            found.append({"models": [a, b], **result})
    return found
