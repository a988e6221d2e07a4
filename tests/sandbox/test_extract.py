"""The program in an answer."""

import time

import pytest

from trl_r1.sandbox.extract import completed, defined_in_prompt, defines, last_program


def fenced(name: str, source: str = "x = 1", fence: str = "```") -> str:
    return f"{fence}{name}\n{source}\n{fence}"


@pytest.mark.parametrize(
    "name", ["python", "py", "python3", "Python", "PY", " python ", "{python}", "python title=a.py", ""]
)
def test_any_usual_name_of_python(name):
    assert last_program(f"Here:\n{fenced(name)}\nDone.", ["python"]) == ("python", "x = 1")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("cpp", "cpp"),
        ("c++", "cpp"),
        ("C++17", "cpp"),
        ("c", "c"),
        ("js", "javascript"),
        ("c++23", "cpp"),
        ("java21", "java"),
        ("java", "java"),
        ("golang", "go"),
        ("rs", "rust"),
        ("sh", "bash"),
    ],
)
def test_names_of_other_languages(name, language):
    assert last_program(fenced(name), ["python", language]) == (language, "x = 1")


def test_the_last_block_in_a_language_that_is_asked_for():
    text = "\n".join(
        [fenced("python", "a"), fenced("py", "b"), fenced("text", "output"), fenced("bash", "python a.py")]
    )
    assert last_program(text, ["python"]) == ("python", "b")
    assert last_program(text, ["cpp"]) is None


@pytest.mark.parametrize("after", ["3 7", "f(3)  # 7", "Input: 3\nOutput: 7", "O(n log n)", "x = 2", "\ufeff7"])
def test_a_block_without_a_name_takes_no_named_ones_place(after):
    assert last_program(f"{fenced('python', 'a = 1')}\n{fenced('', after)}", ["python"]) == ("python", "a = 1")


@pytest.mark.parametrize("after", ["3 7", "7", "[1, 2]", "O(n) time", "Input: 3"])
def test_of_blocks_without_names_the_last_that_may_be_a_program(after):
    source = "\ufeffdef f(x):\n    return x"
    text = f"{fenced('', source)}\nprints\n{fenced('', after)}"
    assert last_program(text, ["python"]) == ("python", source.removeprefix("\ufeff"))
    text = f"{fenced('', 'int main() {}')}\nprints\n{fenced('', after)}"
    assert last_program(text, ["cpp"]) == ("cpp", "int main() {}")


def test_an_answer_that_ends_inside_a_block_has_no_program():
    assert last_program(f"{fenced('python')}\n```python\nx = 2", ["python"]) is None


def test_a_block_may_hold_fences_and_stand_in_a_list():
    assert last_program("````python\ns = '''\n```\n'''\n````", ["python"]) == ("python", "s = '''\n```\n'''")
    assert last_program("1. So:\n   ```python\n   def f():\n       return 1\n   ```", ["python"]) == (
        "python",
        "def f():\n    return 1",
    )
    assert last_program("~~~python\nx = 1\n~~~", ["python"]) == ("python", "x = 1")


def test_no_block_is_no_program():
    assert last_program("x = 1", ["python"]) is None
    assert last_program("```python\n\n```", ["python"]) is None
    assert last_program("Use ```x = 1``` here.", ["python"]) is None


@pytest.mark.parametrize(
    "text",
    [
        "```" + " " * 200_000 + "`",
        "`" * 200_000 + "x`",
        "\n" * 200_000,
        "> " * 100_000,
        "```\n" * 50_000,
        "~" * 100_000,
    ],
)
def test_hard_texts_take_no_longer_than_others(text):
    began = time.process_time()
    last_program(text, ["python"])
    defines(text, "f")
    assert time.process_time() - began < 2  # a quadratic search takes minutes


PROMPT = 'from typing import List\n\n\ndef helper(x):\n    return x\n\n\ndef f(a: List[int]) -> int:\n    """ Add one.\n    """\n'


@pytest.mark.parametrize(
    "text", [PROMPT, f"Complete this function:\n\n```python\n{PROMPT}```\nThanks.", f"Complete:\n{PROMPT}"]
)
def test_a_prompt_shows_a_function(text):
    assert defined_in_prompt(text, "f") == PROMPT.rstrip()


def test_a_prompt_that_does_not():
    assert defined_in_prompt("Write a function f.", "f") == ""
    assert defined_in_prompt(PROMPT, "g") == ""


@pytest.mark.parametrize(
    "answer",
    [
        "    return helper(a[0])",
        "\n   \n    return helper(a[0])",
        "return helper(a[0])",
        "def f(a: List[int]):\n    return helper(a[0])",
    ],
)
def test_a_completion_is_joined_to_its_prompt(answer):
    source, given = completed(defined_in_prompt(PROMPT, "f"), answer, "f")
    names = {}
    exec(source, names)
    assert names["f"]([3]) == 3
    exec(given, names)
    assert names["f"]([3]) is None
