"""What a training says of itself while it goes on."""

from types import SimpleNamespace

from trl_r1.io import read_json
from trl_r1.stages._training import ReportProgress


def test_the_numbers_beside_a_step_are_its_own(tmp_path):
    state, control = SimpleNamespace(is_world_process_zero=True, max_steps=2, global_step=0), SimpleNamespace()
    args, callback = SimpleNamespace(output_dir=str(tmp_path)), ReportProgress()
    callback.on_train_begin(args, state, control)
    for reward in (0.25, 0.75):
        state.global_step += 1
        callback.on_step_end(args, state, SimpleNamespace(should_log=True))
        callback.on_log(args, state, control, {"reward": reward})
    said = read_json(tmp_path / "progress.json")
    assert (said["step"], said["info"]["reward"]) == (2, 0.75)
