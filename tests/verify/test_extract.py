"""Where the final answer of a text stands."""

import time

import pytest

from trl_r1.verify import final_answer, read_gold


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # boxes
        (r"So $\boxed{4}$.", "4"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {4}", "4"),
        (r"\fbox{4}", "4"),
        (r"\boxed{\boxed{4}}", "4"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"First \boxed{5} then \boxed{4}", "4"),
        (r"\boxed{5}. No: \boxed{4}", "4"),
        (r"$\boxed{1}$, $\boxed{2}$", "1, 2"),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"\boxed{1} or \boxed{2}", "1, 2"),
        (r"\boxed{1}和\boxed{2}", "1, 2"),
        (r"$\boxed{1} \text{ and } \boxed{2}$", "1, 2"),
        (r"\[ \boxed{-2} \quad \text{and} \quad \boxed{1}. \]", "-2, 1"),
        (r"\boxed{k=45}, \boxed{n=2}", "k=45, n=2"),
        (r"$p = \boxed{5}$ and $q = \boxed{2}$", "p = 5, q = 2"),
        (r"The length is \boxed{3} and the width is \boxed{4}.", "3, 4"),
        (r"\boxed{5}, so the answer is \boxed{4}", "4"),
        (r"It is \boxed{5} and not \boxed{4}", "5"),
        (r"is $\boxed{\frac{3}{4}}$ or $0.75$.", r"\frac{3}{4} = 0.75"),
        (r"\boxed{20} percent", r"20\%"),
        (r"\boxed{" * 1000 + "4" + "}" * 1000, "4"),
        (r"\boxed{4}. It goes in \boxed{}.", "4"),
        (r"\boxed{4", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed{4} or rather \boxed{", None),
        (r"\boxed{}", None),
        (r"The answer is 5. \boxed{4}", "4"),
        # GSM8K
        ("3 + 4 = 7\n#### 7", "7"),
        ("#### 7\nNo.\n#### 8", "8"),
        # the words that announce it
        ("The answer is 18.", "18"),
        ("The answer is: 18", "18"),
        ("**Answer:** 18", "18"),
        ("Answer: $x = 4$.", "$x = 4$"),
        ("The final answer is $\\frac{1}{2}$ because a half is left.", "$\\frac{1}{2}$"),
        ("The answer is 18 because 3 times 6 is 18, as 9 is 81/9.", "18"),
        ("The answer is 17. Wait. The answer is 18.", "18"),
        ("The answer is 3.5 metres.", "3.5 metres"),
        ("The answer is Monday.", "Monday"),
        ("答案是18。", "18"),
        ("答案：18", "18"),
        ("答：一共18元。", "18 元"),
        # an answer by itself
        ("18", "18"),
        ("$18$", "$18$"),
        ("x = 5", "x = 5"),
        ("AB=9, CD=4", "AB=9, CD=4"),
        ("Monday", "Monday"),
        ("18 clips", "18 clips"),
        ("(1, 2]", "(1, 2]"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        # prose
        ("So she has 18 clips left.", "18"),
        ("She had 20 and gave 2 away.\n\nThat leaves her with 18.", "18"),
        ("Thus $a = 3$ and so $b = 4$.", "b = 4"),
        ("so the total is $18.", "$18"),
        ("It follows that\n$$x = 4.$$", "$$x = 4.$$"),
        ("It follows that\n$$\nx = 4\n$$", "x = 4"),
        ("所以她还剩18个苹果。", "18"),
        ("Of the 20, 18 are left.", "18"),
        ("It is one of 0, 1, 2, 3 and 4", "0, 1, 2, 3, 4"),
        ("The answer is one of 4, 5, 6.", "4, 5, 6"),
        ("It is 5 or 4", "5 or 4"),
        ("The answer is not 4.", None),
        ("The answer is 18, not 17.", "18"),
        ("The answer is less than 4.", None),
        ("It is not $4$.", None),
        ("She has 4 hundred dollars left.", "4 hundred dollars"),
        ("There are 12 of them. I hope it is correct.", "12"),
        ("答案不是4", None),
        ("I do not know.", "I do not know."),
        ("I do not know what the result of this may be.", None),
        ("", None),
        ("The numbers are 10 and 12.", "10, 12"),
        ("The numbers are $10$ and $12$.", "10, 12"),
        ("It arrives at **10:30**.", "10:30"),
        ("The train leaves at 10:30 a.m.", "10:30 a.m."),
        ("They meet on **Tuesday**.", "Tuesday"),
        ("Is it **Tuesday**?", None),
        ("They meet on any day but **Tuesday**.", None),
        ("一共有144种不同的方法。", "144"),
        ("【答案】15", "15"),
        # questions, doubts and suppositions
        ("Is the answer 12?", None),
        ("I doubt that the answer is 12.", None),
        ("It is false that the answer is 12.", None),
        ("If x were 13, the answer would be 12.", None),
        ("The answer would be 12 if x were 2.", None),
        ("If we add them, the answer is 12.", "12"),
        ("It is not hard to see that the answer is 12.", "12"),
        ("We rule out 12.", None),
        ("It lies somewhere from 11 to 12", None),
        (r"$\boxed{12}$ is wrong; it is 13.", None),
        # tags
        ("<answer> 42", None),
    ],
)
def test_final_answer(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("solution", "gold"),
    [
        ("18", "18"),
        ("She has 9 * 2 = 18 left.\n#### 18", "18"),
        ("#### 1,080", "1,080"),
        (r"Hence $\boxed{\frac{1}{3}}$.", r"\frac{1}{3}"),
        (r"14 \text{ right triangles}", r"14 \text{ right triangles}"),
        ("Monday", "Monday"),
        ("The answer is 42.", "42"),
        ("<think>no</think> <answer>42</answer>", "42"),
        (18, "18"),
        (0.5, "0.5"),
        (None, None),
        ("", None),
        (True, None),
    ],
)
def test_read_gold(solution, gold):
    assert read_gold(solution) == gold


@pytest.mark.parametrize(
    "piece",
    [r"\(", "$", r"\boxed{", "{", "(", "answer is ", "1,", "####", r"\[", "=", "and ", r"\boxed{4 and ", ". ", "\n"],
)
def test_extraction_is_linear(piece):
    def cpu_seconds(length: int) -> float:
        text = piece * (length // len(piece))
        best = 1e9
        for _ in range(3):
            started = time.process_time()
            final_answer(text)
            read_gold(text)
            best = min(best, time.process_time() - started)
        return best

    cpu_seconds(1_000)
    # Quadratic would be 256 times as long at 16 times the length.
    assert cpu_seconds(128_000) < 0.2 + 64 * cpu_seconds(8_000)
