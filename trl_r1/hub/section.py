"""The `hub:` section of a recipe: where its models and data sets go."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import ConfigError
from ..ids import check_repo_id


@dataclass(frozen=True)
class HubSection:
    """
    Where the models and data sets of a run go.

    Args:
        namespace (`str`, *optional*):
            User or organization. Defaults to the user of the token.
        prefix (`str`, *optional*):
            Prefix of the name of the stage. Defaults to the recipe's name and a dash.
        private (`bool`, *optional*, defaults to `True`):
            Whether new repositories are private. An existing public repository is never pushed to while this is true.
        stages (`tuple[str, ...]`, *optional*):
            Stages to push. Defaults to every stage that leaves a model or data.
        repos (`dict[str, str]`, *optional*):
            Full name (`org/name`) by stage, for stages that shall not be called `namespace/prefix` + stage.
        license (`str`, *optional*):
            License for the cards, by the Hub's identifiers (`apache-2.0`).
    """

    namespace: str | None = None
    prefix: str | None = None
    private: bool = True
    stages: tuple[str, ...] | None = None
    repos: dict[str, str] = field(default_factory=dict)
    license: str | None = None

    def repo_id(self, stage: str, *, namespace: str, recipe_name: str) -> str:
        """Return the full name of a stage's repository; a model and a data set of one stage share it."""
        if stage in self.repos:
            return self.repos[stage]
        prefix = f"{recipe_name}-" if self.prefix is None else self.prefix
        return f"{namespace}/{prefix}{stage}"


_KEYS = tuple(f.name for f in fields(HubSection))


def check_hub_section(mapping: Any, stage_names: Collection[str], where: str | None = None) -> None:
    """
    Check the `hub:` section of a recipe, without the network.

    Args:
        mapping (`dict`, *optional*):
            The section. `None` (no section) is well.
        stage_names (`Collection[str]`):
            Names of the recipe's stages.
        where (`str`, *optional*):
            The recipe's file, for messages.

    Raises:
        [`~errors.ConfigError`]: with the file, the key and what was expected.
    """
    if mapping is not None:
        read_hub_section(mapping, stage_names, where)


def read_hub_section(mapping: Any, stage_names: Collection[str], where: str | None = None) -> HubSection:
    """Read and check a `hub:` section; see [`check_hub_section`]."""

    def wrong(key: str, message: str) -> ConfigError:
        return ConfigError(message, file=where, key=f"hub.{key}" if key else "hub")

    if mapping is None:
        return HubSection()
    if not isinstance(mapping, Mapping):
        raise wrong("", f"expected a mapping with keys of {', '.join(_KEYS)}, got {mapping!r}")
    for key in mapping:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise wrong(str(key), f"unknown key, expected one of {', '.join(_KEYS)}{hint}")

    for key in ("namespace", "prefix", "license"):
        value = mapping.get(key)
        if value is not None and not isinstance(value, str):
            raise wrong(key, f"expected a text, got {value!r}")
    if not isinstance(mapping.get("private", True), bool):
        raise wrong("private", f"expected true or false, got {mapping['private']!r}")

    stages = mapping.get("stages")
    if stages is not None:
        if not isinstance(stages, list) or not stages or not all(isinstance(s, str) for s in stages):
            raise wrong("stages", f"expected a list of stage names, got {stages!r}")
        for index, stage in enumerate(stages):
            _check_stage(stage, stage_names, where, f"hub.stages[{index}]")
    repos = mapping.get("repos") or {}
    if not isinstance(repos, Mapping):
        raise wrong("repos", f"expected a mapping from stage to `org/name`, got {repos!r}")
    for stage, name in repos.items():
        _check_stage(stage, stage_names, where, f"hub.repos.{stage}")
        if not isinstance(name, str) or "/" not in name:
            raise wrong(f"repos.{stage}", f"expected a full name `org/name`, got {name!r}")

    section = HubSection(
        namespace=mapping.get("namespace"),
        prefix=mapping.get("prefix"),
        private=mapping.get("private", True),
        stages=None if stages is None else tuple(stages),
        repos={str(stage): name for stage, name in repos.items()},
        license=mapping.get("license"),
    )
    _check_names(section, stage_names, where)
    return section


def _check_stage(stage: Any, stage_names: Collection[str], where: str | None, key: str) -> None:
    if stage not in stage_names:
        raise ConfigError(f"no stage is called {stage!r}; stages: {', '.join(stage_names)}", file=where, key=key)


def _check_names(section: HubSection, stage_names: Collection[str], where: str | None) -> None:
    """Every repository gets a name that the Hub takes, and one of its own."""
    taken: dict[str, str] = {}
    for stage in section.stages or stage_names:
        # The defaults are known only at the push; any placeholder will do for a check of the rest.
        name = section.repo_id(stage, namespace=section.namespace or "user", recipe_name="run")
        key = f"hub.repos.{stage}" if stage in section.repos else "hub.prefix" if section.prefix else "hub.namespace"
        try:
            check_repo_id(name)
        except ConfigError as error:
            raise ConfigError(f"stage {stage!r} would go to {name!r}: {error.message}", file=where, key=key) from error
        if name in taken:
            raise ConfigError(
                f"expected a repository for each stage, but {taken[name]!r} and {stage!r} would both go to {name!r}",
                file=where,
                key=key,
            )
        taken[name] = stage
