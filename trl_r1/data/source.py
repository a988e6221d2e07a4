"""
Where rows come from: the entries of a stage's `data:`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..typed import make


@dataclass(frozen=True)
class Solved:
    """
    How often a prompt has to have been solved: `solved:` of a source.

    Args:
        path (`str`):
            A `pass_rates.parquet`, or the folder of the builder or the evaluation that left it; in a recipe, the name of
            that stage.
        at_least (`float`, *optional*, defaults to `0.0`), at_most (`float`, *optional*, defaults to `1.0`):
            Bounds of the share of its judged samples that were solved.
    """

    path: str
    at_least: float = 0.0
    at_most: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= self.at_most <= 1:
            raise DataError(
                f"expected shares from 0 to 1, got {self.at_least} to {self.at_most}", file=self.path, key="solved"
            )


@dataclass(frozen=True)
class DataSource:
    """
    One source of rows: an entry of a stage's `data:`.

    Args:
        path (`str`):
            Hub id (`org/name`, `org/name@revision`), a file (jsonl, json, parquet, csv; gz as well) or a folder saved
            by `save_to_disk`.
        name (`str`, *optional*):
            Name in the column `source`. Defaults to the stem of the path.
        config (`str`, *optional*):
            Configuration of a Hub data set.
        split (`str`, *optional*, defaults to `"train"`):
            Split of a Hub data set or a saved one. `train[10%:]`, in the notation of `datasets`, is a part of it, or of the
            rows of a file.
        prompt_column, completion_column, thought_column, solution_column, chosen_column, rejected_column, label_column (`str`, *optional*):
            The columns with these meanings. They default to the canonical names. A solution that ends in `#### 18`, as
            GSM8K's do, is read as `18`. A prompt may stand in several columns: their texts are joined by an empty line.
        options_columns (`list[str]`, *optional*):
            Columns of a multiple-choice question's options, or one column with a list of them. They are put under the
            question in an order of their own, lettered, and the solution (the text, the letter or the number of an
            option) becomes a letter.
        where (`dict[str, Any]`, *optional*):
            Keep only rows with these values in these columns: a value or a list of values, compared as text.
        solved (`dict`, *optional*):
            Keep only prompts that were solved so often, by the samples of a builder or an evaluation ([`Solved`]): `{path:
            ..., at_least: 0.1, at_most: 0.9}`. Those that were never judged are left out.
        domain (`str`, *optional*):
            Domain of all rows. Without it and `domain_column`, a column `domain`; without that, the source's name.
        domain_column (`str`, *optional*):
            Column with each row's domain.
        language (`str`, *optional*):
            Language of all rows, ISO 639-1. Without it and `language_column`, a column `language`; where that is
            missing or empty, the language is detected from the prompt.
        language_column (`str`, *optional*):
            Column with each row's language.
        license (`str`, *optional*):
            License of all rows, by the Hub's identifiers (`mit`): a column `license` of what is built from them. Without
            it, a column `license`.
        limit (`int`, *optional*):
            Keep only so many rows: the first of a seeded shuffle.
        share (`float`, *optional*):
            Share of each step's prompts (`grpo`), among the sources that are offered at that step.
        from_step (`int`, *optional*):
            Offered only from this step on (`grpo`).
    """

    path: str
    name: str | None = None
    config: str | None = None
    split: str = "train"
    prompt_column: str | list[str] | None = None
    completion_column: str | None = None
    thought_column: str | None = None
    solution_column: str | None = None
    chosen_column: str | None = None
    rejected_column: str | None = None
    label_column: str | None = None
    options_columns: list[str] | None = None
    where: dict[str, Any] | None = None
    solved: dict[str, Any] | None = None
    domain: str | None = None
    domain_column: str | None = None
    language: str | None = None
    language_column: str | None = None
    license: str | None = None
    limit: int | None = None
    share: float | None = None
    from_step: int | None = None

    def __post_init__(self) -> None:
        for constant, column in (("domain", "domain_column"), ("language", "language_column")):
            if getattr(self, constant) and getattr(self, column):
                raise DataError(f"expected one of `{constant}` and `{column}`, got both", file=self.path, key=column)
        for key in ("prompt_column", "options_columns", "where"):
            if getattr(self, key) is not None and not getattr(self, key):
                raise DataError("expected at least one column, got none", file=self.path, key=key)
        if self.limit is not None and self.limit < 1:
            raise DataError(f"expected at least 1 row, got {self.limit}", file=self.path, key="limit")
        if self.share is not None and not 0 < self.share <= 1:
            raise DataError(f"expected a share above 0 and at most 1, got {self.share}", file=self.path, key="share")

        if self.solved is not None:
            make([Solved], self.solved, within="solved")

    @property
    def label(self) -> str:
        """The source's name in the column `source`."""
        return self.name or Path(self.path.partition("@")[0].removesuffix(".gz")).stem

    def columns(self, meaning: str) -> tuple[list[str], bool]:
        """Return the columns that hold `prompt`, `solution`, ..., and whether the source names them itself."""
        named = getattr(self, f"{meaning}_column")
        return (named if isinstance(named, list) else [named or meaning]), named is not None

    def accepts(self, *cells: Any) -> bool:
        """Return whether a row with these cells in the columns of `where` is kept."""
        accepted = [each if isinstance(each, list) else [each] for each in (self.where or {}).values()]
        return all(str(cell) in map(str, values) for cell, values in zip(cells, accepted, strict=True))


def parse_sources(entries: Sequence[Any], *, key: str = "data") -> list[DataSource]:
    """
    Make sources of the `data:` entries of a stage.

    Args:
        entries (`Sequence`):
            Mappings with the fields of [`DataSource`], paths, or sources.
        key (`str`, *optional*, defaults to `"data"`):
            Key that holds them, for messages.

    Raises:
        [`~errors.DataError`]: on an unknown key, a missing path or two sources of one name.
    """
    sources: list[DataSource] = []
    for i, entry in enumerate(entries):
        at = f"{key}[{i}]"
        if isinstance(entry, str):
            entry = {"path": entry}
        if isinstance(entry, DataSource):
            sources.append(entry)
            continue
        if not isinstance(entry, Mapping) or "path" not in entry:
            raise DataError(f"expected a mapping with a `path`, got {entry!r}", key=at)
        try:
            sources += make([DataSource], entry, within=at)
        except ConfigError as error:
            found = error.problems[0]
            raise DataError(found.message, file=found.file, key=found.key) from None
    if not sources:
        raise DataError("expected at least one source, got none", key=key)
    labels = [source.label for source in sources]
    for i, label in enumerate(labels):
        if label in labels[:i]:
            raise DataError(
                f"two sources are named {label!r}; give one of them another `name`", key=f"{key}[{i}].name"
            )
    return sources
