"""Nodes: what a scheduler says of them becomes the world of `accelerate launch`; GPUs are divided and shared by nobody."""

import subprocess
import sys

import pytest
import yaml

from trl_r1.errors import MachineError
from trl_r1.recipe import load_recipe, resolve
from trl_r1.runner import node, place, slurm, workers
from trl_r1.runner.node import World, joined, read_world


PET = {"PET_NNODES": "4", "PET_NODE_RANK": "3", "PET_MASTER_ADDR": "job-master-0", "PET_MASTER_PORT": "23456"}
SKY = {"SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2\n"}
SLURM = {"SLURM_STEP_NUM_NODES": "2", "SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "n7"}


@pytest.mark.parametrize(
    ("found", "world"),
    [
        (PET, World(4, 3, "job-master-0", 23456)),
        (SKY, World(2, 1, "10.0.0.1", 29500)),
        ({**SLURM, "TRL_R1_MAIN_PORT": "31000"}, World(2, 1, "address-of-n7", 31000)),
        ({"SLURM_JOB_ID": "1", "SLURM_NNODES": "2", "SLURM_NODEID": "0"}, None),  # a batch script is on one node alone
        ({}, None),
    ],
)
def test_the_world_is_read_from_what_the_scheduler_says(found, world, monkeypatch):
    monkeypatch.setattr(node, "node_address", lambda name: f"address-of-{name}")
    assert read_world(found) == world


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({**PET, "PET_NNODES": "1:4"}, "PET_NNODES is '1:4'; expected a whole number"),
        ({"PET_NNODES": "2", "PET_NODE_RANK": "0"}, "PET_NNODES is set, and PET_MASTER_ADDR not"),
    ],
)
def test_a_world_that_is_said_by_half_is_refused(found, said):
    with pytest.raises(MachineError, match=said):
        read_world(found)


def test_a_launch_joins_the_world():
    launch = ["python", "-m", "accelerate.commands.launch", "--config_file", "zero3.yaml", "-m", "stage"]
    found = joined(launch, World(2, 1, "10.0.0.1", 29500))
    assert found[:3] == launch[:3]
    assert found[-4:] == launch[-4:]
    assert found[3:-4] == [
        *("--num_machines", "2", "--machine_rank", "1", "--main_process_ip", "10.0.0.1"),
        *("--main_process_port", "29500"),
    ]
    assert joined(launch, None) == launch
    assert joined(["accelerate", "launch", "x.py"], World(2, 0, "h"))[2] == "--num_machines"


def test_gpus_are_shown_in_part():
    def seen(part, gpus="0,1,2,3"):
        show = ["python", "-c", "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"]
        command = [sys.executable, "-m", "trl_r1.runner.node", f"--gpus={part}", "--", *show]
        return subprocess.run(
            command, env={**_environ(), "CUDA_VISIBLE_DEVICES": gpus}, capture_output=True, text=True
        )

    assert seen(":-3").stdout == "0\n"
    assert seen("-3:-1").stdout == "1,2\n"
    assert seen("-1:", "GPU-a,GPU-b").stdout == "GPU-b\n"
    short = seen("-3:", "0,1")
    assert (short.returncode, short.stderr) == (2, "error: there are 2 GPUs here, too few to divide by -3:\n")


def _environ():
    import os

    return dict(os.environ)


def test_each_process_has_its_rank_and_its_gpus():
    found = workers.environments(4, ["0", "1", "2", "3"], World(2, 1, "h"))
    assert [(each["RANK"], each["LOCAL_RANK"], each["WORLD_SIZE"]) for each in found] == [
        ("2", "0", "4"),
        ("3", "0", "4"),
    ]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == ["0,1", "2,3"]
    without = workers.environments(2, [])
    assert [(each["RANK"], each["LOCAL_RANK"]) for each in without] == [("0", "0"), ("1", "1")]
    assert "CUDA_VISIBLE_DEVICES" not in without[0]
    with pytest.raises(MachineError, match="3 processes cannot be divided among 2 nodes"):
        workers.environments(3, [], World(2, 0, "h"))
    with pytest.raises(MachineError, match="4 GPUs cannot be divided among 3 processes"):
        workers.environments(3, ["0", "1", "2", "3"])


def test_one_process_that_fails_ends_the_others():
    text = "import os, sys, time; sys.exit(7) if os.environ['RANK'] == '1' else time.sleep(600)"
    command = [sys.executable, "-m", "trl_r1.runner.workers", "--processes", "3", "--", sys.executable, "-c", text]
    assert subprocess.run(command, env=_environ(), timeout=120).returncode == 7


@pytest.fixture
def stages(tmp_path):
    """Stages with a server, as a recipe resolves them."""

    def make(**keys):
        stage = {"name": "a", "kind": "toys.stage", "set": {"ask": "server:x", "trail": "server:y"}, **keys}
        servers = [
            {"name": "x", "command": "serve {port}", "gpus": 1},
            {"name": "y", "vllm": "org/judge", "gpus": 2, "nodes": keys.get("slurm", {}).get("nodes", 0) and 1},
        ]
        recipe = {
            "name": "toy",
            "servers": servers,
            "stages": [stage],
            "slurm": {"time": "1:00:00", "sbatch": ["-x n9"]},
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return resolve(load_recipe(tmp_path / "recipe.yaml"))[0][0]

    return make


def test_the_gpus_of_servers_are_kept_off_the_stage(stages, tmp_path):
    item = stages()
    command = place.stage_command(item, tmp_path / "config.yaml", ())
    assert command[1:5] == ["-m", "trl_r1.runner.node", "--gpus=:-3", "--"]
    x, y = item.servers
    assert place.server_command(x, item, ["serve"], ())[3] == "--gpus=-3:-2"
    assert place.server_command(y, item, ["serve"], ())[3] == "--gpus=-2:"


def test_a_job_asks_for_the_nodes_of_its_servers_as_well(stages):
    item = stages(slurm={"nodes": 2, "time": "2:00:00"})
    options = slurm.asked_for(item)
    assert {"--nodes=3", "--time=2:00:00", "--requeue", "-x", "n9"} <= set(options)
    own, servers = place.Place(("n1", "n2", "n3")).divided(item)
    assert (own, servers) == (("n1", "n2"), {"x": ("n1",), "y": ("n3",)})
    with pytest.raises(MachineError, match="`a` takes 3 nodes with its servers; this allocation has 2"):
        place.Place(("n1", "n2")).divided(item)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("30", 1800), ("5:30", 330), ("1:00:00", 3600), ("2-0", 172800), ("1-12:30", 131400), (None, float("inf"))],
)
def test_a_job_is_told_of_its_end_before_it(time, seconds):
    assert slurm.seconds_of(time) == seconds
