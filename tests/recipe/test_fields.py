"""Keys and types of configs, read from source, are those that the classes have when they are imported."""

import dataclasses
import importlib
import subprocess
import sys

import pytest

from trl_r1.errors import ConfigError
from trl_r1.recipe.annotations import Misfit, fit
from trl_r1.recipe.fields import UNKNOWN, read_class, read_stage_module, source_of


CLASSES = [
    "trl_r1.grpo.config:R1GRPOConfig",
    "trl_r1.sft.config:R1SFTConfig",
    "trl.trainer.reward_config:RewardConfig",
    "trl.trainer.model_config:ModelConfig",
    "trl_r1.stages._arguments:GRPOStageArguments",
]


@pytest.mark.parametrize("name", CLASSES)
def test_fields_read_from_source_are_those_of_the_class(name):
    module, _, class_name = name.partition(":")
    real = {f.name: f for f in dataclasses.fields(getattr(importlib.import_module(module), class_name)) if f.init}
    read = read_class(name)
    assert read.keys() == real.keys()
    compared = 0
    for key, field in read.items():
        if field.default is not UNKNOWN and real[key].default is not dataclasses.MISSING:
            assert field.default == real[key].default, key
            compared += 1
        assert field.required == (
            real[key].default is dataclasses.MISSING and real[key].default_factory is dataclasses.MISSING
        )
    assert compared > len(read) / 2


def test_reading_fields_imports_nothing_heavy():
    text = (
        "import sys; from trl_r1.recipe.fields import read_stage_module as r; "
        "assert len(r('trl_r1.stages.grpo').fields) > 150; "
        "assert not {'torch', 'trl', 'transformers', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


def test_sources_are_found_without_importing():
    assert source_of("trl.trainer.grpo_config").name == "grpo_config.py"
    assert source_of("json").name == "__init__.py"
    assert source_of("no_such_package.at_all") is None


def test_a_class_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lonely").mkdir()
    (tmp_path / "lonely" / "stage.py").write_text(
        'from trl_r1.kinds import StageKind\nSTAGE = StageKind(("trl_r1.grpo.config:Nothing",), ())\n'
    )
    with pytest.raises(ConfigError, match="no class `Nothing`"):
        read_stage_module("lonely.stage")


SOURCE = """
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Literal, Optional, Union

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

@dataclass
class Settings:
    hidden: ClassVar[int] = 3
    made: int = field(init=False, default=1)
    name: str
    count: int = 1
    rate: float = field(default=0.5, metadata={"help": "x"})
    sure: bool = False
    maybe: Optional[int] = None
    either: Union[int, str] = 1
    mode: Literal["fast", "slow"] = "fast"
    colour: Colour | str = "red"
    numbers: list[int] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    quoted: "int | None" = None
    anything: Any = None
    size: str = field(default="s", metadata={"choices": ["s", "m"]})
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    # Classes are cached by the name of their module: one that no other test uses.
    name = f"settings_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    return read_class(f"{name}:Settings")


def test_class_variables_and_made_fields_are_no_keys(settings):
    assert "hidden" not in settings
    assert "made" not in settings
    assert settings["name"].required
    assert not settings["numbers"].required


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("count", 3, 3),
        ("count", "3", 3),
        ("rate", "3e-6", 3e-6),
        ("rate", 1, 1),
        ("sure", True, True),
        ("sure", "yes", True),
        ("maybe", None, None),
        ("maybe", 2, 2),
        ("either", "x", "x"),
        ("mode", "slow", "slow"),
        ("colour", "blue", "blue"),
        ("numbers", [1, 2], [1, 2]),
        ("table", {"a": 1}, {"a": 1}),
        ("quoted", None, None),
        ("anything", {"x": []}, {"x": []}),
        ("size", "m", "m"),
    ],
)
def test_what_fits(settings, key, value, taken):
    assert fit(value, settings[key]) == taken
    assert type(fit(value, settings[key])) is type(taken)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", 3, "text"),
        ("name", None, "text"),
        ("name", False, "quotes"),
        ("count", 1.5, "a whole number"),
        ("count", True, "a whole number"),
        ("count", None, "a whole number"),
        ("rate", "quick", "a number"),
        ("sure", 1, "true or false"),
        ("mode", "medium", "one of `fast`, `slow`"),
        ("colour", "green", "one of `red`, `blue`"),
        ("numbers", 3, "a list"),
        ("numbers", ["x"], "a list of a whole number"),
        ("table", [1], "a mapping"),
        ("quoted", "x", "a whole number or null"),
        ("size", "xl", "one of `s`, `m`"),
    ],
)
def test_what_does_not(settings, key, value, expected):
    with pytest.raises(Misfit, match=expected):
        fit(value, settings[key])
