"""A recipe is read as it is written, with what stands in it found in its place."""

import pickle

import pytest
import yaml

from trl_r1.errors import ConfigError, ConfigErrors
from trl_r1.recipe import find_recipe, fingerprints, load_recipe, read_document, resolve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.jsonl").write_text('{"prompt": "1+1?", "solution": "2"}\n')
    return tmp_path


def recipe_of(folder, stages, **more):
    path = folder / "recipe.yaml"
    path.write_text(
        yaml.safe_dump({"name": "small", "base_model": "org/base", "stages": stages, **more}, sort_keys=False)
    )
    return path


def resolved(path, **more):
    stages, problems = resolve(load_recipe(path, **more))
    assert not problems, [str(p) for p in problems]
    return {stage.name: stage for stage in stages}


def test_lines_are_known(folder):
    (folder / "a.yaml").write_text("one: 1\ntwo:\n  - {x: 1}\n  - y: 2\n")
    document = read_document(folder / "a.yaml")
    assert document.data == {"one": 1, "two": [{"x": 1}, {"y": 2}]}
    assert document.at("two", 1, "y") == "a.yaml:4"
    assert document.at("two", 0, "nothing") == "a.yaml:3"
    assert document.at("nothing") == "a.yaml"


def test_merge_keys_and_number_keys(folder):
    (folder / "a.yaml").write_text("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\nschedule: {8200: 65536}\n")
    assert read_document(folder / "a.yaml").data == {
        "base": {"x": 1, "y": 2},
        "more": {"x": 1, "y": 3},
        "schedule": {8200: 65536},
    }


@pytest.mark.parametrize("text", ["no: 1\n", "a:\n  off: 1\n", "1: 2\n"])
def test_keys_that_yaml_bends_are_refused(folder, text):
    (folder / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"a key is a .* in quotes"):
        read_document(folder / "a.yaml")


def test_references_become_places_and_parents(folder):
    stages = [
        {"name": "zero", "kind": "grpo", "model": "base_model", "data": "sums"},
        {"name": "cold", "kind": "two_files.stage", "model": "zero", "data": ["sums"]},
        {"name": "dev", "kind": "sft", "model": "base_model", "data": ["cold", {"source": "cold/more", "limit": 5}]},
        {"name": "pref", "kind": "reward", "model": "dev", "data": "zero/rollouts"},
        {
            "name": "last",
            "kind": "grpo",
            "model": "dev",
            "data": "sums",
            "set": {"rewards": [{"func": "trl_r1.rewards.PreferenceModel", "args": {"model": "pref"}}]},
        },
        {"name": "scores", "kind": "evaluate", "model": ["base_model", "zero", "last"], "data": "sums"},
    ]
    data = {"sums": {"path": "sums.jsonl", "domain": "math"}}
    (folder / "two_files").mkdir()
    (folder / "two_files" / "stage.py").write_text(
        'from trl_r1.kinds import StageKind\nSTAGE = StageKind((), ("data/train.parquet", "data/more.parquet"))\n'
    )
    import sys

    sys.path.insert(0, str(folder))
    try:
        found = resolved(recipe_of(folder, stages, data=data))
    finally:
        sys.path.remove(str(folder))
    assert found["zero"].config["model_name_or_path"] == "org/base"
    assert found["zero"].config["data"] == [{"path": str(folder / "sums.jsonl"), "domain": "math", "name": "sums"}]
    assert found["dev"].config["data"] == [
        {"path": "${run}/cold/data/train.parquet", "name": "cold"},
        {"path": "${run}/cold/data/more.parquet", "name": "cold/more", "limit": 5},
    ]
    assert found["dev"].parents == ("cold",)
    assert found["pref"].config["data"] == [{"path": "${run}/zero/rollouts", "name": "zero/rollouts"}]
    assert found["last"].config["rewards"][0]["args"]["model"] == "${run}/pref/model"
    assert set(found["last"].parents) == {"pref", "dev"}
    assert found["scores"].config["models"] == {
        "base": "org/base",
        "zero": "${run}/zero/model",
        "last": "${run}/last/model",
    }
    assert found["scores"].placed("/r")["models"]["last"] == "/r/last/model"


def test_only_what_a_kind_or_a_reward_declares_names_a_stage(folder):
    """A server's model that is called as a stage is none: no path, no parent."""
    judge = {"base_url": "http://localhost:8000/v1", "model": "zero"}
    sampling = {"server_model": "zero", "refine_model": "zero", "model": "zero"}
    rewards = [{"func": "trl_r1.rewards.Judge", "args": judge}, {"func": "no.Such", "args": {"model": "zero"}}]
    stages = [
        {"name": "zero", "kind": "grpo", "model": "base_model"},
        {"name": "cold", "kind": "cold_start", "model": "base_model", "set": {**sampling, "rewards": rewards}},
        {"name": "best", "kind": "evaluate", "model": "org/x", "set": {"best_of_n": {}}},
    ]
    stages[2]["set"]["best_of_n"] = {"func": "trl_r1.rewards.PreferenceModel", "args": {"model": "zero"}}
    found = resolved(recipe_of(folder, stages))
    assert found["cold"].parents == ()
    assert {key: found["cold"].config[key] for key in sampling} == sampling
    assert found["cold"].config["rewards"] == rewards
    assert found["best"].config["best_of_n"]["args"] == {"model": "${run}/zero/model"}
    assert found["best"].parents == ("zero",)


def test_declared_data_and_files_become_places(folder):
    (folder / "configs").mkdir()
    (folder / "configs" / "chat.jinja").write_text("{{ messages }}")
    (folder / "configs" / "sft.yaml").write_text("chat_template_path: chat.jinja\nlogging_dir: chat.jinja\n")
    stages = [
        {"name": "kept", "kind": "rejection", "model": "org/x", "data": "sums", "set": {"held_out": "sums"}},
        {"name": "dev", "kind": "sft", "model": "org/x", "data": "kept", "config": "configs/sft.yaml"},
    ]
    found = resolved(recipe_of(folder, stages, data={"sums": {"path": "sums.jsonl"}}))
    assert found["kept"].config["held_out"] == [{"path": str(folder / "sums.jsonl"), "name": "sums"}]
    assert found["dev"].config["chat_template_path"] == str(folder / "configs" / "chat.jinja")
    assert found["dev"].inputs == (folder / "configs" / "chat.jinja",)
    assert found["dev"].config["logging_dir"] == "chat.jinja"


def test_the_base_model_may_be_a_stage(folder):
    stages = [
        {"name": "zero", "kind": "grpo", "model": "base_model"},
        {"name": "world", "kind": "sft", "model": "org/x"},
    ]
    found = resolved(recipe_of(folder, stages, base_model="world"))
    assert list(found) == ["world", "zero"]  # parents first
    assert found["zero"].config["model_name_or_path"] == "${run}/world/model"


def test_set_reaches_stages_data_and_the_recipe(folder):
    stages = [{"name": "zero", "kind": "grpo", "model": "base_model", "data": "sums"}]
    path = recipe_of(folder, stages, data={"sums": {"path": "sums.jsonl"}})
    found = resolved(
        path,
        overrides=[
            "zero.learning_rate=3e-6",
            "zero.model_init_kwargs.dtype=bfloat16",
            "data.sums.limit=7",
            "base_model=org/other",
            "zero.report_to=[a, b]",
        ],
        seed=5,
    )
    config = found["zero"].config
    assert config["model_init_kwargs"] == {"dtype": "bfloat16"}
    assert config["data"][0]["limit"] == 7
    assert config["model_name_or_path"] == "org/other"
    assert config["report_to"] == ["a", "b"]
    assert config["seed"] == 5


def test_the_recipes_seed_replaces_the_files_and_set_pins_it(folder):
    (folder / "zero.yaml").write_text("seed: 42\n")
    stages = [
        {"name": "zero", "kind": "grpo", "model": "org/x", "config": "zero.yaml"},
        {"name": "pinned", "kind": "grpo", "model": "org/x", "config": "zero.yaml", "set": {"seed": 7}},
    ]
    found = resolved(recipe_of(folder, stages, seed=3))
    assert (found["zero"].config["seed"], found["pinned"].config["seed"]) == (3, 7)


def test_a_key_may_name_a_stage_whose_folder_it_reads(folder):
    first = {"name": "first", "kind": "evaluate", "model": ["org/x"], "data": ["org/rows"]}
    later = {**first, "name": "later", "set": {"continues": ["first"]}}
    data = {"org/rows": {"path": "org/rows"}}
    found = resolved(recipe_of(folder, [later, first], data=data))
    assert list(found) == ["first", "later"]
    assert found["later"].parents == ("first",)
    assert found["later"].config["continues"] == ["${run}/first"]

    later["set"]["continues"] = ["frst"]
    _, problems = resolve(load_recipe(recipe_of(folder, [first, later], data=data)))
    (problem,) = problems
    assert problem.key == "stages.later.continues"
    assert "`frst`; expected a stage of this recipe" in problem.message
    assert "did you mean `first`" in problem.message

    other = {"name": "made", "kind": "rejection", "model": "org/x", "data": ["org/rows"]}
    later["set"]["continues"] = ["made"]
    _, problems = resolve(load_recipe(recipe_of(folder, [other, later], data=data)))
    assert [problem.message for problem in problems] == [
        "`made` is of kind `rejection`; expected a stage of kind `evaluate`"
    ]


def test_several_problems_in_one_error(folder):
    path = recipe_of(folder, [{"name": "a.b", "kind": "grpo"}, {"name": "x", "kind": "nothing"}], parallel=0)
    with pytest.raises(ConfigErrors) as caught:
        load_recipe(path)
    assert len(caught.value.problems) == 3
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_a_recipe_is_found_by_path_folder_and_name(folder):
    path = recipe_of(folder, [{"name": "a", "kind": "grpo", "model": "org/x"}])
    assert find_recipe(path) == path
    assert find_recipe(folder) == path
    with pytest.raises(ConfigError, match="no recipe of this name"):
        find_recipe("nothing-of-this-name")


# --- fingerprints ----------------------------------------------------------------------------------------------------


@pytest.fixture
def prints(folder):
    """Fingerprints of a chain of three stages, after a change."""

    def of(change=None, **more):
        stages = [
            {"name": "a", "kind": "grpo", "model": "base_model", "data": "sums", "set": {"max_steps": 3}},
            {"name": "b", "kind": "grpo", "model": "a", "data": "sums"},
            {"name": "c", "kind": "grpo", "model": "base_model", "data": "sums"},
        ]
        recipe = {"data": {"sums": {"path": "sums.jsonl"}}, **more}
        if change:
            change(stages, recipe)
        found, problems = resolve(load_recipe(recipe_of(folder, stages, **recipe)))
        assert not problems, problems
        return fingerprints(found)

    return of


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_a_fingerprint_is_the_same_twice(prints):
    assert prints() == prints()


def test_a_change_reaches_the_stage_and_its_descendants(prints):
    def faster(stages, recipe):
        stages[0]["set"]["learning_rate"] = 1e-3

    assert changed(prints(), prints(faster)) == {"a", "b"}


def test_the_base_model_and_the_seed_change_everything(prints):
    assert changed(prints(), prints(base_model="org/other")) == {"a", "b", "c"}
    assert changed(prints(), prints(seed=1)) == {"a", "b", "c"}


def test_names_of_places_do_not_count_but_contents_do(prints, folder):
    before = prints()
    (folder / "sums.jsonl").rename(folder / "moved.jsonl")

    def moved(stages, recipe):
        recipe["data"]["sums"]["path"] = "moved.jsonl"

    assert changed(before, prints(moved)) == set()
    (folder / "moved.jsonl").write_text('{"prompt": "2+2?", "solution": "4"}\n')
    assert changed(before, prints(moved)) == {"a", "b", "c"}


def test_the_packages_versions_count(prints, monkeypatch):
    from trl_r1.recipe import fingerprint

    before = prints()
    monkeypatch.setattr(fingerprint, "package_versions", lambda: {"trl": "99"})
    assert changed(before, prints()) == {"a", "b", "c"}


def test_how_many_run_at_once_does_not_count(prints):
    assert changed(prints(), prints(parallel=4, disk_gb=3)) == set()


def test_set_reaches_into_lists(folder):
    stages = [{"name": "z", "kind": "grpo", "model": "org/x", "set": {"rewards": [{"func": "a.B"}, {"func": "c.D"}]}}]
    found = resolved(recipe_of(folder, stages), overrides=["z.rewards.1.weight=0.5"])
    assert found["z"].config["rewards"] == [{"func": "a.B"}, {"func": "c.D", "weight": 0.5}]
    with pytest.raises(ConfigErrors, match="no such place"):
        load_recipe(folder / "recipe.yaml", overrides=["z.rewards.7.weight=1"])


def test_the_number_of_processes_is_the_recipes_where_it_says_so(folder):
    (folder / "eight.yaml").write_text("num_processes: 8\n")
    stages = [
        {"name": "a", "kind": "grpo", "model": "org/x", "accelerate": "eight.yaml"},
        {"name": "b", "kind": "grpo", "model": "org/x", "accelerate": "eight.yaml", "num_processes": 4},
        {"name": "c", "kind": "evaluate", "model": ["org/x"]},
    ]
    found = {stage.name: stage.num_processes for stage in load_recipe(recipe_of(folder, stages)).stages}
    assert found == {"a": None, "b": 4, "c": None}
    found = {
        stage.name: stage.num_processes
        for stage in load_recipe(folder / "recipe.yaml", overrides=["num_processes=2"]).stages
    }
    assert found == {"a": 2, "b": 4, "c": None}
    stages[2]["num_processes"] = 2
    with pytest.raises(ConfigErrors, match="expected `accelerate:` beside it"):
        load_recipe(recipe_of(folder, stages))


def test_recipes_inside_the_package_are_found_by_name(folder, monkeypatch):
    """As they lie in a wheel."""
    from trl_r1.recipe import known_recipes, load

    home = folder / "site-packages" / "trl_r1" / "recipes"
    (home / "tiny").mkdir(parents=True)
    (home / "accelerate").mkdir()
    (home / "accelerate" / "two.yaml").write_text("num_processes: 2\n")
    stages = [{"name": "a", "kind": "grpo", "model": "org/x", "accelerate": "two"}]
    recipe_of(home / "tiny", stages).with_name("small.yaml").write_text(recipe_of(home / "tiny", stages).read_text())
    monkeypatch.setattr(load, "__file__", str(home.parent / "recipe" / "load.py"))
    assert known_recipes() == ["tiny", "tiny/small"]
    assert find_recipe("tiny") == home / "tiny" / "recipe.yaml"
    assert find_recipe("tiny/small") == home / "tiny" / "small.yaml"
    assert load_recipe("tiny").stages[0].accelerate == home / "accelerate" / "two.yaml"
    with pytest.raises(ConfigError, match="did you mean `tiny`"):
        find_recipe("tinny")
    with pytest.raises(ConfigError, match=r"no such file; did you mean `small\.yaml`"):
        find_recipe(home / "tiny" / "small.yml")


@pytest.mark.parametrize("key", ["max_model_length", "tensor_parallel_size", "gpu_memory_utilization"])
def test_a_key_of_sampling_that_0_1_0_knew_by_another_name_changes_nothing(prints, key):
    def with_key(name):
        def change(stages, recipe):
            stages[0]["set"][name] = 1

        return change

    assert prints(with_key(key)) == prints(with_key(f"vllm_{key}"))
    assert changed(prints(with_key(key)), prints()) == {"a", "b"}


def test_when_a_training_logs_and_saves_changes_nothing_unless_the_best_checkpoint_is_asked_for(prints):
    def with_keys(**keys):
        return lambda stages, recipe: stages[0]["set"].update(keys)

    assert prints(with_keys(save_steps=3, logging_steps=2)) == prints()
    best = {"load_best_model_at_end": True}
    assert prints(with_keys(save_steps=3, **best)) != prints(with_keys(**best))
