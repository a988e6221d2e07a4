"""Test scripts: what runs in them, what counts as checked, and what cannot be judged."""

import textwrap

import pytest

from trl_r1.sandbox import Sandbox, Submission, read_row


RIGHT = "def f(x):\n    if x < 0:\n        raise ValueError('negative')\n    return 2 * x\n"
WRONG = "def f(x):\n    return 3 * x\n"
RAISES = "def f(x):\n    raise KeyError(x)\n"
STOPS = "def f(x):\n    raise StopIteration\n"
NOTHING = "x = 1\n"

CASES = "import unittest\nclass TestCases(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n    def test_b(self):\n        with self.assertRaises(ValueError):\n            f(-1)\n"
RUN = {
    "unittest without main": CASES,
    "unittest.main": f"{CASES}if __name__ == '__main__':\n    unittest.main()\n",
    "main(exit=False)": f"{CASES}unittest.main(exit=False)\n",
    "main in a function": f"{CASES}def test_all():\n    unittest.main()\n",
    "a runner by hand": f"{CASES}suite = unittest.defaultTestLoader.loadTestsFromTestCase(TestCases)\nunittest.TextTestRunner().run(suite)\n",
    "one test by hand": f"{CASES}TestCases('test_b').debug()\n",
    "sub-tests": "import unittest\nclass T(unittest.TestCase):\n    def test_all(self):\n        for i in range(3):\n            with self.subTest(i=i):\n                self.assertEqual(f(i), 2 * i)\nunittest.main(exit=False)\n",
    "pytest functions": "def test_a():\n    assert f(1) == 2\ndef test_b():\n    assert f(2) == 4\n",
    "pytest's own names": "import pytest\n@pytest.fixture\ndef one():\n    return 1\n@pytest.mark.parametrize('x, y', [(1, 2), (2, 4)])\ndef test_a(x, y):\n    assert f(x) == pytest.approx(y)\ndef test_b(one):\n    assert f(one) == 2\n    with pytest.raises(ValueError, match='nega'):\n        f(-1)\n",
    "a pytest class": "class TestF:\n    def setup_method(self):\n        self.x = 1\n    def test_a(self):\n        assert f(self.x) == 2\n",
    "check without a name": "def check(candidate):\n    for i in range(1, 3):\n        assert candidate(i) == 2 * i\n",
    "check of one assert without a name": "def check(candidate):\n    assert candidate(1) == 2\n",
    "from solution": "from solution import f\nfor i in range(1, 3):\n    assert f(i) == 2 * i\n",
    "as a module": "import my_solution as s\ndef test_a():\n    assert s.f(1) == 2\n",
    "by a computed name": "import importlib\nmodule = importlib.import_module('solu' + 'tion')\ndef test_a():\n    assert module.f(1) == 2\n",
    "check called by a test": "def check(candidate):\n    assert candidate(f) == 2\ndef test_a():\n    check(lambda g: g(1))\n",
    "relative": "from .main import *\ndef test_a():\n    from ..src.solution import f as g\n    assert g(1) == 2 == f(1)\n",
    "loops that catch": "failed = 0\nfor x, y in ((0, 0), (1, 2)):\n    try:\n        assert f(x) == y\n    except Exception as error:\n        failed += 1\n        print(error)\n",
    "functions run by hand": "def test_0():\n    r = f(0)\n    assert r == 0 or not r\ndef test_1():\n    r = f(1)\n    assert r == 2\nfor test in (test_0, test_1):\n    try:\n        test()\n    except Exception:\n        print('failed')\nassert f(0) in (0, 1)\n",
    "either of two": "try:\n    assert f(1) == 4\nexcept AssertionError:\n    assert f(1) == 2\n",
    "an error is wanted": "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass\n",
    "an error is wanted, or else": "try:\n    f(-1)\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError('no error')\n",
    "an if": "for i in (1, 2):\n    if f(i) != 2 * i:\n        raise AssertionError\n",
    "all of a map": "xs = [1, 2]\nassert all(map(lambda x: f(x) == 2 * x, xs))\n",
    "an exit in the middle": "import sys\nfor i in (1, 2):\n    assert f(i) == 2 * i\nsys.exit(0)\nassert False\n",
}


def verdict(sandbox: Sandbox, source: str, script: str, **row) -> str:
    ((result,),) = sandbox.judge([Submission(source, read_row(script, **row).tests)])
    return result.verdict


@pytest.mark.parametrize("name", RUN)
def test_a_right_program_passes_and_no_other(small, name):
    assert verdict(small, RIGHT, RUN[name]) == "passed"
    for source in (WRONG, RAISES, STOPS, NOTHING):
        assert verdict(small, source, RUN[name]) in ("wrong_answer", "runtime_error"), source


def test_big_code_bench(small):
    assert verdict(small, RIGHT, CASES, entry_point="f") == "passed"
    assert verdict(small, WRONG, CASES, entry_point="f") == "wrong_answer"


@pytest.mark.parametrize(
    "script",
    [
        "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        f(1)\n",
        "import unittest\nclass T(unittest.TestCase):\n    @unittest.skip('no')\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n",
        "assert True\nassert 1 + 1 == 2\n",
        "import sys\nsys.exit()\nassert f(1) == 2\n",
        "if False:\n    assert f(1) == 2\n",
        "def verify():\n    assert f(1) == 2\n",
        "def test_a(tmp_path):\n    assert f(1) == 2\n",
        "async def test_a():\n    assert f(1) == 2\n",
        "import no_such_package\nfor i in (1, 2):\n    assert f(i) == 2 * i\n",
        "from unittest.mock import patch\ndef test_a():\n    with patch('os.getcwd'):\n        assert f(1) == 2\n",
    ],
)
def test_what_checks_nothing_or_cannot_run_has_no_verdict(small, script):
    for source in (RIGHT, WRONG):
        assert verdict(small, source, script) == "untested"


def test_a_program_that_passes_what_could_be_run_is_not_judged(small):
    script = "def test_a():\n    assert f(1) == 2\ndef test_b(capsys):\n    assert f(1) == 2\n"
    assert verdict(small, RIGHT, script) == "untested"
    assert verdict(small, WRONG, script) == "wrong_answer"


@pytest.mark.parametrize("script", ["assert f(1) =", "def check(candidate):\n  assert 1\n x", "print(f(1))"])
def test_what_is_no_test_is_told(script):
    with pytest.raises(ValueError, match="expected"):
        read_row(textwrap.dedent(script))
