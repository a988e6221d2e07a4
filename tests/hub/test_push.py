import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub.hub_stand_in import GOOD_TOKEN
from tests.run_dirs import make_run
from trl_r1.errors import ConfigError, HubError
from trl_r1.hub import push_run


def quiet(line):
    pass


@pytest.fixture
def run(tmp_path):
    section = {"namespace": "org", "stages": ["r1", "dev3", "reasoning-data"], "license": "mit"}
    return make_run(tmp_path / "run", hub=section, steps=3, prompts=1)


def all_files(run):
    return {
        p.relative_to(run): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file() and p.name != "push.json"
    }


def test_a_push_makes_a_private_repository_for_each_stage_in_one_commit_each(hub, run):
    said = []
    pushed = push_run(run, say=said.append)
    assert [(p.repo_type, p.repo_id) for p in pushed] == [
        ("model", "org/playground-r1"),
        ("model", "org/playground-dev3"),
        ("dataset", "org/playground-reasoning-data"),
    ]
    assert set(hub.repos) == {(p.repo_type, p.repo_id) for p in pushed}
    for repo in hub.repos.values():
        assert repo.private
        assert len(repo.commits) == 2, "the initial commit and ours"
    model, data = hub.repo("model", "org/playground-r1"), hub.repo("dataset", "org/playground-reasoning-data")
    assert model.files["model.safetensors"] == (run / "r1/model/model.safetensors").read_bytes()
    assert set(model.files) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "trl_r1/config.yaml",
        "trl_r1/lineage.json",
    }, "no checkpoint, no log, no rollout, no training_args.bin"
    assert set(data.files) == {
        "README.md",
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "rejected/train-00000-of-00001.parquet",
        "trl_r1/config.yaml",
        "trl_r1/lineage.json",
    }
    assert [p.commit for p in pushed] == [hub.repo(p.repo_type, p.repo_id).oid() for p in pushed]
    assert len(said) == 3
    assert "org/playground-r1 pushed" in said[0]


def test_what_only_a_trainer_reads_is_not_pushed_at_any_depth(hub, run):
    for name in (
        "optimizer.pt",
        "rng_state_0.pth",
        ".cache/x",
        "checkpoint-5/model.safetensors",
        "README.md",
        "my.pt",
    ):
        for folder in ("", "sub/"):
            path = run / "r1" / "model" / f"{folder}{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    (pushed,) = push_run(run, stages=["r1"], say=quiet)
    texts = {"README.md", "trl_r1/config.yaml", "trl_r1/lineage.json"}
    assert set(pushed.files) - texts == {"config.json", "model.safetensors", "my.pt", "sub/my.pt"}


def test_a_second_push_sends_nothing_and_a_third_only_what_changed(hub, run):
    push_run(run, say=quiet)
    before = len(hub.requests)
    assert all(p.unchanged for p in push_run(run, say=quiet))
    assert all(line.startswith("GET /api/") for line in hub.requests[before:])

    (run / "r1/model/config.json").write_text("{}")
    before = len(hub.requests)
    again = {p.repo_id: p.unchanged for p in push_run(run, say=quiet)}
    assert again == {
        "org/playground-r1": False,
        "org/playground-dev3": True,
        "org/playground-reasoning-data": True,
    }
    assert hub.repo("model", "org/playground-r1").files["config.json"] == b"{}"
    assert not [line for line in hub.requests[before:] if line.startswith("PUT")], "the weights were there already"


def test_a_repository_deleted_on_the_hub_is_pushed_again(hub, run):
    push_run(run, say=quiet)
    del hub.repos["model", "org/playground-r1"]
    again = {p.repo_id: p.unchanged for p in push_run(run, say=quiet)}
    assert again["org/playground-r1"] is False
    assert "model.safetensors" in hub.repo("model", "org/playground-r1").files


def test_a_shard_of_an_earlier_push_goes_and_a_file_of_somebody_else_stays(hub, run):
    (run / "r1/model/old-shard.safetensors").write_bytes(b"old")
    push_run(run, say=quiet)
    hub.repo("model", "org/playground-r1").commits.append(
        {**hub.repo("model", "org/playground-r1").files, "LICENSE": b"theirs"}
    )
    (run / "r1/model/old-shard.safetensors").unlink()
    push_run(run, say=quiet)
    files = hub.repo("model", "org/playground-r1").files
    assert "old-shard.safetensors" not in files
    assert files["LICENSE"] == b"theirs"


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda hub: hub.fail("POST", "org/playground-dev3/commit/", 500), "500"),
        (lambda hub: hub.fail("POST", "org/playground-dev3/commit/", 409), "409"),
        (lambda hub: hub.fail("POST", "org/playground-dev3/preupload/", 503, times=99), "503"),
        (lambda hub: hub.fail("POST", r"org/playground-dev3.git/info/lfs", 403), "403"),
        (lambda hub: hub.cut("POST", "org/playground-dev3/commit/"), "disconnected"),
    ],
    ids=["500 on commit", "409 on commit", "503 for good", "403 on the LFS batch", "connection cut on commit"],
)
def test_a_failing_upload_loses_nothing_says_what_is_where_and_a_second_push_completes(hub, run, break_it, reason):
    before = all_files(run)
    break_it(hub)
    with pytest.raises(HubError) as caught:
        push_run(run, say=quiet)
    there, not_there = str(caught.value).split("not on the Hub:")
    assert "model org/playground-r1" in there
    assert "dataset org/playground-reasoning-data" in there, "one failure does not keep the others back"
    assert "model org/playground-dev3 (stage dev3)" in not_there
    assert reason in not_there
    assert all_files(run) == before
    assert set(json.loads((run / "push.json").read_text())["repos"]) == {
        "model org/playground-r1",
        "dataset org/playground-reasoning-data",
    }
    assert hub.repo("model", "org/playground-dev3").files == {}, "no half of a model"

    hub.faults.clear()
    again = {p.repo_id: p.unchanged for p in push_run(run, say=quiet)}
    assert again == {
        "org/playground-r1": True,
        "org/playground-dev3": False,
        "org/playground-reasoning-data": True,
    }
    assert len(hub.repo("model", "org/playground-dev3").files) == 5
    assert all_files(run) == before


def test_a_connection_that_is_cut_once_in_an_upload_is_taken_up_again(hub, run):
    hub.cut("PUT", "/lfs/", times=2)
    assert len(push_run(run, say=quiet)) == 3
    weights = (run / "r1/model/model.safetensors").read_bytes()
    assert hub.repo("model", "org/playground-r1").files["model.safetensors"] == weights


def test_a_connection_that_is_always_cut_in_an_upload_fails_and_the_second_push_completes(hub, run):
    hub.cut("PUT", "/lfs/", times=6)
    with pytest.raises(HubError, match=r"model org/playground-r1 \(stage r1\)"):
        push_run(run, say=quiet)
    hub.faults.clear()
    push_run(run, say=quiet)
    weights = (run / "r1/model/model.safetensors").read_bytes()
    assert hub.repo("model", "org/playground-r1").files["model.safetensors"] == weights


def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub, run):
    push_run(run, say=quiet)
    (run / "push.json").unlink()
    again = push_run(run, say=quiet)
    assert [len(hub.repo(p.repo_type, p.repo_id).commits) for p in again] == [2, 2, 2]


def test_a_bad_token_ends_the_push_at_once(hub, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_notthetoken")
    with pytest.raises(HubError) as caught:
        push_run(run, say=quiet)
    assert "on the Hub: nothing of this push" in str(caught.value)
    assert "401" in str(caught.value)
    assert str(caught.value).count("not tried") == 2
    assert not hub.repos


def test_without_a_namespace_the_user_of_the_token_is_asked_for(hub, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", steps=1, prompts=1)
    pushed = push_run(run, stages=["r1"], say=quiet)
    assert [p.repo_id for p in pushed] == ["tester/playground-r1"]
    monkeypatch.setenv("HF_TOKEN", "hf_notthetoken")
    with pytest.raises(HubError, match="did not say whose token this is"):
        push_run(run, stages=["r1"], say=quiet)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="hf auth login"):
        push_run(run, stages=["r1"], say=quiet)


def test_a_private_push_never_goes_to_a_public_repository(hub, run):
    push_run(run, stages=["r1"], repo="org/shown", private=False, say=quiet)
    assert not hub.repo("model", "org/shown").private
    (run / "r1/model/config.json").write_text("{}")
    with pytest.raises(HubError, match="is public, but the push is private"):
        push_run(run, stages=["r1"], repo="org/shown", say=quiet)
    assert hub.repo("model", "org/shown").files["config.json"] != b"{}"


def test_a_stage_that_is_not_finished_is_not_pushed(hub, run):
    (run / "r1/artifact.json").unlink()
    with pytest.raises(ConfigError, match="stage 'r1' has not finished"):
        push_run(run, say=quiet)
    said = []
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe[: recipe.index("hub:")])
    pushed = push_run(run, namespace="org", say=said.append)
    assert "r1" not in {p.stage for p in pushed}
    assert len(pushed) == 10
    assert "r1: not finished, so not pushed" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"stages": ["r2"]}, "no stage is called 'r2'; stages: playground, r1-zero"),
        ({"stages": ["scores"]}, "left neither a model nor data"),
        ({"repo": "org/name"}, "expected exactly one --stage"),
        ({"repo": "org/name", "stages": ["r1", "dev3"]}, "expected exactly one --stage"),
        ({"repo": "name", "stages": ["r1"]}, "expected a full name `org/name`"),
        ({"repo": "org/na me", "stages": ["r1"]}, "Repo id must use alphanumeric"),
    ],
)
def test_wrong_arguments_are_refused_before_the_network(hub, run, arguments, expected):
    with pytest.raises(ConfigError) as caught:
        push_run(run, say=quiet, **arguments)
    assert expected in str(caught.value)
    assert not hub.requests


def test_no_run_no_push(hub, tmp_path):
    with pytest.raises(ConfigError, match="expected the directory of a run"):
        push_run(tmp_path / "nothing", say=quiet)
    with pytest.raises(ConfigError, match="expected at least one finished stage"):
        push_run(tmp_path, say=quiet)


@pytest.mark.slow
def test_what_was_pushed_loads_by_its_id_and_revision(hub, run, tmp_path):
    """In a process of its own, by the environment alone: as a user does it."""
    from transformers import AutoModelForCausalLM, Qwen3Config

    tiny = Qwen3Config(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8
    )
    AutoModelForCausalLM.from_config(tiny).save_pretrained(run / "r1" / "model")
    pushed = push_run(run, stages=["r1", "reasoning-data"], say=quiet)
    program = f"""
import hashlib, sys
from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM
from trl_r1.ids import parse_hub_id
name, revision = parse_hub_id("org/playground-r1@{pushed[0].commit}")
model = AutoModelForCausalLM.from_pretrained(name, revision=revision)
assert model.config.hidden_size == 16
folder = snapshot_download("org/playground-reasoning-data", repo_type="dataset", revision="main")
import pyarrow.parquet as pq
assert pq.read_table(folder + "/data").num_rows == 90
print("loaded", sum(p.numel() for p in model.parameters()))
"""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": GOOD_TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "loaded" in done.stdout


def test_importing_the_hub_touches_no_torch_and_no_network_client():
    program = "import sys, trl_r1.hub; print(sorted({'torch', 'transformers', 'huggingface_hub', 'jinja2'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def with_licenses(run, licenses):
    """Give the rows of the stage's data set sources of these licenses."""
    for part in (run / "reasoning-data" / "data").glob("*.parquet"):
        part.unlink()
    rows = [{"prompt": "p", "completion": "c", "source": name, "license": known} for name, known in licenses.items()]
    pq.write_table(pa.Table.from_pylist(rows), run / "reasoning-data" / "data" / "train.parquet")
    shutil.rmtree(run / "reasoning-data" / "rejected", ignore_errors=True)


def test_a_data_set_inherits_the_licenses_of_its_sources_and_is_not_published_where_one_is_unknown(hub, tmp_path):
    run = make_run(tmp_path / "run", hub={"namespace": "org"}, steps=3, prompts=1)
    with_licenses(run, {"gsm8k": "mit", "school": "CC BY 4.0"})
    push_run(run, stages=["reasoning-data"], say=quiet)
    card = hub.repo("dataset", "org/playground-reasoning-data").files["README.md"].decode()
    assert "license:\n- mit\n- other\n" in card
    assert "| gsm8k | mit | 1 |" in card
    assert "| school | CC BY 4.0 | 1 |" in card

    with_licenses(run, {"gsm8k": "mit", "web": None})
    with pytest.raises(ConfigError, match=r"state no license: web \(1 rows\).*Nothing was pushed"):
        push_run(run, stages=["reasoning-data"], private=False, say=quiet)
    said = []
    push_run(run, stages=["reasoning-data"], say=said.append)
    assert "web (1 rows)" in said[0]
    card = hub.repo("dataset", "org/playground-reasoning-data").files["README.md"].decode()
    assert "\nlicense:" not in card.split("---")[1]
    push_run(run, stages=["reasoning-data"], license="odc-by", say=quiet)
    card = hub.repo("dataset", "org/playground-reasoning-data").files["README.md"].decode()
    assert "license: odc-by\n" in card
