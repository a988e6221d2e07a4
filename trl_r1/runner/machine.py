"""
On what a run runs: processor, memory, GPUs, versions, and the commit of the code. For the record alone. Torch-free.
"""

import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

from ..cores import usable_cores
from ..recipe import package_versions


def surroundings(recipe: Path) -> dict[str, Any]:
    """
    Return what `run.json` records of the machine and the code.

    Args:
        recipe (`Path`):
            The recipe's file, whose repository's commit is recorded beside that of `trl_r1`.

    Returns:
        `dict[str, Any]`: `machine` (`processor`, `cores`, `memory_gib`, `gpus`, `system`), `versions` and `commits` by
        repository (`trl_r1`, `recipe`), where there is a repository; `-dirty` marks changes that are not committed.
    """
    machine = {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader").splitlines(),
        "system": platform.platform(),
    }
    places = {"trl_r1": Path(__file__).parents[1], "recipe": recipe.resolve().parent}
    commits = {name: commit for name, place in places.items() if (commit := _commit(place))}
    if commits.get("recipe") == commits.get("trl_r1"):
        commits.pop("recipe", None)
    return {
        "machine": machine,
        "versions": {"python": platform.python_version(), **package_versions()},
        "commits": commits,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def _commit(folder: Path) -> str:
    # Only what is in the repository: a package that is installed inside someone's checkout is not of its commit.
    if not _output("git", "-C", str(folder), "ls-files", "."):
        return ""
    return _output("git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _output(*command: str) -> str:
    """What a command prints; the empty string where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
