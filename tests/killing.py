"""A program that is SIGKILLed at one exact moment, however busy the machine is."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import fnmatch, os, runpy, signal, sys

event, pattern, left, module, *arguments = sys.argv[1:]
left = int(left)


def kill(name, values):
    global left
    if name == event and any(fnmatch.fnmatch(value, pattern) for value in values if isinstance(value, str)):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(kill)
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__")
"""


def run_until_killed(module: str, arguments: Sequence[str], event: str, pattern: str, nth: int = 1) -> None:
    """
    Run `python -m module` until it is about to do something to a file, and kill it there.

    Args:
        module (`str`):
            What to run.
        arguments (`Sequence[str]`):
            Its arguments.
        event (`str`):
            One of Python's audit events, such as `os.rename` or `os.mkdir`. It is raised before the file changes.
        pattern (`str`):
            Of the path, as in a shell.
        nth (`int`, *optional*, defaults to `1`):
            At which such event.
    """
    command = [sys.executable, "-c", PROGRAM, event, pattern, str(nth), module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stdout + process.stderr
