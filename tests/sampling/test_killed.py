"""Two workers of one job, killed again and again, against a server that fails and moves. A small one of the benchmark's."""

import pytest

from tests.benchmarks.data_sampling import killed


@pytest.mark.slow
def test_two_workers_that_are_killed_make_each_sample_once(tmp_path):
    found = killed(tmp_path, prompts=125, kills=4)
    assert (found["samples"], found["equal"], found["failed"]) == (2000, True, 16)
    assert found["paid_twice"] <= found["in_flight_at_most"]
