"""A stage that samples, in two processes that the runner starts: they divide its prompts, and leave none out."""

import pyarrow.parquet as pq
import pytest
import yaml

from tests.integration.killing import SECONDS, said, start
from tests.stages.tiny import make_data, make_model


pytestmark = pytest.mark.slow

LENIENT = {"right_by": [], "well_formed": False, "finished": False, "min_language_share": None}


def test_two_processes_divide_the_work_of_one_stage(tmp_path):
    make_model(tmp_path / "base")
    make_data(tmp_path / "sums.jsonl", rows=12)
    config = {"prompt_template": "chat", "n_samples": 2, "max_completion_tokens": 4, "rules": LENIENT}
    stage = {"name": "sampled", "kind": "rejection", "model": "base_model", "data": "sums", "set": config}
    recipe = {"name": "workers", "base_model": "base", "disk_gb": 0.01, "data": {"sums": {"path": "sums.jsonl"}}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "stages": [stage]}))
    runners = [
        start(tmp_path / "recipe.yaml", tmp_path / f"run{n}", "--set", f"sampled.processes={n}") for n in (1, 2)
    ]
    assert [runner.wait(SECONDS) for runner in runners] == [0, 0], said(tmp_path / "run2")
    one, two = (pq.read_table(tmp_path / f"run{n}" / "sampled" / "data") for n in (1, 2))
    assert len(one) > 0
    # What is drawn depends on the prompts that are drawn together.
    assert one["prompt_id"].to_pylist() == two["prompt_id"].to_pylist()
    again = start(tmp_path / "recipe.yaml", tmp_path / "run2")
    assert again.wait(SECONDS) == 0
    assert "1 of 1 stages are done, 0 to run" in (tmp_path / "run2.txt").read_text()
