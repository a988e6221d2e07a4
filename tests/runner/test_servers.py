"""Servers beside a stage: there before it, started again when they die, gone with it; their port is nobody's business."""

import sys

import psutil
import pytest
import yaml

from tests.runner.test_killed import wait_for
from trl_r1.cli import main
from trl_r1.errors import ConfigError
from trl_r1.model_server import Server, address_of


COMMAND = f"{sys.executable} -m toys.server {{port}} 7"


def served(toys, **server):
    toys.extra["servers"] = [{"name": "the-judge", "command": COMMAND, "timeout": 60, **server}]
    return toys.set("b", ask="server:the-judge")


def server_of(toys):
    """The server itself, not its supervisor nor what it has started."""
    for pid in toys.processes():
        try:
            if "toys.server" in (command := psutil.Process(pid).cmdline()) and "supervisor.py" not in " ".join(
                command
            ):
                return psutil.Process(pid)
        except psutil.Error:
            continue
    return None


def test_a_stage_asks_the_server_that_it_names(toys, capfd):
    assert served(toys).run() == 0
    sums = {name: yaml.safe_load(text)["sum"] for name, text in toys.metrics().items()}
    assert sums["b"] == pytest.approx(1.75 * (1 + sums["a"] + 7))
    assert not toys.processes()
    # Its address is in nothing that a later run compares.
    assert "ask: server:the-judge" in (toys.run_dir / "b" / "config.yaml").read_text()
    assert "=== " in (toys.run_dir / "b" / "servers" / "the-judge.txt").read_text()
    out = capfd.readouterr().out
    assert "server the-judge started" in out
    assert "server the-judge answers" in out
    assert toys.run() == 0
    assert "4 of 4 stages are done, 0 to run" in capfd.readouterr().out


def test_a_server_that_is_killed_is_started_again(toys):
    served(toys).set("b", step_seconds=0.1, steps=20)
    runner = toys.start()
    assert wait_for((toys.run_dir / "b" / "checkpoint.json").exists, 60)
    first = server_of(toys)
    first.kill()
    out, err = runner.communicate(timeout=120)
    assert runner.returncode == 0, out + err
    assert "server the-judge ended with code 137, started again (2 times left)" in out
    assert not toys.processes()


def test_a_server_that_does_not_start_is_reported(toys, capfd):
    command = f"{sys.executable} -c \"import sys; sys.exit('no such model on port {{port}}')\""
    assert served(toys, command=command).run() == 1
    err = capfd.readouterr().err
    assert "stage `b` its server the-judge ended with code 1 before it was ready" in err
    assert "no such model on port" in err
    assert not toys.processes()


def test_a_server_whose_program_is_not_here_is_missed_before_the_run(toys, capfd):
    assert served(toys, command="no-such-server --port {port}").run() == 2
    assert "the program no-such-server (server the-judge) (b)" in capfd.readouterr().err
    assert not toys.run_dir.exists()


def test_a_server_that_never_answers_is_reported(toys, capfd):
    assert served(toys, ready="/nowhere", timeout=2).run() == 1
    assert "did not answer at /nowhere within 2 s" in capfd.readouterr().err
    assert not toys.processes()


def test_a_server_does_not_outlive_its_runner(toys):
    served(toys).set("b", step_seconds=0.1, steps=1000)
    runner = toys.start()
    assert wait_for((toys.run_dir / "b" / "checkpoint.json").exists, 60)
    assert server_of(toys) is not None
    runner.kill()
    runner.wait()
    assert wait_for(lambda: not toys.processes(), 15), toys.processes()


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"command": "serve --port 8000"}, "expected `{port}` in it"),
        ({"vllm": "org/model"}, "expected either `command` or `vllm`"),
        ({"name": "judge"}, "`server:the-judge` is no server of this recipe; expected one of `servers:`, `judge`"),
        ({"ready": "health"}, "expected a path such as /health, or a URL"),
        ({"gpu": 1}, "did you mean `gpus`?"),
    ],
)
def test_a_wrong_server_is_refused(toys, capsys, server, said):
    served(toys, **server)
    assert main(["plan", *toys.arguments()[1:]]) == 2
    assert said in capsys.readouterr().err


def test_a_client_knows_a_server_by_name(monkeypatch):
    assert Server("server:judge", "m").base_url == "server:judge"
    with pytest.raises(ConfigError, match="TRL_R1_SERVER_THE_JUDGE"):
        address_of("server:the-judge")
    monkeypatch.setenv("TRL_R1_SERVER_THE_JUDGE", "http://10.0.0.1:8123/")
    assert address_of("server:the-judge") == "http://10.0.0.1:8123/v1"
    assert address_of("http://here/v1") == "http://here/v1"
