"""
Some minutes of a GPU, used well: what is right is tried first, then what is fast is timed, then something is learned.

    python -m tests.gpu --minutes 25 --out DIR
    python -m tests.gpu --minutes 9 --out DIR --part zero
    python -m tests.gpu --device cpu --tiny --out DIR      # every part in toy size, in about two minutes

| part | what it does |
|---|---|
| `gradients` | `R1GRPOTrainer` with every switch on against TRL's trainer, in float32 and bfloat16, by SDPA and flash attention |
| `vllm` | `R1GRPOTrainer` that samples from a colocated vLLM, where vLLM is installed |
| `stages` | the tests marked `gpu`: stages that train in bfloat16 |
| `steps` | a step of TRL's trainer and of ours by phase and switch, with half a billion parameters |
| `lengths` | the same for lengths from 1,024 to 8,192: tokens a second, share of the GPU's peak, memory |
| `generation` | sampling with and without rows that have ended |
| `zero` | R1-Zero of a model of 27 million parameters, pre-trained on the spot |

Each part is a process of its own, of at most nine minutes. It is started where most of its minutes are left, ends by itself
before they are over, and is ended where it does not. What it measures is in `DIR/results.json` and `DIR/results.md`, row by
row (what its trainers say, in `DIR/log.txt`); a part that is there already is not run again, so that a later call goes on
where this one ended. Nothing is downloaded. Ends with 0 if every part asked for is there and every bound held, otherwise with 1.
"""

import argparse
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from .results import Part, load, section, write


# Minutes at most; 25 together.
MINUTES = {"gradients": 3, "vllm": 2, "stages": 1, "steps": 4, "lengths": 4.5, "generation": 2.5, "zero": 8}
STARTED_WITH = 0.8  # of a part's minutes
FINAL = ("done", "skipped")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=25.0, help="what this call may take")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--part", nargs="+", choices=MINUTES, default=list(MINUTES), help="these parts alone")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="everything in toy size")
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)  # run the one part in this process
    return parser.parse_args()


def main() -> int:
    asked = read_arguments()
    if asked.seconds is not None:
        return run_here(asked, asked.part[0])
    end = time.monotonic() + 60 * asked.minutes
    complete = True
    for name in asked.part:
        if load(asked.out)["parts"].get(name, {}).get("status") not in FINAL:
            left = end - time.monotonic()
            if left < STARTED_WITH * 60 * MINUTES[name]:
                print(f"{name}: left to another call, since it takes up to {MINUTES[name]:g} minutes\n", flush=True)
            else:
                start(asked, name, min(left, 60 * MINUTES[name]))
        part = load(asked.out)["parts"].get(name, {})
        complete &= part.get("status") in FINAL and all(check["held"] for check in part.get("checks", []))
    print(f"{asked.out / 'results.md'}: {'complete' if complete else 'not complete, or a bound was not held'}")
    return 0 if complete else 1


def start(asked: argparse.Namespace, name: str, seconds: float) -> None:
    """Run a part in a process of its own, and end it when its time is over."""
    command = [sys.executable, "-m", "tests.gpu", "--out", str(asked.out), "--part", name, "--device", asked.device]
    command += ["--seconds", str(seconds), *(["--tiny"] if asked.tiny else [])]
    begun = time.monotonic()
    asked.out.mkdir(parents=True, exist_ok=True)
    with open(asked.out / "log.txt", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment())
        try:
            process.wait(seconds)
            reason = f"its process ended with {process.returncode}; see log.txt"
        except subprocess.TimeoutExpired:
            reason = f"ended after {seconds:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started
            process.wait()
    results = load(asked.out)
    if results["parts"].get(name, {}).get("status") in (None, "running"):
        before = results["parts"].get(name, {})
        took = {"status": "stopped", "reason": reason, "seconds": round(time.monotonic() - begun, 1)}
        results["parts"][name] = {**before, **took}
        write(asked.out, results)
    print(section(name, results["parts"][name]), flush=True)


def environment() -> dict[str, str]:
    """One GPU, since `Trainer` would otherwise divide each batch over all of them, and no network."""
    ours = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    return {"CUDA_VISIBLE_DEVICES": "0", **os.environ, **ours}


def run_here(asked: argparse.Namespace, name: str) -> int:
    """Run a part in this process."""
    with tempfile.TemporaryDirectory() as work:
        part = Part(name, asked.out, Path(work), asked.device, asked.tiny, asked.seconds)
        part.save("running")
        try:
            describe_machine(asked)
            importlib.import_module(f".{name}", __package__).run(part)
        except Exception as error:
            part.save("failed", f"{type(error).__name__}: {error}"[:2000])
            traceback.print_exc()
            return 1
        nothing = not part.rows and not part.checks
        part.save("skipped" if nothing else "done", "nothing could be measured here" if nothing else None)
    return 0


def describe_machine(asked: argparse.Namespace) -> None:
    """Write down what all figures were measured on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch

    if asked.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("there is no GPU; on a CPU: --device cpu --tiny")
    machine: dict[str, Any] = {"device": "CPU", "toy size": asked.tiny, "python": platform.python_version()}
    if asked.device == "cuda":
        from trl.trainer.utils import get_peak_flops

        name = torch.cuda.get_device_name()
        machine["device"] = name
        machine["GiB"] = round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1)
        peak = get_peak_flops(name, "bfloat16")
        machine["peak TFLOP/s in bfloat16, dense, as TRL knows it by name"] = peak and peak / 1e12
    for package in ("torch", "transformers", "trl", "accelerate", "flash-attn", "vllm", "wordfreq"):
        try:
            machine[package] = version(package)
        except PackageNotFoundError:
            machine[package] = "not installed"
    results = load(asked.out)
    results["machine"] = machine
    write(asked.out, results)


if __name__ == "__main__":
    sys.exit(main())
