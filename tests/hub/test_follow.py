"""A run that goes on, on the Hub: stages as they end, files of a data set as they are written."""

import pyarrow.parquet as pq
import pytest

from tests.run_dirs import make_run
from trl_r1.hub import follow_run


@pytest.fixture
def run(tmp_path):
    section = {"namespace": "org", "stages": ["dev1", "reasoning-data"]}
    return make_run(tmp_path / "run", hub=section, steps=3, prompts=1)


def test_what_ends_is_pushed_and_what_is_written_is_uploaded_once(hub, run):
    stage = run / "reasoning-data"
    artifact, data, tmp = stage / "artifact.json", stage / "data", stage / "data.tmp"
    done = artifact.read_text()
    artifact.unlink()
    data.rename(tmp)
    parts = [tmp / f"train-0000{i}-of-00002.parquet" for i in range(2)]
    pq.write_table(pq.read_table(parts[1]).slice(1), parts[1])
    contents = [part.read_bytes() for part in parts]
    for i, part in enumerate(parts):  # as the writer names them until it is done
        part.rename(tmp / f".train-0000{i}.tmp")
    rounds, said = [], []

    def is_running():
        rounds.append({key: len(repo.commits) for key, repo in hub.repos.items()})
        if len(rounds) == 2:
            # The first round has pushed the stage that was done, and the one part that was complete.
            assert rounds[1] == {("model", "org/playground-dev1"): 2, ("dataset", "org/playground-reasoning-data"): 1}
            assert contents[0] in hub.blobs.values()
            assert contents[1] not in hub.blobs.values()
        if len(rounds) == 3:
            for i, part in enumerate(parts):
                (tmp / f".train-0000{i}.tmp").rename(part)
            tmp.rename(data)
            artifact.write_text(done)
        return len(rounds) < 4

    pushed = follow_run(run, is_running, say=said.append, seconds=0)
    assert {p.repo_id: p.unchanged for p in pushed} == {
        "org/playground-dev1": True,
        "org/playground-reasoning-data": True,
    }
    files = hub.repo("dataset", "org/playground-reasoning-data").files
    assert [files[f"data/train-0000{i}-of-00002.parquet"] for i in range(2)] == contents
    # Each file was sent once; the model is one, the rejected samples another.
    assert len(hub.asked(r"^PUT /lfs/")) == len(hub.blobs) == 4
    assert sum("uploaded" in line for line in said) == 1


def test_a_hub_that_fails_meanwhile_is_tried_again(hub, run):
    hub.fail("POST", "/commit/", 503, times=50)
    rounds, said = [], []

    def is_running():
        rounds.append(1)
        if len(rounds) == 2:
            hub.faults.clear()
        return len(rounds) < 3

    assert len(follow_run(run, is_running, say=said.append, seconds=0)) == 2
    assert any("did not complete" in line for line in said)
