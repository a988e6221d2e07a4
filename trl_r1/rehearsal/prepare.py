"""
Make what a rehearsal has in place of the recipe's models and data, and measure the real rows.

```bash
python -m trl_r1.rehearsal.prepare < request.json    # {"folder": ..., "stages": [...]}, as `run` writes it
```

A model: the architecture of its `config.json` with two narrow layers and random weights, its own tokenizer, chat template
and generation config. Data: rows spread over a local file, or over the first rows of a data set of the Hub where it is in
the cache or there is a network; else rows of our own. Texts that are long are cut in the middle, after their real length
has been measured. Prints one line of JSON.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..data.rows import open_source
from ..data.source import DataSource, parse_sources
from ..data_files import is_place
from ..errors import ConfigError, TrlR1Error
from ..ids import parse_hub_id
from ..io import publish
from ..kinds import kind_of
from ..recipe.fingerprint import content_digest
from ..rewards.schedule import declared_rewards, load_reward, load_rewards, name_of
from ..rewards.scheduled import required_columns
from .lengths import measure
from .shrink import ROWS, adapter_base
from .stand_ins import stand_in_rows


_LOCAL_ROWS, _HUB_ROWS = 2000, 200
_LONGEST_TEXT = 1500  # characters
# Errors about a data set that can be reached: its split or configuration is misnamed.
_MISNAMED = re.compile(r"[Bb]ad split|[Uu]nknown split|BuilderConfig .*not found|not found\. Available")


def main() -> int:
    """Read the request from standard input, and print the answer."""
    request = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        answer = prepare(Path(request["folder"]), request["stages"])
    print(json.dumps(answer))
    return 0


def prepare(folder: Path, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """
    Prepare a rehearsal.

    Args:
        folder (`Path`):
            Where everything goes.
        stages (`list[dict[str, Any]]`):
            Of each stage its `name`, `kind`, `config`, `models` (places outside the run), `root` (the model that its model comes
            from), `reads` (the columns of its data) and `sources` (`key` and `source`).

    Returns:
        `dict[str, Any]`: `models` and `sources`, as [`~rehearsal.shrink.Prepared`] has them; `described`, a line for each
        model and data set; `rewards`, [`reward_names`] of each stage; `faults` and `notes`, each with a stage's name.
    """
    answer: dict[str, Any] = {"models": {}, "sources": {}, "described": [], "faults": [], "notes": []}
    for place in dict.fromkeys(place for stage in stages for place in stage["models"]):
        users = [stage["name"] for stage in stages if place in stage["models"]]
        try:
            answer["models"][place], told = make_model(place, folder / "models")
            answer["described"].append(told)
        except Exception as error:  # of the Hub, of transformers, of a config's own code
            reason = " ".join(str(error).split())[:300]
            answer["faults"] += [
                (user, f"`{place}`: its config or tokenizer cannot be loaded ({type(error).__name__}: {reason})")
                for user in users
            ]
    import datasets

    whole: dict[str, str] = {}
    real: set[str] = set()
    asked: dict[str, dict[str, Any]] = {}
    for stage in stages:
        rewards = _rewards(with_rewards(stage["kind"], stage["config"]))
        for each in stage["sources"]:
            one = asked.setdefault(
                each["key"], {"source": each["source"], "columns": [], "needed": [], "kinds": [], "users": []}
            )
            one["columns"] += stage["reads"]
            one["users"].append(stage["name"])
            domain = each["source"].get("domain")
            for reward in rewards:
                if reward["domains"] is None or domain is None or domain in reward["domains"]:
                    one["needed"] += [column for column in reward["requires"] if column not in _EVERYWHERE]
                    one["kinds"].append(reward["func"].rpartition(".")[2])
    for key, one in asked.items():
        try:
            found, told = few_rows(one["source"])
        except TrlR1Error as error:
            answer["faults"] += [(user, str(error)) for user in dict.fromkeys(one["users"])]
            continue
        if not found:
            found = stand_in_rows(one["source"], one["columns"], set(one["needed"]), one["kinds"], ROWS)
        else:
            real.add(key)
        answer["described"].append(told)
        place = folder / "data" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list([_shortened(row, one["source"]) for row in found]).to_parquet(place)
        answer["sources"][key] = str(place)
        if key in real:
            whole[key] = str(place.with_suffix(".whole.parquet"))
            datasets.Dataset.from_list(found).to_parquet(whole[key])
    datasets.config.HF_DATASETS_CACHE = folder / "datasets"  # what is made of these rows is nobody's else
    answer["rewards"] = {stage["name"]: reward_names(with_rewards(stage["kind"], stage["config"])) for stage in stages}
    for stage in stages:
        faults, notes = measure(stage, whole, answer["models"])
        answer["faults"] += [(stage["name"], text) for text in faults]
        answer["notes"] += [(stage["name"], text) for text in notes]
    return answer


_EVERYWHERE = ("prompt_id", "prompt", "question", "domain", "language", "source")


def _rewards(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for key, declared in declared_rewards(config):
        with contextlib.suppress(TrlR1Error):  # reported by the check of the configs
            spec, reward = load_reward(declared, key)
            found.append({"func": spec.func, "domains": spec.domains, "requires": required_columns(reward)})
    return found


def with_rewards(kind: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stage's config with the rewards that its class has by default, where the config declares none."""
    if "rewards" in config:
        return config
    fields = [field for cls in kind_of(kind).config_classes() for field in dataclasses.fields(cls)]
    made = [field.default_factory for field in fields if field.name == "rewards"]
    return {**config, "rewards": made[0]()} if made and callable(made[0]) else config


def reward_names(config: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return the name of each reward that a config declares, as traces hold it, and whether it judges accuracy."""
    try:
        rewards, _ = load_rewards(config["rewards"]) if config.get("rewards") else ([], [])
    except TrlR1Error:  # reported by the check of the configs
        return []
    names = [name_of(reward) for reward in rewards]
    return [(name, getattr(one, "is_accuracy", "accuracy" in name) is True) for one, name in zip(rewards, names)]


# --- rows


def few_rows(entry: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """
    Return some rows of a source as they are, spread over what is read of it, and a line that describes them.

    Args:
        entry (`Mapping[str, Any]`):
            The source.

    Returns:
        `tuple`: none where the data set is not on this machine and cannot be fetched.

    Raises:
        [`~errors.DataError`]: if a local file cannot be read, or the Hub's data set has no such split or configuration.
    """
    (source,) = parse_sources([dict(entry)])
    local = is_place(Path(source.path).expanduser())
    name = source.path + (f" ({source.config})" if source.config else "")
    try:
        read = list(itertools.islice(_stream(source), _LOCAL_ROWS if local else _HUB_ROWS))
    except ConfigError as error:
        if local or _MISNAMED.search(error.message):
            raise
        reason = " ".join(error.message.split())[:120]
        return [], f"{name}: stand-in rows of its columns; the data set is not on this machine ({reason})"
    if source.where:
        read = [row for row in read if source.accepts(*(row.get(column) for column in source.where))]
    chosen = _spread(read, source.domain_column)
    what = f"{len(chosen)} of its rows" if local else f"{len(chosen)} of its first {len(read)} rows"
    return chosen, f"{name}: {what}"


def _stream(source: DataSource) -> Iterable[dict[str, Any]]:
    rows: Iterable[dict[str, Any]] = open_source(source, streaming=True)
    try:
        yield from rows
    except Exception as error:
        raise ConfigError(f"cannot be read: {type(error).__name__}: {error}", file=source.path, key="path") from error


def _spread(rows: list[dict[str, Any]], by: str | None) -> list[dict[str, Any]]:
    """Rows at even distances, as many of each domain."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row.get(by)) if by else None, []).append(row)
    each = max(4, ROWS // max(1, len(groups)))
    return [
        group[i * len(group) // min(each, len(group))]
        for group in groups.values()
        for i in range(min(each, len(group)))
    ]


def _shortened(row: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the middle of its long texts left out."""
    meanings = ("prompt", "completion", "chosen", "rejected", "thought", "reference")
    named = [entry.get(f"{meaning}_column") or meaning for meaning in meanings]
    texts = {column for each in named for column in (each if isinstance(each, list) else [each])}
    return {key: _short(value) if key in texts else value for key, value in row.items()}


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [
            {**each, "content": _short(each["content"])} if isinstance(each, dict) and "content" in each else each
            for each in value
        ]
    if not isinstance(value, str) or len(value) <= _LONGEST_TEXT:
        return value
    head, closing, tail = value.rpartition("</think>")
    half = _LONGEST_TEXT // 2
    if closing and len(tail) <= half:
        return f"{head[:half]}\n{closing}{tail}"
    return f"{value[:half]} ... {value[-half:]}"


# --- models


def make_model(place: str, folder: Path) -> tuple[str, str]:
    """
    Make a tiny model with random weights of a model's architecture, with its tokenizer and generation config.

    Args:
        place (`str`):
            A Hub id, or a local folder.
        folder (`Path`):
            Where tiny models go.

    Returns:
        `tuple[str, str]`: its folder, and a line that describes it.
    """
    import torch
    import transformers

    name, revision = parse_hub_id(adapter_base(place))
    config = transformers.AutoConfig.from_pretrained(name, revision=revision)
    tokenizer = transformers.AutoTokenizer.from_pretrained(name, revision=revision)
    shrink_config(config, max([len(tokenizer), *(id + 1 for id in tokenizer.get_vocab().values())]))
    architecture = (getattr(config, "architectures", None) or [""])[0]
    scores = architecture.endswith("ForSequenceClassification")
    cls = transformers.AutoModelForSequenceClassification if scores else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    model = cls.from_config(config, dtype=torch.float32)
    with contextlib.suppress(OSError):  # there is none
        model.generation_config = transformers.GenerationConfig.from_pretrained(name, revision=revision)
    new = folder / "new"
    model.save_pretrained(new)
    tokenizer.save_pretrained(new)
    # Models that come out alike are one: so are stages that differ in nothing else.
    into = folder / content_digest(new)[:16]
    publish(new, into)
    size = sum(parameter.numel() for parameter in model.parameters())
    return str(into), f"{place}: {type(model).__name__} of {size:,} random parameters, its own tokenizer"


def shrink_config(config: Any, vocabulary: int) -> None:
    """
    Make a model's config that of a tiny model of the same architecture.

    Args:
        config ([`~transformers.PretrainedConfig`]):
            The config, which is changed.
        vocabulary (`int`):
            Size of the vocabulary.
    """
    text = config.get_text_config()
    grouped = getattr(text, "num_key_value_heads", None) not in (None, getattr(text, "num_attention_heads", None))
    small = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 64,
        "moe_intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1 if grouped else 2,
        "head_dim": 32,  # vLLM's least on a CPU
        "max_window_layers": 2,
        "num_experts": 4,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    }
    for key, value in small.items():
        if getattr(text, key, None) is not None:
            setattr(text, key, value)
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:2]


if __name__ == "__main__":
    sys.exit(main())
