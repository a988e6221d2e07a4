"""
Data that a user points at, as a recipe names them: which of their columns are what, and what of them is for evaluation.
"""

from pathlib import Path

from ..errors import DataError, listed
from ..ids import is_hub_id, parse_hub_id
from .source import DataSource


# The columns that are taken for a question and for its answer. `answer` first: beside it, `solution` is a derivation.
PROMPTS = ("prompt", "question", "problem")
SOLUTIONS = ("answer", "solution")
# The first so many of a hundred rows are kept for evaluation, where a data set has no part of its own for it.
_HELD_OUT = 10


def read_sources(data: str, option: str = "--data") -> dict[str, dict[str, str]]:
    """
    Look into data, and say how a recipe names them.

    Args:
        data (`str`):
            A file, or a Hub id with or without a revision.
        option (`str`, *optional*, defaults to `"--data"`):
            What the user gave it as, for messages.

    Returns:
        `dict[str, dict[str, str]]`: `train` and `test`, each an entry of a recipe's `data:` with `path`, `split`,
        `prompt_column`, `solution_column`, and of a data set of the Hub with several configurations `config`.

    Raises:
        [`~errors.DataError`]: they cannot be read, or no column is known as a question or an answer.
    """
    from .rows import READERS, columns_of

    found: dict[str, str] = {"path": data}
    splits = {"test": f"train[:{_HELD_OUT}%]", "train": f"train[{_HELD_OUT}%:]"}
    if Path(data).expanduser().is_dir():
        raise DataError(f"is a folder; expected a file ({', '.join(READERS)}) or a Hub id", file=data, key=option)
    if not Path(data).exists() and is_hub_id(data) and Path(data).suffix not in (*READERS, ".gz"):
        found |= _of_the_hub(data, splits, option)
    elif not Path(data).expanduser().exists():
        raise DataError("no such file, and not the id of a data set (`owner/name`)", file=data, key=option)
    columns = columns_of(DataSource(data, config=found.get("config"), split=splits["train"]))
    for key, known in (("prompt_column", PROMPTS), ("solution_column", SOLUTIONS)):
        column = next((name for name in known if name in columns), None)
        if column is None:
            raise DataError(
                f"none of its columns is called {listed(known)}; it has {listed(columns)}. Expected one to be renamed so, or "
                f"`trl-r1 init` without --data and `{key}` in recipe.yaml",
                file=data,
                key=key,
            )
        found[key] = column
    return {name: {"path": data, "split": split, **found} for name, split in splits.items()}


def _of_the_hub(data: str, splits: dict[str, str], option: str) -> dict[str, str]:
    """Return the `config` of a data set of the Hub, where it has several; `splits` become its own where it has a test split."""
    import datasets

    name, revision = parse_hub_id(data)
    try:
        configs = datasets.get_dataset_config_names(name, revision=revision)
        config = "default" if "default" in configs else configs[0]
        there = datasets.get_dataset_split_names(name, config, revision=revision)
    except Exception as error:  # what the Hub, a loading script or a missing network raises
        raise DataError(
            f"no such file, and not to be read from the Hub ({type(error).__name__}: {error}); expected a local file, or the "
            "id of a data set and a network",
            file=data,
            key=option,
        ) from None
    if "train" not in there:
        raise DataError(f"has no split `train`; it has {listed(there)}", file=data, key=option)
    held_out = next((split for split in ("test", "validation") if split in there), None)
    if held_out is not None:
        splits |= {"test": held_out, "train": "train"}
    return {"config": config} if len(configs) > 1 else {}
