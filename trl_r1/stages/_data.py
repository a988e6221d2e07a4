"""
A stage's data before anything runs: the columns of what is here, and for `trl-r1 plan --data` every row: how many there
are, how many have a reference answer that the rewards can read, and how long their prompts are.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from ..data import parse_sources
from ..data.rows import columns_of, load_counted, open_source, use_of
from ..data.source import DataSource
from ..data_files import data_files, is_place
from ..errors import ConfigError, DataError
from ..kinds import StageKind
from ..rewards.scheduled import gold_columns, name_of, required_columns
from ..text import as_text, is_blank, render_prompt
from ._models import KnownModel, positions_of, read_template, read_tokenizer
from ._refusals import lengths_asked, value_of


if TYPE_CHECKING:
    from datasets import Dataset

# A document of JSON is read whole, which a plan does only up to this size.
_LARGE_BYTES = 64 << 20
# So many of a source's prompts, the longest by characters, are tokenised.
_TOKENIZED = 256
_NOT_COUNTED: dict[str, Any] = {"longest": None, "room": None, "cut": 0, "no_room": 0}


def columns_here(source: Mapping[str, Any], fetch: bool = False) -> list[str] | str | None:
    """
    Return the columns of a source.

    Args:
        source (`Mapping[str, Any]`):
            An entry of `data:`.
        fetch (`bool`, *optional*, defaults to `False`):
            Whether a data set of the Hub may be fetched; else only the cache is looked into.

    Returns:
        `list[str]`: their names; a text that says why it cannot be read; or `None` where that would take long or it is
        neither local nor cached.
    """
    return _columns(str(source["path"]), source.get("config"), source.get("split") or "train", fetch)


@functools.cache
def _columns(path: str, config: str | None, split: str, fetch: bool) -> list[str] | str | None:
    place = Path(path).expanduser()
    source = DataSource(path, config=config, split=split)
    try:
        if is_place(place):
            large = path.endswith(".json") and os.path.getsize(place) > _LARGE_BYTES
            return None if large and not fetch else columns_of(source)
        if fetch:
            return list(open_source(source).column_names)
    except DataError as error:
        return error.message
    import datasets
    import huggingface_hub

    offline = mock.patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with offline, mock.patch.object(datasets.config, "HF_HUB_OFFLINE", True):
        try:
            return list(open_source(source).column_names)
        except DataError:
            return None


def rows_of(source: Mapping[str, Any]) -> int:
    """Return how many rows a local source has, where that is quick to find out; 0 where it is not."""
    path = Path(str(source["path"])).expanduser()
    limit = source.get("limit")
    if source.get("where"):
        return 0
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            rows: int = sum(pq.read_metadata(file).num_rows for file in data_files(path))
        elif path.suffix == ".jsonl":
            with open(path, "rb") as file:
                rows = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        else:
            return 0
    except (OSError, ValueError):  # reported where its columns are read
        return 0
    return min(rows, limit) if isinstance(limit, int) else rows


def read_data(
    kind: StageKind,
    sources: Sequence[Mapping[str, Any]],
    configs: Sequence[Any],
    models: Sequence[KnownModel],
    rewards: Sequence[tuple[str, Any, Sequence[str] | None]],
) -> tuple[list[dict[str, Any]], list[ConfigError]]:
    """
    Read a stage's data whole.

    Args:
        kind ([`~kinds.StageKind`]):
            The stage's kind, which says what it reads.
        sources (`Sequence[Mapping[str, Any]]`):
            Its sources, but for what other stages will make.
        configs (`Sequence[Any]`):
            Instances of its config classes.
        models (`Sequence[KnownModel]`):
            The models that it loads; by the tokenizer of the first the prompts are counted.
        rewards (`Sequence[tuple[str, Any, Sequence[str] | None]]`):
            Its rewards, each with its key and domains.

    Returns:
        `tuple`: for each source what was counted: `source`, `rows` (usable ones, after `limit`), `without` (rows that
        lack what the stage reads), `golds` (`reward`, `rows`, `empty`, `unreadable`, `first`), `longest` (tokens of the
        longest prompt, `None` where there is no tokenizer), `room` (for prompt and completion), `cut` (prompts that leave
        a completion less than it may have) and `no_room`; and what is refused.
    """
    if kind.reads is None:
        return [], []
    use = use_of(kind.reads)
    counted: list[dict[str, Any]] = []
    problems: list[ConfigError] = []
    for i, (each, source) in enumerate(zip(sources, parse_sources(sources), strict=True)):
        columns = columns_here(each, fetch=True)
        if isinstance(columns, str):
            continue  # reported as any source that cannot be read
        try:
            rows, total = load_counted(source, use)
        except DataError as error:
            problems.append(DataError(f"`{source.label}`: {error.message}", key=f"data[{i}].{error.key}"))
            continue
        found: dict[str, Any] = {"source": source.label, "rows": len(rows), "without": total - len(rows), "golds": []}
        for key, reward, domains in rewards:
            columns_read = {
                column
                for one in required_columns(reward)
                for column in (source.columns("solution")[0] if one == "solution" else [one])
            }
            if getattr(reward, "is_accuracy", False) is not True or not columns_read <= set(columns or ()):
                continue  # nothing to compare with, or a column that is missing and reported
            try:
                gold = _golds(rows, reward, domains)
            except ConfigError as error:  # a reference answer that is a mapping, and no key named
                problems.append(ConfigError(f"`{source.label}`: {error.message}", key=f"{key}.args.{error.key}"))
                continue
            found["golds"].append({"reward": key, **gold})
            if gold["rows"] and gold["rows"] == gold["empty"] + gold["unreadable"]:
                problems.append(
                    DataError(
                        f"`{source.label}`: of {gold['rows']} rows none has a reference answer that `{name_of(reward)}` "
                        f"(`{key}`) can read ({gold['empty']} are empty), so that it scores nothing; expected another "
                        f"`solution_column`, or `domains` for the reward that leave this source out. The first: "
                        f"{gold['first']}",
                        key=f"data[{i}]",
                    )
                )
        try:
            found |= _lengths(rows["prompt"], configs, models)
        except ConfigError as error:  # a tokenizer that cannot be read
            problems.append(error)
            found |= _NOT_COUNTED
        if found["no_room"] and value_of(configs, "num_generations") is not None:  # elsewhere they are left out
            problems.append(
                DataError(
                    f"`{source.label}`: {found['no_room']} prompts leave no room for a completion; the longest has "
                    f"{found['longest']} tokens, of {found['room']}. Expected shorter prompts, or more room",
                    key=f"data[{i}]",
                )
            )
        counted.append(found)
    return counted, problems


def _golds(rows: "Dataset", reward: Any, domains: Sequence[str] | None) -> dict[str, Any]:
    required = required_columns(reward)
    found: dict[str, Any] = {"rows": 0, "empty": 0, "unreadable": 0, "first": None}
    for row in rows.select_columns(gold_columns(reward, rows.column_names)):
        if domains and row["domain"] not in domains:
            continue
        found["rows"] += 1
        if any(row.get(name) is None or is_blank(as_text(row[name]) or "") for name in required):
            found["empty"] += 1
        elif callable(reads := getattr(reward, "reads_gold", None)) and not reads(row):
            found["unreadable"] += 1
            if found["first"] is None:
                found["first"] = " ".join(str(as_text(row[required[0]])).split())[:80]
    return found


def _lengths(prompts: Sequence[str], configs: Sequence[Any], models: Sequence[KnownModel]) -> dict[str, Any]:
    """Count the tokens of the longest prompts, and hold them against the room that there is."""
    counted = dict(_NOT_COUNTED)
    model = next((model for model in models if model.place is not None), None)
    template = value_of(configs, "prompt_template")
    if model is None or model.place is None or not isinstance(template, str):
        return counted
    tokenizer = read_tokenizer(model.place, model.fetch)
    path = value_of(configs, "chat_template_path")
    chat = read_template(path, model.fetch) if isinstance(path, str) else model.chat_template()
    if tokenizer is None or (template == "chat" and not isinstance(chat, str)):
        return counted
    texts = []
    for prompt in sorted(prompts, key=len)[-_TOKENIZED:]:
        rendered: Any = render_prompt(template, prompt)
        if not isinstance(rendered, str):
            rendered = tokenizer.apply_chat_template(
                rendered, tokenize=False, add_generation_prompt=True, chat_template=chat
            )
        texts.append(rendered + (value_of(configs, "completion_prefix") or ""))
    lengths = [len(ids) for ids in tokenizer(texts, add_special_tokens=template != "chat")["input_ids"]]
    completion, whole = lengths_asked(configs)
    config = model.config(value_of(configs, "model_init_kwargs"))
    positions = positions_of(config) if config is not None else None
    room = min((n for n in (whole and whole[1], positions) if n), default=None)
    counted["longest"], counted["room"] = max(lengths), room
    if room is not None:
        counted["no_room"] = sum(length >= room for length in lengths)
        counted["cut"] = sum(length + (completion[1] if completion else 0) > room for length in lengths)
    return counted
