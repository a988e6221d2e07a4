"""
A stage without torch, for tests of the runner: it adds numbers up step by step, with a checkpoint after each.

Its output depends on all that it reads, so that a stage that ran on the wrong inputs, or resumed wrongly, shows.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from trl_r1.kinds import StageKind
from trl_r1.model_server import address_of


STAGE = StageKind(configs=("toys.stage:ToyArguments",), leaves=("model", "metrics.json"), reads=())


@dataclass
class ToyArguments:
    output_dir: str
    seed: int = 0
    model_name_or_path: str | None = None
    data: list[dict] | None = None
    value: float = 1.0
    steps: int = 3
    step_seconds: float = 0.0
    flavour: Literal["sweet", "sour"] = "sweet"
    exit_code: int = 0
    fail_at_step: int | None = None
    workers: int = 0
    """Processes to start, each in a session of its own, as the workers of a launcher are."""
    deaf: bool = False
    """Whether to ignore requests to end."""
    ask: str | None = None
    """Server that is asked in each step for what is added."""
    gate: str | None = None
    """File without which it does not get beyond half of its steps."""
    trail: str | None = None
    """File to which start and end are appended."""


def main(argv: list[str]) -> int:
    config = yaml.safe_load(Path(argv[argv.index("--config") + 1]).read_text())
    env = config.pop("env", {})
    assert all(os.environ[key] == str(value) for key, value in env.items())
    args = ToyArguments(**config)
    folder = Path(args.output_dir)
    if args.deaf:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(args.workers):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    leave_trail(args, folder, "start")
    read = args.value + args.seed
    if args.model_name_or_path:
        read += json.loads((Path(args.model_name_or_path) / "weights.json").read_text())["sum"]
    for source in args.data or []:
        read += len(Path(source["path"]).read_bytes())
    checkpoint = folder / "checkpoint.json"
    state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"step": 0, "sum": 0.0}
    print(f"from step {state['step']}", flush=True)
    while state["step"] < args.steps:
        time.sleep(args.step_seconds)
        while args.gate and state["step"] >= args.steps // 2 and not Path(args.gate).exists():
            time.sleep(0.05)
        asked = answer_of(args.ask) if args.ask else 0.0
        state = {"step": state["step"] + 1, "sum": 0.5 * state["sum"] + read + asked}
        if args.fail_at_step == state["step"]:
            print("about to fail")
            raise ValueError("a step went wrong")
        write(checkpoint, state)
        write(folder / "progress.json", {"step": state["step"], "total": args.steps, "info": {"sum": state["sum"]}})
    if args.exit_code:
        print("the last word of the stage", flush=True)
        return args.exit_code
    (folder / "model").mkdir(exist_ok=True)
    write(folder / "model" / "weights.json", {"sum": state["sum"]})
    write(folder / "metrics.json", {"sum": state["sum"]})
    leave_trail(args, folder, "end")
    return 0


def answer_of(server: str) -> float:
    while True:
        try:
            with urllib.request.urlopen(address_of(server, api="/answer"), timeout=10) as answer:
                return float(answer.read())
        except OSError:
            time.sleep(0.05)


def write(path: Path, value: dict) -> None:
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(json.dumps(value))
    partial.replace(path)


def leave_trail(args: ToyArguments, folder: Path, event: str) -> None:
    if args.trail:
        with open(args.trail, "a") as file:
            file.write(f"{event} {folder.name} {time.time()}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
