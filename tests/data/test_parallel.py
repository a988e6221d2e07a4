"""Work on a data set, shared by the cores."""

import json

import pytest

from trl_r1 import cores
from trl_r1.data import load_rows, parallel, render
from trl_r1.data.parallel import processes_for


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)


@pytest.mark.parametrize(("rows", "processes"), [(64, None), (1999, None), (2000, 2), (3999, 3), (10**6, 4)])
def test_every_core_has_a_thousand_rows_at_least(rows, processes, four_cores):
    assert processes_for(rows) == processes


def test_rows_are_the_same_as_from_one_process(tmp_path, monkeypatch, four_cores):
    rows = [{"prompt": f"what is {i} ?", "completion": f"it is {i}"} for i in range(40)]

    def loaded(name):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        sources = [{"path": str(tmp_path / name), "name": "rows", "language": "en"}]
        return render(load_rows(sources, "sft"), "sft", "chat")

    alone = loaded("alone.jsonl")
    monkeypatch.setattr(parallel, "ROWS_PER_PROCESS", 20)
    shared = loaded("shared.jsonl")
    assert (len(alone.cache_files), len(shared.cache_files)) == (1, 2)
    assert shared.to_list() == alone.to_list()
