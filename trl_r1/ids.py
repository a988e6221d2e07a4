"""
Hub ids, as recipes and command lines name them: `org/name` or `org/name@revision`. Torch-free.
"""

import re
from pathlib import Path

from .errors import ConfigError


_LOOKS_LOCAL = ("/", "./", "../", "~", ".\\", "..\\")
_OWNED = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")
# A branch, a tag (`v1.0`), a pull request (`refs/pr/1`) or a commit.
_REVISION = re.compile(r"[\w][\w./\-]*", re.ASCII)


def is_hub_id(text: str) -> bool:
    """Tell whether a text has the form of a Hub id with an owner: `org/name`, with or without a revision."""
    return bool(_OWNED.fullmatch(text))


def parse_hub_id(text: str) -> tuple[str, str | None]:
    """
    Take an id of a model or a data set apart into the id and its revision.

    A local path comes back whole, with no revision, even where its name contains an `@`: what exists on the disk, or
    is written as a path (`/data/x`, `./x`, `../x`, `~/x`), is a path. `org/name` that exists neither here nor there
    is taken as a Hub id: the Hub has the last word on it.

    Args:
        text (`str`):
            `org/name`, `name`, `org/name@revision` or a local path.

    Returns:
        `tuple[str, str | None]`: the id or path, and the revision (branch, tag or commit), if one is named.

    Raises:
        [`~errors.ConfigError`]: if the text is neither a path nor a well-formed id.

    Example:
    ```python
    >>> parse_hub_id("Qwen/Qwen2.5-7B@v1.0")
    ('Qwen/Qwen2.5-7B', 'v1.0')
    ```
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"expected a Hub id (`org/name`, `org/name@revision`) or a local path, got {text!r}")
    if text in (".", "..") or text.startswith(_LOOKS_LOCAL) or Path(text).exists():
        return text, None
    name, at, revision = text.partition("@")
    if at and not _REVISION.fullmatch(revision):
        raise ConfigError(f"expected a branch, a tag or a commit after the `@` of {text!r}, got {revision!r}")
    try:
        check_repo_id(name)
    except ConfigError as error:
        raise ConfigError(f"{text!r} is no file or folder here, and as a Hub id: {error.message}") from error
    return name, revision or None


def model_label(model: str) -> str:
    """
    Return how rows name the model that wrote them: a Hub id as it is, a folder without the machine's path to it.

    ```python
    >>> model_label("/runs/r1/dev2/model"), model_label("./dev2/checkpoint-500"), model_label("Qwen/Qwen2.5-7B")
    ('dev2', 'dev2/checkpoint-500', 'Qwen/Qwen2.5-7B')
    ```
    """
    if not model or not (model.startswith(_LOOKS_LOCAL) or Path(model).exists()):
        return model
    place = Path(model).expanduser().resolve()
    if place.name == "model":  # what a stage trained
        return place.parent.name
    return f"{place.parent.name}/{place.name}" if place.name.startswith("checkpoint-") else place.name


def check_repo_id(name: str) -> None:
    """
    Check an id by the Hub's own rules: letters, digits, `-`, `_`, `.`, at most one `/`, 96 characters a part.

    Raises:
        [`~errors.ConfigError`]: if it breaks one of them.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(f"expected `org/name` or `org/name@revision`: {error}") from error
