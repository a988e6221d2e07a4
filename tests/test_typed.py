"""Values of a YAML file fit the fields of dataclasses, and everything that does not is reported at once."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Literal, Optional, Union

import pytest

from trl_r1.errors import ConfigError, ConfigErrors
from trl_r1.typed import check_fields, hints_of, make


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
    maybe: Optional[int] = None  # noqa: UP045
    either: Union[int, str] = 1  # noqa: UP007
    mode: Literal["fast", "slow"] = "fast"
    colour: Colour | str = "red"
    numbers: list[int] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    quoted: "int | None" = None
    anything: Any = None
    size: str = field(default="s", metadata={"choices": ["s", "m"]})

    def __post_init__(self):
        if self.count < 1:
            raise ConfigError(f"expected at least 1, got {self.count}", key="count")
        if self.mode == "slow" and self.sure:
            raise ValueError("slow is never sure: see `either`")


@dataclass
class Batch:
    per_device: int = 4
    group_size: int = 2
    scheduler: str = "cosine"
    data: list[dict] | None = None

    def __post_init__(self):
        if self.per_device % self.group_size:
            raise ValueError(f"the batch ({self.per_device}) must be divisible by group_size ({self.group_size})")
        if self.scheduler == "cosin":
            raise KeyError("'cosin' is no scheduler")
        if self.data is not None and not self.data:
            raise ConfigError("expected a list of sources", key="data")


def refused(values, classes=(Settings, Batch), **more) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        make(classes, values, **more)
    return {problem.key: problem.message for problem in getattr(caught.value, "problems", [caught.value])}


def test_class_variables_and_made_fields_are_no_keys():
    assert {"hidden", "made"} & hints_of(Settings).keys() == set()


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
        ("maybe", "2", 2),
        ("either", "x", "x"),
        ("either", "3", "3"),
        ("mode", "slow", "slow"),
        ("colour", "blue", "blue"),
        ("numbers", [1, "2"], [1, 2]),
        ("table", {"a": 1, "b": "1e-3"}, {"a": 1, "b": 1e-3}),
        ("quoted", None, None),
        ("anything", {"x": []}, {"x": []}),
        ("size", "m", "m"),
    ],
)
def test_what_fits(key, value, taken):
    right, problems = check_fields([Settings], {key: value})
    assert problems == []
    assert repr(right[key]) == repr(taken)


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
        ("numbers", ["x"], "a list of which each is a whole number"),
        ("table", [1], "a mapping"),
        ("quoted", "x", "a whole number or null"),
        ("size", "xl", "one of `s`, `m`"),
    ],
)
def test_what_does_not(key, value, expected):
    right, (problem,) = check_fields([Settings], {key: value})
    assert right == {}
    assert problem.key == key
    assert f"is {value!r}; expected" in problem.message
    assert expected in problem.message


def test_everything_wrong_is_reported_at_once():
    values = {"nam": "x", "count": "many", "rate": [], "per_device": 3, "table": {"a": "b"}}
    assert refused(values) == {
        "nam": "unknown key; did you mean `name`?",
        "count": "is 'many'; expected a whole number",
        "rate": "is []; expected a number",
        "table": "is {'a': 'b'}; expected a mapping in which each value is a number",
        "group_size": "expected what `Batch` accepts: the batch (3) must be divisible by group_size (2)",
        # and nothing of `name`, which is not missing but misspelt
    }


def test_a_missing_key_says_what_is_expected():
    assert refused({}) == {"name": "is missing; expected text"}


def test_what_a_class_says_of_its_own_keys_is_kept():
    assert refused({"name": "x", "count": 0}) == {"count": "expected at least 1, got 0"}
    assert refused({"data": []}, [Batch]) == {"data": "expected a list of sources"}


def test_a_key_is_found_in_the_message_or_by_the_value_it_quotes():
    assert refused({"group_size": 3}, [Batch]).keys() == {"group_size"}
    assert refused({"scheduler": "cosin"}, [Batch]).keys() == {"scheduler"}
    # `sure` and `either` are words of English
    assert refused({"name": "x", "mode": "slow", "sure": True}, [Settings]).keys() == {"mode"}
    assert refused({"name": "slow", "mode": "slow", "sure": True}, [Settings]).keys() == {None}


def test_of_a_value_that_was_left_out_nothing_further_is_said():
    assert refused({"group_size": "three", "per_device": 3}, [Batch]) == {
        "group_size": "is 'three'; expected a whole number"
    }


def test_where_they_are_made_and_under_which_key():
    (found,) = refused({"group_size": 3}, [Batch], within="stage.rules", context=" in 8 processes").items()
    assert found[0] == "stage.rules.group_size"
    assert "accepts in 8 processes: " in found[1]


def test_one_problem_is_raised_as_itself_and_several_together():
    with pytest.raises(ConfigErrors):
        make([Batch], {"a": 1, "b": 2})
    with pytest.raises(ConfigError) as caught:
        make([Batch], {"a": 1})
    assert type(caught.value) is ConfigError
