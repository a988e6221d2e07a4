"""
Run a recipe: its stages in their order, as many at once as allowed, each in separate processes.

What is done is not done again; what was interrupted goes on; what has changed runs again, and its old outputs are moved
aside. A run may be killed at any moment and started again by the same command.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import MachineError
from ..recipe import ResolvedStage, shown
from .check import Checked, check
from .configs import world_size
from .directory import (
    LOCK_FILE,
    check_owner,
    end_leftovers,
    locked,
)
from .display import Display, data_table, table
from .figures import as_json, figures_text
from .jobs import JobRun, QueuedRun
from .launch import shell
from .mirror import make_mirror
from .needs import lacking, refuse_lacking, unchecked
from .place import command_of, place_of
from .plan import PlannedStage, counts, make_plan, to_run
from .sizes import Sizing, make_sizing
from .slurm import FOLDER, refuse_beside_jobs
from .work import Run


@dataclass
class RunOptions:
    """
    What `trl-r1 run` is asked for.

    Args:
        recipe (`str`):
            Path or name.
        output_dir (`Path`, *optional*):
            The run's directory; `runs/NAME` by default.
        seed (`int`, *optional*):
            In place of the recipe's.
        again_from (`list[str]`):
            Stages to run again, with all stages that depend on them.
        only (`list[str]`):
            Stages to run, and no others.
        overrides (`list[str]`):
            `stage.key=value`.
        dry_run (`bool`):
            Say what would run, and change nothing.
        data (`bool`):
            Of `trl-r1 plan`: fetch configs, tokenizers and data, and read data whole.
        gpus (`int`, *optional*), gpu_memory (`float`, *optional*, defaults to `80`), throughput (`Path`, *optional*):
            Of `trl-r1 plan`: GPUs of the machine, GiB of each, and a file of assumptions ([`~sizes.throughput`]).
        as_json (`bool`):
            Of `trl-r1 plan`: print the figures alone, in JSON.
        parallel (`int`, *optional*):
            How many stages at once, in place of the recipe's.
        launcher (`str`, *optional*):
            `"local"` or `"slurm"`, in place of the recipe's.
        detach (`bool`):
            Under Slurm: submit the stages and leave.
        job (`bool`):
            Whether this is the runner inside a job that another has submitted, for the one stage of `only`.
        mirror (`str`, *optional*):
            Folder or URL to which the run's directory is copied at every checkpoint, and from which it is taken first.
        grace_s (`float`, *optional*):
            Seconds that an interrupted stage has to end by itself. By default 10, and for a training as long as it takes
            to save a checkpoint at the end of its optimizer step.
        command (`list[str]`):
            The command, for the record and for the hint on how to go on.
        variant (`str`, *optional*):
            Name of a variant of the recipe, whose run is another run, in `runs/NAME-VARIANT` by default.
        change (`Callable`, *optional*):
            Makes a stage of the variant of one of the recipe.
    """

    recipe: str
    output_dir: Path | None = None
    seed: int | None = None
    again_from: list[str] = field(default_factory=list)
    only: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    dry_run: bool = False
    data: bool = False
    gpus: int | None = None
    gpu_memory: float = 80.0
    throughput: Path | None = None
    as_json: bool = False
    parallel: int | None = None
    launcher: str | None = None
    detach: bool = False
    job: bool = False
    mirror: str | None = None
    grace_s: float | None = None
    command: list[str] = field(default_factory=list)
    variant: str | None = None
    change: Callable[[ResolvedStage], ResolvedStage] | None = None


def plan(options: RunOptions) -> list[PlannedStage]:
    """
    Check a recipe and print what would run, changing nothing.

    Raises:
        `ConfigErrors`: everything found wrong.
    """
    display = Display()
    sizing = None
    if not options.dry_run:  # which does not say what GPUs there are
        sizing = make_sizing(options.gpus, options.gpu_memory, options.throughput, options.only)
    checked = _checked(options, sizing)
    recipe, run_dir = checked.recipe, checked.run_dir
    planned = make_plan(recipe, checked.stages, run_dir, only=options.only, again_from=options.again_from)
    if options.as_json:
        display.say(as_json(checked.records))
        return planned
    display.say(f"{recipe.name} ({shown(recipe.path)}), seed {recipe.seed}, in {shown(run_dir)}\n")
    rows = []
    for stage in planned:
        state = f"{stage.state.value} ({stage.why})" if stage.why else stage.state.value
        parents = ", ".join(stage.item.parents) or "-"
        rows.append([stage.name, stage.item.stage.kind, parents, str(world_size(stage.item)), state])
    display.say(table(["stage", "kind", "reads from", "processes", "state"], rows, right=[3]))
    if options.dry_run:
        display.say()
        for stage in to_run(planned):
            display.say(shell(command_of(stage.item, run_dir / stage.name / "config.yaml")))
    if sizing is not None and (figures := figures_text(checked.records, sizing)):
        display.say(f"\n{figures}")
    if options.data:
        display.say("\n" + data_table(checked.records))
    for head, found in (
        ("Off, since what it needs is not there (docs/recipes.md)", checked.recipe.off),
        ("Needs, and is not here (`trl-r1 run` would refuse to start)", lacking(checked, planned)),
        ("Not checked, being neither here nor cached (`trl-r1 plan --data` fetches it)", unchecked(checked)),
    ):
        if found:
            display.say(f"\n{head}:\n" + "\n".join(f"  - {text}" for text in found))
    display.say(f"\nThe recipe is in order. {counts(planned)}")
    return planned


def _checked(options: RunOptions, sizing: Sizing | None = None) -> Checked:
    found = check(
        options.recipe,
        # A variant's directory is no directory of the recipe's.
        options.output_dir if options.variant is None else None,
        overrides=options.overrides,
        seed=options.seed,
        only=options.only,
        fetch=options.data,
        sizing=sizing,
        launcher=options.launcher,
    )
    if options.variant is None:
        return found
    recipe = replace(found.recipe, name=f"{found.recipe.name}-{options.variant}")
    run_dir = options.output_dir or found.run_dir.with_name(f"{found.run_dir.name}-{options.variant}")
    if (owner := check_owner(run_dir, recipe)) is not None:
        raise owner
    stages = [options.change(item) for item in found.stages] if options.change else found.stages
    return replace(found, recipe=recipe, run_dir=run_dir, stages=stages)


def run(options: RunOptions) -> int:
    """
    Run a recipe.

    Args:
        options (`RunOptions`):
            What is asked for.

    Returns:
        `int`: 0 when all that was asked for is done; 1 when a stage failed, or 2 when it refused its config or data.

    Raises:
        `ConfigErrors`: the recipe is wrong; nothing was run.
        `MachineError`: this machine lacks what a stage needs, another runner is in the directory, or the disk is full.
        `Interrupted`: the user stopped the run.
    """
    if options.dry_run:
        plan(options)
        return 0
    display = Display()
    checked = _checked(options)
    recipe, stages, run_dir = checked.recipe, checked.stages, checked.run_dir
    mirror = make_mirror(run_dir, options.mirror, options.only, display.say, pull=not options.job)
    place = place_of(checked.launcher)
    in_queue = checked.launcher == "slurm" and not place.nodes
    asked = make_plan(recipe, stages, run_dir, only=options.only, again_from=options.again_from)
    if not in_queue:  # what starts the jobs needs nothing of what they need
        refuse_lacking(checked, asked)
    if not options.job and checked.launcher == "local":
        refuse_beside_jobs(run_dir)
    try:
        # A job is one of several in the directory. It may find the one that it was before not quite ended.
        own = (f"{FOLDER}/{options.only[0]}.lock", 300.0) if options.job else (LOCK_FILE, 0.0)
        with locked(run_dir, *own):
            # Under Slurm what runs on this machine may be another job's.
            mine = [run_dir / name for name in options.only] if options.job else [] if in_queue else [run_dir]
            left = [process for folder in mine for process in end_leftovers(folder)]
            if left:
                display.say(f"Ended {len(left)} processes that an earlier run had left behind.")
            planned = make_plan(recipe, stages, run_dir, only=options.only, again_from=options.again_from)
            kind = QueuedRun if in_queue else JobRun if options.job else Run
            return kind(recipe, planned, run_dir, options, display, place, mirror).run()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(
                f"{shown(run_dir)}: no space left on the disk ({error}); expected room for the run. Finished stages are "
                "whole: make room, then run the same command again"
            ) from None
        raise
