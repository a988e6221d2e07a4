"""
`trl-r1`: run a recipe, see what it would do and how far it is, push and report what it made.

Help, plan and status load no torch; modules are imported when a command needs them.
"""

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .errors import ConfigError, TrlR1Error
from .io import until_closed


_EXAMPLES = """\
examples:
  trl-r1 init my_project                   a project of your own: recipe, configs, a reward and its test
  trl-r1 run playground                    every stage of R1, from nothing, on a CPU, in minutes
  trl-r1 plan my_recipe.yaml               check a recipe; say what would run
  trl-r1 rehearse my_recipe.yaml           run all of it in minutes on a CPU: tiny models, a few rows
  trl-r1 run my_recipe.yaml --set r1-zero.learning_rate=1e-6
  trl-r1 status runs/playground            how far is it?
  trl-r1 audit my_recipe.yaml              would its rewards pay for a known exploit?

A run that was stopped, killed or has failed goes on with the same command.

exit codes: 0 done, 1 a stage failed or an exploit pays, 2 something is wrong with the recipe, a config, the data or the machine,
130 interrupted
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="trl-r1",
        description="Train a model the way DeepSeek-R1 was trained.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(run: Callable[..., int], text: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            run.__name__.lstrip("_"),
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example:\n  trl-r1 {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    init = command(
        _init,
        "begin a project of your own from a recipe; asks for what is not given where it can",
        "init my_project --model Qwen/Qwen2.5-0.5B --data rows.jsonl --gpus 1",
    )
    run = command(_run, "run a recipe, or go on with it", "run recipes/r1/recipe.yaml --output-dir /data/r1")
    plan = command(_plan, "check a recipe and say what would run", "plan r1 --set r1.learning_rate=1e-6")
    rehearse = command(
        _rehearse,
        "run a whole recipe in minutes on a CPU, with tiny random models and a few rows, to find what would fail late",
        "rehearse r1",
    )
    status = command(_status, "say how far a run is", "status runs/playground")
    audit = command(
        _audit,
        "try known exploits, and right answers written in other ways, on the rewards that a recipe declares; say what would "
        "pay and what would be refused",
        "audit r1",
    )
    report = command(
        _report,
        "write a run's report again, compare several runs, or watch one that is going on",
        "report runs/playground-seed1 runs/playground-seed2 runs/playground-seed3",
    )
    push = command(_push, "push a run's models and data sets to the Hub", "push runs/r1 --stage r1 --repo me/my-r1")
    infer = command(
        _infer,
        "answer questions by many samples: the most frequent answer, or the best by a reward",
        'infer Qwen/Qwen2.5-1.5B-Instruct --question "What is 37 * 48?" --n_samples 16   (keys: trl-r1 keys infer)',
    )
    keys = command(_keys, "list the keys of a kind of stage, or say all about one", "keys grpo beta")
    playground = command(
        _playground,
        "make the playground: a tokenizer, a base model and data small enough for a CPU",
        "playground my_playground --seed 1",
    )
    init.add_argument("recipe", nargs="?", help="name of a recipe that ships with trl_r1 (default: starter)")
    init.add_argument("directory", type=Path, help="the project's folder, new or empty")
    init.add_argument("--model", help="the base model: a Hub id or a folder")
    init.add_argument("--data", metavar="FILE_OR_HUB_ID", help="the data to train on; their columns are looked at")
    init.add_argument(
        "--test",
        metavar="FILE_OR_HUB_ID",
        help="the data to evaluate on (default: a part of --data that is not trained on)",
    )
    init.add_argument("--gpus", type=int, metavar="N", help="GPUs of the machine; 0: train on the CPU, in small sizes")
    rehearse.add_argument(
        "recipe",
        nargs="+",
        help="recipes' YAML files or names; a stage that several share is rehearsed once",
    )
    rehearse.add_argument("--seed", type=int, help="seed of all stages, in place of the recipe's")
    for sub in (run, plan, audit):
        sub.add_argument(
            "recipe",
            help="a recipe's YAML file, or the name of one that ships with trl_r1",
            nargs="?" if sub is audit else None,
        )
    for sub in (run, plan, audit, rehearse):
        sub.add_argument(
            "--set",
            dest="overrides",
            action="append",
            default=[],
            metavar="STAGE.KEY=VALUE",
            help="override a key of a stage's config, of `data.NAME` or of the recipe; may be repeated",
        )
    status.add_argument(
        "--watch", action="store_true", help="say it again when it has changed, until nothing is at work or Ctrl-C"
    )
    for sub in (status, push):
        sub.add_argument("directory", type=Path, help="the run's directory")
    report.add_argument(
        "directories",
        type=Path,
        nargs="+",
        metavar="directory",
        help="the run's directory; of several runs, one page that compares them (seeds of one recipe as bands)",
    )
    report.add_argument(
        "--watch", action="store_true", help="serve the page on this machine; it follows the run until Ctrl-C"
    )
    for sub in (run, plan):
        sub.add_argument(
            "--output-dir",
            type=Path,
            metavar="DIR",
            help="the run's directory (default: runs/NAME, with --seed runs/NAME-seedN)",
        )
        sub.add_argument("--seed", type=int, help="seed of all stages, in place of the recipe's")
        sub.add_argument(
            "--from",
            dest="again_from",
            action="append",
            default=[],
            metavar="STAGE",
            help="run this stage, and all stages that depend on it, again even where it is done (old outputs are kept aside)",
        )
        sub.add_argument(
            "--only", action="append", default=[], metavar="STAGE", help="run this stage and no other; may be repeated"
        )
    run.add_argument(
        "--smoke",
        action="store_true",
        help="one step of each stage at its real size and at full lengths, in runs/NAME-smoke: does it fit this machine?",
    )
    for sub in (run, plan):
        sub.add_argument(
            "--launcher",
            choices=["local", "slurm"],
            help="start stages on this machine, or as jobs of Slurm (default: as the recipe says)",
        )
    run.add_argument("--detach", action="store_true", help="under Slurm: submit the stages, and do not wait for them")
    run.add_argument(
        "--mirror",
        metavar="PLACE",
        help="copy the run's directory to this folder or URL at every checkpoint, and take it from there first",
    )
    run.add_argument("--job", action="store_true", help=argparse.SUPPRESS)  # the runner inside a job, for one stage
    plan.add_argument(
        "--data",
        action="store_true",
        help="fetch configs, tokenizers and data from the Hub; count rows, reference answers and lengths",
    )
    plan.add_argument(
        "--gpus", type=int, metavar="N", help="GPUs of the machine (default: those of the largest stage)"
    )
    plan.add_argument("--gpu-memory", type=float, default=80.0, metavar="GIB", help="memory of each (default: 80)")
    plan.add_argument(
        "--throughput", type=Path, metavar="FILE", help="a YAML file of what is assumed of GPUs and lengths"
    )
    plan.add_argument("--json", dest="as_json", action="store_true", help="print the figures alone, in JSON")
    run.add_argument("--dry-run", action="store_true", help="say what would run, with the commands; change nothing")
    for sub in (run, rehearse):
        sub.add_argument("--parallel", type=int, metavar="N", help="run up to N independent stages at once")
    run.add_argument(
        "--grace",
        dest="grace_s",
        type=float,
        metavar="SECONDS",
        help="time a stage has to end after Ctrl-C (default: 10; a training has as long as its step takes, and saves a "
        "checkpoint)",
    )
    audit.add_argument(
        "--list", action="store_true", help="print the exploits and right answers, what each does and whom it fools"
    )
    audit.add_argument("--json", dest="as_json", action="store_true", help="print what was found alone, in JSON")
    push.add_argument("--stage", action="append", metavar="STAGE", help="push this stage; may be repeated")
    push.add_argument("--repo", metavar="OWNER/NAME", help="full name of the repository, with one --stage")
    push.add_argument(
        "--follow",
        action="store_true",
        help="while the run goes on, push each stage when it has ended, and the files of a data set as they are written",
    )
    push.add_argument("--namespace", metavar="OWNER", help="user or organization (default: the recipe's, or yours)")
    push.add_argument(
        "--license", metavar="ID", help="license in the cards (default: the recipe's; of data, that of their sources)"
    )
    seen = push.add_mutually_exclusive_group()
    seen.add_argument(
        "--private",
        action="store_true",
        default=None,
        help="make new repositories private (default: as the recipe says)",
    )
    seen.add_argument("--public", dest="private", action="store_false", help="make new repositories public")
    infer.add_argument("model", help="a model's folder, a Hub id, or with `--backend server` its name there")
    infer.add_argument("--question", action="append", default=[], metavar="TEXT", help="a question; may be repeated")
    infer.add_argument(
        "--data", action="append", default=[], metavar="PATH", help="a file or Hub id of questions (column `prompt`)"
    )
    infer.add_argument(
        "--output-dir", type=Path, default=Path("runs/infer"), metavar="DIR", help="(default: runs/infer)"
    )
    keys.add_argument(
        "kind", nargs="?", help="a kind of stage, or the dotted name of a module of your own (default: list all)"
    )
    keys.add_argument("key", nargs="?", help="say all about this key")
    keys.add_argument("--schemas", metavar="DIR", help="write JSON Schemas of all kinds and of recipes, for editors")
    playground.add_argument("directory", help="where to put it")
    playground.add_argument("options", nargs=argparse.REMAINDER, help="keys of the stage's config: --key value")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv (`Sequence[str]`, *optional*):
            The arguments; those of the process by default.

    Returns:
        `int`: the exit code.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    return until_closed(lambda: _main(given))


def _main(argv: list[str]) -> int:
    parser = make_parser()
    args, options = parser.parse_known_args(argv)
    if options and args.command == "infer":  # keys of the stage's config, as `trl-r1 playground` takes them
        args.options = options
    elif options:
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    if args.version:
        print(f"trl_r1 {__version__}")
        return 0
    if args.command is None:
        parser.print_help()
        return 2
    try:
        code: int = args.run(args, argv)
        return code
    except TrlR1Error as error:
        problems = error.problems if isinstance(error, ConfigError) else [error]
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        if len(problems) > 1:
            print(f"{len(problems)} problems; nothing was run.", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _options(args: argparse.Namespace, argv: list[str]) -> Any:
    from .runner.run import RunOptions

    _find_own_modules(args.recipe)
    given = {key: value for key, value in vars(args).items() if key in RunOptions.__dataclass_fields__}
    return RunOptions(**{**given, "command": ["trl-r1", *argv]})


def _find_own_modules(*recipes: str | None) -> None:
    """A user's own rewards and stages may be in the current folder, as for `python -m`, and beside a recipe."""
    from .recipe import find_recipe

    folders = [str(find_recipe(name).resolve().parent) for name in recipes if name is not None]
    sys.path[:0] = [folder for folder in dict.fromkeys([os.getcwd(), *folders]) if folder not in sys.path]
    for folder in folders:  # the current folder a stage finds by itself
        known = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place not in ("", folder)]
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *known])


def _init(args: argparse.Namespace, argv: list[str]) -> int:
    from .project import InitOptions, asked, init

    ask = asked if sys.stdin.isatty() else None
    options = InitOptions(args.directory, args.recipe or "starter", args.model, args.data, args.test, args.gpus, ask)
    print(*init(options), sep="\n")
    return 0


def _run(args: argparse.Namespace, argv: list[str]) -> int:
    from .runner.run import run

    if args.parallel is not None and args.parallel < 1:
        raise ConfigError(f"is {args.parallel}; expected at least 1", key="--parallel")
    options = _options(args, argv)
    if args.smoke:
        from .rehearsal.smoke import smoke

        options.variant, options.change = "smoke", smoke
    return run(options)


def _plan(args: argparse.Namespace, argv: list[str]) -> int:
    from .runner.run import plan

    plan(_options(args, argv))
    return 0


def _rehearse(args: argparse.Namespace, argv: list[str]) -> int:
    from .rehearsal.run import rehearse

    _find_own_modules(*args.recipe)
    return rehearse(args.recipe, overrides=args.overrides, seed=args.seed, parallel=args.parallel)


def _status(args: argparse.Namespace, argv: list[str]) -> int:
    from .runner.status import status

    return status(args.directory, args.watch)


def _audit(args: argparse.Namespace, argv: list[str]) -> int:
    from .runner.audit import audit

    if args.list:
        return subprocess.call([sys.executable, "-m", "trl_r1.audit", "--list"])
    if args.recipe is None:
        raise ConfigError("expected a recipe, or `--list`", key="RECIPE")
    _find_own_modules(args.recipe)
    return audit(args.recipe, overrides=args.overrides, as_json=args.as_json)


def _report(args: argparse.Namespace, argv: list[str]) -> int:
    from .report import serve, write_report

    if not args.watch:
        print(write_report(*args.directories))
        return 0
    with serve(args.directories) as server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


def _push(args: argparse.Namespace, argv: list[str]) -> int:
    from .hub import follow_run, push_run

    options = {
        "namespace": args.namespace,
        "stages": args.stage,
        "private": args.private,
        "license": args.license,
    }
    if args.follow:
        from .runner.directory import runner_of

        directory = Path(args.directory)
        follow_run(directory, lambda: runner_of(directory) is not None, **options)
    else:
        push_run(args.directory, repo=args.repo, **options)
    return 0


def _infer(args: argparse.Namespace, argv: list[str]) -> int:
    import yaml

    from .io import write_text

    _find_own_modules()
    config = {
        "model_name_or_path": args.model,
        "output_dir": str(args.output_dir),
        "questions": args.question,
        "data": [{"path": path} for path in args.data],
        "prompt_template": "chat",
    }
    path = args.output_dir / "config.yaml"
    write_text(path, yaml.safe_dump(config, allow_unicode=True, sort_keys=False))
    return subprocess.call(
        [sys.executable, "-m", "trl_r1.stages.infer", "--config", str(path), *getattr(args, "options", [])]
    )


def _keys(args: argparse.Namespace, argv: list[str]) -> int:
    _find_own_modules()
    return subprocess.call([sys.executable, "-m", "trl_r1.keys", *argv[1:]])


def _playground(args: argparse.Namespace, argv: list[str]) -> int:
    command = [sys.executable, "-m", "trl_r1.stages.playground", "--output_dir", args.directory, *args.options]
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
