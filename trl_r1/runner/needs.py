"""
What this machine lacks for a run, and what could not be checked on it: `trl-r1 plan` lists both, `trl-r1 run` refuses to
start before what it needs is here.
"""

import shlex
import shutil
from collections.abc import Sequence

from ..data_files import is_place
from ..errors import MachineError, listed
from ..recipe import shown
from .check import Checked
from .plan import PlannedStage, to_run


GB = 1 << 30


def lacking(checked: Checked, planned: Sequence[PlannedStage]) -> list[str]:
    """
    Say what this machine lacks.

    Args:
        checked (`Checked`):
            The recipe.
        planned (`Sequence[PlannedStage]`):
            What becomes of its stages: what is done needs nothing.

    Returns:
        `list[str]`: each with the stages that need it.
    """
    stages: dict[str, list[str]] = {}
    for stage in to_run(planned):
        for text in checked.records.get(stage.name, {}).get("lacks", ()):
            stages.setdefault(text, []).append(stage.name)
        for server in stage.item.servers:
            program = "vllm" if server.command is None else shlex.split(server.command)[0]
            if shutil.which(program) is None:
                stages.setdefault(f"the program {program} (server {server.name})", []).append(stage.name)
    found = [f"{text} ({', '.join(dict.fromkeys(names))})" for text, names in stages.items()]
    return found + _room(checked, len(to_run(planned)) / max(1, len(planned)))


def _room(checked: Checked, left: float) -> list[str]:
    place = checked.run_dir.absolute()
    while not place.exists():
        place = place.parent
    needed, free = checked.recipe.disk_gb * left, shutil.disk_usage(place).free / GB
    if free >= needed:
        return []
    return [
        f"{needed:.1f} GB of disk for what is left of the run (`disk_gb: {checked.recipe.disk_gb:g}` in "
        f"{shown(checked.recipe.path)}); {free:.1f} GB are free at {shown(place)}: make room, or use another --output-dir"
    ]


def refuse_lacking(checked: Checked, planned: Sequence[PlannedStage]) -> None:
    """
    Refuse to start where this machine lacks what a stage needs.

    Raises:
        [`~errors.MachineError`]: with all of it.
    """
    if found := lacking(checked, planned):
        lines = "".join(f"\n  - {text}" for text in found)
        raise MachineError(
            f"`{checked.recipe.name}` needs what is not here:{lines}\nNothing was run. --only STAGE runs what needs less"
        )


def unchecked(checked: Checked) -> list[str]:
    """Say what could not be checked because it is neither local nor in the cache of the Hub."""
    models: dict[str, None] = {}
    data: dict[str, None] = {}
    for record in checked.records.values():
        models |= dict.fromkeys(record["unknown"])
        data |= dict.fromkeys(
            path for path, columns in record["columns"].items() if columns is None and not is_place(path)
        )
    return [f"{what}: {listed(names)}" for what, names in (("models", models), ("data", data)) if names]
