"""What we propose to TRL and transformers: the examples fail as they are and pass with the patch; once they pass as they
are, the patch has landed and our own code for it can go."""

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import transformers.trainer
from trl.trainer import utils


PAGES = Path(__file__).parents[2] / "docs" / "upstream"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)


def run_example(page: str) -> None:
    (example,) = blocks(page, "python")
    exec(compile(example, page, "exec"), {"__name__": "example"})


def patched(source: str, diff: str) -> str:
    """Apply a diff of one file by its context."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    before = "\n".join(line[1:] for line in lines if line[:1] in (" ", ""))
    after = "\n".join(line[1:] for line in lines if line[:1] in (" ", "+", ""))
    # Blank lines of a diff may have lost their trailing space.
    before, after = (re.sub(r"[ \t]+$", "", text, flags=re.M) for text in (before, after))
    assert source.count(before) == 1
    return source.replace(before, after)


@pytest.mark.parametrize("page", ["repeat_sampler_epoch.md", "step_too_many.md"])
def test_the_example_fails_without_the_patch(page):
    with pytest.raises(AssertionError, match=r"first epoch's order|3 steps of 2"):
        run_example(page)


def test_the_example_passes_with_the_sampler_patched(monkeypatch):
    (diff,) = blocks("repeat_sampler_epoch.md", "diff")
    stock, settings = utils.RepeatSampler, {"mini_repeat_count": 2, "batch_size": 2, "repeat_count": 2, "seed": 1}
    space: dict[str, Any] = dict(vars(utils))
    exec(patched(inspect.getsource(utils.RepeatSampler), diff), space)
    monkeypatch.setattr(utils, "RepeatSampler", space["RepeatSampler"])
    run_example("repeat_sampler_epoch.md")
    one, other = stock(range(5), **settings), utils.RepeatSampler(range(5), **settings)
    assert [list(one) for _ in range(3)] == [list(other) for _ in range(3)]


def test_the_example_passes_with_the_trainer_patched(monkeypatch):
    (diff,) = blocks("step_too_many.md", "diff")
    source = inspect.getsource(transformers.Trainer._inner_training_loop)
    space: dict[str, Any] = dict(vars(transformers.trainer))
    exec(textwrap.dedent(patched(source, diff)), space)
    monkeypatch.setattr(transformers.Trainer, "_inner_training_loop", space["_inner_training_loop"])
    run_example("step_too_many.md")
