from rewards import distinct_lines


def test_a_completion_that_repeats_itself_earns_less():
    assert distinct_lines(["2 + 2 = 4\nThe answer is 4", "wait\nwait\nwait\nwait", ""]) == [1.0, 0.25, 0.0]
