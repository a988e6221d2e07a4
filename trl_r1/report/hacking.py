"""Is a preference reward hacked? It rises while what rules can verify falls (paper, v2 B.5)."""

from dataclasses import dataclass
from statistics import fmean

from ..lineage import StageRecord
from ..scores import mean_and_error


LEAST_FALL = 0.03  # of the solve rate, and more than twice the standard error of the two windows' difference
_WINDOWS = 8


@dataclass(frozen=True)
class Hacking:
    """
    What the log of a stage with a preference reward says.

    Args:
        stage (`str`):
            The stage.
        reward (`str`):
            Name of the preference reward.
        flagged (`bool`):
            Whether it rose while accuracy fell.
        since (`int`):
            Where accuracy was highest.
        preference, accuracy (`tuple[float, float]`):
            There, and at the end.
    """

    stage: str
    reward: str
    flagged: bool
    since: int
    preference: tuple[float, float]
    accuracy: tuple[float, float]


def hacking_of(stage: StageRecord) -> list[Hacking]:
    """
    Compare, for each preference reward, the part of the training in which accuracy was highest with its end.

    The steps that have both are cut into eight windows. Flagged is a fall of accuracy of at least `LEAST_FALL` that is more
    than twice its standard error (from the spread within the windows), while the preference reward rose.
    """
    accuracy = dict(stage.logged("solve_rate"))
    keys = dict.fromkeys(key for entry in stage.log_history for key in entry)
    found = []
    for key in (key for key in keys if key.startswith("rewards/") and key.endswith("/mean")):
        name = key.removeprefix("rewards/").removesuffix("/mean")
        if "preference" not in name.lower() and "safety" not in name.lower():
            continue
        preference = dict(stage.logged(key))
        steps = sorted(preference.keys() & accuracy.keys())
        if len(steps) < _WINDOWS:
            continue
        windows = [steps[i * len(steps) // _WINDOWS : (i + 1) * len(steps) // _WINDOWS] for i in range(_WINDOWS)]
        best = max(windows, key=lambda window: fmean(accuracy[step] for step in window))
        end = windows[-1]
        (was, error), (now, error_now) = (mean_and_error([accuracy[step] for step in w]) for w in (best, end))
        liked = tuple(fmean(preference[step] for step in window) for window in (best, end))
        fell = was - now >= max(LEAST_FALL, 2 * (error**2 + error_now**2) ** 0.5)
        found.append(
            Hacking(stage.name, name, fell and liked[1] > liked[0], int(best[0]), (liked[0], liked[1]), (was, now))
        )
    return found
