"""
A recipe under a real Slurm: submitted, requeued, killed, cancelled, with a node set down; it ends as it does on one machine.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.integration.killing import processes_of
from tests.slurm.cluster import cluster, squeue, why_not
from tests.stages.tiny import make_data, make_model


ROOT = Path(__file__).resolve().parents[2]
SECONDS = 1200  # of patience with a busy machine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


@pytest.fixture(scope="module")
def slurm():
    """The environment in which a cluster of two nodes is found."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # a short path: a socket is in it
    paths = f"{ROOT}:{ROOT / 'tests' / 'runner'}"
    try:
        with cluster(folder) as environment:
            yield {**environment, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Run:
    """A recipe's run on the cluster."""

    def __init__(self, folder: Path, cluster: dict[str, str], stages: list[dict], **keys):
        self.folder, self.slurm, self.run_dir = folder, cluster, folder / "run"
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(yaml.safe_dump({"name": "toy", "disk_gb": 0.01, **keys, "stages": stages}))

    def command(self, *more: str, run_dir: Path | None = None) -> list[str]:
        command = [sys.executable, "-m", "trl_r1.cli", "run", str(self.recipe)]
        return [*command, "--output-dir", str(run_dir or self.run_dir), *(more or ("--launcher", "slurm"))]

    def start(self) -> subprocess.Popen:
        with open(self.folder / "said.txt", "ab") as log:
            return subprocess.Popen(self.command(), env=self.slurm, stdout=log, stderr=log, start_new_session=True)

    def ask(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(command, env=self.slurm, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == code, done.stdout + done.stderr + self.said()
        return done.stdout + done.stderr

    def job(self, stage: str) -> str:
        return json.loads((self.run_dir / ".slurm" / "jobs.json").read_text())[stage]["id"]

    def wait_for(self, condition, what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.said()}"
            time.sleep(0.05)

    def at_work(self, stage: str, after: int = 0) -> None:
        """Wait until a stage has done more than `after` steps in an attempt that goes on."""
        self.wait_for(lambda: self.steps(stage) > after, f"{stage} is not at work")

    def steps(self, stage: str) -> int:
        try:
            return json.loads((self.run_dir / stage / "progress.json").read_text())["step"]
        except (OSError, ValueError, KeyError):
            return 0

    def queued_again(self, job: str) -> None:
        """Wait until a job is back in the queue, and have it start soon: Slurm waits for two minutes."""
        self.wait_for(lambda: f"{job} PENDING" in self.states(), f"{job} is not in the queue again")
        # Not in the same second: the credential of its first life is revoked up to this one.
        subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now+2"], env=self.slurm)

    def lose_node(self, node: str, job: str) -> None:
        """
        Set a node of a job down, and wait until it is done with the job. It comes back by itself: its daemon is well.

        The controller waits for no node that is down. Once it says that it is done, the job loses it: also one that has
        been hurried into its next life in the meantime, for which Slurm's own two minutes are long enough.
        """
        log = Path(self.slurm["SLURM_CONF"]).with_name("slurmctld.log")
        said = f"epilog_complete: JobId={job} Node={node} "
        before = log.read_text().count(said)
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        self.wait_for(lambda: log.read_text().count(said) > before, f"{node} is not done with {job}")

    def states(self) -> str:
        lines = [line.split() for line in squeue(self.slurm)]
        return "\n".join(f"{number} {state}" for number, _, state in lines)

    def said(self) -> str:
        logs = [self.folder / "said.txt", *self.run_dir.glob(".slurm/*.txt"), *self.run_dir.glob("*/log.txt")]
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs if log.exists())

    def metrics(self, run_dir: Path | None = None) -> dict:
        found = {}
        for path in sorted((run_dir or self.run_dir).glob("*/metrics.json")):
            metrics = json.loads(path.read_text())
            # Without what depends on the clock.
            found[path.parent.name] = metrics.get("sum") or (metrics["steps"], metrics["last"]["loss"])
        return found


def toy(name: str, model: str | None = None, steps: int = 3, **more) -> dict:
    config = {"steps": steps, "step_seconds": 0.2, **more.pop("set", {})}
    return {"name": name, "kind": "toys.stage", "set": config, **({"model": model} if model else {}), **more}


def test_preempted_killed_and_without_a_node_it_ends_as_on_one_machine(slurm, tmp_path):
    make_model(tmp_path / "base")
    make_data(tmp_path / "sums.jsonl")
    config = {"max_steps": 12, "save_steps": 1, "logging_steps": 1, "learning_rate": 1e-2, "max_length": 64}
    config |= {"prompt_template": "chat", "per_device_train_batch_size": 4, "batch_size": 16, "bf16": False}
    config |= {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "gradient_checkpointing": False}
    cache = os.environ.get("TORCH_EXTENSIONS_DIR") or str(Path.home() / ".cache" / "torch_extensions")
    config["env"] = {"DS_ACCELERATOR": "cpu", "TORCH_EXTENSIONS_DIR": cache}
    trained = {"name": "trained", "kind": "sft", "model": "base_model", "data": "sums", "set": config}
    trained |= {"accelerate": "cpu_zero3", "num_processes": 2, "slurm": {"nodes": 2}}
    answer = {"name": "judge", "command": f"{sys.executable} -m toys.server {{port}} 7"}
    gate = tmp_path / "gate"
    stages = [
        toy("first", steps=6, set={"gate": str(gate)}),
        toy("asked", "first", set={"ask": "server:judge"}),
        trained,
    ]
    data = {"sums": {"path": "sums.jsonl"}}
    run = Run(tmp_path, slurm, stages, base_model="base", data=data, servers=[answer], slurm={"time": "01:00:00"})

    alone = tmp_path / "alone"
    gate.touch()
    run.ask(*run.command("--launcher", "local", run_dir=alone))
    gate.unlink()

    runner = run.start()
    run.at_work("first", after=2)
    first = run.job("first")
    run.ask("scontrol", "requeue", first)  # as a preemption does
    runner.kill()
    runner.wait()
    run.queued_again(first)
    gate.touch()
    runner = run.start()  # which goes on with the jobs that are there
    run.at_work("trained", after=1)
    trained = run.job("trained")
    run.ask("scancel", "--batch", "--signal=USR1", trained)  # its time is over in ten minutes
    run.queued_again(trained)
    assert "with a checkpoint at step" in (tmp_path / "run" / "trained" / "log.txt").read_text()
    before = run.steps("trained")
    run.at_work("trained", after=before)
    run.lose_node("n2", trained)
    run.queued_again(trained)
    assert runner.wait(SECONDS) == 0, run.said()
    assert run.job("first") == first
    assert run.metrics() == run.metrics(alone)
    assert (run.run_dir / "report.html").is_file()
    assert not (run.run_dir / ".old").exists()  # nothing was made anew: all of it went on
    assert not processes_of(run.run_dir)


def test_a_job_that_is_cancelled_or_dies_is_reported_and_goes_on(slurm, tmp_path):
    gate = tmp_path / "gate"
    run = Run(tmp_path, slurm, [toy("a", steps=6, set={"gate": str(gate)}), toy("b", "a")])
    said = run.ask(*run.command("--launcher", "slurm", "--detach"))
    assert f"a: job {run.job('a')}" in said
    run.at_work("a", after=2)
    status = run.ask(sys.executable, "-m", "trl_r1.cli", "status", str(run.run_dir))
    assert f"running, job {run.job('a')}" in status
    assert f"pending, job {run.job('b')} (Dependency)" in status
    assert "are in the queue; expected none" in run.ask(*run.command("--launcher", "local"), code=2)
    cancelled = run.job("a")
    runner = run.start()
    run.wait_for(lambda: f"a: job {cancelled}\n" in run.said(), "it does not wait")
    run.ask("scancel", cancelled)
    assert runner.wait(SECONDS) == 1
    assert f"job {cancelled} is CANCELLED" in run.said()
    run.wait_for(lambda: not squeue(slurm), "what depends on it did not go with it")

    log = run.run_dir / "a" / "log.txt"
    runner = run.start()
    run.wait_for(lambda: "from step 3\n" in log.read_text(), "it did not go on")
    assert run.job("a") != cancelled
    of_job = [each for each in processes_of_job(run) if "--job" in each.cmdline()]
    of_job[0].send_signal(signal.SIGKILL)
    assert runner.wait(SECONDS) == 1
    run.wait_for(lambda: not processes_of(run.run_dir), "processes are left")
    gate.touch()
    runner = run.start()
    assert runner.wait(SECONDS) == 0, run.said()
    assert log.read_text().count("from step 0\n") == 1


def processes_of_job(run: Run) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(run.run_dir) in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_inside_an_allocation_stages_run_one_after_another(slurm, tmp_path):
    trail = tmp_path / "trail.txt"
    stages = [
        toy("a", slurm={"nodes": 2}, processes=2, set={"trail": str(trail)}),
        toy("b", set={"trail": str(trail)}),
    ]
    run = Run(tmp_path, slurm, stages, parallel=2)
    run.ask("salloc", "--nodes=2", *run.command("--launcher", "slurm"))
    events = [line.split()[:2] for line in trail.read_text().splitlines()]
    # `a` in a process on each node.
    assert sorted(events[:4]) == [["end", "a"], ["end", "a"], ["start", "a"], ["start", "a"]]
    assert events[4:] == [["start", "b"], ["end", "b"]]
    assert not (run.run_dir / ".slurm").exists()
