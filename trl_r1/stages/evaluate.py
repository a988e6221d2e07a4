"""
The `evaluate` stage: samples of several models on held-out prompts, and their numbers in `metrics.json`.

```bash
python -m trl_r1.stages.evaluate --config evaluate.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~evaluation.EvaluationConfig`]. Samples
are kept in `traces/NAME-00000.parquet`, and how often each prompt was solved in `pass_rates.parquet`; a stage that was
killed goes on, and has lost what was in flight. The paper samples at T = 0.6 and top-p 0.95 (v2 D.1); what is asked for here is what the config says.
"""

import dataclasses
import multiprocessing
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..adapters import full_model
from ..data import load_prompts
from ..emergence import EmergenceConfig, WithoutReflection
from ..errors import ConfigError, StageError
from ..evaluation import EvaluationConfig, hard_prompts, pass_rates, summarize
from ..io import write_json
from ..kinds import StageKind
from ..paired import compare_all
from ..pass_rates import write_pass_rates
from ..rewards import LanguageConsistency, ThinkFormat
from ..sampling import (
    SamplingConfig,
    Worker,
    accuracy_of,
    check_columns,
    engine_of,
    load_named,
    sample,
    sample_to_shards,
    sample_within_budget,
    score_traces,
)
from ..sampling.engines.transformers import TransformersEngine
from ..sampling.folder import Folder
from ..sampling.progress import OnProgress
from ..trace import Trace, read_traces
from ._common import Progress, program
from ._trackers import log_evaluation


if TYPE_CHECKING:
    from datasets import Dataset


STAGE = StageKind(
    configs=("trl_r1.sampling.config:SamplingConfig", "trl_r1.evaluation:EvaluationConfig"),
    leaves=("metrics.json",),
    model="several",
    references={
        "rewards.*.args.model": "model",
        "best_of_n.args.model": "model",
        "general_scorer.args.model": "model",
        "continues.*": "stage",
    },
    purpose="Samples of several models on prompts that were held out, and what they show.",
)


def evaluate(sampling: SamplingConfig, config: EvaluationConfig) -> None:
    """
    Sample from each model and write `metrics.json`.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`~evaluation.EvaluationConfig`]):
            From which models, on which prompts, and what to measure.
    """
    settings = {name: dataclasses.replace(sampling, **config.by_model.get(name, {})) for name in config.models}
    most = max(each.n_samples for each in settings.values())
    for k in config.pass_at_k:
        if k > most:
            raise ConfigError(f"expected at most n_samples = {most}, got {k}", key="pass_at_k")
    if sampling.until_accepted is not None or any("until_accepted" in each for each in config.by_model.values()):
        raise ConfigError("expected none: an evaluation that stops at what is solved is biased", key="until_accepted")
    if config.hard_below is not None and most <= config.hard_chosen_by:
        raise ConfigError(f"expected fewer than n_samples = {most}", key="hard_chosen_by")
    for name in config.causes.models if config.causes else ():
        if not engine_of(settings[name].backend).loads_model:
            raise ConfigError(f"needs a backend that loads {name}, not {settings[name].backend!r}", key="emergence")
    rewards, accuracy, best, scorer = _rewards(config)
    rows = load_prompts(config.data, sampling.seed)
    check_columns(rewards, rows.column_names, rows.unique("domain"))
    references = _reference_scores(rows, scorer, rewards[scorer]) if scorer else {}

    out_dir = Path(config.output_dir)
    for earlier in map(Path, config.continues):
        _take_over(earlier, out_dir, config.models)
    worker = Worker.of_environment()
    samples = {name: len(set(rows["prompt_id"])) * each.n_samples for name, each in settings.items()}
    progress = Progress(out_dir, sum(samples.values()), unit="samples")
    metrics: dict[str, Any] = {}
    intervened: dict[str, dict[str, list[Trace]]] = {}
    rates: dict[str, dict[str, float]] = {}
    shards: dict[str, list[Path]] = {}
    sources = dict(zip(rows["prompt_id"], rows["source"], strict=True))
    done = 0
    for name, model in config.models.items():
        sampled = partial(
            sample_to_shards,
            model,
            rows,
            settings[name],
            out_dir / "traces",
            name=name,
            stem=name,
            finish=partial(score_traces, rewards=rewards),
            finish_key=[config.rewards, config.best_of_n, config.general_scorer, config.style, config.languages],
            accuracy=accuracy,
        )
        if engine_of(settings[name].backend).needs_own_process and len(config.models) > 1:
            _in_own_process(partial(sampled, finish=None), progress, done, model)
        shards[name] = sampled(on_progress=_after(progress, done))
        done += samples[name]
        if config.causes and name in config.causes.models and not worker.rank:
            again = dataclasses.replace(settings[name], n_samples=sampling.n_samples)
            found = _intervene(name, model, rows, again, config.causes, out_dir)
            intervened[name] = {each: score_traces(traces, rewards) for each, traces in found.items()}
        if worker.rank:  # the first one measures
            continue
        traces = _read(shards[name])
        metrics[name] = summarize(
            traces,
            accuracy=accuracy,
            ks=[k for k in config.pass_at_k if k <= settings[name].n_samples],
            best_of_n=best,
            scorer=scorer,
            reference_scores=references,
            languages=config.languages,
            sources=sources,
        )
        rates[name] = pass_rates(traces, accuracy)
        left = settings[name].n_samples - config.hard_chosen_by
        if config.hard_below is not None and left > 0:
            metrics[name]["hard"] = hard_prompts(
                traces,
                accuracy=accuracy,
                below=config.hard_below,
                chosen_by=config.hard_chosen_by,
                ks=[k for k in config.pass_at_k if k <= left],
            )
        print(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in metrics[name].items() if isinstance(v, float)))
    if worker.rank:
        return
    if accuracy:
        write_pass_rates(out_dir / "pass_rates.parquet", shards, accuracy)
    causes = {
        name: {
            each: summarize(traces, accuracy=accuracy, languages=config.languages) for each, traces in found.items()
        }
        for name, found in intervened.items()
    }
    emergence = {"emergence": causes} if causes else {}
    write_json(out_dir / "metrics.json", {"models": metrics, **emergence, **_comparisons(rates, sources)})
    log_evaluation(metrics, shards)


def _take_over(earlier: Path, out_dir: Path, models: Iterable[str]) -> None:
    """Copy an earlier evaluation's samples: of the models that are asked for, and those of every intervention."""
    for name in models:
        Folder.of(out_dir / "traces", name).take_over(Folder.of(earlier / "traces", name))
    for note in (earlier / "emergence").rglob("sampling.json"):
        Folder(out_dir / note.parent.relative_to(earlier)).take_over(Folder(note.parent))


def _read(shards: list[Path]) -> list[Trace]:
    return [trace for shard in shards for trace in read_traces(shard)]


def _intervene(
    name: str,
    model: str,
    rows: "Dataset",
    sampling: SamplingConfig,
    config: EmergenceConfig,
    out_dir: Path,
) -> dict[str, list[Trace]]:
    """Sample a model under each intervention of [`~emergence`], in this process alone."""
    asked = [row for row in rows if config.domains is None or row["domain"] in config.domains]
    full = full_model(model, out_dir / "traces" / f"{name}-merged")
    into = {"name": name, "worker": Worker()}
    with closing(WithoutReflection(full, sampling)) as engine:
        found = {
            "forbidden": list(
                sample(full, asked, sampling, out_dir / "emergence" / "forbidden", engine=engine, **into)
            )
        }
    with closing(TransformersEngine(full, sampling)) as engine:
        for budget in config.budgets:
            folder = out_dir / "emergence" / f"budget-{budget}"
            found[f"budget-{budget}"] = sample_within_budget(
                full, asked, sampling, folder, budget=budget, engine=engine, **into
            )
    return found


def _comparisons(rates: dict[str, dict[str, float]], sources: dict[str, str]) -> dict[str, Any]:
    """Compare every two models, on all prompts and, where there are several data sets, on each."""
    found: dict[str, Any] = {"comparisons": compare_all(rates)}
    names = sorted(set(sources.values()))
    if len(names) > 1:
        found["comparisons_by_source"] = {
            name: compare_all(
                {model: {p: rate for p, rate in known.items() if sources[p] == name} for model, known in rates.items()}
            )
            for name in names
        }
    return found


def _rewards(config: EvaluationConfig) -> tuple[dict[str, Callable[..., Any]], list[str], str | None, str | None]:
    """Return all rewards by name, and the names of the accuracy rewards, of `best_of_n` and of the general scorer."""
    rewards = load_named(config.rewards)  # none where the prompts are general ones alone
    accuracy = accuracy_of(rewards)
    rewards.setdefault("think_format", ThinkFormat(style=config.style))
    languages = tuple(config.languages) if config.languages else None
    rewards.setdefault("language_consistency", LanguageConsistency(languages=languages, style=config.style))
    names: list[str | None] = []
    for key, declared in (("best_of_n", config.best_of_n), ("general_scorer", config.general_scorer)):
        found = load_named([declared] if declared else [], key, taken=rewards)
        rewards |= found
        names.append(next(iter(found), None))
    return rewards, accuracy, names[0], names[1]


def _reference_scores(rows: "Dataset", name: str, scorer: Callable[..., Any]) -> dict[str, float | None]:
    """Score the references of the general prompts, once for all models."""
    references = [
        Trace.of_row(row, prompt_id=row["prompt_id"], prompt=row["prompt"], completion=row["reference"])
        for row in rows
        if row["solution"] is None and row.get("reference")
    ]
    if not references:
        raise ConfigError("expected rows with a `reference` and no `solution` to score against", key="general_scorer")
    return {trace.prompt_id: trace.rewards[name] for trace in score_traces(references, {name: scorer})}


def _in_own_process(sampled: Callable[..., Any], progress: Progress, done: int, model: str) -> None:
    """Have another process sample. The shards are scored and read here."""
    process = multiprocessing.get_context("spawn").Process(target=_sample, args=(sampled, progress, done))
    process.start()
    process.join()
    if process.exitcode:
        raise StageError(f"sampling from {model} ended with code {process.exitcode}")


def _sample(sampled: Callable[..., Any], progress: Progress, before: int) -> None:
    sampled(on_progress=_after(progress, before))


def _after(progress: Progress, before: int) -> OnProgress:
    """Tell how far one model is, after so many samples of those before it."""

    def tell(done: int, _: int, /, **info: float) -> None:
        progress.update(before + done, **info)

    return tell


main = program(STAGE, evaluate)

if __name__ == "__main__":
    sys.exit(main())
