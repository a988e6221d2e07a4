"""The keys of every kind, from their classes; and schemas that take what the runner takes."""

import dataclasses
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from trl_r1.data.source import DataSource
from trl_r1.errors import ConfigError
from trl_r1.keys import keys_of, kinds_with_pages, recipe_schema, stage_schema
from trl_r1.keys.__main__ import main
from trl_r1.keys.page import changed_defaults, classes_page, defaults_table, explained, keys_page
from trl_r1.keys.read import keys_of_class
from trl_r1.kinds import kind_of, known_kinds
from trl_r1.recipe.document import read_document
from trl_r1.recipe.keys import RecipeKeys, ServerKeys, SlurmKeys, StageKeys
from trl_r1.rewards import CodeAccuracy, Judge
from trl_r1.rewards.schedule import RewardSpec
from trl_r1.selection import Rules


RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("kind", kinds_with_pages())
def test_every_key_says_its_type_its_meaning_and_whose_it_is(kind):
    for key in keys_of(kind):
        assert key.meaning, key
        assert key.expected, key
        assert key.owner in ("trl_r1", "TRL", "transformers"), key
    page = keys_page(kind)
    assert all(f"| `{key.name}` |" in page for key in keys_of(kind))
    assert "[`~" not in page


def test_defaults_that_differ_from_trl_are_those_that_the_classes_have():
    from trl import GRPOConfig

    from trl_r1 import R1GRPOConfig

    theirs = {field.name: field for field in dataclasses.fields(GRPOConfig)}
    changed = {name: (ours, their) for name, ours, their, _ in defaults_table("grpo")}
    assert changed["beta"] == ("0.001", "0.0")
    assert changed["num_generations"] == ("16", "8")
    for field in dataclasses.fields(R1GRPOConfig):
        if field.name in theirs and field.default != theirs[field.name].default:
            assert field.name in changed
    assert "TRL" in explained("grpo", "beta")
    assert "v2 2.1" in explained("grpo", "beta")


def test_an_unknown_key_is_named_with_the_one_that_it_resembles(capsys):
    with pytest.raises(ConfigError, match="did you mean `num_generations`"):
        explained("grpo", "num_generation")
    assert main(["grpoo"]) == 2
    assert "grpoo" in capsys.readouterr().err


def test_without_a_kind_every_kind_is_named_with_its_purpose(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == known_kinds()
    assert all(len(line.split()) > 4 for line in lines)


@pytest.mark.parametrize(
    "cls", [RecipeKeys, StageKeys, ServerKeys, SlurmKeys, DataSource, RewardSpec, Rules, Judge, CodeAccuracy]
)
def test_what_has_keys_besides_stages_explains_each(cls):
    assert [key.name for key in keys_of_class(cls) if not key.meaning] == []
    page = classes_page("Keys", {"of it": cls})
    assert all(f"| `{field.name}` |" in page for field in dataclasses.fields(cls))


def validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def stage_files():
    """Every file that a shipped recipe names as a stage's config, with the stage's kind."""
    found = {}
    for path in RECIPES.rglob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        for stage in content.get("stages") or [] if isinstance(content, dict) else []:
            if stage.get("config") and stage.get("kind"):
                found[(path.parent / stage["config"]).resolve()] = stage["kind"]
    return sorted(found.items())


def test_the_schemas_accept_every_shipped_file():
    assert len(stage_files()) > 20
    validators = {kind: validator(stage_schema(kind)) for kind in {kind for _, kind in stage_files()}}
    for path, kind in stage_files():
        errors = [
            f"{path}: {error.message}" for error in validators[kind].iter_errors(yaml.safe_load(path.read_text()))
        ]
        assert not errors
    recipe = validator(recipe_schema())
    for path in RECIPES.rglob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        if isinstance(content, dict) and {"stages", "include"} & content.keys():
            assert [f"{path}: {error.message}" for error in recipe.iter_errors(content)] == []


BROKEN = [
    ("grpo", "prompt_template: chat\nnum_generation: 8\n", 2),
    ("grpo", "prompt_template: chat\nlearning_rate: fast\n", 2),
    ("grpo", "beta: 0.1\nrewards:\n  - {func: trl_r1.rewards.MathAccuracy, wieght: 2}\n", 3),
    ("grpo", "beta: 0.1\nloss_type: [grpo]\n", 2),
    ("grpo", "data:\n  - {path: rows.jsonl, promt_column: question}\n", 2),
    ("sft", "bf16: 'off please'\n", 1),
    ("rejection", "n_samples: 4\nrules:\n  max_repetitions: 0.2\n", 3),
    ("rejection", "n_samples: 4.5\n", 1),
    ("cold_start", "refine_url: http://localhost\nif_not_refined: keep\n", 2),
    ("evaluate", "models: [a, b]\n", 1),
    ("recipe", "name: mine\nstages:\n  - {name: a, kind: sftt}\n", 3),
    ("recipe", "name: mine\nslurm: {node: 2}\nstages:\n  - {name: a, kind: sft}\n", 2),
    ("recipe", "name: mine\nseeds: 3\nstages:\n  - {name: a, kind: sft}\n", 2),
]


@pytest.mark.parametrize(("kind", "text", "line"), BROKEN)
def test_the_schemas_refuse_what_is_wrong_at_its_line(kind, text, line, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    document = read_document(path)
    schema = recipe_schema() if kind == "recipe" else stage_schema(kind)
    errors = list(validator(schema).iter_errors(document.data))
    assert errors
    deepest = max((jsonschema.exceptions.best_match([error]) for error in errors), key=lambda e: len(e.absolute_path))
    keys = list(deepest.absolute_path)
    if deepest.validator == "additionalProperties":
        keys.append(next(key for key in deepest.instance if key not in deepest.schema["properties"]))
    assert document.at(*keys) == f"{path}:{line}"


def test_schemas_are_written_for_editors(tmp_path, capsys):
    assert main(["--schemas", str(tmp_path)]) == 0
    names = {path.stem for path in tmp_path.glob("*.json")}
    assert names == {"recipe", *kinds_with_pages()}
    assert all(json.loads(path.read_text())["$schema"] for path in tmp_path.glob("*.json"))


PAGE = (Path(__file__).parents[2] / "docs" / "your-trainer.md").read_text()


def test_the_page_has_every_default_that_differs_and_no_other():
    """`changed_defaults(KIND)` is the text that belongs there."""
    changed = {kind: defaults_table(kind) for kind in kinds_with_pages() if defaults_table(kind)}
    assert changed.keys() == {"grpo", "sft", "reward", "pointwise", "dpo"}
    assert changed.pop("pointwise") == changed["reward"]
    parts = re.split(r"^## .*stages? `(\w+)`.*\n\n", PAGE, flags=re.MULTILINE)
    assert dict(zip(parts[1::2], (part.strip() for part in parts[2::2]))) == {
        kind: changed_defaults(kind) for kind in changed
    }


def test_the_keys_under_a_table_put_the_other_defaults_back():
    from trl_r1.typed import check_fields

    for kind in ("grpo", "sft", "reward", "dpo"):
        block = yaml.safe_load(re.search(r"```yaml\n(.*)```", changed_defaults(kind), re.DOTALL)[1])
        right, problems = check_fields(kind_of(kind).config_classes(), block)
        assert not problems
        theirs = {key.name: key.default_there for key in keys_of(kind) if key.changed}
        assert right == theirs


def test_the_script_of_the_page_is_python_before_and_after():
    import ast
    import importlib

    (diff,) = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
    for sign in "-+":
        lines = [line[1:] for line in diff.splitlines() if line[0] in (" ", sign)]
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.ImportFrom) and node.module != "my_project":
                assert all(hasattr(importlib.import_module(node.module), name.name) for name in node.names)
    assert sum(line[0] == "+" for line in diff.splitlines()) <= 5
