import re
import time

import pytest

from trl_r1.language import word_counts
from trl_r1.language.prose import GAP, prose


def left(text):
    """The words that are left, and nothing else."""
    return " ".join(re.findall(r"[^\W\d_]+", prose(text).replace(GAP, " ")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("so $x+y$ holds", "so holds"),
        ("so $$\\sum_{i} \\text{apples}_i$$ holds", "so holds"),
        ("so \\(n\\) and \\[ n^2 = 4 \\] hold", "so and hold"),
        ("\\begin{align} a &= b \\\\ c &= d \\end{align} holds", "holds"),
        ("\\begin{itemize}\\item first\\end{itemize}", "first"),
        ("so \\frac{1}{x} and \\sqrt{\\frac{a}{b}} hold", "so and hold"),
        ("thus \\boxed{42} and \\boxed{\\text{Monday}}", "thus and"),
        ("the \\textbf{answer} is \\emph{clear}", "the answer is clear"),
        ("an unclosed $ sign and \\( one", "an unclosed sign and one"),
    ],
)
def test_formulas_go(text, words):
    assert left(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "She has $5 and he has $10.",
        "It costs $5 for the bread and 3$ for milk.",
        "Between $5, $10 and $20 for each one.",
    ],
)
def test_prices_are_no_formulas(text):
    assert word_counts(text) == word_counts(text.replace("$", ""))
    assert len(left(text).split()) >= 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("so:\n```python\ndef f(x):\n    return the value\n```\ndone", "so done"),
        ("so:\n~~~\nreturn the value\n~~~\ndone", "so done"),
        ("so:\n```\nnever closed the block", "so"),
        ("inline ```return the value``` done", "inline done"),
        ("call `max_len of words` here", "call here"),
        ("before\nfor i in range(10):\n    total += i\nprint(total)\nafter", "before after"),
        ("def two_sum(nums, target):\n    seen = {}\n    return [1, 2]\nafter", "after"),
        ("import numpy as np\nfrom os import path\nafter", "after"),
        ('int main() {\n  int a = 5;\n  printf("hello world");\n  return 0;\n}\nafter', "after"),
        ("let total = 0;\nconsole.log(total)\nafter", "after"),
        ("SELECT name, price FROM items WHERE price > 5;\nafter", "after"),
        ('{"name": "Alice", "city": "Paris"}\nafter', "after"),
        ("$ pip install wordfreq\nafter", "after"),
        ('  File "main.py", line 3, in run\nValueError: bad literal\nafter', "after"),
        ("if x % 2 == 0:\n    return x // 2\nelse:\n    return 3 * x + 1\nafter", "after"),
    ],
)
def test_code_goes(text, words):
    assert left(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "for each box in the list:\nwe count the apples",
        "return to the start of the road",
        "import duties rise every single year",
        "let us count the items;",
        "class of thirty students has:",
        "primero sumamos los números;\nluego restamos;",
        "сначала сложим все числа;\nпотом вычтем;",
        "先把所有的数加起来;\n再减去二;",
        "while it is raining (a lot) we wait:",
    ],
)
def test_sentences_are_no_code(text):
    assert left(text) == " ".join(re.findall(r"[^\W\d_]+", text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("see https://example.org/a?b=c#d, or www.example.org.", "see or"),
        ("write to help.desk@example.com today", "write to today"),
        ("open main.py and /usr/lib/python3/foo.py and ./run/me now", "open and and now"),
        ("x1 and snake_case and camelCase and PascalCase and __init__ are names", "and and and and are names"),
        ("f(x) and np.sum(a, b) and os.path and a[i] are names", "and and and are names"),
        ("apple(s) and día(s) and Schüler(innen)", "apple s and día s and Schüler innen"),
        ("add A4+B7=11 then C2*D9", "add then"),
        ("take sin x and log(5) and max 3", "take x and and"),
        ("5 km and 5cm and 3 m/s and 20°C", "and and and"),
        ("<b>bold</b> and <a href='x'>link</a> but a < b and c > d", "bold and link but a b and c d"),
    ],
)
def test_addresses_names_and_units_go(text, words):
    assert left(text) == words


def test_names_between_han_characters_go_and_the_characters_stay():
    assert left("设x1和x2为根，则x1+x2=5。") == "设 和 为根 则"
    assert left("5cm长的线段，求sin x的值") == "长的线段 求 x的值"
    assert left("变量max_len和nums.txt") == "变量 和"


UNENDING = [
    *(
        "\\(",
        "\\[",
        "$",
        "$ a",
        "`",
        "```",
        "\n```",
        "<a ",
        '<a b="',
        "f(",
        "a[",
        "\\frac{",
        "\\text{",
        "\\begin{align}",
    ),
    *("a.b", "a-", "a@", "a@b.", "/a/", "http://", "_", "a_", "A+", "a=", '"a', "x = ", "\nif " + "(<" * 90),
    *("\nwhile " + "a[" * 90, "\n" + "a[1]" * 45 + "=", "\nfor a, " + "in (" * 40),
]


@pytest.mark.parametrize("piece", UNENDING)
def test_time_grows_with_length_and_not_with_its_square(piece):
    text = piece * (100_000 // len(piece))
    start = time.process_time()
    prose(text)
    assert time.process_time() - start < 5  # seconds; a quadratic pattern takes a minute
