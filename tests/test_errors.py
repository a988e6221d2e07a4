import pickle
from types import SimpleNamespace

import pytest

from trl_r1 import errors
from trl_r1.errors import (
    ConfigError,
    ConfigErrors,
    DataError,
    HubError,
    Interrupted,
    JudgeError,
    MachineError,
    RecipeError,
    ServerError,
    StageError,
    StalledError,
    TrlR1Error,
    did_you_mean,
    expect,
    listed,
)


EXIT_CODES = {
    ConfigError: 2,
    ConfigErrors: 2,
    RecipeError: 2,
    DataError: 2,
    MachineError: 2,
    StageError: 1,
    StalledError: 1,
    ServerError: 1,
    JudgeError: 1,
    HubError: 1,
    Interrupted: 130,
}


@pytest.mark.parametrize(("kind", "code"), EXIT_CODES.items())
def test_each_error_knows_the_exit_code_of_its_program(kind, code):
    assert issubclass(kind, TrlR1Error)
    assert kind.exit_code == code


def test_every_error_has_an_exit_code_here_and_a_place_in_the_tree():
    kinds = {x for x in vars(errors).values() if isinstance(x, type) and issubclass(x, TrlR1Error)} - {TrlR1Error}
    assert kinds == set(EXIT_CODES)
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)


def test_a_message_names_the_file_and_the_key():
    assert str(ConfigError("expected an int", file="a.yaml", key="seed")) == "a.yaml: `seed`: expected an int"
    assert str(ConfigError("expected an int", key="seed")) == "`seed`: expected an int"
    assert str(ConfigError("expected an int", file="a.yaml")) == "a.yaml: expected an int"
    assert str(ConfigError("expected an int")) == "expected an int"


@pytest.mark.parametrize("kind", [ConfigError, RecipeError, DataError])
def test_an_error_crosses_processes_whole(kind):
    error = pickle.loads(pickle.dumps(kind("expected an int", file="a.yaml", key="seed")))
    assert type(error) is kind
    assert (error.message, error.file, error.key) == ("expected an int", "a.yaml", "seed")


def test_problems_found_together_are_told_together():
    problems = [ConfigError("expected an int", file="a.yaml", key="seed"), RecipeError("a cycle", key="stages")]
    error = pickle.loads(pickle.dumps(ConfigErrors(problems)))
    assert str(error) == "a.yaml: `seed`: expected an int\n`stages`: a cycle"
    assert [type(problem) for problem in error.problems] == [ConfigError, RecipeError]


def test_hints_prefer_names_that_begin_alike():
    keys = ["refine_max_tokens", "max_completion_tokens", "prompt_template", "seed"]
    assert did_you_mean("max_tokens", keys) == "; did you mean `max_completion_tokens`?"
    assert did_you_mean("prompt_templat", keys) == "; did you mean `prompt_template`?"
    assert did_you_mean("esed", keys) == "; did you mean `seed`?"
    assert did_you_mean("quite_another", keys) == ""


def test_long_lists_are_cut():
    assert listed("abc") == "`a`, `b`, `c`"
    assert listed("abcd", 2) == "`a`, `b` and 2 more"
    assert listed([]) == "none"


def test_a_wrong_value_is_refused_with_its_key_and_what_was_expected():
    config = SimpleNamespace(limit=0)
    expect(config, "limit", True, "at least 0")
    with pytest.raises(ConfigError, match=r"`limit`: expected at least 1, got 0"):
        expect(config, "limit", False, "at least 1")
