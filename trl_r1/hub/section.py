"""The `hub:` section of a recipe: where its models and data sets go."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError, did_you_mean
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


_EXPECTED: dict[str, tuple[type, str]] = {
    "namespace": (str, "a text"),
    "prefix": (str, "a text"),
    "private": (bool, "true or false"),
    "stages": (list, "a list of stage names"),
    "repos": (Mapping, "a mapping from stage to `org/name`"),
    "license": (str, "a text"),
}


def check_hub_section(mapping: Any, stage_names: Collection[str], where: str | None = None) -> HubSection:
    """
    Read and check the `hub:` section of a recipe, without the network.

    Args:
        mapping (`dict`, *optional*):
            The section. `None`: there is none.
        stage_names (`Collection[str]`):
            Names of the recipe's stages.
        where (`str`, *optional*):
            The recipe's file, for messages.

    Returns:
        `HubSection`: the section, with its defaults.

    Raises:
        [`~errors.ConfigError`]: with the file, the key and what was expected.
    """

    def wrong(key: str, message: str) -> ConfigError:
        return ConfigError(message, file=where, key=f"hub.{key}" if key else "hub")

    if mapping is None:
        return HubSection()
    if not isinstance(mapping, Mapping):
        raise wrong("", f"expected a mapping with keys of {', '.join(_EXPECTED)}, got {mapping!r}")
    given = {str(key): value for key, value in mapping.items() if value is not None}
    for key, value in given.items():
        if key not in _EXPECTED:
            raise wrong(key, f"unknown key, expected one of {', '.join(_EXPECTED)}{did_you_mean(key, _EXPECTED)}")
        kind, expected = _EXPECTED[key]
        if not isinstance(value, kind) or value == []:
            raise wrong(key, f"expected {expected}, got {value!r}")
    named = [(f"stages[{index}]", stage) for index, stage in enumerate(given.get("stages", ()))]
    for key, stage in [*named, *((f"repos.{stage}", stage) for stage in given.get("repos", ()))]:
        if stage not in stage_names:
            raise wrong(key, f"no stage is called {stage!r}; stages: {', '.join(stage_names)}")
    for stage, name in given.get("repos", {}).items():
        if not isinstance(name, str) or "/" not in name:
            raise wrong(f"repos.{stage}", f"expected a full name `org/name`, got {name!r}")
    section = HubSection(**{**given, **({"stages": tuple(given["stages"])} if "stages" in given else {})})
    _check_names(section, stage_names, where)
    return section


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
