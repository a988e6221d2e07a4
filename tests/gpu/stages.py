"""The tests marked `gpu`: stages that train in bfloat16."""

import importlib.util
import subprocess
import sys

from .results import Part


def run(part: Part) -> None:
    """Run them as `python -m pytest -m gpu` does."""
    if part.device != "cuda":
        part.leave_out("everything", "there is no GPU")
        return
    if importlib.util.find_spec("pytest") is None:
        part.leave_out("everything", "pytest is not installed")
        return
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "tests/stages"]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout, flush=True)
    part.row({"said": done.stdout.strip().splitlines()[-1]})
    part.check("exit code of pytest", done.returncode, at_most=0)
