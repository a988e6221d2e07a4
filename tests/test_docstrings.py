"""The help of a config's keys comes from its docstring."""

from dataclasses import dataclass, fields

import pytest

from trl_r1.docstrings import arguments_of, help_from_docstring


@help_from_docstring
@dataclass
class Cake:
    r"""
    A cake.

    It is \(round\).

    Args:
        flour, sugar (`int`, *optional*, defaults to `100`):
            Grams (of 100 % purity),
            weighed.

            Twice.
        name (`str` or `None` (rarely)):
            What it is called.

    Example:
        flour (`x`):
            Not this one.
    """

    flour: int = 100
    sugar: int = 100
    name: str | None = None


def test_each_field_has_the_text_of_its_entry():
    assert {field.name: field.metadata["help"] for field in fields(Cake)} == {
        "flour": "Grams (of 100 %% purity), weighed. Twice.",
        "sugar": "Grams (of 100 %% purity), weighed. Twice.",
        "name": "What it is called.",
    }


def test_a_field_that_is_inherited_keeps_its_help_and_one_that_is_defined_again_has_its_own():
    @help_from_docstring
    @dataclass
    class Tart(Cake):
        """
        A tart.

        Args:
            sugar (`int`):
                Less.
        """

        sugar: int = 10

    assert [field.metadata["help"] for field in fields(Tart)] == [
        "Grams (of 100 %% purity), weighed. Twice.",
        "Less.",
        "What it is called.",
    ]


def test_a_field_without_an_entry_is_refused():
    @dataclass
    class Pie:
        """A pie."""

        apples: int = 3

    with pytest.raises(TypeError, match=r"Pie\.apples is not explained"):
        help_from_docstring(Pie)


def test_a_docstring_without_arguments_has_none():
    assert arguments_of("A cake.") == {}
