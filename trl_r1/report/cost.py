"""What each stage took, in time and tokens, and on what the run ran."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data_files import parquet_files
from ..lineage import RunRecord, StageRecord
from ..scores import number


@dataclass(frozen=True)
class Cost:
    """
    What one stage took.

    Args:
        stage (`StageRecord`):
            The stage.
        seconds (`float`, *optional*):
            Wall time.
        share (`float`):
            Its part of the time of all stages, in percent.
        tokens (`int`, *optional*):
            Of a training, the tokens of prompts and completions it has processed, as its trainer counts them; of what
            samples, the tokens that were sampled.
    """

    stage: StageRecord
    seconds: float | None
    share: float
    tokens: int | None


def costs_of(run: RunRecord) -> list[Cost]:
    """What each stage took, in the order of the recipe; nothing for those that were not started."""
    spent = {stage.name: stage.seconds for stage in run.stages}
    whole = sum(seconds for seconds in spent.values() if seconds) or 1.0
    return [
        Cost(stage, spent[stage.name], 100 * (spent[stage.name] or 0.0) / whole, tokens_of(stage))
        for stage in run.stages
        if stage.started
    ]


def tokens_of(stage: StageRecord) -> int | None:
    """The tokens that a stage processed or sampled; `None` where nothing says it."""
    logged = [value for entry in stage.log_history if (value := number(entry.get("num_tokens"))) is not None]
    if logged:
        return int(max(logged))
    shards = parquet_files(stage.directory / "traces")
    counts = [count for shard in shards if (count := _sampled(shard)) is not None]
    return sum(counts) if counts else None


def _sampled(shard: Path) -> int | None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        return int(pc.sum(pq.read_table(shard, columns=["n_tokens"])["n_tokens"]).as_py() or 0)
    except (OSError, ValueError, KeyError):
        return None


def setup_of(runs: Sequence[RunRecord]) -> list[tuple[str, tuple[str, ...]]]:
    """On what the runs ran, and from what: rows of a name and the value in each run."""
    rows: dict[str, list[str]] = {}
    for index, run in enumerate(runs):
        for name, value in _facts(run):
            rows.setdefault(name, [""] * len(runs))[index] = value
    return [(name, tuple(values)) for name, values in rows.items()]


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    machine = run.run.get("machine")
    machine = machine if isinstance(machine, dict) else {}
    commits = run.run.get("commits")
    commits = commits if isinstance(commits, dict) else {}
    gpus = [str(gpu) for gpu in machine.get("gpus") or ()]
    counted = [f"{gpus.count(gpu)} x {gpu}" for gpu in dict.fromkeys(gpus)]
    memory = number(machine.get("memory_gib"))
    found: list[tuple[str, Any]] = [
        ("recipe", run.run.get("path")),
        ("seed", run.seed),
        ("command", run.command),
        ("started", str(run.run.get("created") or "").replace("T", " ")[:16]),
        ("processor", machine.get("processor")),
        ("cores", machine.get("cores")),
        ("memory", f"{memory:g} GiB" if memory is not None else None),
        ("GPUs", ", ".join(counted) or ("none" if machine else None)),
        ("system", machine.get("system")),
        *((f"commit of {name}", commit) for name, commit in commits.items()),
        *(("Python" if name == "python" else name, version) for name, version in sorted(run.versions.items())),
    ]
    return [(name, str(value)) for name, value in found if value not in (None, "")]
