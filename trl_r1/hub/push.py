"""
Push what a run left behind: every finished stage's model and data sets, each repository in one commit.

A commit is whole or absent, so nobody downloads half a model. What reached the Hub is noted in `RUN/push.json` after
each repository; a second push leaves out what the Hub still holds in the same state and sends the rest, and of that
only the files that the Hub does not know by their content. Checkpoints, rollouts, traces and logs are not pushed.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import ConfigError, HubError
from ..ids import check_repo_id
from ..io import read_json, write_json
from ..lineage import RunRecord, StageRecord, read_run
from .cards import Destination, adapter_config, config_yaml, dataset_card, lineage_json, model_card
from .licenses import check_licenses
from .section import check_hub_section


if TYPE_CHECKING:
    from huggingface_hub import HfApi


RECORD = "push.json"
# The card is written here. The rest is what trainers leave beside the weights: of no use to who loads the model, and some
# of it is pickle with local paths.
_NOT_UPLOADED = ["README.md", "training_args.bin", "trainer_state.json", "optimizer.pt", "scheduler.pt", "scaler.pt"]
_NOT_UPLOADED += ["rng_state*", "checkpoint-*", ".*"]


@dataclass(frozen=True)
class Pushed:
    """
    One repository of the Hub after a push.

    Args:
        stage (`str`):
            Stage from which it came.
        repo_type (`str`):
            `"model"` or `"dataset"`.
        repo_id (`str`):
            `org/name`.
        commit (`str`):
            Commit that holds it.
        url (`str`):
            Page of the repository.
        digest (`str`):
            Of the files and texts that were sent.
        files (`tuple[str, ...]`):
            Paths in the repository.
        unchanged (`bool`):
            Whether the Hub held it already, so that nothing was sent.
    """

    stage: str
    repo_type: str
    repo_id: str
    commit: str
    url: str
    digest: str
    files: tuple[str, ...] = ()
    unchanged: bool = False


@dataclass(frozen=True)
class _Upload:
    """What goes into one repository: local files, and texts written for it."""

    stage: str
    repo_type: str
    repo_id: str
    files: dict[str, Path]
    texts: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.repo_type} {self.repo_id}"

    @property
    def digest(self) -> str:
        """Changes with the texts and with the path, size or time of any file; reads no weights."""
        state = {name: (stat.st_size, stat.st_mtime_ns) for name, f in self.files.items() if (stat := f.stat())}
        return hashlib.sha256(json.dumps([state, self.texts], sort_keys=True).encode()).hexdigest()


def push_run(
    run_dir: str | Path,
    *,
    repo: str | None = None,
    namespace: str | None = None,
    stages: Iterable[str] | None = None,
    private: bool | None = None,
    license: str | None = None,
    say: Callable[[str], None] = print,
) -> list[Pushed]:
    """
    Push the models and data sets of a run. Arguments win over the `hub:` section of its recipe.

    Args:
        run_dir (`str` or `Path`):
            The run directory.
        repo (`str`, *optional*):
            Full name `org/name`; needs exactly one stage.
        namespace (`str`, *optional*):
            User or organization.
        stages (`Iterable[str]`, *optional*):
            Stages to push. Defaults to the section's, else to all that left a model or data.
        private (`bool`, *optional*):
            Whether new repositories are private. Defaults to the section's, else to `True`.
        license (`str`, *optional*):
            The Hub's identifier of a license, for the cards. Defaults to the section's; without one, a data set has those
            of the data that it was made from.
        say (`Callable[[str], None]`, *optional*, defaults to `print`):
            Receives a line for each repository.

    Returns:
        `list[Pushed]`: one entry for each repository, in the order of the recipe.

    Raises:
        [`~errors.ConfigError`]: if there is nothing to push, a stage is unknown or not finished, or a data set would be
            published of which some rows have no license.
        [`~errors.HubError`]: if an upload failed. Says what is on the Hub and what is not. A second call completes.
    """
    run = read_run(run_dir)
    names = [stage.name for stage in run.stages]
    section = check_hub_section(run.recipe.get("hub"), names, str(run.directory / "recipe.yaml"))
    asked = list(stages) if stages is not None else None
    chosen = _choose(run, asked if asked is not None else section.stages, say)
    if repo is not None:
        if asked is None or len(asked) != 1:
            raise ConfigError(f"names one repository ({repo!r}), so expected exactly one --stage", key="--repo")
        if repo.count("/") != 1:
            raise ConfigError(f"expected a full name `org/name`, got {repo!r}", key="--repo")
        section = replace(section, repos={**section.repos, asked[0]: repo})
    if private is not None:
        section = replace(section, private=private)
    section = replace(section, license=license or section.license)
    for stage in chosen if section.license is None else ():
        if (unknown := check_licenses(stage, section.private)) is not None:
            say(unknown)

    api = make_client()
    namespace = namespace or section.namespace
    if namespace is None and any(stage.name not in section.repos for stage in chosen):
        namespace = user_of(api)
    to = Destination(
        {s.name: section.repo_id(s.name, namespace=namespace or "", recipe_name=run.name) for s in chosen},
        section.license,
    )
    for repo_id in to.repos.values():
        check_repo_id(repo_id)
    uploads = [upload for stage in chosen for upload in _uploads_of(run, stage, to)]
    return _send_all(api, run.directory, uploads, section.private, say)


def make_client() -> "HfApi":
    """Return huggingface_hub's client, under our name."""
    from huggingface_hub import HfApi

    return HfApi(library_name="trl_r1", library_version=__version__)


def _choose(run: RunRecord, wanted: Iterable[str] | None, say: Callable[[str], None]) -> list[StageRecord]:
    """The stages to push, all finished. One that was named must be there; of the rest, what is there is taken."""
    chosen = []
    if wanted is not None:
        for name in dict.fromkeys(wanted):
            stage = run.stage(name)
            if stage is None:
                known = ", ".join(s.name for s in run.stages)
                raise ConfigError(
                    f"no stage is called {name!r}; stages: {known}", file=str(run.directory), key="stage"
                )
            if not stage.done:
                raise ConfigError(f"stage {name!r} has not finished; run it first", file=str(stage.directory))
            if stage.model_dir is None and not stage.datasets:
                raise ConfigError(f"stage {name!r} left neither a model nor data", file=str(stage.directory))
            chosen.append(stage)
        return chosen
    for stage in run.stages:
        if not stage.done and stage.started:
            say(f"{stage.name}: not finished, so not pushed")
        elif stage.model_dir is not None or stage.datasets:
            chosen.append(stage)
    if not chosen:
        raise ConfigError("expected at least one finished stage with a model or data", file=str(run.directory))
    return chosen


def _uploads_of(run: RunRecord, stage: StageRecord, to: Destination) -> list[_Upload]:
    uploads = []
    config = {"trl_r1/config.yaml": config_yaml(run, stage)} if stage.config else {}
    shared = {**config, "trl_r1/lineage.json": lineage_json(run, stage, to)}
    if stage.model_dir is not None:
        files = _files(stage.model_dir)
        texts = {"README.md": model_card(run, stage, to), **shared}
        adapter = adapter_config(run, stage, to)
        if adapter is not None:
            del files["adapter_config.json"]
            texts["adapter_config.json"] = adapter
        uploads.append(_Upload(stage.name, "model", to.repos[stage.name], files, texts))
    if stage.datasets:
        parts = [part for files in stage.datasets.values() for part in files]
        files = {part.relative_to(stage.directory).as_posix(): part for part in parts}
        texts = {"README.md": dataset_card(run, stage, to), **shared}
        uploads.append(_Upload(stage.name, "dataset", to.repos[stage.name], files, texts))
    return uploads


def _files(folder: Path) -> dict[str, Path]:
    """The files of a model by their path in the repository, without hidden ones and what only a trainer reads."""
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]  # not in its __all__

    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    ignored = [pattern for name in _NOT_UPLOADED for pattern in (name, f"*/{name}")]
    return {name: folder / name for name in filter_repo_objects(names, ignore_patterns=ignored)}


def _send_all(
    api: "HfApi", run_dir: Path, uploads: list[_Upload], private: bool, say: Callable[[str], None]
) -> list[Pushed]:
    known = read_json(run_dir / RECORD).get("repos") or {}
    done: list[Pushed] = []
    failed: list[tuple[_Upload, str]] = []
    for tried, upload in enumerate(uploads, start=1):
        try:
            pushed = _send(api, upload, known.get(upload.name) or {}, private)
        except Exception as error:  # whatever the client raises: the other repositories shall still be tried
            failed.append((upload, _first_line(error)))
            say(f"{upload.stage}: {upload.name} failed: {_first_line(error)}")
            if _stops_the_push(error):
                failed += [(other, "not tried") for other in uploads[tried:]]
                break
            continue
        known[upload.name] = asdict(pushed)
        write_json(run_dir / RECORD, {"endpoint": api.endpoint, "repos": known})
        done.append(pushed)
        say(f"{pushed.stage}: {pushed.url} {'unchanged' if pushed.unchanged else 'pushed'}")
    if failed:
        raise HubError(_report(run_dir, done, failed))
    return done


def _send(api: "HfApi", upload: _Upload, noted: dict[str, Any], private: bool) -> Pushed:
    """Create the repository where it is missing, and upload in one commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    digest = upload.digest
    if noted.get("digest") == digest and _head(api, upload) == noted.get("commit"):
        return Pushed(**{**noted, "files": tuple(noted.get("files") or ()), "unchanged": True})
    where: dict[str, Any] = {"repo_id": upload.repo_id, "repo_type": upload.repo_type}
    url = make_repo(api, upload.repo_id, upload.repo_type, private)
    additions = [CommitOperationAdd(path, file) for path, file in upload.files.items()]
    additions += [CommitOperationAdd(path, text.encode()) for path, text in upload.texts.items()]
    paths = tuple(sorted([*upload.files, *upload.texts]))
    # What an earlier push of ours uploaded and this one has not: an old shard. Files of others are kept.
    stale = set(noted.get("files") or ()) - set(paths)
    stale &= set(api.list_repo_files(**where)) if stale else set()
    commit = api.create_commit(
        **where,
        operations=[*additions, *(CommitOperationDelete(path) for path in sorted(stale))],
        commit_message=f"Stage {upload.stage}, by trl_r1 {__version__}",
    )
    return Pushed(upload.stage, upload.repo_type, upload.repo_id, commit.oid, url, digest, paths)


def make_repo(api: "HfApi", repo_id: str, repo_type: str, private: bool) -> str:
    """Create a repository where it is missing, and return its page; one that is public is refused where it shall not be."""
    where: dict[str, Any] = {"repo_id": repo_id, "repo_type": repo_type}
    # For a token that may write but not create, huggingface_hub looks whether the repository is there.
    url = api.create_repo(**where, private=private, exist_ok=True)
    if private and api.repo_info(**where).private is False:
        raise HubError(
            f"{repo_type} {repo_id} exists and is public, but the push is private: make it private on the Hub, choose "
            "another name, or set `private: false`"
        )
    return str(url)


def _head(api: "HfApi", upload: _Upload) -> str | None:
    """The repository's latest commit; `None` where the repository is gone."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.repo_info(repo_id=upload.repo_id, repo_type=upload.repo_type).sha
    except RepositoryNotFoundError:
        return None


def user_of(api: "HfApi") -> str:
    """Return whose token is used."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        return str(api.whoami()["name"])
    except LocalTokenNotFoundError as error:
        raise HubError(
            "no token for the Hub: log in with `hf auth login`, or set HF_TOKEN. Nothing was pushed"
        ) from error
    except Exception as error:
        raise HubError(
            f"the Hub at {api.endpoint} did not say whose token this is: {_first_line(error)}. Nothing was pushed; "
            "`namespace` in the recipe's `hub:` section saves the question"
        ) from error


def _stops_the_push(error: Exception) -> bool:
    """Whether every further repository would fail alike: a token that is not taken, or no Hub at the other end."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status == 401 or type(error).__name__ in {"ConnectError", "LocalTokenNotFoundError", "OfflineModeIsEnabled"}


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if len(text) <= 300 else text[:300] + "...") or type(error).__name__


def _report(run_dir: Path, done: list[Pushed], failed: list[tuple[_Upload, str]]) -> str:
    lines = [f"the push of {run_dir} did not complete; nothing local is lost, and the same command sends the rest"]
    lines.append("on the Hub:" if done else "on the Hub: nothing of this push")
    lines += [f"  {p.repo_type} {p.repo_id}{' (was there already)' if p.unchanged else ''}" for p in done]
    lines.append("not on the Hub:")
    lines += [f"  {upload.name} (stage {upload.stage}): {reason}" for upload, reason in failed]
    return "\n".join(lines)
