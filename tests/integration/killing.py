"""Runs of a recipe that are SIGKILLed at random moments, and what is the same afterwards."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from safetensors.torch import load_file


ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900  # of patience with one whole run on a busy machine


def start(recipe: Path | str, run_dir: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "trl_r1.cli", "run", str(recipe), "--output-dir", str(run_dir), *more]
    with open(run_dir.with_suffix(".txt"), "ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def said(run_dir: Path) -> str:
    logs = [run_dir.with_suffix(".txt"), *sorted(run_dir.glob("*/log.txt"))]
    return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


def processes_of(run_dir: Path) -> list[psutil.Process]:
    """Every process of a stage of this run: the runner marks them in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("TRL_R1_STAGE_DIR", "")
            if mark.startswith(str(run_dir.resolve())) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def work_done(run_dir: Path, stages: Sequence[str]) -> float:
    """Return how many stages are done, with the shares of those that run."""
    done = 0.0
    for stage in stages:
        folder = run_dir / stage
        if (folder / "artifact.json").exists():
            done += 1
            continue
        try:
            progress = json.loads((folder / "progress.json").read_text())
            done += 0.99 * progress["step"] / progress["total"] if progress["total"] else 0.0
        except (OSError, ValueError):
            pass
    return done


def kill_all(runner: subprocess.Popen, run_dir: Path) -> None:
    """As a machine that loses its power, as nearly as one test can: everybody at once, the runner first."""
    victims = processes_of(run_dir)
    runner.kill()
    for victim in victims:
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    runner.wait()


def weights(run_dir: Path, stage: str) -> dict:
    return load_file(run_dir / stage / "model" / "model.safetensors")


def numbers(run_dir: Path, stage: str) -> dict:
    """Return what a stage measured or selected, without what it measured of the clock."""
    files = [run_dir / stage / name for name in ("metrics.json", "selection.json")]
    found = {path.name: json.loads(path.read_text()) for path in files if path.exists()}
    assert found, f"{stage} left no numbers"
    clock = ("runtime", "per_second", "time", "seconds")

    def timeless(value):
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if not any(word in k for word in clock)}
        return value

    return timeless(found)


def run_with_kills(
    recipe: Path | str, run_dir: Path, stages: Sequence[str], kills: int, *more: str, seed: int = 2
) -> list[float]:
    """
    Run a recipe to its end, killing it on the way and starting it by the same command each time.

    Args:
        recipe (`Path` or `str`):
            As `trl-r1 run` takes it.
        run_dir (`Path`):
            Of the run.
        stages (`Sequence[str]`):
            Names of the recipe's stages.
        kills (`int`):
            How often, spread over the whole run; the last may fall behind its end.
        more (`str`):
            Further arguments of `trl-r1 run`.
        seed (`int`, *optional*, defaults to `2`):
            Chooses the moments.

    Returns:
        `list[float]`: how many stages had been done at each kill, the fraction that of the stages that ran.
    """
    dice = random.Random(seed)
    killed_at = []
    for left in range(kills, 0, -1):
        # A random moment of what is still to do, such that the kills are spread over all of it.
        done = work_done(run_dir, stages)
        moment = done + dice.uniform(0, 2 * (len(stages) - done) / (left + 1))
        runner = start(recipe, run_dir, *more)
        deadline = time.monotonic() + SECONDS
        while runner.poll() is None and work_done(run_dir, stages) < moment:
            assert time.monotonic() < deadline, said(run_dir)
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 0.5))
        assert runner.poll() in (None, 0), said(run_dir)
        if runner.poll() is None:
            killed_at.append(round(work_done(run_dir, stages), 2))
            kill_all(runner, run_dir)
    runner = start(recipe, run_dir, *more)
    assert runner.wait(SECONDS) == 0, said(run_dir)
    assert not processes_of(run_dir)
    return killed_at
