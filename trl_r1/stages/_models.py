"""
What is known of a stage's models before anything runs: positions, attention heads and chat template, from the config and
the tokenizer alone.

A model that a stage of the recipe will have trained is known by the model at the start of its chain and by what the stages
since then change: `model_init_kwargs` and `chat_template_path`. Only what is local or in the cache of the Hub is read, unless
it is asked to fetch.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..ids import parse_hub_id
from ..io import read_json


@dataclass(frozen=True)
class KnownModel:
    """
    A model that a stage reads.

    Args:
        name (`str`):
            Its name among several, empty where the stage has one.
        place (`str`, *optional*):
            Folder or Hub id of the model at the start of its chain; `None` where a stage of the recipe makes that.
        trained (`Sequence[Mapping[str, Any]]`):
            The stages that train it before, oldest first: `stage`, and of their configs `prompt_template`,
            `chat_template_path` and `model_init_kwargs`.
        fetch (`bool`):
            Whether what is neither local nor cached may be fetched.
    """

    name: str
    place: str | None
    trained: Sequence[Mapping[str, Any]] = ()
    fetch: bool = False

    @property
    def shown(self) -> str:
        """The model for a message: that of the last stage which trains it, or its place."""
        return f"the model of `{self.trained[-1]['stage']}`" if self.trained else f"`{self.place}`"

    def config(self, init: Mapping[str, Any] | None = None) -> Any:
        """
        Return its config as the stage will load it, `None` where that is not known.

        Args:
            init (`Mapping[str, Any]`, *optional*):
                The stage's own `model_init_kwargs`.
        """
        changes: dict[str, Any] = {}
        for each in (*(one.get("model_init_kwargs") for one in self.trained), init):
            changes |= each if isinstance(each, Mapping) else {}
        if self.place is None:
            return None
        return read_config(self.place, json.dumps(changes, sort_keys=True, default=str), self.fetch)

    def chat_template(self) -> "str | Unknown | None":
        """Return the chat template that it comes with, `None` where it has none."""
        for each in reversed(self.trained):
            if isinstance(path := each.get("chat_template_path"), str):
                return read_template(path, self.fetch)
        return UNKNOWN if self.place is None else read_template(self.place, self.fetch)


def unknown(models: Sequence[KnownModel], templates: Sequence[Any] = ()) -> list[str]:
    """
    Return the places of which config or tokenizer are neither local nor in the cache of the Hub.

    Args:
        models (`Sequence[KnownModel]`):
            Models; those that a stage of the recipe makes from nothing have no place.
        templates (`Sequence[Any]`, *optional*):
            Values of `chat_template_path`, of which the tokenizer is looked for.
    """
    paths = [*templates, *(each.get("chat_template_path") for model in models for each in model.trained)]
    both = ["config.json", "tokenizer_config.json"]
    asked = [(model.place, both) for model in models if model.place is not None]
    asked += [(path, both[1:]) for path in paths if isinstance(path, str)]
    return list(dict.fromkeys(place for place, files in asked if not all(_is_here(place, name) for name in files)))


def _is_here(place: str, file: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    name, revision = parse_hub_id(place)
    return Path(name).expanduser().exists() or isinstance(try_to_load_from_cache(name, file, revision=revision), str)


class Unknown:
    """What is neither local nor cached."""


UNKNOWN = Unknown()


@functools.cache
def read_config(place: str, changes: str = "{}", fetch: bool = False) -> Any:
    """
    Read a model's config, as [`~transformers.PreTrainedModel.from_pretrained`] would with these changes.

    Args:
        place (`str`):
            Folder or Hub id.
        changes (`str`):
            Keyword arguments, in JSON.
        fetch (`bool`):
            Whether it may be fetched from the Hub.

    Returns:
        [`~transformers.PreTrainedConfig`]: or `None` where it is neither local nor cached.

    Raises:
        [`~errors.ConfigError`]: if a local one cannot be read, or another not be fetched.
    """
    from transformers import AutoConfig

    return _read(AutoConfig, place, "config", fetch, **json.loads(changes))


@functools.cache
def read_tokenizer(place: str, fetch: bool = False) -> Any:
    """Read a model's tokenizer, `None` where it is neither local nor cached. Raises as [`read_config`]."""
    from transformers import AutoTokenizer

    return _read(AutoTokenizer, place, "tokenizer", fetch)


def read_template(place: str, fetch: bool = False) -> str | Unknown | None:
    """
    Return a chat template.

    Args:
        place (`str`):
            A template's file (`.jinja`, `.j2`), or a model's folder or Hub id, as TRL reads `chat_template_path`.
        fetch (`bool`):
            Whether it may be fetched from the Hub.

    Returns:
        `str`: or `None` where the model has none, `UNKNOWN` where that is not known.
    """
    if place.endswith((".jinja", ".j2")) and Path(place).is_file():
        return Path(place).read_text(encoding="utf-8")
    tokenizer = read_tokenizer(place, fetch)
    if tokenizer is None:
        return UNKNOWN
    template: str | dict[str, str] | None = tokenizer.chat_template
    return template.get("default") if isinstance(template, dict) else template


def _read(auto: Any, place: str, what: str, fetch: bool, **options: Any) -> Any:
    name, revision = parse_hub_id(place)
    local = Path(name).expanduser().exists()
    if local and what == "config" and not (Path(name).expanduser() / "config.json").is_file():
        base = read_json(Path(name).expanduser() / "adapter_config.json").get("base_model_name_or_path")
        return _read(auto, base, what, fetch, **options) if base else None
    try:
        return auto.from_pretrained(
            str(Path(name).expanduser()) if local else name, revision=revision, local_files_only=not fetch, **options
        )
    except Exception as error:  # OSError, ValueError, and whatever a broken file makes transformers raise
        if local and what == "tokenizer":
            return None  # a model may come without one: what needs it says so
        if not local and not fetch:
            return None
        verb = "read" if local else "fetched"
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"the {what} of `{place}` cannot be {verb}: {type(error).__name__}: {said}") from error


def positions_of(config: Any) -> int | None:
    """
    Return for how many positions a model is made: `max_position_embeddings`, times the factor of its rope scaling, as vLLM
    counts them.

    Args:
        config ([`~transformers.PreTrainedConfig`]):
            Its config.

    Returns:
        `int`: `None` where the model has no such limit.
    """
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    rope = getattr(text, "rope_parameters", None) or {}
    kind, factor = rope.get("rope_type"), rope.get("factor")
    # The positions of these two are those after scaling, and layers that differ have a mapping each.
    if kind in (None, "default", "llama3", "longrope") or not isinstance(factor, (int, float)):
        return positions
    original = rope.get("original_max_position_embeddings") if kind == "yarn" else None
    return max(positions, int((original or positions) * factor))
