"""The data set's columns, as a reward is handed them."""

from typing import Any

from ..errors import ConfigError


# What the trainer hands over beside the data's columns.
HANDED = {"truncated", "prefilled", "thought_style", "group_tokens", "environments"}


def column(name: str, columns: dict[str, Any], length: int, reward: str) -> list[Any]:
    """
    Return a column that a reward needs.

    Raises:
        [`~errors.ConfigError`]: if the data set lacks it, or it is not as long as the batch.
    """
    values = columns.get(name)
    if values is None:
        found = ", ".join(f"`{key}`" for key in sorted({*columns} - HANDED)) or "no further columns"
        raise ConfigError(f"the reward `{reward}` needs the column `{name}`; the data have {found}", key=name)
    if len(values) != length:
        raise ConfigError(
            f"the reward `{reward}` got {len(values)} values of the column `{name}` for {length} completions", key=name
        )
    return list(values)
