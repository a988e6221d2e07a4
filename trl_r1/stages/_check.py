"""
Make the configs and rewards of a recipe's stages as the stages themselves will, read the first rows of their data, and say
what is refused.

```bash
python -m trl_r1.stages._check < stages.yaml    # a list of the arguments of `check_stage`
```

`trl-r1 plan` and `trl-r1 run` start it once for all stages of a recipe; it prints a JSON list with a record for each.
TRL's configs ask about the machine on which they are made: whether its GPUs compute in bfloat16, and how many processes
train together. Here the answers are those of the machine that the recipe names. Nothing asks for vLLM, nor for what an
accelerate file sets up: the trainers check these where they use them. A `deepspeed:` key needs the package, and is left
out where this machine lacks it.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any
from unittest import mock

import yaml

from ..errors import ConfigError, MachineError
from ..kinds import kind_of
from ..rewards.schedule import check_machine, declared_rewards, load_reward
from ..rewards.scheduled import required_columns
from ..sizes.figures import Figures, Setting
from ..sizes.stage import size_stage
from ..sizes.throughput import Throughput
from ..typed import check_fields, hints_of, make
from ._common import importing
from ._data import columns_here, read_data, rows_of
from ._models import KnownModel, unknown
from ._needs import lacking
from ._refusals import Launch, loads_weights, refusals, value_of


def check_stage(
    kind: str,
    config: Mapping[str, Any],
    processes: int = 1,
    gpu: bool = True,
    sources: Sequence[Mapping[str, Any]] = (),
    accelerate: Mapping[str, Any] | None = None,
    models: Mapping[str, Mapping[str, Any]] | None = None,
    fetch: bool = False,
    sizing: Mapping[str, Any] | None = None,
    beside: int = 0,
) -> dict[str, Any]:
    """
    Make the config classes and the rewards of one stage, and look into its data.

    Args:
        kind (`str`):
            The stage's kind.
        config (`Mapping[str, Any]`):
            Its config, as `config.yaml` will hold it.
        processes (`int`, *optional*, defaults to `1`):
            In how many processes it will run.
        gpu (`bool`, *optional*, defaults to `True`):
            Whether it will run on GPUs. All that are worth training on know bfloat16 and TF32.
        sources (`Sequence[Mapping[str, Any]]`, *optional*):
            The data sources to look into.
        accelerate (`Mapping[str, Any]`, *optional*):
            The launcher's file.
        models (`Mapping[str, Mapping[str, Any]]`, *optional*):
            The models that it reads, by name: `place` and `trained` of a [`~stages._models.KnownModel`].
        fetch (`bool`, *optional*, defaults to `False`):
            Whether configs, tokenizers and data that are neither local nor cached are fetched from the Hub, and data are
            read whole.
        sizing (`Mapping[str, Any]`, *optional*):
            What figures are made with, as `runner.sizes.Sizing` has it: `name`, `gpu_memory`, `throughput` and
            `reward_models`, by place as in `models`. Without it there are none.
        beside (`int`, *optional*, defaults to `0`):
            GPUs of the servers that run beside it.

    Returns:
        `dict[str, Any]`: `problems`, each with `key`, `message` and `type`, the name of an error; `converted`, values by
        key that a field takes as another type; `rewards`, each with `key`, `func`, `domains` and `requires`; `columns`,
        by each source's path a list of their names, or text that says why it cannot be read; `None` where that would
        take long; `lacks`, what this machine lacks for it, a sentence each; `unknown`, the models of which config or
        tokenizer are neither local nor cached; `data`, what [`~stages._data.read_data`] counts in each source, where
        data are read whole; `figures`, a [`~sizes.figures.Figures`], where it is asked for.
    """
    columns = {source["path"]: columns_here(source, fetch) for source in sources}
    record: dict[str, Any] = {"problems": [], "converted": {}, "rewards": [], "columns": columns}
    record |= {"lacks": [], "unknown": [], "data": []}

    def refuse(error: ConfigError, key: str | None = None) -> None:
        for each in error.problems:
            found = {"key": each.key or key, "message": each.message, "type": type(each).__name__}
            record["problems"].append(found)

    config = dict(config)
    env = config.pop("env", None) or {}
    if not isinstance(env, Mapping):
        refuse(ConfigError(f"is {env!r}; expected a mapping of environment variables", key="env"))
        env = {}
    with mock.patch.dict("os.environ", {key: str(value) for key, value in env.items()}):
        try:
            with importing():
                classes = kind_of(kind).config_classes()
        except Exception as error:  # whatever a module of the user's raises
            refuse(ConfigError(f"its config classes do not import ({type(error).__name__}: {error})", key="kind"))
            return record
        right, _ = check_fields(classes, config)
        record["converted"] = {key: value for key, value in right.items() if repr(value) != repr(config[key])}
        some = "1 process" if processes == 1 else f"{processes} processes"
        trains = any(hasattr(each, "world_size") for each in classes)
        made: Sequence[Any] = ()
        try:
            with machine(processes, gpu):
                made = make(classes, _without_deepspeed(config), context=f" in {some}" if trains else "")
        except ConfigError as error:
            refuse(error)
        except Exception as error:  # nothing that a stage would report as a wrong value
            refuse(ConfigError(f"its config cannot be made ({type(error).__name__}: {error})", key="config"))
        known = {name for each in classes for name in hints_of(each)}
        rewards = []
        for key, declared in declared_rewards({key: value for key, value in config.items() if key in known}):
            try:
                spec, reward = load_reward(declared, key)
                found = {"key": key, "func": spec.func, "domains": spec.domains, "requires": required_columns(reward)}
                record["rewards"].append(found)
                rewards.append((key, reward, spec.domains))
                check_machine(reward, key)
            except ConfigError as error:
                refuse(error, key)
            except MachineError as error:
                record["lacks"].append(str(error))
        started = accelerate or {}
        deepspeed = started.get("distributed_type") == "DEEPSPEED" or bool(config.get("deepspeed"))
        launch = Launch(processes, gpu, started, deepspeed)
        if made:
            read = [KnownModel(name, fetch=fetch, **one) for name, one in (models or {}).items()]
            loaded = []
            with contextlib.suppress(ConfigError):  # a wrong engine in `by_model`, which is refused below
                loaded = [model for model in read if loads_weights(made, model)]
            rows = sum(map(rows_of, sources))
            if fetch:
                own = () if "rewards" in config else declared_rewards({"rewards": value_of(made, "rewards")})
                rewards += [(key, load_reward(declared, key)[1], None) for key, declared in own]
                record["data"], of_data = read_data(kind_of(kind), sources, made, loaded, rewards)
                rows = sum(each["rows"] for each in record["data"])
                for problem in of_data:
                    refuse(problem)
            for problem in refusals(made, launch, read, rows):
                refuse(problem)
            if not record["problems"]:
                record["lacks"] += lacking(made, launch, rewards, beside)
            record["unknown"] = unknown(loaded, [value_of(made, "chat_template_path")])
        if made and sizing is not None:
            pairs = "chosen" in (kind_of(kind).reads or ())
            figures = _figures(made, config, launch, models or {}, sizing, record["data"], pairs)
            record["figures"] = asdict(figures)
            for each in figures.problems:
                refuse(ConfigError(each["message"], key=each["key"]))
    return record


def _figures(
    made: Sequence[Any],
    config: Mapping[str, Any],
    launch: Launch,
    models: Mapping[str, Mapping[str, Any]],
    sizing: Mapping[str, Any],
    counted: Sequence[Mapping[str, Any]],
    pairs: bool,
) -> Figures:
    """Size a stage, of whose data `counted` says what `--data` found."""
    assumed = Throughput(**sizing["throughput"])

    def known(named: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Any]]:
        read = [KnownModel(name, **one) for name, one in named.items()]
        init = value_of(made, "model_init_kwargs")
        found = {}
        for model in read:
            try:
                found[model.name] = (model.place or model.shown, model.config(init))
            except ConfigError:  # reported where the model is read
                found[model.name] = (model.place or model.shown, None)
        return found

    sources = config.get("data")
    sources = sources if isinstance(sources, list) else []
    setting = Setting(
        sizing["name"],
        launch.accelerate,
        launch.processes,
        launch.gpu and config.get("use_cpu") is not True,
        sizing["gpu_memory"],
        known(models),
        known(sizing["reward_models"]),
        assumed.rows.get(sizing["name"])
        or _rows(sources, assumed, {each["source"]: each["rows"] for each in counted}),
        pairs,
        assumed,
    )
    return size_stage(made, config, setting)


def _rows(sources: Sequence[Mapping[str, Any]], assumed: Throughput, counted: Mapping[str, int]) -> int | None:
    """Rows of a stage's data, as far as they are counted, stated or limited; `None` where those of one source are not."""
    rows = 0
    for source in sources:
        name, path, limit = source.get("name"), str(source.get("path")), source.get("limit")
        stated = assumed.rows.get(str(name)) or assumed.rows.get(path)
        found = counted.get(str(name or path)) or rows_of(source) or min(filter(None, (stated, limit)), default=0)
        if not found:
            return None
        rows += found
    return rows or None


def _without_deepspeed(config: dict[str, Any]) -> dict[str, Any]:
    return config if find_spec("deepspeed") else {key: value for key, value in config.items() if key != "deepspeed"}


@contextlib.contextmanager
def machine(processes: int, gpu: bool) -> Iterator[None]:
    """Have transformers' arguments find the machine that a recipe names; nothing to do where none was imported."""
    arguments = sys.modules.get("transformers.training_args")
    if arguments is None:
        yield
        return
    with (
        mock.patch.multiple(arguments, is_torch_bf16_gpu_available=lambda: gpu, is_torch_tf32_available=lambda: gpu),
        mock.patch.object(arguments.TrainingArguments, "world_size", property(lambda self: processes)),
    ):
        yield


def main() -> int:
    """Read the stages from standard input, and print the records."""
    asked = yaml.safe_load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints while it is imported
        records = [check_stage(**stage) for stage in asked]
    print(json.dumps(records, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
