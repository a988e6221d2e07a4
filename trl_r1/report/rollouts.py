"""
How reflection, length and accuracy grow in an RL stage, read from what was sampled while it trained (`rollouts/`).

A run may hold more than can be read in seconds: then the shards are taken evenly over the training, and of each its first
rows, until `MAX_ROWS` rows or `MAX_BYTES` of text are read.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ..data_files import parquet_files
from ..lineage import StageRecord
from ..scores import mean_and_error
from ..solved import is_solved
from ..text import find_reflection_words, split_completion
from .chart import Band, Point
from .texts import Piece, pieces_of


MAX_FILES, MAX_ROWS, MAX_BYTES = 300, 40_000, 48 << 20
BINS = 30
EDGE = 0.2  # the share of the training that counts as early, and as late
_Z = 1.96
_MOST_WITHOUT = 0.05  # words of reflection per completion, below which there is nothing to double

# Of the words of reflection, those that announce a check, which may confirm; the others take something back.
_CHECKS = {"verify", "evaluate", "check", "验证", "评估", "检查"}
# A value that is put forward: what follows an equals sign, "is", "try", "guess", or stands in a box.
_CANDIDATE = re.compile(r"(?:=|≈|\bis\b|\btry\b|\bguess\b|试|猜|是|\\boxed\{)\s*\$?\s*[A-Z]?-?\d")
# What is drawn: the sum of which place over the sum of which (see `_Gathered.sums`).
_MEASURES = (("tokens", 1, 0), ("reflection", 2, 0), ("accuracy", 3, 4), ("reflecting", 5, 0))
COLUMNS = ["step", "prompt_id", "prompt", "completion", "solution", "domain", "rewards", "n_tokens"]


@dataclass(frozen=True)
class Sampled:
    """A prompt with a completion, the step at which it was sampled in training, and what became of it."""

    step: int | None
    prompt_id: str
    prompt: str
    completion: str
    solution: str
    domain: str
    tokens: int
    solved: bool | None
    reflection: int

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return pieces_of(self.completion)

    @property
    def verdict(self) -> str:
        return "" if self.solved is None else "right" if self.solved else "wrong"


@dataclass(frozen=True)
class Growth:
    """
    How length, reflection and accuracy went in one domain.

    Args:
        domain (`str`):
            Its name; empty for all together.
        points (`Mapping[str, tuple[tuple[float, float], ...]]`):
            Step and mean, for `"tokens"`, `"reflection"` (words per completion), `"accuracy"` and `"reflecting"` (share of
            completions with any word of reflection).
        bands (`Mapping[str, tuple[tuple[float, float, float], ...]]`):
            Step and 95 % interval over prompts, for the same.
    """

    domain: str
    points: Mapping[str, tuple[Point, ...]]
    bands: Mapping[str, tuple[Band, ...]]

    def ends(self, name: str) -> tuple[float, float] | None:
        """Means of the first and of the last tenth of the training."""
        points = self.points.get(name) or ()
        if len(points) < 2:
            return None
        tenth = max(1, len(points) // 10)
        return fmean(y for _, y in points[:tenth]), fmean(y for _, y in points[-tenth:])

    def fold(self, name: str) -> float | None:
        """How many times larger it is at the end than at the start."""
        ends = self.ends(name)
        return ends[1] / ends[0] if ends and ends[0] > 0 else None

    @property
    def doubled(self) -> int | None:
        """
        The first step from which on reflection is at least twice what it was in the first tenth: a mean over a tenth of the
        training on either side of it, for all that follow.
        """
        ends, points = self.ends("reflection"), self.points.get("reflection") or ()
        if ends is None:
            return None
        least = max(2 * ends[0], _MOST_WITHOUT)
        half = max(1, len(points) // 20)
        means = [fmean(y for _, y in points[max(0, i - half) : i + half + 1]) for i in range(len(points))]
        found = None
        for (step, _), mean in reversed(list(zip(points, means, strict=True))):
            if mean < least:
                break
            found = int(step)
        return found


@dataclass(frozen=True)
class Emergence:
    """
    What the rollouts of a stage tell.

    Args:
        stage (`str`):
            The stage.
        growth (`tuple[Growth, ...]`):
            All together first, then by domain.
        read, files (`int`):
            Rollouts that were read, and shards that there are.
        whole (`bool`):
            Whether all rollouts were read.
        early, late (`Sampled`, *optional*):
            The same prompt early and late in the training.
        pairs (`int`):
            Among how many such prompts this one was chosen.
        second_thought (`Sampled`, *optional*):
            The first completion that put a wrong value forward, took it back, and was right: of the domain in which
            reflection grew most, where there is one.
    """

    stage: str
    growth: tuple[Growth, ...]
    read: int
    files: int
    whole: bool
    early: Sampled | None = None
    late: Sampled | None = None
    pairs: int = 0
    second_thought: Sampled | None = None

    @property
    def chosen(self) -> Growth:
        """The domain in which reflection grew most, or all together where there is one domain."""
        return max(self.growth[1:] or self.growth, key=_gain)


def _gain(growth: Growth) -> float:
    ends = growth.ends("reflection")
    return math.log((ends[1] + _MOST_WITHOUT) / (ends[0] + _MOST_WITHOUT)) if ends else -math.inf


def emergence_of(stage: StageRecord) -> Emergence | None:
    """Read the rollouts of a stage; `None` where it kept none that can be read."""
    files = parquet_files(stage.directory / "rollouts")
    if not files:
        return None
    count = min(len(files), MAX_FILES)
    taken = [files[index * len(files) // count] for index in range(count)]
    per_file, gathered, whole = None, _Gathered(), count == len(files)
    for file in taken:
        try:
            rows, complete, per_file = _read(file, per_file, count)
        except (OSError, ValueError, KeyError):  # cut short, or no shard
            continue
        whole = whole and complete
        gathered.add(rows)
    if not gathered.count:
        return None
    found = Emergence(stage.name, gathered.growth(), gathered.count, len(files), whole)
    domain = found.chosen.domain
    early, late, pairs = _pair(gathered, domain)
    thoughts = gathered.second_thoughts
    first = thoughts.get(domain) or min(thoughts.values(), key=lambda each: each.step or 0, default=None)
    return replace(found, early=early, late=late, pairs=pairs, second_thought=first)


def _read(file: Path, per_file: int | None, files: int) -> tuple[list[dict[str, Any]], bool, int]:
    """The first rows of a shard, whether that is all of it, and how many rows of each shard are to be read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as shard:
        held = shard.metadata.num_rows
        if per_file is None:
            size = max(1, sum(shard.metadata.row_group(i).total_byte_size for i in range(shard.num_row_groups)))
            per_file = max(8, min(MAX_ROWS, MAX_BYTES * max(held, 1) // size) // files)
        names = [name for name in COLUMNS if name in shard.schema_arrow.names]
        rows: list[dict[str, Any]] = []
        for batch in shard.iter_batches(batch_size=min(per_file, 1024), columns=names):
            rows += batch.to_pylist()
            if len(rows) >= per_file:
                break
    return rows[:per_file], len(rows[:per_file]) == held, per_file


@dataclass
class _Gathered:
    """What is kept of the rows while they are read: sums by step and prompt, and a few texts."""

    count: int = 0
    # by domain, step and prompt: completions, tokens, words of reflection, solved, judged, with any reflection
    sums: dict[tuple[str, int], dict[str, list[float]]] = field(default_factory=dict)
    first: dict[str, Sampled] = field(default_factory=dict)
    last: dict[str, Sampled] = field(default_factory=dict)
    second_thoughts: dict[str, Sampled] = field(default_factory=dict)  # the first of each domain

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for sampled in sampled_of(rows):
            if sampled.step is None:
                continue
            self.count += 1
            sums = self.sums.setdefault((sampled.domain, sampled.step), {}).setdefault(sampled.prompt_id, [0.0] * 6)
            judged, reflects = sampled.solved is not None, sampled.reflection > 0
            for index, value in enumerate(
                (1, sampled.tokens, sampled.reflection, sampled.solved is True, judged, reflects)
            ):
                sums[index] += value
            self.first.setdefault(sampled.prompt_id, sampled)
            known = self.last.get(sampled.prompt_id)
            if known is None or (known.step or 0) < sampled.step:
                self.last[sampled.prompt_id] = sampled
            if sampled.domain not in self.second_thoughts and is_second_thought(sampled):
                self.second_thoughts[sampled.domain] = sampled

    def growth(self) -> tuple[Growth, ...]:
        domains = sorted({domain for domain, _ in self.sums})
        every = [_growth("", self.sums, domains)]
        return tuple(every + [_growth(domain, self.sums, [domain]) for domain in domains if len(domains) > 1])


def _growth(
    name: str, sums: Mapping[tuple[str, int], Mapping[str, Sequence[float]]], domains: Sequence[str]
) -> Growth:
    steps = sorted({step for domain, step in sums if domain in domains})
    bins = min(BINS, len(steps))
    points: dict[str, list[Point]] = {key: [] for key, _, _ in _MEASURES}
    bands: dict[str, list[Band]] = {key: [] for key, _, _ in _MEASURES}
    for index in range(bins):
        inside = steps[index * len(steps) // bins : (index + 1) * len(steps) // bins]
        groups = [each for step in inside for domain in domains for each in sums.get((domain, step), {}).values()]
        for key, total, number in _MEASURES:
            means = [each[total] / each[number] for each in groups if each[number]]
            if means:
                middle, (mean, error) = fmean(inside), mean_and_error(means)
                points[key].append((middle, mean))
                low, high = max(0.0, mean - _Z * error), mean + _Z * error
                bands[key].append((middle, low, min(high, 1.0) if key in ("accuracy", "reflecting") else high))
    return Growth(name, {k: tuple(v) for k, v in points.items()}, {k: tuple(v) for k, v in bands.items()})


def sampled_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[Sampled]:
    for row in rows:
        if not row.get("completion"):
            continue
        rewards = json.loads(row["rewards"]) if row.get("rewards") else {}
        completion = row["completion"]
        yield Sampled(
            step=row.get("step"),
            prompt_id=row["prompt_id"],
            prompt=row["prompt"],
            completion=completion,
            solution=row.get("solution") or "",
            domain=row.get("domain") or "",
            tokens=row.get("n_tokens") or 0,
            solved=is_solved(value for name, value in rewards.items() if "accuracy" in name.lower()),
            reflection=len(find_reflection_words(completion)),
        )


def is_second_thought(sampled: Sampled) -> bool:
    """
    Whether a thought puts a value forward, takes it back by a word of doubt, and then comes to the right answer, which it had
    not written before.
    """
    if not sampled.solved or not sampled.reflection or not sampled.solution:
        return False
    thought = split_completion(sampled.completion).thought or ""
    words = find_reflection_words(thought)
    doubt = next((start for start, end in words if thought[start:end].lower() not in _CHECKS), None)
    if doubt is None:
        return False
    # A number may stand behind a label (`B18`), and a label before a number.
    kind = r"\d" if sampled.solution[-1].isdigit() else "[A-Za-z]"
    answer = re.compile(rf"(?<![.])(?<!{kind}){re.escape(sampled.solution)}(?!{kind})")
    before, after = thought[:doubt], thought[doubt:]
    return bool(_CANDIDATE.search(before) and not answer.search(before) and answer.search(after))


def _pair(rows: _Gathered, domain: str) -> tuple[Sampled | None, Sampled | None, int]:
    """The same prompt early and late."""
    steps = [step for _, step in rows.sums]
    start, end = min(steps), max(steps)
    early, late = start + EDGE * (end - start), end - EDGE * (end - start)
    pairs = [
        (first, last)
        for name, first in rows.first.items()
        if (first.step or 0) <= early
        and ((last := rows.last[name]).step or 0) >= late
        and first.domain == (domain or first.domain)
    ]
    return typical(pairs)


def typical(pairs: Sequence[tuple[Sampled, Sampled]]) -> tuple[Sampled | None, Sampled | None, int]:
    """
    Of pairs of completions of one prompt whose first is wrong and whose second is right (of all, where there are none such),
    the one with the median gain in words of reflection, and among how many it was chosen.
    """
    turned = [pair for pair in pairs if pair[0].solved is False and pair[1].solved] or list(pairs)
    turned.sort(key=lambda pair: (pair[1].reflection - pair[0].reflection, pair[0].prompt_id))
    return (*turned[len(turned) // 2], len(turned)) if turned else (None, None, 0)
