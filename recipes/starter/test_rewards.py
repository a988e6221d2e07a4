from rewards import states_answer


def test_a_completion_that_marks_its_answer_is_paid():
    marked = ["<think>2 + 2</think> <answer>4</answer>", "It is \\boxed{4}."]
    assert states_answer([*marked, "It is 4.", ""]) == [1.0, 1.0, 0.0, 0.0]
