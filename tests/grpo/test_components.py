"""The components of the GRPO trainer by themselves: plain values in, plain values out."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator, PartialState
from datasets import Dataset

from trl_r1 import R1GRPOTrainer, read_traces, write_traces
from trl_r1.errors import ConfigError
from trl_r1.grpo import curriculum as curriculum_module
from trl_r1.grpo.curriculum import PromptCurriculum
from trl_r1.grpo.dynamic_sampling import GroupReplacement
from trl_r1.grpo.micro_batches import WITHOUT_GRADIENT, MicroBatches
from trl_r1.grpo.padding import in_chunks_of_similar_length
from trl_r1.grpo.prompt_stream import PromptStream, check_prompt_stream
from trl_r1.grpo.rollout import FOLDER, SHARD, remove_rollouts_from
from trl_r1.grpo.switches import Switches
from trl_r1.solve_rates import SolveRates
from trl_r1.trace import Trace


class TestGroupReplacement:
    def test_samples_nothing_where_all_groups_have_variance(self):
        replacement = GroupReplacement([True, True], ranks=1, rank=0, max_rounds=4)
        assert replacement.groups_to_sample() == 0
        assert replacement.places == [(0, 0), (0, 1)]
        assert replacement.metrics(4) == {
            "dynamic_sampling/rounds": 0,
            "dynamic_sampling/extra_completions": 0,
            "dynamic_sampling/frac_reward_zero_std": 0,
        }

    def test_samples_what_is_missing_divided_by_the_share_that_had_variance(self):
        # 3 of 4 had variance: one missing takes 4/3 of a group.
        assert GroupReplacement([True, True, True, False], 1, 0, 4).groups_to_sample() == 2
        # 6 of 8: two missing take 8/3.
        assert GroupReplacement([True] * 6 + [False] * 2, 1, 0, 4).groups_to_sample() == 3

    def test_samples_no_more_than_was_offered(self):
        assert GroupReplacement([True, False, False, False], 1, 0, 4).groups_to_sample() == 4
        assert GroupReplacement([False, False], 1, 0, 4).groups_to_sample() == 2

    def test_the_share_counts_all_rounds(self):
        replacement = GroupReplacement([True, False, False, False], 1, 0, 4)
        replacement.add([True, True, False, False])
        # Of eight groups three had variance, and one is missing: 8/3.
        assert replacement.groups_to_sample() == 3

    def test_puts_what_varies_in_place_of_what_does_not_in_order(self):
        replacement = GroupReplacement([False, True, False], 1, 0, 4)
        replacement.add([False, True, False])
        assert replacement.places == [(1, 1), (0, 1), (0, 2)]
        assert replacement.groups_to_sample() > 0
        replacement.add([True, True])
        assert replacement.places == [(1, 1), (0, 1), (2, 0)]
        assert replacement.groups_to_sample() == 0

    def test_ends_after_the_last_round(self):
        replacement = GroupReplacement([False, False], 1, 0, max_rounds=2)
        replacement.add([False, False])
        assert replacement.groups_to_sample() == 2
        replacement.add([False, True])
        assert replacement.groups_to_sample() == 0
        assert replacement.metrics(8) == {
            "dynamic_sampling/rounds": 2,
            "dynamic_sampling/extra_completions": 32,
            "dynamic_sampling/frac_reward_zero_std": 0.5,
        }

    def test_ranks_take_the_same_rounds_and_replace_their_own(self):
        has_variance = [True, True, False, True]  # two groups of each of two ranks
        ranks = [GroupReplacement(has_variance, 2, rank, 4) for rank in (0, 1)]
        assert [one.groups_to_sample() for one in ranks] == [2, 2]
        for one in ranks:
            one.add([True, True, False, True])
        assert [one.places for one in ranks] == [[(0, 0), (0, 1)], [(1, 1), (0, 1)]]
        assert [one.groups_to_sample() for one in ranks] == [0, 0]
        assert ranks[0].metrics(4) == ranks[1].metrics(4)

    def test_what_one_rank_has_too_many_of_serves_no_other(self):
        ranks = [GroupReplacement([True, True, False, False], 2, rank, 4) for rank in (0, 1)]
        for one in ranks:
            one.add([True, True, True, False])
        assert [one.groups_to_sample() for one in ranks] == [2, 2]  # one is missing still, and 5 of 8 had variance
        assert ranks[0].metrics(1)["dynamic_sampling/frac_reward_zero_std"] == 0.25


class TestPromptCurriculum:
    def with_rate(self, solved: int, judged: int) -> PromptCurriculum:
        curriculum = PromptCurriculum(seed=3, num_generations=4)
        curriculum.remember(0, ["known"], ["math"], [(solved, judged)])
        return curriculum

    def share_offered(self, curriculum: PromptCurriculum, name: str = "known") -> float:
        return sum(curriculum.is_offered(name, f"batch {i}") for i in range(2000)) / 2000

    def test_offers_what_it_does_not_know(self):
        assert self.share_offered(self.with_rate(4, 4), "unknown") == 1

    def test_offers_by_the_chance_that_the_next_group_has_variance(self):
        curriculum = self.with_rate(2, 4)
        chance = curriculum.rates["known"].chance_to_teach(4)
        assert 0.5 < chance < 0.9
        assert self.share_offered(curriculum) == pytest.approx(chance, abs=0.04)

    def test_offers_nothing_less_often_than_the_floor(self, monkeypatch):
        monkeypatch.setattr(SolveRates, "chance_to_teach", lambda self, n: 0.0)
        assert self.share_offered(self.with_rate(4, 4)) == pytest.approx(curriculum_module.FLOOR, abs=0.03)

    def test_asks_for_the_chance_of_its_own_size_of_groups(self, monkeypatch):
        sizes = []
        monkeypatch.setattr(SolveRates, "chance_to_teach", lambda self, n: sizes.append(n) or 1.0)
        self.with_rate(4, 4).is_offered("known", "batch 0")
        assert sizes == [4]

    def test_draws_alike_on_one_occasion_and_anew_on_another_and_by_another_seed(self):
        occasions = [f"batch {i}" for i in range(200)]
        draws = [
            [one.is_offered("known", occasion) for occasion in occasions]
            for one in (self.with_rate(2, 4), self.with_rate(2, 4))
        ]
        assert draws[0] == draws[1]
        assert len(set(draws[0])) == 2
        other = PromptCurriculum(seed=4, num_generations=4)
        other.remember(0, ["known"], ["math"], [(2, 4)])
        assert [other.is_offered("known", occasion) for occasion in occasions] != draws[0]

    def test_remembers_what_was_judged(self):
        curriculum = self.with_rate(1, 4)
        curriculum.remember(5, ["known", "new", "unjudged"], ["math", None, "x"], [(4, 4), (0, 2), (0, 0)])
        assert curriculum.rates == {
            "known": SolveRates("math", [0, 5], [1, 4], [4, 4]),
            "new": SolveRates(None, [5], [0], [2]),
        }

    def test_is_saved_and_loaded(self, tmp_path, caplog):
        PartialState()  # the logger asks for it
        curriculum, other = self.with_rate(1, 4), PromptCurriculum(3, 4)
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        curriculum.save(str(tmp_path / "a"), str(tmp_path / "b"))
        for name in ("a", "b"):
            other.rates = {}
            other.load(str(tmp_path / name))
            assert other.rates == curriculum.rates
        other.load(str(tmp_path))
        assert "no prompt's solve rate is known" in caplog.text


class TestPromptStream:
    rows: tuple[dict[str, Any], ...] = tuple({"name": f"p{i}"} for i in range(4))

    def names(self, rows: list[dict[str, Any]]) -> list[str]:
        return [row["name"] for row in rows]

    def draw(self, stream: PromptStream, n: int, taken: set[str], **named: Any) -> list[str]:
        return self.names(stream.draw(n, taken, lambda row: row["name"], **named))

    def test_draws_what_is_not_taken_and_takes_it(self):
        taken = {"p1"}
        drawn = self.draw(PromptStream(self.rows, 0), 3, taken)
        assert sorted(drawn) == ["p0", "p2", "p3"]
        assert taken == {"p0", "p1", "p2", "p3"}

    def test_draws_what_is_taken_only_where_nothing_else_is_left(self):
        assert len(self.draw(PromptStream(self.rows, 0), 2, {"p0", "p1", "p2", "p3"})) == 2

    def test_asks_with_an_occasion_that_comes_once(self):
        occasions: list[str] = []

        def is_offered(name: str, occasion: str) -> bool:
            occasions.append(occasion)
            return name != "p2"

        stream = PromptStream(self.rows, 0)
        assert "p2" not in self.draw(stream, 3, set(), is_offered=is_offered)
        self.draw(stream, 2, set(), is_offered=is_offered)
        assert len(set(occasions)) == len(occasions) >= 5

    def test_refuses_what_it_cannot_draw_from(self):
        dataset = Dataset.from_list(list(self.rows))
        check_prompt_stream(dataset, True, "dynamic_sampling")
        with pytest.raises(ConfigError, match=r"`dynamic_sampling`: .*not streamed"):
            check_prompt_stream(dataset.to_iterable_dataset(), True, "dynamic_sampling")
        with pytest.raises(ConfigError, match=r"`prompt_curriculum`: .*in the order of training"):
            check_prompt_stream(dataset, False, "prompt_curriculum")


def rollout_of(lengths: list[int], without_gradient: list[bool] | None = None) -> dict[str, Any]:
    """Rows with prompts of two tokens and completions of the given lengths, numbered by their ids."""
    width = max(lengths)
    mask = torch.tensor([[1] * n + [0] * (width - n) for n in lengths])
    batch = {
        "prompt_ids": torch.arange(len(lengths))[:, None].repeat(1, 2),
        "prompt_mask": torch.ones(len(lengths), 2, dtype=torch.long),
        "completion_ids": mask * torch.arange(1, len(lengths) + 1)[:, None],
        "completion_mask": mask,
        "num_items_in_batch": mask.sum(),
    }
    return batch if without_gradient is None else {**batch, WITHOUT_GRADIENT: torch.tensor(without_gradient)}


def micro_batches(window: int = 2, mean_over_rows: bool = True, **changes: Any) -> MicroBatches:
    switches = Switches(**{"trim_padding": True, "group_by_length": True, **changes})
    return MicroBatches(
        Accelerator(cpu=True), window=window, switches=switches, multiple=None, mean_over_rows=mean_over_rows
    )


def numbers(call: dict[str, Any]) -> list[list[int]]:
    return [part["prompt_ids"][:, 0].tolist() for part in call["micro_batches"]]


class TestMicroBatches:
    def test_rows_of_similar_length_share_a_call(self):
        calls, metrics = micro_batches().divide([rollout_of([9, 1]), rollout_of([1, 9])])
        # Numbers begin anew in the second part.
        assert [part["completion_mask"].sum(1).tolist() for call in calls for part in call["micro_batches"]] == [
            [9, 9],
            [1, 1],
        ]
        assert [call["nominal_rows"] for call in calls] == [2, 2]
        assert metrics == {"padding": [0.0]}

    def test_rows_stay_in_their_call_where_they_are_not_to_move(self):
        calls, metrics = micro_batches(group_by_length=False).divide([rollout_of([9, 1]), rollout_of([1, 9])])
        assert [numbers(call) for call in calls] == [[[0, 1]], [[0, 1]]]
        assert metrics["padding"] == [pytest.approx(1 - 14 / 22)] * 2

    def test_rows_stay_within_an_optimizer_step(self):
        calls, _ = micro_batches(window=1).divide([rollout_of([9, 1]), rollout_of([1, 9])])
        assert [numbers(call) for call in calls] == [[[0, 1]], [[1, 0]]]

    def test_rows_without_gradient_are_left_out_but_for_one(self):
        marked = rollout_of([3, 3, 3, 3], [True, False, True, True])
        calls, metrics = micro_batches(skip_zero_advantage=True, window=1).divide([marked])
        assert [numbers(call) for call in calls] == [[[1]]]
        assert calls[0]["nominal_rows"] == 4
        assert metrics["skipped_rows"] == [0.75]
        none = rollout_of([3, 2, 3, 3], [True] * 4)
        assert numbers(micro_batches(skip_zero_advantage=True, window=1).divide([none])[0][0]) == [[1]]  # the shortest

    def test_a_call_takes_several_micro_batches_where_the_budget_asks_for_it(self):
        calls, _ = micro_batches(window=1, max_tokens_per_micro_batch=14).divide([rollout_of([5, 5, 5, 5])])
        assert [len(part) for part in numbers(calls[0])] == [2, 2]

    @pytest.mark.parametrize("mean_over_rows", [True, False])
    def test_losses_add_up(self, mean_over_rows):
        # A model of one weight; the loss is a mean, or a sum, over rows.
        model = torch.nn.Linear(1, 1, bias=False)
        calls, _ = micro_batches(window=1, max_tokens_per_micro_batch=14, mean_over_rows=mean_over_rows).divide(
            [rollout_of([5, 5, 5, 1])]
        )

        def loss_of(model, batch):
            rows = model.weight.squeeze() * batch["completion_mask"].sum(1)
            return rows.mean() if mean_over_rows else rows.sum() / 4

        loss = micro_batches(mean_over_rows=mean_over_rows).loss(model, calls[0], loss_of)
        loss.backward()
        assert len(calls[0]["micro_batches"]) > 1
        assert model.weight.grad.item() == pytest.approx(4.0)
        assert loss.item() == pytest.approx(4.0 * model.weight.item())

    def test_an_empty_call_is_a_zero_that_can_be_run_backwards(self):
        loss = micro_batches().loss(torch.nn.Linear(1, 1), {"micro_batches": [], "nominal_rows": 4}, None)
        loss.backward()
        assert loss.item() == 0


def test_chunks_of_similar_length_come_back_in_order():
    batch = rollout_of([1, 9, 2, 8])
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    chunks = []

    def compute(ids, mask):
        chunks.append(mask[:, 2:].sum(1).tolist())
        return ids[:, 2:].float(), None, None

    result = in_chunks_of_similar_length(compute, ids, mask, 2, Accelerator(cpu=True), rows=2)
    assert chunks == [[9, 8], [2, 1]]
    assert torch.equal(result[0], ids[:, 2:].float())
    assert result[1:] == (None, None)


class TestRollouts:
    def test_a_row_becomes_a_trace(self, tmp_path):
        row = {"prompt": "template", "question": "q", "prompt_id": "x", "solution": [1, 2], "domain": "math",
               "tests": [1], "image": object()}  # fmt: skip
        trace = Trace.of_row(row, prompt_id="x", prompt="q", completion="c", rewards={"a": float("nan")})
        assert (trace.solution, trace.domain, trace.language) == ("[1, 2]", "math", None)
        assert trace.extra == {"tests": [1]}
        write_traces(tmp_path / "shard.parquet", [trace])
        (read,) = read_traces(tmp_path / "shard.parquet")
        assert read.rewards == {"a": None}

    def test_shards_of_a_step_and_after_are_removed(self, tmp_path):
        (tmp_path / FOLDER).mkdir()
        names = [SHARD.format(step=step, call=step, further=further, rank=0) for step in (1, 2, 3) for further in ("", "-round01")]  # fmt: skip
        for name in [*names, "another.parquet"]:
            (tmp_path / FOLDER / name).touch()
        assert remove_rollouts_from(str(tmp_path), 2) == 4
        assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == sorted([*names[:2], "another.parquet"])


def test_rows_know_their_groups_wherever_a_ranks_slice_begins():
    second_rank = SimpleNamespace(accelerator=SimpleNamespace(process_index=1), num_generations=4)
    assert R1GRPOTrainer._groups_of_rows(second_rank, 6) == [1, 1, 2, 2, 2, 2]
