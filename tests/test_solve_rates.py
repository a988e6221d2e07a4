"""The memory of solve rates: what it says of a prompt, and that it comes back as it was written."""

import math

import pyarrow.parquet as pq
import pytest

from trl_r1.errors import DataError
from trl_r1.solve_rates import FILE, MEMORY, SolveRates, read_solve_rates, write_solve_rates


def seen(*groups: tuple[int, int]) -> SolveRates:
    rates = SolveRates("math")
    for step, (solved, judged) in enumerate(groups):
        rates.add(step, solved, judged)
    return rates


class TestChanceToTeach:
    def test_of_an_unseen_prompt_is_that_of_jeffreys_prior(self):
        """Under Beta(1/2, 1/2) a group of one is never mixed, and a group of two with 1/4."""
        assert SolveRates().chance_to_teach(1) == pytest.approx(0)
        assert SolveRates().chance_to_teach(2) == pytest.approx(0.25)

    def test_is_the_chance_of_a_mixed_group(self):
        """Of two: right then wrong or wrong then right, under Beta(3.5, 1.5)."""
        expected = 2 * (3.5 / 5) * (1.5 / 6)
        assert seen((3, 4)).chance_to_teach(2) == pytest.approx(expected)

    def test_is_least_where_a_prompt_is_mastered_or_hopeless_and_greatest_between(self):
        chances = [seen((solved, 8)).chance_to_teach(8) for solved in range(9)]
        assert chances == pytest.approx(chances[::-1])
        assert chances[:5] == sorted(chances[:5])
        assert chances[0] < 0.35
        assert chances[4] > 0.95

    def test_falls_as_a_prompt_stays_mastered_and_never_to_nothing(self):
        chances = [seen(*[(8, 8)] * n).chance_to_teach(8) for n in range(1, 8)]
        assert chances == sorted(chances, reverse=True)
        assert chances[-1] > 0.1

    def test_a_later_group_weighs_more(self):
        assert MEMORY < 1
        assert seen((0, 8), (4, 8)).chance_to_teach(8) > seen((4, 8), (0, 8)).chance_to_teach(8)


def test_rates_are_shares_of_what_was_judged():
    rates = seen((1, 4), (3, 3))
    assert rates.solve_rate == pytest.approx(4 / 7)
    assert rates.last_solve_rate == 1


class TestFile:
    def test_is_read_as_it_was_written(self, tmp_path):
        rates = {"b": seen((1, 4), (2, 4)), "a": SolveRates(None, [7], [0], [3])}
        write_solve_rates(tmp_path / "run" / FILE, rates)
        for place in (tmp_path / "run", tmp_path / "run" / FILE):
            assert read_solve_rates(place) == rates
            assert list(read_solve_rates(place)) == ["b", "a"]
        assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE]

    def test_has_the_columns_that_are_documented(self, tmp_path):
        import trl_r1.solve_rates

        write_solve_rates(tmp_path / FILE, {"a": seen((1, 4), (2, 4))})
        table = pq.read_table(tmp_path / FILE)
        documented = [line.split("`")[1] for line in trl_r1.solve_rates.__doc__.splitlines() if line.startswith("| `")]
        assert table.column_names == documented
        assert math.isclose(table.to_pylist()[0]["solve_rate"], 3 / 8)

    def test_of_nothing_can_be_read(self, tmp_path):
        write_solve_rates(tmp_path / FILE, {})
        assert read_solve_rates(tmp_path) == {}

    @pytest.mark.parametrize("content", [None, b"no parquet"])
    def test_that_is_none_is_an_error_with_its_path(self, content, tmp_path):
        if content is not None:
            (tmp_path / FILE).write_bytes(content)
        with pytest.raises(DataError, match=r"solve_rates\.parquet: expected a table of solve rates"):
            read_solve_rates(tmp_path)
