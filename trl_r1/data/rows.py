"""
Read a source and bring its rows into the canonical form. What a row lacks is counted and said, never a crash.
"""

import hashlib
import json
import logging
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data_files import data_files
from ..errors import ConfigError, DataError
from ..ids import parse_hub_id
from ..language import detect
from ..pass_rates import read_pass_rates
from ..text import as_text, question_of
from .options import as_choice, options_of
from .parallel import processes_for
from .source import DataSource, Solved, parse_sources


if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

# What each use of a data set cannot do without.
REQUIRED_COLUMNS = {
    "prompts": ("prompt",),
    "sft": ("prompt", "completion"),
    "preference": ("prompt", "chosen", "rejected"),
    "labelled": ("prompt", "completion", "label"),
    "general": ("prompt",),
}
# What it uses where it is there.
OPTIONAL_COLUMNS = {"general": ("completion", "thought")}

READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".arrow": "arrow"}
_FINAL_ANSWER = re.compile(r"####\s*(.+?)\s*$", re.DOTALL)


def prompt_id(domain: str, prompt: str) -> str:
    """Return the identity of a prompt: the same in every data set and on every machine."""
    return hashlib.sha256(f"{domain}\x1f{prompt}".encode()).hexdigest()[:16]


def question_of_row(row: Mapping[str, Any]) -> str:
    """Return a training row's question as its user wrote it: its `question`, else what of its prompt is no template."""
    question = row.get("question")
    return question if isinstance(question, str) else question_of(row.get("prompt") or "")


def id_of_row(row: Mapping[str, Any]) -> str:
    """Return the identity of a training row's prompt: its `prompt_id`, else made of its domain and question."""
    return str(row.get("prompt_id") or prompt_id(row.get("domain") or "", question_of_row(row)))


def read_solution(solution: Any) -> str | None:
    """
    Read a reference answer as text: GSM8K's `... #### 18` is `18`, a list of one is its item, a number its digits.
    """
    if isinstance(solution, list) and len(solution) == 1:
        solution = solution[0]
    if solution is None or solution == "" or solution == [] or solution != solution:  # the last is NaN
        return None
    if isinstance(solution, list):  # of texts, so that it is not taken for an interval
        solution = [item if isinstance(item, (str, list, dict)) else str(item) for item in solution]
    if isinstance(solution, (list, dict)):
        return json.dumps(solution, ensure_ascii=False)
    if isinstance(solution, float) and solution.is_integer():
        solution = int(solution)
    text = str(solution).strip()
    match = _FINAL_ANSWER.search(text)
    return (match[1] if match else text) or None


def load_prompts(sources: Sequence[DataSource | Mapping[str, Any]], seed: int = 0) -> "Dataset":
    """
    Load prompts from all sources, each question once.

    Args:
        sources (`Sequence[DataSource]`):
            Where they come from; mappings are read by [`parse_sources`].
        seed (`int`, *optional*, defaults to `0`):
            Seed of the shuffle before each `limit`.

    Returns:
        `datasets.Dataset`: rows with `prompt_id`, `prompt`, `solution`, `domain`, `language`, `source` and the sources'
        further columns.

    Raises:
        [`~errors.DataError`]: if a source cannot be read, is empty or lacks a column.
    """
    dataset = load_rows(sources, "prompts", seed)
    first: dict[str, int] = {}
    for i, each in enumerate(dataset["prompt_id"]):
        first.setdefault(each, i)
    if len(first) < len(dataset):
        logger.warning("%d prompts occur more than once; each is kept once", len(dataset) - len(first))
        dataset = dataset.select(list(first.values()))
    return dataset


def load_rows(sources: Sequence[DataSource | Mapping[str, Any]], kind: str, seed: int = 0) -> "Dataset":
    """
    Load the rows of all sources for one use. Arguments as [`load_prompts`].

    `kind` is `"prompts"`, `"sft"` (with `completion`), `"preference"` (with `chosen` and `rejected`), `"labelled"` (with
    `completion` and `label`, `"1"` or `"0"`) or `"general"` (with `completion` and `thought`, empty where a row has none).
    """
    from datasets import concatenate_datasets

    parts = [load_source(source, kind, seed) for source in parse_sources(sources)]
    return concatenate_datasets(_with_one_type_per_column(parts)) if len(parts) > 1 else parts[0]


def load_source(source: DataSource, kind: str = "prompts", seed: int = 0) -> "Dataset":
    """
    Load one source as canonical rows.

    Args:
        source ([`DataSource`]):
            Where the rows are.
        kind (`str`, *optional*, defaults to `"prompts"`):
            `"prompts"`, `"sft"`, `"preference"`, `"labelled"` or `"general"`: what a row must have. See [`load_rows`].
        seed (`int`, *optional*, defaults to `0`):
            Seed of the shuffle before `limit`.

    Returns:
        `datasets.Dataset`: the canonical columns, then the source's further ones. Rows that lack one of what `kind`
        needs are left out, and their number is logged.

    Raises:
        [`~errors.DataError`]: if the source cannot be read, has no usable row, or lacks a column.
    """
    return load_counted(source, kind, seed)[0]


def load_counted(source: DataSource, kind: str = "prompts", seed: int = 0) -> tuple["Dataset", int]:
    """Return what [`load_source`] does, and how many rows there were before those that lack something were left out."""
    from datasets import Features, Value

    dataset = open_source(source)
    if len(dataset) == 0:
        raise DataError("expected at least one row, got an empty data set", file=source.path, key="path")
    taken, names = columns_taken(source, kind, dataset.column_names)
    dataset = accepted_rows(dataset, source)
    if source.solved is None:
        dataset = _limited(dataset, source, seed)
    total = len(dataset)
    known = {*names, *(column for columns in taken.values() for column in columns), *(source.options_columns or ())}
    further = {name: feature for name, feature in dataset.features.items() if name not in known}
    features = Features({**{name: Value("string") for name in names}, **further})
    dataset = dataset.map(
        canonical_rows,
        batched=True,
        fn_kwargs={"source": source, "kind": kind, "taken": taken, "names": list(features)},
        remove_columns=dataset.column_names,
        features=features,
        num_proc=processes_for(total),
    )
    check_rows_left(source, kind, taken, len(dataset), total)
    if source.solved is not None:  # by the prompt's id, which is known only now
        dataset = _limited(_solved_rows(dataset, source, Solved(**source.solved)), source, seed)
    if "solution" in dataset.column_names and (unsolved := sum(solution is None for solution in dataset["solution"])):
        logger.info("%s: %d of %d rows have no solution", source.path, unsolved, len(dataset))
    return dataset, total


def _limited(dataset: "Dataset", source: DataSource, seed: int) -> "Dataset":
    if source.limit is None or source.limit >= len(dataset):
        return dataset
    order = list(range(len(dataset)))
    random.Random(f"{seed}:{source.label}").shuffle(order)
    return dataset.select(sorted(order[: source.limit]))


def _solved_rows(dataset: "Dataset", source: DataSource, solved: Solved) -> "Dataset":
    rates = read_pass_rates(solved.path)
    ids = dataset["prompt_id"]
    kept = [i for i, each in enumerate(ids) if each in rates and solved.at_least <= rates[each] <= solved.at_most]
    logger.info("%s: %d of %d prompts were solved as often as asked for", source.path, len(kept), len(ids))
    if not kept:
        judged = sum(each in rates for each in ids)
        raise DataError(
            f"expected prompts that were solved from {solved.at_least:g} to {solved.at_most:g}, got none: {judged} of "
            f"{len(ids)} were judged at all in {solved.path}",
            file=source.path,
            key="solved",
        )
    return dataset.select(kept)


def columns_taken(source: DataSource, kind: str, there: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """
    Return what is read of a source.

    Args:
        source ([`DataSource`]):
            Where the rows are.
        kind (`str`):
            See [`load_source`].
        there (`Sequence[str]`):
            The columns of its rows.

    Returns:
        `tuple`: the columns by their meaning, and the names of the canonical columns.

    Raises:
        [`~errors.DataError`]: if it lacks a column.
    """
    required, optional = REQUIRED_COLUMNS[kind], OPTIONAL_COLUMNS.get(kind, ())
    taken: dict[str, list[str]] = {}
    for meaning in (*required, *optional, "solution", "domain", "language"):
        columns, named = source.columns(meaning)
        if named or meaning in required:
            _check_columns(source, there, columns, f"{meaning}_column")
        if set(columns) <= set(there):
            taken[meaning] = columns
    _check_columns(source, there, source.options_columns or (), "options_columns")
    names = ["prompt_id", *required, *optional, "solution", "domain", "language", "source"]
    if kind == "preference":
        names.remove("solution")
    names += ["options"] if source.options_columns is not None else []
    names += ["license"] if source.license is not None else []
    return taken, names


def check_rows_left(source: DataSource, kind: str, taken: Mapping[str, list[str]], left: int, total: int) -> None:
    """Say how many rows of a source lack what `kind` needs, and refuse one in which all do."""
    required = REQUIRED_COLUMNS[kind]
    if left < total:
        what = " or ".join(required)
        logger.warning("%s: %d of %d rows have no %s and are left out", source.path, total - left, total, what)
    if left == 0:
        raise DataError(
            f"expected rows with text in {', '.join(repr(column) for m in required for column in taken[m])}, got none among {total}",
            file=source.path,
            key=f"{required[0]}_column",
        )


def use_of(reads: Sequence[str]) -> str:
    """Return what [`load_source`] is asked for by who reads these columns; `"prompts"` where it has no such use."""
    return next((use for use, columns in REQUIRED_COLUMNS.items() if columns == tuple(reads)), "prompts")


def accepted_rows(dataset: "Dataset", source: DataSource) -> "Dataset":
    """
    Return the rows of a source that its `where` keeps.

    Args:
        dataset (`datasets.Dataset`):
            The rows as they were read.
        source ([`DataSource`]):
            Where they are from.

    Raises:
        [`~errors.DataError`]: if a column is missing, or no row has the values.
    """
    if source.where is None:
        return dataset
    _check_columns(source, dataset.column_names, source.where, "where")
    dataset = dataset.filter(source.accepts, input_columns=list(source.where))
    if len(dataset) == 0:
        raise DataError("expected rows with these values, got none", file=source.path, key="where")
    return dataset


def columns_of(source: DataSource) -> list[str]:
    """
    Return the columns of a source, of which no more than the beginning is read.

    Args:
        source ([`DataSource`]):
            Where the rows are.

    Raises:
        [`~errors.DataError`]: if it cannot be read, or there is no row in it.
    """
    dataset = open_source(source, streaming=True)
    try:
        first = next(iter(dataset), None)
    except Exception as error:
        raise _unreadable(source, error) from error
    if first is None:
        raise DataError("expected at least one row, got none", file=source.path, key="path")
    return list(first)


def _unreadable(source: DataSource, error: Exception) -> DataError:
    cause = error.__cause__ or error
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else f"{type(cause).__name__}: {cause}"
    return DataError(f"cannot be read: {reason}", file=source.path, key="path")


def open_source(source: DataSource, **options: Any) -> "Dataset":
    """
    Return the rows of a source as they are.

    Args:
        source ([`DataSource`]):
            Where they are.
        **options:
            Passed on to [`~datasets.load_dataset`].

    Raises:
        [`~errors.DataError`]: if it cannot be read.
    """
    import datasets

    path = Path(source.path).expanduser()
    split, bracket, part = source.split.partition("[")
    part = "" if options.get("streaming") else bracket + part  # a stream has no parts
    try:
        if (path.is_dir() and (path / "state.json").exists()) or (path / "dataset_dict.json").exists():
            loaded = datasets.load_from_disk(str(path))
            return loaded[source.split] if isinstance(loaded, datasets.DatasetDict) else loaded
        if files := data_files(path):
            if files[0].stat().st_size == 0:
                raise DataError("expected at least one row, got an empty file", file=source.path, key="path")
            suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
            reader = READERS.get(suffixes[-1].lower() if suffixes else "")
            if reader is None:
                raise DataError(
                    f"expected a file that ends in {', '.join(READERS)} (or the same with .gz)",
                    file=source.path,
                    key="path",
                )
            if options and reader == "parquet":  # by default as large as the first row group: an empty file has none
                options["batch_size"] = 1000
            return datasets.load_dataset(reader, data_files=list(map(str, files)), split=f"train{part}", **options)
        name, revision = parse_hub_id(source.path)
        if revision is None and not path.exists() and (path.suffix in (*READERS, ".gz") or name.count("/") != 1):
            raise DataError("no such file or folder", file=source.path, key="path")
        return datasets.load_dataset(name, source.config, split=f"{split}{part}", revision=revision, **options)
    except ConfigError as error:
        raise DataError(error.message, file=source.path, key="path") from error
    except Exception as error:
        raise _unreadable(source, error) from error


def canonical_rows(
    batch: dict[str, list[Any]], source: DataSource, kind: str, taken: dict[str, list[str]], names: list[str]
) -> dict[str, list[Any]]:
    """Return the rows of a batch as [`load_source`] gives them, without those that lack what `kind` needs."""
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for i in range(len(next(iter(batch.values())))):
        cell = {meaning: _joined([batch[column][i] for column in columns]) for meaning, columns in taken.items()}
        row: dict[str, Any] = {meaning: _text_of(cell[meaning], meaning) for meaning in REQUIRED_COLUMNS[kind]}
        if not all(row.values()):
            continue
        row |= {meaning: _text_of(cell.get(meaning), meaning) for meaning in OPTIONAL_COLUMNS.get(kind, ())}
        row["source"] = source.label
        if source.license is not None:
            row["license"] = source.license
        row["domain"] = source.domain or cell.get("domain") or source.label
        row["language"] = source.language or cell.get("language") or detect(row["prompt"])
        row["solution"] = read_solution(cell.get("solution"))
        if source.options_columns is not None:
            options = options_of(
                {column: batch[column][i] for column in source.options_columns}, source.options_columns
            )
            choice = as_choice(row["prompt"], options, cell.get("solution"))
            if choice is None:
                continue
            row["prompt"], row["solution"], row["options"] = choice
        row["prompt_id"] = batch.get("prompt_id", {i: None})[i] or prompt_id(row["domain"], row["prompt"])
        for name in names:
            columns[name].append(row[name] if name in row else batch[name][i])
    return columns


def _check_columns(source: DataSource, there: Sequence[str], columns: Iterable[str], key: str) -> None:
    for column in columns:
        if column not in there:
            raise DataError(
                f"there is no column {column!r}; the columns are {', '.join(map(repr, there))}",
                file=source.path,
                key=key,
            )


def _joined(cells: list[Any]) -> Any:
    """Return the cell of a column; of several, their texts as paragraphs."""
    if len(cells) == 1:
        return cells[0]
    return "\n\n".join(cell.strip() for cell in cells if isinstance(cell, str) and cell.strip())


def _text_of(value: Any, meaning: str) -> str | None:
    """
    Return the text of a cell, `None` where it has none. Of messages, a prompt is the only user's turn, which comes
    first; so `messages` of one turn each may be both the prompt's and the completion's column.
    """
    if meaning == "label":  # true and false, 1 and 0
        return str(int(value)) if isinstance(value, (bool, int, float)) and value in (0, 1) else None
    if isinstance(value, list):
        turns = [each for each in value if isinstance(each, dict)]
        users = [each for each in turns if each.get("role") == "user"]
        if meaning == "prompt":
            if len(users) != 1 or turns[0] is not users[0]:
                return None
            turns = users
        elif not turns or turns[-1].get("role") != "assistant":
            return None
        value = turns[-1].get("content")
    return value if isinstance(value, str) and value.strip() else None


def _with_one_type_per_column(parts: list["Dataset"]) -> list["Dataset"]:
    """Make columns that differ in type between sources JSON text: rows of different files then fit in one table."""
    from datasets import Features, Value

    first = {name: feature for part in reversed(parts) for name, feature in part.features.items()}
    differing = {name for part in parts for name, feature in part.features.items() if feature != first[name]}
    for name in sorted(differing):
        logger.warning("column %r has different types in different sources: its values become JSON text", name)
    converted = []
    for part in parts:
        here = [name for name in part.column_names if name in differing]
        features = Features({**part.features, **{name: Value("string") for name in here}})
        converted.append(part.map(_in_text, fn_kwargs={"names": here}, features=features) if here else part)
    return converted


def _in_text(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str | None]:
    return {name: as_text(row[name]) for name in names}
