"""Checkers for the tests: each is found by its dotted path."""


def a_factor(given: str, output: str, expected: str) -> bool:
    """Tell whether a program wrote a factor of the number that it read; any but 1 and itself will do."""
    number, factor = int(given), int(output)
    return 1 < factor < number and number % factor == 0


def any_order(given: str, output: list, expected: list) -> bool:
    """Tell whether a function returned the expected items in any order."""
    return sorted(output) == sorted(expected)
