"""A recipe that builds on other files says what they say, but for what it says itself."""

import pytest
import yaml

from trl_r1.errors import ConfigError, ConfigErrors
from trl_r1.recipe import load_recipe, resolve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "rows.jsonl").write_text('{"prompt": "1+1?", "solution": "2"}\n')
    (shared / "grpo.yaml").write_text("prompt_template: chat\nlearning_rate: 1.0e-6\n")
    write(shared / "data.yaml", data={"rows": {"path": "rows.jsonl"}, "others": {"path": "org/others"}})
    stages = [
        {
            "name": "one",
            "kind": "grpo",
            "model": "base_model",
            "data": "rows",
            "config": "grpo.yaml",
            "set": {"a": 1, "b": 1},
        },
        {"name": "two", "kind": "grpo", "model": "one", "data": "others"},
    ]
    write(shared / "large.yaml", name="large", include="data.yaml", base_model="org/large", disk_gb=9, stages=stages)
    return tmp_path


def write(path, **keys):
    path.write_text(yaml.safe_dump(keys, sort_keys=False))


def test_what_a_variant_says_takes_the_place_of_what_it_includes(folder):
    stages = [{"name": "two", "set": {"b": 3}}, {"name": "three", "kind": "grpo", "model": "two", "data": "rows"}]
    data = {"others": {"path": "org/mine"}}
    write(
        folder / "small.yaml",
        name="small",
        include=["shared/large.yaml"],
        base_model="org/small",
        data=data,
        stages=stages,
    )
    recipe = load_recipe("small.yaml", overrides=["one.b=2"])
    assert (recipe.name, recipe.base_model, recipe.disk_gb) == ("small", "org/small", 9)
    assert [stage.name for stage in recipe.stages] == ["one", "two", "three"]
    one, two, _ = recipe.stages
    assert one.config == {"prompt_template": "chat", "learning_rate": 1.0e-6, "a": 1, "b": 2}
    assert (two.model, two.config) == ("one", {"b": 3})
    resolved, problems = resolve(recipe)
    assert not problems
    assert resolved[0].config["data"][0]["path"] == str(folder / "shared" / "rows.jsonl")
    assert resolved[1].config["data"][0]["path"] == "org/mine"


def test_a_new_stage_stands_before_the_next_one_that_is_known(folder):
    stages = [{"name": name, "kind": "grpo", "model": "base_model", "data": "rows"} for name in ("zero", "half")]
    stages = [stages[0], {"name": "one"}, stages[1], {"name": "two"}, {**stages[0], "name": "three"}]
    write(folder / "small.yaml", name="small", include=["shared/large.yaml"], stages=stages)
    recipe = load_recipe("small.yaml")
    assert [stage.name for stage in recipe.stages] == ["zero", "one", "half", "two", "three"]
    assert recipe.stages[2].at == "small.yaml:10"


def test_an_error_names_the_file_that_has_the_key(folder):
    write(
        folder / "small.yaml", name="small", include=["shared/large.yaml"], stages=[{"name": "one", "set": {"b": 3}}]
    )
    recipe = load_recipe("small.yaml")
    assert recipe.stages[0].origins["a"].startswith("shared/large.yaml:")
    assert recipe.stages[0].origins["b"] == "small.yaml:7"
    assert recipe.stages[1].at.startswith("shared/large.yaml:")
    write(folder / "small.yaml", name="small", include=["shared/large.yaml"], stages=[{"name": "two", "modle": "one"}])
    with pytest.raises(ConfigErrors, match=r"small\.yaml:6: `stages\[1\]\.modle`: unknown key"):
        load_recipe("small.yaml")


@pytest.mark.parametrize(
    ("include", "told"),
    [
        (["nothing.yaml"], "no such file; expected one at nothing.yaml"),
        (["small.yaml"], "includes itself"),
        ({"a": 1}, "expected a list of YAML files"),
    ],
)
def test_an_include_that_cannot_be_is_refused(folder, include, told):
    write(folder / "small.yaml", name="small", include=include)
    with pytest.raises(ConfigError, match=told):
        load_recipe("small.yaml")
