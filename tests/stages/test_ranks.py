"""From which checkpoint another number of ranks goes on."""

import json

import pytest

from trl_r1.errors import MachineError
from trl_r1.io import numbered_checkpoints
from trl_r1.stages._ranks import for_this_world


@pytest.fixture
def checkpoints(tmp_path):
    def make(*within):
        for i, each in enumerate(within, 1):
            folder = tmp_path / f"checkpoint-{i}"
            folder.mkdir()
            (folder / "trl_r1_world.json").write_text(json.dumps({"processes": 2, "within_rollout": each}))
        return numbered_checkpoints(tmp_path)

    return make


def test_a_rollout_under_way_belongs_to_its_ranks(checkpoints):
    found = checkpoints(False, True)
    assert for_this_world(found, 2).name == "checkpoint-2"
    assert for_this_world(found, 1).name == "checkpoint-1"
    assert for_this_world([], 1) is None


def test_where_there_is_no_other_it_is_refused(checkpoints):
    with pytest.raises(MachineError, match="within a rollout, by 2 processes"):
        for_this_world(checkpoints(True, True), 4)
