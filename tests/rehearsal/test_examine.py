"""What the rewards said of right and spoilt completions is told as a fault where it must be, and only there."""

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trl_r1.rehearsal.completions import completions_of
from trl_r1.rehearsal.examine import examine
from trl_r1.rehearsal.servers import answers, stand_in_server
from trl_r1.rewards import Judge
from trl_r1.rewards.schedule import call
from trl_r1.trace import Trace, write_traces


MATH = {"func": "trl_r1.rewards.MathAccuracy"}
FORMAT = {"func": "trl_r1.rewards.ThinkFormat"}


def told(tmp_path, rewards: dict, declared=(MATH,), where="traces", solution=str, domain="math", **more):
    """Examine 10 prompts with 4 completions each, whose rewards are `rewards[name][place in the group]`."""
    traces = []
    for i in range(10):
        row = {"prompt": f"{i}?", "solution": solution(i), "language": "en"}
        for j, one in enumerate(completions_of(row, 4)):
            earned = {name: values[j] for name, values in rewards.items()}
            traces.append(
                Trace(f"p{i}", row["prompt"], one.text, row["solution"], "math", "en", earned, step=0, **more)
            )
    write_traces(tmp_path / where / "00000.parquet", traces)
    names = [(name, "accuracy" in name) for name in rewards]
    return examine(tmp_path, {"rewards": list(declared), "data": [{"domain": domain}]}, names)


def test_nothing_is_wrong_where_right_ones_are_paid(tmp_path):
    assert told(tmp_path / "a", {"math_accuracy": [1, 0, 1, 0]}) == ([], [])
    assert told(tmp_path / "b", {"math_accuracy": [1, None, 1, None]}, where="rollouts")[0] != []  # half is not judged


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        ({"math_accuracy": [None] * 4}, "could judge 0 of 40 completions"),
        ({"math_accuracy": [0.0] * 4}, "no completion of 10 of 10 prompts full marks"),
        ({"think_format": [0.0] * 4}, "pays no completion, whatever its form"),
    ],
)
def test_a_reward_that_cannot_tell_is_a_fault(tmp_path, rewards, said):
    name = next(iter(rewards))
    (fault,), _ = told(tmp_path, rewards, [MATH if "math" in name else FORMAT])
    assert said in fault


def test_rewards_that_never_vary_are_a_fault_in_training_alone(tmp_path):
    same = {"own": [0.5] * 4, "other": [1.0, 1.0, 1.0, 1.0]}
    declared = [{"func": "a.own"}, {"func": "a.other", "weight": 2}]
    assert told(tmp_path / "a", same, declared)[0] == []
    (fault,), _ = told(tmp_path / "b", same, declared, where="rollouts")
    assert "never vary" in fault
    assert "2.5" in fault
    differing = {"own": [0.5] * 4, "other": [1.0, 0.0, 1.0, 1.0]}
    assert told(tmp_path / "c", differing, declared, where="rollouts")[0] == []
    weightless = [{"func": "a.own"}, {"func": "a.other", "weight": 0}]
    assert told(tmp_path / "d", differing, weightless, where="rollouts")[0] != []


def test_one_solution_for_all_prompts_is_a_fault(tmp_path):
    (fault,), _ = told(tmp_path, {"math_accuracy": [1, 0, 1, 0]}, solution=lambda i: "Algebra")
    assert "the same solution" in fault


def test_a_reward_for_other_domains_or_steps_is_no_fault(tmp_path):
    other = {"func": "trl_r1.rewards.MathAccuracy", "domains": ["code"]}
    assert told(tmp_path / "a", {"math_accuracy": [None] * 4}, [other], domain="code")[0] == []
    assert told(tmp_path / "b", {"math_accuracy": [None] * 4}, [other], domain=None)[0] == []
    (fault,), _ = told(tmp_path / "c", {"math_accuracy": [None] * 4}, [other])
    assert "its domains are ['code'], those of the data ['math']" in fault
    both = {"math_accuracy": [1, 0, 1, 0], "code_accuracy": [None] * 4}
    code = {"func": "trl_r1.rewards.CodeAccuracy", "domains": ["code"]}
    assert told(tmp_path / "e", both, [MATH, code])[0] == []  # one config for the data of several stages
    late = {"func": "trl_r1.rewards.MathAccuracy", "from_step": 1}
    assert told(tmp_path / "d", {"math_accuracy": [None] * 4}, [late])[0] == []


def test_a_stand_in_takes_the_place_of_a_server_that_is_not_there():
    with stand_in_server() as url:
        assert answers(url) is None
        judge = Judge(base_url=url, model="any", retries=0)
        rows = [f"{i}" for i in range(12)]
        verdicts = call(judge, completions=[f"<think>a</think> {i}" for i in rows], prompts=rows, solution=rows)
        assert set(verdicts) == {0.0, 1.0}
    assert answers(url) is not None


def test_what_a_builder_never_keeps_and_a_loss_that_is_no_number(tmp_path):
    rows = [{"prompt_id": f"p{i}", "domain": "math", "language": "en"} for i in range(10)]
    told(tmp_path, {"math_accuracy": [1, 0, 1, 0]})
    (tmp_path / "data").mkdir()
    (tmp_path / "selection.json").write_text('{"rejected": {"language": 20}}')
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "train.parquet")
    assert examine(tmp_path, {}, [("math_accuracy", True)])[0] == []
    more = [Trace(f"q{i}", "?", "<think>a</think>b", "1", "math", "zh", {"math_accuracy": 1.0}) for i in range(5)]
    write_traces(tmp_path / "traces" / "00001.parquet", more)
    (fault,), _ = examine(tmp_path, {}, [("math_accuracy", True)])
    assert "language is `zh`" in fault
    assert "language 20" in fault
    asked = [dataclasses.replace(trace, prompt_id=f"p{i}", domain=None, language=None) for i, trace in enumerate(more)]
    write_traces(tmp_path / "traces" / "00001.parquet", asked)
    assert examine(tmp_path, {}, [("math_accuracy", True)])[0] == [], "what is written at an instruction is no answer"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "trainer_state.json").write_text('{"log_history": [{"loss": 0.5}, {"loss": NaN}]}')
    assert "its loss is nan" in examine(tmp_path / "b", {}, [])[0][0]
