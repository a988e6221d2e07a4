"""
One sampling job: from prompts to finished shards, killed and started again at any moment, alone or shared by several workers.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..adapters import full_model
from ..errors import ConfigError
from ..ids import model_label
from ..trace import Trace, read_traces
from .config import SamplingConfig
from .engine import Engine, Request, engine_of
from .folder import Folder
from .journal import Journal
from .key import digest, key_of
from .progress import OnProgress, Report, Tally, Worker
from .rows import Rows
from .scheduler import Scheduler, Work
from .shards import Finish, Shards


def sample(
    model: str,
    rows: Iterable[Mapping[str, Any]],
    config: SamplingConfig,
    out_dir: str | os.PathLike[str],
    **arguments: Any,
) -> Iterator[Trace]:
    """
    Sample completions of all rows and yield them as traces, in the order of the shards. See [`sample_to_shards`].

    Args:
        model, rows, config, out_dir, **arguments:
            Those of [`sample_to_shards`].

    Yields:
        [`~trace.Trace`]: prompt by prompt, in the order in which the prompts were first asked for.
    """
    for shard in sample_to_shards(model, rows, config, out_dir, **arguments):
        yield from read_traces(shard)


def sample_to_shards(
    model: str,
    rows: Iterable[Mapping[str, Any]],
    config: SamplingConfig,
    out_dir: str | os.PathLike[str],
    *,
    name: str | None = None,
    stem: str = "",
    finish: Finish | None = None,
    finish_key: Any = None,
    accuracy: Sequence[str] = (),
    on_progress: OnProgress | None = None,
    engine: Engine | None = None,
    worker: Worker | None = None,
) -> list[Path]:
    """
    Sample and score completions of all rows. What is there already is not sampled again.

    Args:
        model (`str`):
            Directory, Hub id (`org/name@revision`), LoRA adapter directory, or the model's name at a server.
        rows (`datasets.Dataset` or `Iterable[Mapping]`):
            Prompt rows, as [`~data.load_prompts`] gives them.
        config ([`SamplingConfig`]):
            How to sample.
        out_dir (`str` or `os.PathLike`):
            Folder of the shards. Samples of other settings in it are kept in a sub-folder, and come back with these.
        name (`str`, *optional*):
            Name of the model in the traces. Defaults to its [`~ids.model_label`].
        stem (`str`, *optional*, defaults to `""`):
            What the shards' names begin with (`STEM-00000.parquet`), so that one folder can hold several models'
            shards.
        finish (`Callable`, *optional*):
            Called with whole prompts' traces before they are written, to add rewards; with `until_accepted`, with those
            that are new. It is called in a thread beside sampling, one call at a time.
        finish_key (*optional*):
            What `finish` depends on, as JSON. Where it changes, `finish` runs again on the traces that are there; they
            are not sampled again.
        accuracy (`Sequence[str]`, *optional*):
            Names of the rewards that say whether a sample is solved, for `until_accepted`.
        on_progress (`Callable`, *optional*):
            Told how far the job is: [`~sampling.progress.OnProgress`].
        engine ([`Engine`], *optional*):
            What samples. By default the one that the config names, loaded when a sample is missing and closed at the
            end.
        worker ([`~sampling.progress.Worker`], *optional*):
            Which of the processes that share the job this one is. By default what the environment says: see
            [`~sampling.progress.Worker.of_environment`].

    Returns:
        `list[Path]`: the shards of all prompts that are asked for, in their order: they hold what is asked for and nothing
        else. The first worker returns when all are there, any other as soon as its own are.

    Raises:
        [`~errors.ConfigError`]: if the settings cannot be sampled with.
        [`~errors.StageError`]: if more than `max_failed_share` of the prompts have failed; what was sampled is kept.
        [`~errors.MachineError`]: if another process of the same rank is sampling into the folder.
    """
    worker = worker or Worker.of_environment()
    if config.until_accepted is not None and not (finish and accuracy):
        raise ConfigError("nothing here says which samples are accepted; expected none", key="until_accepted")
    folder, asked = Folder.of(out_dir, stem), Rows(rows)
    key = key_of(model, config)
    with folder.locked(f"worker-{worker.rank}", wait=False):
        with folder.locked():
            moved = folder.claim(key, model)
            blocks = folder.blocks(asked.ids, config.shard_prompts, worker.world)
        if moved and worker.rank == 0:
            print(moved, flush=True)
        wanted = {
            number: prompts for number, block in enumerate(blocks) if (prompts := [p for p in block if p in asked])
        }
        scored_by = finish_key if finish else "nothing"
        job = digest([key, scored_by, asked.ids, config.n_samples, config.until_accepted, worker.world])
        tally = Tally()
        journal = Journal(folder.journal, worker.rank, worker.does)
        report = Report(folder.journal, worker, job, tally, on_progress)
        try:
            shards = Shards(folder, journal, asked, config, name or model_label(model), finish, finish_key, accuracy)
            for number in folder.shards():
                if worker.does(number) and number not in wanted:
                    shards.write(number, {}, {}, by_prompt=False)
            mine = {number: prompts for number, prompts in wanted.items() if worker.does(number)}
            todo = _to_do(mine, shards, tally)
            if todo:
                _work(todo, sum(map(len, mine.values())), shards, tally, report, model, engine)
        except BaseException as error:
            report.end(error=str(error) or type(error).__name__)
            raise
        finally:
            journal.close()
        report.end()
        paths = [folder.shard(number) for number in wanted]
        if worker.rank == 0 and worker.world > 1:
            report.wait_for_others(lambda: all(path.exists() for path in paths))
        return paths


def _to_do(wanted: Mapping[int, list[str]], shards: Shards, tally: Tally) -> list[tuple[int, list[str]]]:
    """Return the blocks that are not as they are asked for, and count what is there."""
    n, todo = shards.config.n_samples, []
    for block, prompts in wanted.items():
        said = shards.is_current(block, prompts)
        if said is not None:
            shards.journal.forget(block)
            tally.total += said["samples"]
            tally.done += said["samples"]
            tally.tokens += said["tokens"]
            tally.scored(said)
            continue
        todo.append((block, prompts))
        tally.total += n * len(prompts)
        there = shards.stored_units(block)
        places = shards.journal.places.get(block, {})
        there |= {unit: place.n_tokens for unit, place in places.items()}
        among = {*prompts}
        counted = [tokens for (prompt, sample), tokens in there.items() if prompt in among and sample < n]
        tally.done += len(counted) * (n if shards.config.temperature == 0 and places else 1)
        tally.tokens += sum(counted)
    return todo


def _work(
    todo: list[tuple[int, list[str]]],
    n_prompts: int,
    shards: Shards,
    tally: Tally,
    report: Report,
    model: str,
    engine: Engine | None,
) -> None:
    """Sample and score what is to do."""
    config = shards.config
    named = engine_of(config.backend) if engine is None else type(engine)
    rolling = getattr(named, "rolling", False)
    report.tell(now=True)
    loaded = None
    with ThreadPoolExecutor(1, thread_name_prefix="scoring") as pool:
        scheduler = Scheduler(todo, shards, config, rolling, n_prompts, tally, pool)
        try:
            first = next(scheduler, None)
            if first is not None:
                scheduler.put_back(first)
                if engine is None:
                    engine = loaded = _load(named, model, shards)
                report.tell(now=True)
                for request, samples in _sampled(engine, scheduler, rolling):
                    scheduler.done(request, samples)
                    report.tell()
            scheduler.finish()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            if loaded is not None:
                loaded.close()


def _load(named: type[Engine], model: str, shards: Shards) -> Engine:
    folder = shards.folder
    if named.loads_model:
        with folder.locked("merging"):
            model = full_model(model, folder.path / f"{folder.prefix}merged")
    return named(model, shards.config)


def _sampled(engine: Engine, requests: Scheduler, rolling: bool) -> Iterator[tuple[Request, list[Any]]]:
    if rolling:
        yield from ((request, [one]) for request, one in engine.complete(requests))
        return
    for request in requests:
        if request is None:
            raise AssertionError("a batch is never under way while another is asked for")
        work: Work = request.of
        questions = [work.block.questions[prompt] for prompt in work.batch.prompts]
        n = len(work.batch.samples)
        completions = engine.generate(questions, n, request.seed)
        samples = [one for each in completions for one in each]
        if len(samples) != len(questions) * n or any(len(each) != n for each in completions):
            raise ConfigError(
                f"`{type(engine).__name__}.generate` gave {[len(each) for each in completions]} completions for "
                f"{len(questions)} questions; expected {n} of each",
                key="backend",
            )
        yield request, samples
