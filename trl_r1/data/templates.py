"""
From canonical rows to TRL's data set formats.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data_files import data_files
from ..errors import DataError
from ..text import render_prompt
from .parallel import processes_for
from .rows import canonical_rows, check_rows_left, columns_taken, load_source
from .source import DataSource, parse_sources


if TYPE_CHECKING:
    from datasets import Dataset


def render(dataset: "Dataset", kind: str, prompt_template: str) -> "Dataset":
    """
    Put canonical rows into TRL's formats.

    Args:
        dataset (`datasets.Dataset`):
            Rows of [`load_prompts`] or [`load_rows`].
        kind (`str`):
            `"grpo"`: `prompt` rendered, the question as it was in `question`, all other columns as they are. `"sft"`:
            `prompt` and `completion`. `"reward"`: `chosen` and `rejected`, each with the prompt before it. Where the
            template is `"chat"`, these are conversations; else plain text.
        prompt_template (`str`):
            See [`~text.render_prompt`].
    """
    render_prompt(prompt_template, "")  # a wrong template is refused here, and not by a worker of `map`
    removed = ["prompt", "chosen", "rejected"] if kind == "reward" else ["prompt"]
    return dataset.map(
        _rendered,
        fn_kwargs={"kind": kind, "template": prompt_template},
        remove_columns=removed,
        num_proc=processes_for(len(dataset)),
    )


def _rendered(row: dict[str, Any], kind: str, template: str) -> dict[str, Any]:
    prompt: Any = render_prompt(template, row["prompt"])
    if kind == "grpo":
        return {"prompt": prompt, "question": row["prompt"]}
    columns = ("completion",) if kind == "sft" else ("chosen", "rejected")
    written: dict[str, Any] = {name: row[name] for name in columns}
    if template == "chat":
        written = {name: [{"role": "assistant", "content": text}] for name, text in written.items()}
    if kind == "sft":
        return {"prompt": prompt, **written}
    return {name: prompt + answer for name, answer in written.items()}


def load_sft(
    sources: Sequence[DataSource | Mapping[str, Any]], prompt_template: str, columns: Sequence[str], seed: int = 0
) -> "Dataset":
    """
    Load the rows of all sources for SFT, rendered: what [`load_rows`] and [`render`] give.

    A parquet file or a data set in parts on this machine is read, brought into form and rendered in one pass, by several
    processes: what `datasets` keeps of it on the disk is one copy. Other sources are first read as `datasets` reads them.

    Args:
        sources (`Sequence[DataSource]`), seed (`int`, *optional*, defaults to `0`):
            See [`load_rows`].
        prompt_template (`str`):
            See [`render`].
        columns (`Sequence[str]`):
            The columns to keep, of those that there are.

    Raises:
        [`~errors.DataError`]: see [`load_source`].
    """
    from datasets import concatenate_datasets

    render_prompt(prompt_template, "")
    parts = []
    for source in parse_sources(sources):
        files = data_files(Path(source.path).expanduser()) if source.path.endswith(".parquet") else []
        if files and source.where is None and source.limit is None:
            parts.append(_in_one_pass(source, files, prompt_template, columns))
        else:
            rows = render(load_source(source, "sft", seed), "sft", prompt_template)
            parts.append(rows.select_columns([name for name in columns if name in rows.column_names]))
    return concatenate_datasets(parts) if len(parts) > 1 else parts[0]


def _in_one_pass(source: DataSource, files: list[Path], template: str, columns: Sequence[str]) -> "Dataset":
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset, Features, Value
    from datasets.fingerprint import Hasher

    from .. import __version__

    try:
        opened = [pq.read_metadata(file) for file in files]
    except pa.ArrowException as error:
        raise DataError(f"cannot be read: {error}", file=source.path, key="path") from error
    taken, names = columns_taken(source, "sft", opened[0].schema.to_arrow_schema().names)
    total = sum(metadata.num_rows for metadata in opened)
    if total == 0:
        raise DataError("expected at least one row, got an empty data set", file=source.path, key="path")
    kept = tuple(name for name in columns if name in names)
    text = Value("string")
    messages = [{"content": text, "role": text}]
    conversation = template == "chat"
    features = {name: messages if conversation and name in ("prompt", "completion") else text for name in kept}
    groups = [(str(file), i) for file, metadata in zip(files, opened) for i in range(metadata.num_row_groups)]
    # The same files, read in the same way, are found in the cache of `datasets`.
    state = [
        (file, os.stat(file).st_size, os.stat(file).st_mtime_ns) for file in dict.fromkeys(path for path, _ in groups)
    ]
    key = Hasher.hash([__version__, state, dataclasses.asdict(source), template, kept])
    processes = min(processes_for(total) or 1, len(groups))
    reading: dict[str, Any] = {"groups": groups, "source": source, "taken": taken, "names": kept, "template": template}
    if next(_rows_of(**reading), None) is None:  # of no row, `datasets` makes no data set
        check_rows_left(source, "sft", taken, 0, total)
    dataset = Dataset.from_generator(
        _rows_of,
        features=Features(features),
        gen_kwargs=reading,
        num_proc=processes if processes > 1 else None,
        fingerprint=key,
    )
    check_rows_left(source, "sft", taken, len(dataset), total)
    return dataset


def _rows_of(
    groups: list[tuple[str, int]],
    source: DataSource,
    taken: dict[str, list[str]],
    names: tuple[str, ...],
    template: str,
) -> Iterator[dict[str, Any]]:
    """The rendered rows of some row groups, read a few at a time."""
    import pyarrow.parquet as pq

    for path, group in groups:
        with pq.ParquetFile(path) as file:
            read = [
                *{"prompt_id", *(column for columns in taken.values() for column in columns)}
                & {*file.schema_arrow.names}
            ]
            for batch in file.iter_batches(batch_size=100, row_groups=[group], columns=read):
                rows = canonical_rows(batch.to_pydict(), source, "sft", taken, list(names))
                for cells in zip(*rows.values()):
                    row = dict(zip(rows, cells))
                    yield {**row, **_rendered(row, "sft", template)}
