"""What this machine lacks is listed by `plan` and by `run --dry-run`, and refused by `run` before the first stage."""

import json

import pytest
import yaml

from trl_r1.cli import main
from trl_r1.stages import _needs


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A recipe of one stage that this machine could run; edit the stage, then ask `both`."""
    (tmp_path / "sums.jsonl").write_text(json.dumps({"prompt": "1+1?", "solution": "2"}) + "\n")
    monkeypatch.chdir(tmp_path)
    config = {"prompt_template": "plain", "max_completion_tokens": 64}
    stage = {"name": "one", "kind": "rejection", "model": "org/model", "data": "sums", "set": config}
    return {"name": "small", "disk_gb": 0.001, "data": {"sums": {"path": "sums.jsonl"}}, "stages": [stage]}


def both(world, capsys) -> list[str]:
    """Return what `plan` lists; `run` must refuse the same."""
    with open("recipe.yaml", "w") as file:
        yaml.safe_dump(world, file)
    assert main(["plan", "recipe.yaml"]) == 0
    planned = capsys.readouterr().out
    listed = planned.partition("Needs, and is not here")[2].partition("\n\n")[0].splitlines()[1:]
    assert main(["run", "recipe.yaml", "--dry-run"]) == 0
    assert "\n".join(listed) in capsys.readouterr().out
    assert main(["run", "recipe.yaml"]) == 2
    told = capsys.readouterr().err
    assert "`small` needs what is not here" in told
    assert all(line in told for line in listed)
    return listed


def test_vllm_and_its_gpus(world, capsys, monkeypatch):
    monkeypatch.setattr("trl_r1.sampling.engines.vllm.find_spec", lambda name: None)
    monkeypatch.setattr(_needs, "gpus_here", lambda: 1)
    world["stages"][0]["set"] |= {"backend": "vllm", "tensor_parallel_size": 4}
    gpus, package = both(world, capsys)
    assert gpus == "  - 4 GPUs; there is 1 (one)"
    assert package == "  - the package vllm (`backend: vllm`): pip install trl_r1[vllm] (one)"


def test_the_packages_and_gpus_of_a_training(world, capsys, monkeypatch):
    monkeypatch.setattr(_needs, "find_spec", lambda name: None)
    monkeypatch.setattr(_needs, "gpus_here", lambda: 0)
    with open("launch.yaml", "w") as file:
        yaml.safe_dump({"distributed_type": "DEEPSPEED", "num_processes": 8}, file)
    config = {"prompt_template": "plain", "attn_implementation": "flash_attention_2", "use_vllm": True}
    config |= {
        "optim": "adamw_8bit",
        "report_to": ["wandb"],
        "max_completion_length": 64,
        "rewards": [{"func": "trl_r1.rewards.MathAccuracy"}],
    }
    world["stages"][0] |= {"kind": "grpo", "set": config, "accelerate": "launch.yaml"}
    told = "\n".join(both(world, capsys))
    assert "8 GPUs; there are none (one)" in told
    for package in ("vllm", "flash_attn", "deepspeed", "bitsandbytes", "wandb"):
        assert f"the package {package} (`" in told


def test_a_training_on_cpus_needs_no_gpu(world, capsys):
    with open("launch.yaml", "w") as file:
        yaml.safe_dump({"distributed_type": "MULTI_GPU", "num_processes": 2}, file)
    config = {"prompt_template": "plain", "use_cpu": True, "bf16": False, "max_completion_length": 64}
    config["rewards"] = [{"func": "trl_r1.rewards.MathAccuracy"}]
    world["stages"][0] |= {"kind": "grpo", "set": config, "accelerate": "launch.yaml"}
    with open("recipe.yaml", "w") as file:
        yaml.safe_dump(world, file)
    assert main(["plan", "recipe.yaml"]) == 0
    assert "Needs" not in capsys.readouterr().out


def test_servers_that_are_asked(world, capsys):
    address = "http://127.0.0.1:9/v1"  # where nothing listens
    judge = {"func": "trl_r1.rewards.Judge", "args": {"base_url": address, "model": "judge"}}
    world["stages"][0]["set"]["rewards"] = [judge]
    second = {**world["stages"][0], "name": "two", "kind": "cold_start"}
    second["set"] = {**world["stages"][0]["set"], "rewards": [], "refine_url": address, "refine_model": "chat"}
    third = {**world["stages"][0], "name": "three", "set": {"prompt_template": "plain"}}
    third["set"] |= {"backend": "server", "base_url": address}
    world["stages"] += [second, third]
    told = "\n".join(both(world, capsys))
    for key, name in (("rewards[0].args.base_url", "one"), ("refine_url", "two"), ("base_url", "three")):
        assert f"a server that answers at {address} (`{key}`): ConnectError" in told
        assert told.count(f"({name})") == 1


def test_a_server_that_answers(live_server):
    assert _needs.unanswered(live_server) == ""


@pytest.fixture
def live_server():
    import http.server
    import threading

    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # a refusal for want of a key is an answer
            self.send_error(401)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def test_a_tool_chain_or_a_jail(world, capsys, monkeypatch):
    from trl_r1.sandbox import toolchains

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("trl_r1.pools._SHARED", {})
    monkeypatch.setattr(toolchains, "toolchain", toolchains.toolchain.__wrapped__)
    monkeypatch.setattr("trl_r1.sandbox.judge.toolchain", toolchains.toolchain)
    (source,) = world["data"].values()
    source["path"] = "tests.jsonl"
    with open("tests.jsonl", "w") as file:
        file.write(json.dumps({"prompt": "1+1?", "tests": ["assert True"]}) + "\n")
    code = {"func": "trl_r1.rewards.CodeAccuracy"}
    world["stages"][0]["set"]["rewards"] = [{**code, "args": {"languages": ["rust"]}}, code]
    rust, jail = both(world, capsys)
    assert "programs in rust cannot be run: there is no `rustc`" in rust
    assert "the sandbox cannot be started: there is no `bwrap`" in jail
    world["stages"][0]["set"]["rewards"] = [{**code, "args": {"languages": ["perl"]}}]
    with open("recipe.yaml", "w") as file:
        yaml.safe_dump(world, file)
    assert main(["plan", "recipe.yaml"]) == 2  # no machine has that
    assert "`one.rewards[0].args.languages`: expected some of python, cpp" in capsys.readouterr().err


def test_what_is_done_needs_nothing(toys, capsys):
    assert toys.run() == 0
    toys.extra["disk_gb"] = 1e9
    assert toys.run() == 0
    toys.set("d", value=4)
    assert toys.run() == 2
    told = capsys.readouterr().err
    assert "250000000.0 GB of disk for what is left of the run (`disk_gb: 1e+09` in" in told
    assert "make room, or use another --output-dir" in told
