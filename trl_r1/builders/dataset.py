"""
The files of a data set, written as the rows come: several parquet files, named as `datasets` names them, in row groups
small enough to be read one at a time. 800,000 samples as one file of one row group take 5 GB to read the first row.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..data_files import part_of
from ..io import whole_folder


if TYPE_CHECKING:
    import pyarrow as pa

# Files are of the `max_shard_size` of `datasets`. A row group is what its loader turns into rows at once: of 64 MB, that takes
# 240 MB before the first row is there, of 16 MB 100.
ROW_GROUP_BYTES = 16 << 20
FILE_BYTES = 500 << 20
# Rows are turned into columns so many characters at a time: as Python's objects they take several times the room.
_BATCH_CHARACTERS = 1 << 20
_BATCH_ROWS = 1000


class DataSetWriter:
    """
    Writes one data set, `NAME-00000-of-00003.parquet` and so on, without holding more of it than a row group.

    The parts get their last names at the end of the `with` block, when their number is known. Where the block fails, what
    was written is removed.

    Args:
        path (`str` or `os.PathLike`):
            The data set, `FOLDER/NAME.parquet`, for [`~data_files.data_files`]. The folder is made where it is missing.
        schema (`pyarrow.Schema`):
            Columns and types. A column that a row lacks is null; what the schema does not name is left out.
        row_group_bytes (`int`, *optional*):
            Most bytes of a row group, uncompressed; a row that is larger has a group of its own.
        file_bytes (`int`, *optional*):
            Size from which on a file is complete, as it is on the disk.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: "pa.Schema",
        *,
        row_group_bytes: int = ROW_GROUP_BYTES,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self.path, self.schema = Path(path), schema
        self.row_group_bytes, self.file_bytes = row_group_bytes, file_bytes
        self.rows = 0
        self._files: list[Path] = []
        self._writer: Any = None
        self._pending: list[Mapping[str, Any]] = []
        self._pending_characters = 0
        self._group: list[Any] = []
        self._group_bytes = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self._pending.append(row)
        self._pending_characters += sum(len(cell) for cell in row.values() if isinstance(cell, str))
        self.rows += 1
        if self._pending_characters >= _BATCH_CHARACTERS or len(self._pending) >= _BATCH_ROWS:
            self._collect()

    def __enter__(self) -> "DataSetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._collect()
                self._write_group()
        finally:
            if self._writer is not None:
                self._writer.close()
            for i, file in enumerate(self._files):
                if kind is None:
                    file.replace(part_of(self.path, i, len(self._files)))
                else:
                    file.unlink(missing_ok=True)

    def _collect(self) -> None:
        """Turn the rows that wait into columns of the row group to come, which is written where it is full."""
        import pyarrow as pa

        if not self._pending:
            return
        batch = pa.RecordBatch.from_pylist(self._pending, schema=self.schema)
        self._pending, self._pending_characters = [], 0
        for part in _halved(batch, self.row_group_bytes):
            if self._group_bytes + part.nbytes > self.row_group_bytes:
                self._write_group()
            self._group.append(part)
            self._group_bytes += part.nbytes

    def _write_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from datasets import config

        if not self._group:
            return
        if self._writer is None:
            # A name that no reader takes for a data set's.
            self._files.append(self.path.with_name(f".{self.path.stem}-{len(self._files):05d}.tmp"))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # As `datasets` writes, so that the Hub stores what two versions share once, and can page through it.
            self._writer = pq.ParquetWriter(
                self._files[-1],
                self.schema,
                compression="zstd",
                use_content_defined_chunking=config.DEFAULT_CDC_OPTIONS,
                write_page_index=True,
            )
        self._writer.write_table(pa.Table.from_batches(self._group, schema=self.schema), row_group_size=1 << 30)
        self._group, self._group_bytes = [], 0
        if self._files[-1].stat().st_size >= self.file_bytes:
            self._writer.close()
            self._writer = None


def _halved(batch: "pa.RecordBatch", most: int) -> Iterator["pa.RecordBatch"]:
    """A batch in parts of so many bytes at most, or of one row."""
    if batch.nbytes <= most or batch.num_rows == 1:
        yield batch
    else:
        half = batch.num_rows // 2
        yield from itertools.chain(_halved(batch.slice(0, half), most), _halved(batch.slice(half), most))


def write_data_set(
    rows: Iterable[Mapping[str, Any]], folder: str | os.PathLike[str], name: str, schema: "pa.Schema", **sizes: int
) -> int:
    """
    Write a folder with one data set, whole or not at all. It replaces the folder that is there.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            The rows, of which no more than a row group is held.
        folder (`str` or `os.PathLike`), name (`str`):
            Where it goes, and its name: `FOLDER/NAME-00000-of-00001.parquet`, ...
        schema (`pyarrow.Schema`), **sizes (`int`):
            See [`DataSetWriter`].

    Returns:
        `int`: how many rows there were. Without any, the folder is empty.
    """
    with whole_folder(folder) as partial, DataSetWriter(partial / f"{name}.parquet", schema, **sizes) as writer:
        for row in rows:
            writer.add(row)
    return writer.rows
