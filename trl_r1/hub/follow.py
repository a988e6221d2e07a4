"""
A run on the Hub while it goes on: each stage is pushed when it has ended, and of a data set that is being written each file
when it is complete. The Hub knows large files by their content, so that the push of the whole stage sends none of them again.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HubError
from ..lineage import RunRecord, read_run
from .push import Pushed, make_client, make_repo, push_run, user_of
from .section import HubSection, check_hub_section


if TYPE_CHECKING:
    from huggingface_hub import HfApi


def follow_run(
    run_dir: str | Path,
    is_running: Callable[[], bool],
    *,
    stages: Iterable[str] | None = None,
    namespace: str | None = None,
    private: bool | None = None,
    license: str | None = None,
    say: Callable[[str], None] = print,
    seconds: float = 60.0,
) -> list[Pushed]:
    """
    Push the stages of a run as they end, until the run has ended. What fails is tried again in the next round.

    Args:
        run_dir (`str` or `Path`), stages (`Iterable[str]`, *optional*), namespace (`str`, *optional*),
        private (`bool`, *optional*), license (`str`, *optional*), say (`Callable`, *optional*):
            See [`~hub.push_run`].
        is_running (`Callable[[], bool]`):
            Whether somebody still works at the run.
        seconds (`float`, *optional*, defaults to `60.0`):
            Time between two rounds.

    Returns:
        `list[Pushed]`: as [`~hub.push_run`], of the end.

    Raises:
        [`~errors.ConfigError`], [`~errors.HubError`]: at the end, as [`~hub.push_run`].
    """
    asked = list(stages) if stages is not None else None
    options: dict[str, Any] = {"namespace": namespace, "private": private, "license": license, "say": say}
    pushed: set[str] = set()
    sent: set[tuple[str, int]] = set()
    while is_running():
        run = read_run(run_dir)
        section = check_hub_section(run.recipe.get("hub"), [stage.name for stage in run.stages])
        wanted = asked or section.stages or [stage.name for stage in run.stages]
        there = {s.name for s in run.stages if s.name in wanted and s.done and (s.model_dir or s.datasets)}
        try:
            if there - pushed:
                push_run(run_dir, stages=[name for name in wanted if name in there], **options)
                pushed = there
            for name in wanted:
                if name not in there:
                    _send_parts(run, name, section, namespace, private, sent, say)
        except HubError as error:  # `push_run` has said what is missing
            say(str(error).splitlines()[0])
        time.sleep(seconds)
    return push_run(run_dir, stages=asked, **options)


def _send_parts(
    run: RunRecord,
    name: str,
    section: HubSection,
    namespace: str | None,
    private: bool | None,
    sent: set[tuple[str, int]],
    say: Callable[[str], None],
) -> None:
    """Upload the complete files of a data set that is being written; they are in no commit yet."""
    # All but the last, which is still written. See `builders.dataset`.
    parts = sorted((run.directory / name / "data.tmp").glob(".*-[0-9]*.tmp"))[:-1]
    parts = [part for part in parts if (str(part), part.stat().st_mtime_ns) not in sent]
    if not parts:
        return
    from huggingface_hub import CommitOperationAdd

    api: HfApi = make_client()
    try:
        owner = namespace or section.namespace or ("" if name in section.repos else user_of(api))
        repo = section.repo_id(name, namespace=owner, recipe_name=run.name)
        make_repo(api, repo, "dataset", section.private if private is None else private)
        for part in parts:
            state = (str(part), part.stat().st_mtime_ns)
            addition = CommitOperationAdd(f"data/{part.stem.lstrip('.')}.parquet", part)
            api.preupload_lfs_files(repo, [addition], repo_type="dataset")
            sent.add(state)
            say(f"{name}: {part.stem.lstrip('.')} uploaded to dataset {repo}, to be committed with the rest")
    except HubError:
        raise
    except Exception as error:  # whatever the client raises, or a file that has got its last name meanwhile
        say(f"{name}: a file was not uploaded ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
