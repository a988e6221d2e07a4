"""The keys of a kind of stage: type, default, meaning, and whose they are."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..docstrings import arguments_of
from ..kinds import kind_of, known_kinds
from ..typed import default_of, described, hints_of, inherited_default


SAME = object()
OWNERS = {"trl_r1": "trl_r1", "trl": "TRL", "transformers": "transformers"}


@dataclass(frozen=True)
class Key:
    """
    One key of a stage's config.

    Args:
        name (`str`):
            The key.
        type (`Any`):
            Its type, as `typing` has it.
        default (`Any`):
            Its default; `dataclasses.MISSING` where it must be given.
        meaning (`str`):
            What its class says about it, with the paper's section where it has one.
        owner (`str`):
            Who defined it: `"trl_r1"`, `"TRL"`, `"transformers"`, or the package of a module of your own.
        default_there (`Any`, *optional*):
            The owner's default, where `trl_r1` has another; `SAME` where it has not.
    """

    name: str
    type: Any
    default: Any
    meaning: str
    owner: str
    default_there: Any = SAME

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is dataclasses.MISSING

    @property
    def changed(self) -> bool:
        """Whether `trl_r1` has another default than the owner."""
        return self.default_there is not SAME

    @property
    def expected(self) -> str:
        """Its type in words, as messages have it."""
        return described(self.type)


def kinds_with_pages() -> list[str]:
    """Return the kinds that ship with the package, and whose configs have keys."""
    return [kind for kind in known_kinds() if kind_of(kind).configs]


def keys_of(kind: str) -> list[Key]:
    """
    Return the keys of a kind of stage: ours first, then TRL's, then transformers', each in the order of its class.

    Args:
        kind (`str`):
            A name of [`~kinds.known_kinds`], or the dotted name of a module of your own.

    Raises:
        [`~errors.ConfigError`]: there is no such kind.
    """
    found = [key for cls in kind_of(kind).config_classes() for key in keys_of_class(cls)]
    order = list(OWNERS.values())
    return sorted(found, key=lambda key: order.index(key.owner) if key.owner in order else -1)


def keys_of_class(cls: type) -> Iterable[Key]:
    """Yield the keys of one dataclass, in its order, with what the `Args:` of it and of its bases say of them."""
    hints = hints_of(cls)
    explained: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        explained.update(arguments_of(base.__doc__ or ""))
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        meaning = explained.get(field.name) or " ".join(str(field.metadata.get("help") or "").split())
        default, there = default_of(field), inherited_default(cls, field.name)
        first = next(base for base in reversed(cls.__mro__) if field.name in vars(base).get("__annotations__", {}))
        package = first.__module__.split(".")[0]
        yield Key(
            field.name,
            hints[field.name],
            default,
            meaning.replace("%%", "%"),
            OWNERS.get(package, package),
            SAME if there is dataclasses.MISSING or there == default else there,
        )
