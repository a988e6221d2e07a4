"""
`trl-r1 rehearse`: check recipes, prepare, run every stage as it is rehearsed, and say what was found.

Everything is in a temporary folder, which is removed at the end, however it ends.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from ..cores import usable_cores
from ..errors import ConfigErrors, Interrupted, MachineError
from ..model_server import server_name
from ..recipe import Recipe, ResolvedStage
from ..recipe.references import RUN, with_texts
from ..runner.check import check
from ..runner.configs import world_size
from ..runner.directory import end_leftovers
from ..runner.display import Display, table
from ..runner.launch import RunningStage, how_it_ended, read_progress
from ..runner.plan import PlannedStage, State
from ..runner.run import RunOptions
from ..runner.work import Run
from ..scores import show_duration
from ..signals import handled
from .engine_names import BACKEND_VARIABLE
from .examine import examine
from .servers import answers, stand_in_server
from .shrink import Prepared, addresses, identity, named, rehearsed, renamed, samples, source_key, trains


GRACE_SECONDS = 10.0

# What no rehearsal can tell.
_NOT_CHECKED = (
    "memory and speed of the real models, and how long their completions are",
    "whether the models learn, and whether they ever solve a prompt: right completions were put in their place",
)


@dataclass
class Findings:
    """
    What a rehearsal has found.

    Args:
        faults (`list[tuple[str, str, int]]`):
            The stage, what is wrong, and the exit code that it stands for.
        notes (`list[tuple[str, str]]`):
            The stage and what was noticed or could not be checked.
    """

    faults: list[tuple[str, str, int]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def fault(self, stage: str, text: str, code: int = 2) -> None:
        if (stage, text, code) not in self.faults:
            self.faults.append((stage, text, code))


def rehearse(
    recipes: list[str], *, overrides: list[str] | None = None, seed: int | None = None, parallel: int | None = None
) -> int:
    """
    Rehearse recipes.

    Args:
        recipes (`list[str]`):
            Paths or names. A stage that several of them share is rehearsed once.
        overrides (`list[str]`, *optional*):
            `stage.key=value`.
        seed (`int`, *optional*):
            In place of the recipes'.
        parallel (`int`, *optional*):
            How many stages at once; by default one for each core.

    Returns:
        `int`: 0 where nothing was found; 1 where a stage failed, 2 where a config, the data or the machine is wrong.

    Raises:
        `ConfigErrors`: what `trl-r1 plan` finds wrong; nothing was run.
        `Interrupted`: the user stopped it.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(handled(_end, (signal.SIGTERM, signal.SIGHUP)))
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="trl-r1-rehearsal-"))
        folder = Path(name).resolve()
        (folder / "tmp").mkdir()
        # What checks and stages make in passing goes with the rest.
        stack.enter_context(mock.patch.dict(os.environ, {"TMPDIR": str(folder / "tmp")}))
        at_once = parallel or usable_cores()

        def checked(recipe: str) -> tuple[Recipe, list[ResolvedStage]] | ConfigErrors:
            try:
                # What the real run needs of the disk is the plan's to check.
                found = check(recipe, folder / "run", overrides=[*(overrides or ()), "disk_gb=0"], seed=seed)
            except ConfigErrors as error:
                return error
            return found.recipe, found.stages

        with ThreadPoolExecutor(at_once) as pool:  # each waits for a process of its own
            found = list(pool.map(checked, recipes))
        problems = [problem for one in found if isinstance(one, ConfigErrors) for problem in one.problems]
        if problems:
            raise ConfigErrors(problems)
        return _Rehearsal(folder, [one for one in found if not isinstance(one, ConfigErrors)], at_once).run()


def _end(number: int, frame: Any) -> None:
    """Answer a request to end by raising, so that nothing is left behind."""
    raise KeyboardInterrupt


class _Rehearsal:
    """One rehearsal of one or several recipes in a folder of its own."""

    def __init__(self, folder: Path, recipes: list[tuple[Recipe, list[ResolvedStage]]], parallel: int) -> None:
        self.folder, self.recipes, self.parallel = folder, recipes, parallel
        self.run_dir = folder / "run"
        self.findings = Findings()
        self.display = Display()
        self.rewards: dict[str, list[tuple[str, bool]]] = {}
        self.real_names: dict[str, str] = {}  # of the paths that a message may hold

    def run(self) -> int:
        self.run_dir.mkdir()
        prepared = self.prepared()
        with contextlib.ExitStack() as stack:
            stages = [
                [rehearsed(item, prepared) for item in self.with_servers(recipe, items, stack)]
                for recipe, items in self.recipes
            ]
            planned = self.shared(stages)
            known = {stage for stage, _, _ in self.findings.faults}
            lacking = [item.name for item in planned if item.name in known and not self.is_whole(item, prepared)]
            planned = [each for each in planned if each.name not in lacking]
            run = _KeepGoing(self, planned, self.parallel)
            try:
                run.work(list(planned), keep_going=True)
            except Interrupted:
                raise Interrupted("interrupted; nothing was left behind") from None
            finally:
                end_leftovers(self.run_dir)
        return self.report(run, lacking)

    # --- before -----------------------------------------------------------------------------------------------------

    def label(self, recipe: Recipe, stage: str) -> str:
        return stage if len(self.recipes) == 1 else f"{recipe.name}--{stage}"

    def prepared(self) -> Prepared:
        """Have tiny models made and rows read, in a process that has torch."""
        asked = []
        for recipe, items in self.recipes:
            for item in items:
                asked.append(self.request(recipe, item, {other.name: other for other in items}))
        # What is in the user's cache is read; what the stages make of it goes elsewhere.
        own = {key: value for key, value in self.environment().items() if key != "HF_DATASETS_CACHE"}
        self.display.say(f"Preparing {len(asked)} stages: tiny models, a few rows of each data set.")
        (self.folder / "datasets").mkdir()
        ran = subprocess.run(
            [sys.executable, "-m", "trl_r1.rehearsal.prepare"],
            input=json.dumps({"folder": str(self.folder), "stages": asked}, default=str),
            capture_output=True,
            text=True,
            env={**os.environ, **own},
        )
        if ran.returncode:
            last = "\n".join(ran.stderr.strip().splitlines()[-5:])
            raise MachineError(f"the rehearsal could not be prepared: python ended with code {ran.returncode}\n{last}")
        answer = json.loads(ran.stdout.splitlines()[-1])
        for line in answer["described"]:
            self.display.say(f"  {line}")
        for stage, text in answer["faults"]:
            self.findings.fault(stage, text)
        self.findings.notes += [(stage, text) for stage, text in answer["notes"]]
        self.rewards = answer["rewards"]
        self.real_names = {place: name for name, place in answer["models"].items()}
        by_key = {each["key"]: each["source"].get("path") for stage in asked for each in stage["sources"]}
        self.real_names |= {place: str(by_key[key]) for key, place in answer["sources"].items()}
        packages = frozenset(name for name in ("deepspeed", "vllm") if find_spec(name) is not None)
        return Prepared(answer["models"], answer["sources"], packages, self.environment())

    def request(self, recipe: Recipe, item: ResolvedStage, others: Mapping[str, ResolvedStage]) -> dict[str, Any]:
        """What the preparing process is told of a stage."""
        at_server = item.config.get("backend") == "server"
        models = [] if at_server else [value for _, value in named(item, "model")]
        # A chat template may be that of another model.
        models += [value for _, value in named(item, "file") if "/" in value and not Path(value).is_file()]
        sources = [(keys[0], source) for keys, source in named(item, "data")]
        return {
            "name": self.label(recipe, item.name),
            "kind": item.stage.kind,
            "config": item.config,
            "models": [value for value in models if not value.startswith(RUN)],
            "root": None if at_server else _root(item, others),
            "reads": list((item.kind.reads if item.kind else None) or ()),
            "sources": [
                {"key": source_key(source), "source": source, "at": at}
                for at, source in sources
                if not str(source.get("path")).startswith(RUN)
            ],
        }

    def environment(self) -> dict[str, str]:
        """What all stages find in their environment: no GPU, and no folder but this one to leave files in."""
        return {
            "CUDA_VISIBLE_DEVICES": "",
            "DS_ACCELERATOR": "cpu",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "WANDB_MODE": "disabled",
            "HF_DATASETS_CACHE": str(self.folder / "datasets"),
        }

    def with_servers(
        self, recipe: Recipe, items: list[ResolvedStage], stack: contextlib.ExitStack
    ) -> Iterator[ResolvedStage]:
        """The stages, with a stand-in for each server that does not answer."""
        for item in items:
            places = {}
            for key, url in addresses(item.config):
                label = self.label(recipe, item.name)
                if key.startswith("vllm_server"):
                    self.findings.notes.append((label, f"`{key}`: the server that samples in training was not asked"))
                    continue
                if server_name(url):
                    self.findings.notes.append(
                        (label, f"`{key}`: the server `{url}` was not started; another stood in")
                    )
                    places[url] = self.stand_in(stack)
                    continue
                reason = answers(url)
                if reason is not None:
                    self.findings.fault(label, f"`{key}`: no server answers at {url} ({reason})")
                    places[url] = self.stand_in(stack)
            if places:
                config = {key: with_texts(value, _replaced(places)) for key, value in item.config.items()}
                item = replace(item, config=config)
            yield replace(item, servers=(), stage=replace(item.stage, retries=0, processes=1))

    _server: str | None = None

    def stand_in(self, stack: contextlib.ExitStack) -> str:
        if self._server is None:
            self._server = stack.enter_context(stand_in_server())
        return self._server

    def shared(self, stages: list[list[ResolvedStage]]) -> list[PlannedStage]:
        """The stages of all recipes, each once, parents before children."""
        planned: dict[str, PlannedStage] = {}
        for (recipe, real), items in zip(self.recipes, stages):
            self.findings.notes += [
                (recipe.name, f"left out, as in a run on this machine: {text}") for text in recipe.off
            ]
            names: dict[str, str] = {}
            for item, before in zip(items, real):
                names[item.name] = self.label(recipe, item.name)
                own = renamed(item, names)
                same = planned.setdefault(identity(own), PlannedStage(own, own.name, State.RUN))
                names[item.name] = same.name
                self.notes_of(same.name, before, same.item)
        return list(planned.values())

    def notes_of(self, name: str, real: ResolvedStage, item: ResolvedStage) -> None:
        """What of a stage is not rehearsed as it will run."""
        wanted = real.config.get("use_vllm") or real.config.get("backend") == "vllm"
        if wanted and find_spec("vllm") is None:
            self.findings.notes.append((name, "vLLM is not installed: transformers sampled in its place"))
        if world_size(real) > 1 and trains(real.kind):
            asked, found = str(real.stage.accelerate), str(item.stage.accelerate)
            how = f"{Path(asked).stem} on {world_size(real)} processes was rehearsed as {Path(found).stem} on 2"
            self.findings.notes.append((name, how))

    def is_whole(self, stage: PlannedStage, prepared: Prepared) -> bool:
        """Whether a stage has all that it reads: what could not be prepared is a fault already."""
        paths = [value for _, value in named(stage.item, "model")]
        paths += [str(source.get("path")) for _, source in named(stage.item, "data")]
        own = {*prepared.models.values(), *prepared.sources.values()}
        server = samples(stage.item.kind) and stage.item.config["env"].get(BACKEND_VARIABLE) == "server"
        return server or all(path.startswith(RUN) or path in own for path in paths)

    # --- after ------------------------------------------------------------------------------------------------------

    def ended(self, stage: RunningStage, failed: tuple[int, str] | None) -> None:
        """Take down what came of a stage."""
        if failed is not None:
            code, reason = failed
            stated = read_progress(stage.folder).get("error")
            tail = [line for line in stage.log_tail(40) if line.strip()]
            text = stated or next((line for line in reversed(tail) if "Error" in line), tail[-1] if tail else reason)
            self.findings.fault(stage.name, self.with_real_names(str(text)), 2 if code == 2 else 1)
            return
        try:
            faults, notes = examine(stage.folder, stage.item.config, self.rewards.get(stage.name, ()))
        except Exception as error:  # a stage of the user's keeps traces of its own kind
            faults, notes = [], [f"what it sampled could not be read ({type(error).__name__}: {error})"]
        for text in faults:
            self.findings.fault(stage.name, text)
        self.findings.notes += [(stage.name, text) for text in notes]

    def with_real_names(self, text: str) -> str:
        for place, name in self.real_names.items():
            text = text.replace(place, name)
        return text.replace(f"{self.run_dir}/", "").replace(f"{self.folder}/", "")

    def report(self, run: "_KeepGoing", lacking: list[str]) -> int:
        faults = self.findings.faults
        faulty = {stage for stage, _, _ in faults}
        rows = []
        for planned in run.planned:
            status, seconds = run.results.get(planned.name, ("not run", 0.0))
            if status == "done" and planned.name in faulty:
                status = "faulty"
            took = show_duration(seconds) if seconds else "-"
            rows.append([planned.name, planned.item.stage.kind.removeprefix("trl_r1.rehearsal."), status, took])
        rows += [[name, "-", "not run", "-"] for name in lacking]
        self.display.update([])
        self.display.say("\n" + table(["stage", "kind", "status", "wall time"], rows, right=[3]))
        grouped: dict[str, list[str]] = {}
        for stage, text in self.findings.notes:
            grouped.setdefault(text, []).append(stage)
        self.display.say("\nNot checked, or worth knowing:")
        for text in _NOT_CHECKED:
            self.display.say(f"  {text}")
        for text, stages in grouped.items():
            self.display.say(f"  {', '.join(dict.fromkeys(stages))}: {text}")
        if not faults:
            self.display.say(f"\n{len(run.planned)} stages were rehearsed; nothing was found wrong.")
            return 0
        for stage, text, _ in faults:
            print(f"error: stage `{stage}`: {text}", file=sys.stderr)
        print(f"{len(faults)} faults were found.", file=sys.stderr)
        return 2 if all(code == 2 for _, _, code in faults) else 1


class _KeepGoing(Run):
    """The runner, which tells the rehearsal how each stage has ended."""

    def __init__(self, rehearsal: _Rehearsal, planned: list[PlannedStage], parallel: int) -> None:
        recipe = Recipe("rehearsal", rehearsal.folder, tuple(stage.item.stage for stage in planned))
        options = RunOptions("", parallel=parallel, grace_s=GRACE_SECONDS)
        super().__init__(recipe, planned, rehearsal.run_dir, options, rehearsal.display)
        self.rehearsal = rehearsal

    def end(self, stage: RunningStage) -> None:
        before = len(self.failed)
        super().end(stage)
        if self.stops:
            return
        if len(self.failed) > before:
            _, code, reason = self.failed[-1]
            self.rehearsal.ended(stage, (code, reason or how_it_ended(code)))
        else:
            self.rehearsal.ended(stage, None)


def _replaced(places: Mapping[str, str]) -> Callable[[str], str]:
    return lambda text: places.get(text, text)


def _root(item: ResolvedStage, others: Mapping[str, ResolvedStage]) -> str | None:
    """The model outside the run from which a stage's model comes."""
    seen: set[str] = set()
    while item.name not in seen:
        seen.add(item.name)
        several = item.config.get("models")
        place = (
            next(iter(several.values()), None) if isinstance(several, dict) else item.config.get("model_name_or_path")
        )
        if not isinstance(place, str):
            return None
        if not place.startswith(f"{RUN}/"):
            return place
        item = others[place.split("/")[1]]
    return None
