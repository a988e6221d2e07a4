"""
Cards that tell where a model or a data set comes from: base, stages, data, rewards, metrics, versions, command.

The text comes from `templates/*.md.jinja`; the metadata block is huggingface_hub's own, so that the Hub links a model
to its base and to its data sets. Paths of this machine and anything that looks like a secret are left out.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .. import __version__
from ..errors import ConfigError
from ..ids import parse_hub_id
from ..io import read_json
from ..kinds import module_of
from ..lineage import RunRecord, StageRecord
from ..scores import Score, number, scores_of
from ..templates import templates
from .licenses import card_license, source_licenses


if TYPE_CHECKING:
    from huggingface_hub import CardData

_SECRET_KEY = re.compile(r"(^|_)(api_key|hub_token|hf_token|access_token|auth_token|password|secret)$|^token$", re.I)
_SECRET_TEXT = re.compile(
    r"\bhf_[A-Za-z0-9]{8,}\b|\bsk-[A-Za-z0-9_\-]{8,}|((?:api_key|token|password|secret)\s*[=:]\s*)\S+"
)
HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Destination:
    """Where the parts of a run live on the Hub: `org/name` by stage, for those that are pushed."""

    repos: dict[str, str]
    license: str | None = None


@dataclass(frozen=True)
class Measured:
    """What one evaluation measured of a model: on which data, the metrics, and which of them are there to show."""

    stage: str
    data: str
    metrics: dict[str, Any]
    scores: tuple[Score, ...]


def model_card(run: RunRecord, stage: StageRecord, to: Destination) -> str:
    """Return the README.md of a stage's model."""
    from huggingface_hub import EvalResult, ModelCardData

    base = base_of(run, stage, to)
    adapter = stage.model_dir is not None and (stage.model_dir / "adapter_config.json").is_file()
    form = "reward model" if stage.makes_reward_model else "adapter (PEFT)" if adapter else "model"
    evaluations = _measured(run, stage.name)
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=evaluation.data,
            dataset_name=evaluation.data,
            metric_type=score.key,
            metric_name=score.title,
            metric_value=round(value, 6),
        )
        for evaluation in evaluations
        for score in evaluation.scores
        if (value := number(evaluation.metrics[score.key])) is not None
    ]
    data = ModelCardData(
        license=to.license,
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-classification" if stage.makes_reward_model else "text-generation",
        base_model=base,
        base_model_relation=("adapter" if adapter else "finetune") if base else None,
        datasets=_hub_data_sets(run, stage, to) or None,
        tags=_tags(stage),
        model_name=to.repos.get(stage.name, stage.name),
        eval_results=results or None,
    )
    return _render("model_card.md.jinja", data, run, stage, to, form=form, adapter=adapter, evaluations=evaluations)


def dataset_card(run: RunRecord, stage: StageRecord, to: Destination) -> str:
    """Return the README.md of a stage's data sets, one configuration for each."""
    from huggingface_hub import DatasetCardData

    files = [_table(name, parts) for name, parts in stage.datasets.items()]
    licenses = source_licenses(part for parts in stage.datasets.values() for part in parts)
    data = DatasetCardData(
        license=to.license or card_license(licenses),
        pretty_name=f"{run.name}: {stage.name}",
        task_categories=["text-generation"],
        size_categories=_size_category(sum(file["rows"] for file in files if file["name"] != "rejected")),
        tags=_tags(stage),
        configs=[
            {
                "config_name": "default" if file["name"] == "train" else file["name"],
                "data_files": [{"split": "train", "path": file["pattern"]}],
                **({"default": True} if file["name"] == "train" or len(files) == 1 else {}),
            }
            for file in files
        ],
    )
    return _render("dataset_card.md.jinja", data, run, stage, to, files=files, licenses=licenses)


def lineage_json(run: RunRecord, stage: StageRecord, to: Destination) -> str:
    """The same facts as the card, for programs: `trl_r1/lineage.json` in the repository."""
    found = {
        "trl_r1": __version__,
        "recipe": run.name,
        "stage": stage.name,
        "seed": run.seed,
        "base_model": public(run.base_model, run),
        "command": public(run.command, run),
        "versions": run.versions,
        "stages": [
            {
                "name": s.name,
                "kind": s.kind,
                "parents": list(s.parents),
                "model": [public(m, run) for m in s.model_from],
                "data": [public(d, run) for d in s.data_from],
                "rewards": public(list(s.rewards), run),
                "fingerprint": s.fingerprint,
                "repo": to.repos.get(s.name),
            }
            for s in run.lineage(stage.name)
        ],
        "metrics": run.evaluations_of(stage.name),
        "selection": stage.selection,
    }
    finite = json.loads(json.dumps(found), parse_constant=lambda name: None)  # NaN is no JSON
    return json.dumps(finite, indent=2, ensure_ascii=False) + "\n"


def config_yaml(run: RunRecord, stage: StageRecord) -> str:
    """The resolved config of the stage, without paths of this machine and without secrets."""
    return yaml.safe_dump(public(stage.config, run), sort_keys=False, allow_unicode=True)


def adapter_config(run: RunRecord, stage: StageRecord, to: Destination) -> str | None:
    """
    The adapter's config with a base that others can load; `None` where the model is no adapter.

    On this machine the base is a path into the run. On the Hub it is the repository to which that stage goes, or the
    recipe's base model.
    """
    config = read_json(stage.directory / "model" / "adapter_config.json")
    if not config:
        return None
    base = str(config.get("base_model_name_or_path") or "")
    config["base_model_name_or_path"] = base_of(run, stage, to) or public(base, run)
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def base_of(run: RunRecord, stage: StageRecord, to: Destination) -> str | None:
    """
    The Hub id from which a model was trained: the repository of the stage before it where that is pushed too, else
    the base model. `None` where it was trained from nothing, or from a path that only this machine has.
    """
    source = stage.model_from[0] if stage.model_from else ""
    for _ in run.stages:  # a chain is no longer than the recipe
        source = run.base_model if source == "base_model" else source
        before = run.stage(source)
        if before is None:
            break
        if before.name in to.repos:
            return to.repos[before.name]
        source = before.model_from[0] if before.model_from else ""
    return _hub_id(source)


def public(value: Any, run: RunRecord) -> Any:
    """The value as it may be shown: the run's own directory as `RUN`, the home folder as `~`, secrets hidden."""
    if isinstance(value, dict):
        return {k: HIDDEN if _SECRET_KEY.search(str(k)) and v else public(v, run) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [public(entry, run) for entry in value]
    if not isinstance(value, str):
        return value
    for path, name in ((str(run.directory.resolve()), "RUN"), (str(run.directory), "RUN"), (str(Path.home()), "~")):
        # A run started as `trl-r1 run --output-dir .` must not turn every dot into its name.
        if len(path) > 1 and (path[0] == "/" or "/" in path):
            value = re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w.-])", name, value)
    return _SECRET_TEXT.sub(lambda match: (match.group(1) or "") + HIDDEN, value)


def _render(template: str, data: "CardData", run: RunRecord, stage: StageRecord, to: Destination, **extra: Any) -> str:
    """The metadata block and the text."""
    from huggingface_hub import constants

    card = templates(Path(__file__).parent / "templates", html=False).get_template(template)
    text = card.render(
        run=run,
        stage=stage,
        to=to,
        endpoint=constants.ENDPOINT,
        repo=to.repos.get(stage.name, stage.name),
        config=config_yaml(run, stage) if stage.config else "",
        module=module_of(stage.kind or "KIND"),
        version=run.versions.get("trl_r1", __version__),
        public=lambda value: public(value, run),
        **extra,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def _tags(stage: StageRecord) -> list[str]:
    return ["trl_r1", "trl", "deepseek-r1", "reasoning", *([stage.kind.rsplit(".", 1)[-1]] if stage.kind else [])]


def _hub_id(source: str) -> str | None:
    """The source if it is a Hub id, without its revision; `None` for paths and for what is neither."""
    try:
        name, _ = parse_hub_id(source)
    except ConfigError:
        return None
    return name if "/" in name and not Path(name).exists() and not name.startswith((".", "/", "~")) else None


def _hub_data_sets(run: RunRecord, stage: StageRecord, to: Destination) -> list[str]:
    """The data sets of the Hub on which the model's own stage was trained."""
    paths = [str(source.get("path") or "") for source in stage.data_sources]
    producers = [run.stage_of_path(path) for path in paths]
    names = [to.repos.get(producer) if producer else _hub_id(path) for producer, path in zip(producers, paths)]
    return list(dict.fromkeys(name for name in names if name))


def _measured(run: RunRecord, model: str) -> list[Measured]:
    """What each evaluation measured of this model; no two have one name, for the Hub joins those that do."""
    found: list[Measured] = []
    for name, metrics in run.evaluations_of(model).items():
        data = run.evaluated_on(name) or name
        if any(data == before.data for before in found):
            data = f"{data} ({name})"
        scores = tuple(scores_of([metrics]))
        if scores:
            found.append(Measured(name, data, metrics, scores))
    return found


def _table(name: str, parts: list[Path]) -> dict[str, Any]:
    """What the card says of a data set: its rows, its columns, where its files are, and how a row looks."""
    import pyarrow.parquet as pq

    rows = sum(pq.read_metadata(part).num_rows for part in parts)
    with pq.ParquetFile(parts[0]) as parquet:
        columns = [(f.name, str(f.type)) for f in parquet.schema_arrow]
        first = next(parquet.iter_batches(1), None)
    pattern = re.sub(r"-\d{5,}-of-\d{5,}\.parquet$", "-*.parquet", f"{parts[0].parent.name}/{parts[0].name}")
    example = {key: value for key, value in first.to_pylist()[0].items() if isinstance(value, str)} if first else {}
    return {"name": name, "rows": rows, "columns": columns, "pattern": pattern, "example": example}


def _size_category(rows: int) -> str:
    edges = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
    return next((name for edge, name in edges if rows < edge), "10M<n<100M")
